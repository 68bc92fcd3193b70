#include <cstdio>
#include <numeric>

#include "tools/common/CheckEnvironment.h"

namespace hadal::cli {

namespace {

/// A program of one all_to_all between |send| and |receive|, whose stream of
/// collectives waits for that of kernels and is waited for.
LaunchList programOf(DeviceAddress send, DeviceAddress receive) {
  LaunchList list;
  Collective collective;
  collective.operation.label = "check-env";
  collective.operation.parts.push_back(
      {.send = send, .receive = receive, .rows = 1, .rowBytes = kCheckBytes});
  list.collectives.push_back(std::move(collective));
  list.numEvents = 2;
  using Kind = RankCommand::Kind;
  for (auto [kind, stream, index] :
       {std::tuple(Kind::record, kLaunchStream, 0u),
        {Kind::wait, kCollectiveStream, 0u},
        {Kind::start, kCollectiveStream, 0u},
        {Kind::record, kCollectiveStream, 1u},
        {Kind::wait, kLaunchStream, 1u}})
    list.commands.push_back({kind, stream, index, 0});
  return list;
}

} // namespace

Status checkDevices(comm::Group &group, const std::string &library,
                    std::chrono::milliseconds timeout, const LoadFlags &load) {
  using Clock = std::chrono::steady_clock;
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(load.artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(load.device, artifact));
  HADAL_ASSIGN_OR_RETURN(
      auto lines,
      describeRanks(group, library + "; " + driver->description(), timeout));
  HADAL_RETURN_IF_ERROR(driver->enter());
  std::vector<unsigned> members(group.size());
  std::iota(members.begin(), members.end(), 0u);
  HADAL_ASSIGN_OR_RETURN(auto all, group.create("check-env", members));
  comm::Endpoint endpoint{{all.get()}, nullptr, timeout};
  const uint64_t bytes = kCheckBytes * group.size();
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer send,
                         DeviceBuffer::create(*driver, bytes));
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer receive,
                         DeviceBuffer::create(*driver, bytes));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Executable> executable,
                         driver->load(artifact));
  // After `all`: a graph ends before its communicator.
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<PreparedEntry> entry,
      executable->prepare("check-env",
                          programOf(send.address(), receive.address()),
                          /*replayed=*/true, &endpoint));
  std::vector<uint8_t> values(bytes);
  std::chrono::duration<double> best{1e9};
  // The first two connect the ranks and capture the graph.
  for (int round = -2; round < kCheckRounds; ++round) {
    for (unsigned to = 0; to < group.size(); ++to)
      std::fill_n(values.begin() + static_cast<ptrdiff_t>(to * kCheckBytes),
                  kCheckBytes, checkByte(group.rank(), to, round));
    HADAL_RETURN_IF_ERROR(driver->write(send.address(), values.data(), bytes));
    HADAL_RETURN_IF_ERROR(
        driver->read(values.data(), send.address(), 1)); // it is there
    HADAL_RETURN_IF_ERROR(group.exchange({}, Clock::now() + timeout).status());
    const Clock::time_point begin = Clock::now();
    HADAL_RETURN_IF_ERROR(entry->run());
    if (round >= 0)
      best =
          std::min<std::chrono::duration<double>>(best, Clock::now() - begin);
    HADAL_RETURN_IF_ERROR(
        driver->read(values.data(), receive.address(), bytes));
    for (uint64_t i = 0; i < bytes; ++i)
      if (const auto from = static_cast<unsigned>(i / kCheckBytes);
          values[i] != checkByte(from, group.rank(), round))
        return error(6007, "rank {} received wrong bytes from rank {}",
                     group.rank(), from);
  }
  if (group.rank() == 0)
    printCheck(lines, best, ", in a graph");
  return {};
}

} // namespace hadal::cli
