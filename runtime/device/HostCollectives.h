// The collectives of an unrolled entry on a device whose launches run on the
// calling thread: they are stream 0, and a comm::CommStream is stream 1.
#pragma once

#include <memory>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/device/Program.h"
#include "runtime/device/Timeline.h"

namespace hadal {

class TimedCommunicator;

/// What one entry does between its launches, run after run. Not thread-safe.
class HostCollectives {
public:
  /// |list| outlives it; |endpoint| too, and is null only of a list without
  /// collectives.
  HostCollectives(const LaunchList &list, const comm::Endpoint *endpoint);
  virtual ~HostCollectives();

  /// Begins a run of the entry; |times| is null or takes the spans of waits and
  /// collectives. Nothing of an earlier run is in flight, unless that failed.
  void begin(Timeline *times = nullptr);
  /// Runs the commands before launch |launch|, all launches before which are
  /// done; the number of launches: those behind the last. The first error of a
  /// collective.
  Status runBefore(size_t launch);

protected:
  /// Starts collective |index|; its ticket.
  virtual StatusOr<uint64_t> start(uint32_t index) {
    const Collective &collective = list.collectives[index];
    return enqueue(collective.communicator, collective.operation);
  }
  /// Collective |index| is complete, as launches may know from now on.
  virtual Status finish(uint32_t index) { return {}; }

  /// Gives |operation| to the stream; its ticket.
  uint64_t enqueue(uint32_t communicator, comm::Operation operation);

  const LaunchList &list;
  const comm::Endpoint *const endpoint;

private:
  Status run(const RankCommand &command);
  Status wait(size_t count);

  Timeline *times = nullptr;
  /// What stands for the endpoint's communicators while times are taken.
  std::vector<std::unique_ptr<TimedCommunicator>> timed;
  size_t next = 0; ///< of list.commands
  /// Tickets of the collectives started in this run, and how many are finished.
  std::vector<uint64_t> tickets;
  size_t numFinished = 0;
  /// By event: how many collectives are done when it is reached.
  std::vector<size_t> awaited;
};

} // namespace hadal
