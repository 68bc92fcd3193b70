// Asynchronous state of a CTA beyond the queue: mbarriers, the bulk groups of
// its threads, the wgmma state of its warpgroups.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/drivers/sim/machine/Cta.h"
#include "runtime/drivers/sim/machine/Warpgroup.h"
#include "runtime/drivers/sim/monitors/RaceMonitor.h"
#include "runtime/drivers/sim/semantics/Mbarrier.h"

namespace hadal::sim {

/// Where an instruction was issued, for findings that come later.
struct Place {
  const Warp *warp = nullptr;
  uint32_t pc = 0;
  uint32_t lanes = 0;
};

/// An mbarrier in shared memory and what its phases order.
struct BarrierObject {
  Mbarrier state;
  PhaseWatch watch;
  /// Releases of the current phase, and of the last one of each parity.
  SyncClock pending;
  SyncClock completed[2];
  /// Whether a thread of Warp::dependent is among the arrivals, likewise.
  bool dependentPending = false;
  bool dependent[2] = {};
};

/// A bulk copy of a thread's bulk group.
struct BulkRecord {
  AsyncQueue::Ticket ticket = 0;
  /// The race detector's operations: of the reads and of the writes.
  bool tracked = false;
  RaceDetector::Operation reads = 0, writes = 0;
  bool readDone = false; ///< the thread knows that the source was read
  uint32_t pc = 0;
};

/// Bulk groups of one thread.
struct BulkGroups {
  std::vector<BulkRecord> open;
  std::deque<std::vector<BulkRecord>> closed;
};

class AsyncEngine {
public:
  explicit AsyncEngine(Cta &cta);
  ~AsyncEngine();

  /// The last warp has exited: reports what nobody waited for, and completes
  /// it.
  void finish();
  /// What a group parked for |mbarrier| waits for, for a deadlock's text.
  std::string describeWait(const Group &group) const;

  /// The race monitor, or nullptr when races are not checked.
  RaceMonitor *races() const {
    return static_cast<RaceMonitor *>(cta.monitor.get());
  }

  // ---- mbarriers ------------------------------------------------------

  /// The object at |address|, dead if nothing initialised it. A finding, and
  /// nullptr, if no mbarrier can be there.
  BarrierObject *barrier(const Place &place, uint32_t address);
  /// Whether [begin, end) overlaps a live object.
  bool touchesBarrier(uint32_t begin, uint32_t end) const;
  /// Runs |fn|(state) -> MbarrierFault on the object; reports its fault and
  /// hands the phase on if it completed.
  template <typename Fn>
  void change(const Place &place, uint32_t address, BarrierObject &object,
              Fn fn) {
    uint64_t before = object.state.phase();
    MbarrierFault fault = fn(object.state);
    if (object.state.phase() != before)
      phaseCompleted(object, before);
    if (fault != MbarrierFault::none)
      reportFault(place, address, object, fault);
  }
  /// A bulk copy of |bytes| bytes is complete and credits |address|.
  void credit(const Place &place, uint32_t address, uint32_t bytes,
              const RaceDetector::Operation *operation);
  void reportFault(const Place &place, uint32_t address,
                   const BarrierObject &object, MbarrierFault fault);
  /// mbarrier.init and .inval.
  void initialise(const Place &place, uint32_t address, uint64_t count);
  void invalidate(const Place &place, uint32_t address);

  // ---- Bulk groups and warpgroups -------------------------------------

  BulkGroups &bulkGroups(const Warp &warp, unsigned lane) {
    return threads[warp.index * 32 + lane];
  }
  /// The warpgroup of |warp|.
  Warpgroup &warpgroup(const Warp &warp);
  /// Whether pending operations complete because the CTA ends.
  bool finishing() const { return ending; }

  Cta &cta;

private:
  void phaseCompleted(BarrierObject &object, uint64_t phase);

  std::unordered_map<uint32_t, BarrierObject> objects;
  uint32_t lowest = UINT32_MAX, highest = 0;
  std::unordered_map<unsigned, BulkGroups> threads;
  std::vector<std::unique_ptr<Warpgroup>> groups;
  bool ending = false;
};

} // namespace hadal::sim
