#include "runtime/device/HostCollectives.h"

namespace hadal {

void HostCollectives::begin() {
  next = 0;
  tickets.clear();
  numFinished = 0;
}

Status HostCollectives::runBefore(size_t launch) {
  for (; next < list.commands.size() && list.commands[next].position == launch;
       ++next)
    HADAL_RETURN_IF_ERROR(run(list.commands[next]));
  return {};
}

Status HostCollectives::run(const RankCommand &command) {
  switch (command.kind) {
  case RankCommand::Kind::start: {
    // Collectives start in their order, so that an index is a place in tickets.
    HADAL_ASSIGN_OR_RETURN(uint64_t ticket, start(command.index));
    tickets.push_back(ticket);
    return {};
  }
  case RankCommand::Kind::record:
    awaited[command.index] =
        command.stream == kCollectiveStream ? tickets.size() : numFinished;
    return {};
  case RankCommand::Kind::wait:
    // Stream 1 runs in order, and behind all launches that came before it was
    // given an operation.
    if (command.stream != kLaunchStream ||
        awaited[command.index] <= numFinished)
      return {};
    HADAL_RETURN_IF_ERROR(
        endpoint->stream->wait(tickets[awaited[command.index] - 1]));
    while (numFinished < awaited[command.index])
      HADAL_RETURN_IF_ERROR(finish(static_cast<uint32_t>(numFinished++)));
    return {};
  }
  return {};
}

} // namespace hadal
