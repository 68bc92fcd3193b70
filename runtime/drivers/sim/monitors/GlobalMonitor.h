// Feeds the race detector of global memory with the accesses of one CTA and
// turns its conflicts into findings.
#pragma once

#include "runtime/drivers/sim/monitors/Monitor.h"
#include "runtime/drivers/sim/monitors/Report.h"
#include "runtime/drivers/sim/semantics/GlobalRaces.h"

namespace hadal::sim {

class Cta;
struct LaunchState;
struct Warp;

/// The finding that |access| is not ordered with |other|, of another cluster.
Finding globalRaceFinding(const LaunchState &launch,
                          const GlobalConflict &access,
                          const GlobalConflict &other);

class GlobalMonitor {
public:
  GlobalMonitor(Cta &cta, GlobalRaces &races) : cta(cta), races(races) {}

  /// The executing lanes |lanes| access |bytes| bytes each.
  void access(Exec &exec, uint32_t lanes, const uint64_t *addresses,
              unsigned bytes, AccessKind kind);
  /// So does an asynchronous operation that |warp| issued at |pc|.
  void asyncAccess(RaceDetector::Operation operation, const Warp &warp,
                   uint32_t pc, uint32_t lanes, uint64_t address,
                   uint64_t bytes, Access access);
  /// A strong access of |lanes|, noted by access() before, by what was known
  /// until then. |memoryOrder| has the bits of namespace order.
  void synchronise(Exec &exec, uint32_t lanes, const uint64_t *addresses,
                   bool loads, bool stores, uint8_t memoryOrder);
  void fence(Exec &exec, uint8_t memoryOrder);

private:
  void report(const Warp &warp, uint32_t pc, uint32_t lanes, Access access,
              bool async, const GlobalConflict &conflict);

  Cta &cta;
  GlobalRaces &races;
};

} // namespace hadal::sim
