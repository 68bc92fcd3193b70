#include "runtime/device/HostCollectives.h"

namespace hadal {

using Clock = std::chrono::steady_clock;

/// Notes when the operations of one communicator run. The stream's thread
/// writes; what it wrote of an operation is read behind the wait for that.
class TimedCommunicator final : public comm::Communicator {
public:
  TimedCommunicator(comm::Communicator &inner, size_t operations)
      : times(operations), inner(inner) {}

  std::string_view name() const override { return inner.name(); }
  unsigned rank() const override { return inner.rank(); }
  unsigned size() const override { return inner.size(); }
  comm::Capabilities capabilities() const override {
    return inner.capabilities();
  }
  Status run(const comm::Operation &operation,
             comm::Deadline deadline) override {
    auto &[begin, end] = times[operation.sequence];
    // A collective may be several operations.
    if (begin == Clock::time_point())
      begin = Clock::now();
    Status status = inner.run(operation, deadline);
    end = Clock::now();
    return status;
  }
  void abort() noexcept override { inner.abort(); }

  /// By sequence number.
  std::vector<std::pair<Clock::time_point, Clock::time_point>> times;

private:
  comm::Communicator &inner;
};

HostCollectives::HostCollectives(const LaunchList &list,
                                 const comm::Endpoint *endpoint)
    : list(list), endpoint(endpoint), awaited(list.numEvents) {}

HostCollectives::~HostCollectives() = default;

void HostCollectives::begin(Timeline *times) {
  next = 0;
  tickets.clear();
  numFinished = 0;
  this->times = times;
  if (times && timed.empty() && !list.collectives.empty())
    for (comm::Communicator *communicator : endpoint->communicators)
      timed.push_back(std::make_unique<TimedCommunicator>(
          *communicator, list.collectives.size()));
}

uint64_t HostCollectives::enqueue(uint32_t communicator,
                                  comm::Operation operation) {
  comm::Communicator &given = *endpoint->communicators[communicator];
  return endpoint->stream->enqueue(times ? *timed[communicator] : given,
                                   std::move(operation));
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
    const Collective &collective = list.collectives[command.index];
    if (times)
      timed[collective.communicator]->times[collective.operation.sequence] = {};
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
    if (command.stream == kLaunchStream && awaited[command.index] > numFinished)
      return wait(awaited[command.index]);
    return {};
  }
  return {};
}

/// Waits until the first |count| collectives of the run are complete.
Status HostCollectives::wait(size_t count) {
  const auto last = static_cast<uint32_t>(count - 1);
  const Clock::time_point begin = times ? Clock::now() : Clock::time_point();
  HADAL_RETURN_IF_ERROR(endpoint->stream->wait(tickets[last]));
  if (times)
    times->push_back({CommandSpan::Kind::wait, last,
                      list.collectives[last].operation.label, begin,
                      Clock::now()});
  while (numFinished < count) {
    const auto index = static_cast<uint32_t>(numFinished++);
    HADAL_RETURN_IF_ERROR(finish(index));
    if (!times)
      continue;
    const Collective &collective = list.collectives[index];
    auto [from, to] =
        timed[collective.communicator]->times[collective.operation.sequence];
    times->push_back({CommandSpan::Kind::collective, index,
                      collective.operation.label, from, to});
  }
  return {};
}

} // namespace hadal
