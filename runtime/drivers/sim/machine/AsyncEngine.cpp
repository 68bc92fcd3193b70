#include "runtime/drivers/sim/machine/AsyncEngine.h"

#include <algorithm>

#include <fmt/format.h>

namespace hadal::sim {

AsyncEngine::AsyncEngine(Cta &cta) : cta(cta) {}
AsyncEngine::~AsyncEngine() = default;

// The order matters: first what nobody waited for is reported, since completing
// it below would make it look waited for; then it completes, so that the grid's
// results do not depend on the policy.
void AsyncEngine::finish() {
  for (auto &[thread, groups] : threads) {
    const Warp &warp = cta.warps[thread / 32];
    auto unread = [&](const std::vector<BulkRecord> &records) {
      for (const BulkRecord &record : records)
        if (!record.readDone)
          cta.report(FindingKind::unfinishedAsync, warp, record.pc,
                   1u << thread % 32, 0,
                   "the thread exits without waiting for its bulk copy; "
                   "cp.async.bulk.wait_group must come first");
    };
    unread(groups.open);
    for (const auto &records : groups.closed)
      unread(records);
  }
  for (auto &group : groups)
    if (group)
      group->finish();
  ending = true;
  while (cta.async.completeOldest()) {
  }
}

std::string AsyncEngine::describeWait(const Group &group) const {
  if (!group.mbarrier)
    return "waits for an event";
  auto found = objects.find(group.mbarrier);
  if (found == objects.end() || !found->second.state.live())
    return fmt::format("waits for the mbarrier at {:#x}, which is not "
                       "initialised",
                       group.mbarrier);
  const Mbarrier &state = found->second.state;
  return fmt::format("waits for the mbarrier at {:#x} (phase {}, {} of {} "
                     "arrivals and {} bytes missing)",
                     group.mbarrier, state.phase(), state.pending(),
                     state.expected(), state.transactions());
}

BarrierObject *AsyncEngine::barrier(const Place &place, uint32_t address) {
  if (!cta.shared.contains(address, 8)) {
    cta.report(FindingKind::outOfBounds, *place.warp, place.pc, place.lanes,
               address, "an mbarrier outside shared memory");
    return nullptr;
  }
  if (address % 8) {
    cta.report(FindingKind::misaligned, *place.warp, place.pc, place.lanes,
               address, "an mbarrier needs an address that is a multiple of 8");
    return nullptr;
  }
  return &objects[address];
}

// Called for every access to shared memory: the bounds of all objects answer
// for nearly all of them. An object is 8 bytes at a multiple of 8, so that
// looking at each such address of the range finds it, from the one that |begin|
// lies in.
bool AsyncEngine::touchesBarrier(uint32_t begin, uint32_t end) const {
  if (begin >= highest || end <= lowest)
    return false;
  for (uint32_t address = begin & ~7u; address < end; address += 8) {
    auto found = objects.find(address);
    if (found != objects.end() && found->second.state.live())
      return true;
  }
  return false;
}

// Phase n's releases become visible to waits on parity n & 1. Only two phases
// are kept: a waiter of phase n cannot still be there when n + 2 completes, or
// its parity would be ambiguous (PhaseWatch finds the kernels that try). Parked
// groups look again when |events| has moved.
void AsyncEngine::phaseCompleted(BarrierObject &object, uint64_t phase) {
  std::swap(object.completed[phase & 1], object.pending);
  object.pending.clear();
  object.dependent[phase & 1] = object.dependentPending;
  object.dependentPending = false;
  ++cta.cluster.events;
}

void AsyncEngine::reportFault(const Place &place, uint32_t address,
                              const BarrierObject &object,
                              MbarrierFault fault) {
  const Mbarrier &state = object.state;
  cta.report(FindingKind::mbarrierMisuse, *place.warp, place.pc, place.lanes,
             address,
             fmt::format("{} (mbarrier {:#x}: phase {}, {} of {} arrivals and "
                         "{} bytes missing)",
                         describe(fault), address, state.phase(),
                         state.pending(), state.expected(),
                         state.transactions()));
}

void AsyncEngine::initialise(const Place &place, uint32_t address,
                             uint64_t count) {
  BarrierObject *object = barrier(place, address);
  if (!object)
    return;
  if (races())
    races()->barrierOperation(*place.warp, place.pc, address, true);
  MbarrierFault fault = object->state.init(count);
  if (fault != MbarrierFault::none)
    reportFault(place, address, *object, fault);
  // What an earlier object at this address ordered is forgotten: its phases are
  // not those of the new one.
  object->watch.reset();
  object->pending.clear();
  object->completed[0].clear();
  object->completed[1].clear();
  object->dependentPending = object->dependent[0] = object->dependent[1] = false;
  lowest = std::min(lowest, address);
  highest = std::max(highest, address + 8);
}

void AsyncEngine::invalidate(const Place &place, uint32_t address) {
  BarrierObject *object = barrier(place, address);
  if (!object)
    return;
  if (races())
    races()->barrierOperation(*place.warp, place.pc, address, true);
  MbarrierFault fault = object->state.invalidate();
  if (fault != MbarrierFault::none)
    reportFault(place, address, *object, fault);
}

void AsyncEngine::credit(const Place &place, uint32_t address, uint32_t bytes,
                         const RaceDetector::Operation *operation) {
  BarrierObject *object = barrier(place, address);
  if (!object)
    return;
  // The copy's writes join the phase's releases before the phase can complete:
  // who waits for it sees them.
  if (operation && races())
    races()->detector().completeAsync(*operation, object->pending);
  change(place, address, *object,
         [&](Mbarrier &state) { return state.complete(bytes); });
}

Warpgroup &AsyncEngine::warpgroup(const Warp &warp) {
  size_t index = warp.index / 4;
  if (groups.size() <= index)
    groups.resize(index + 1);
  if (!groups[index])
    groups[index] = std::make_unique<Warpgroup>(cta, index * 4);
  return *groups[index];
}

} // namespace hadal::sim
