// Happens-before race detection in global memory, over all clusters of one
// launch. The order inside a cluster is that of its RaceDetector; between
// clusters only releases and acquires of global locations order anything.
//
// Reads leave extents in 4 KiB pages, writes leave one epoch per 16 bytes in
// pages that are written: memory that a launch only reads costs one entry per
// access and no check.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "runtime/drivers/sim/semantics/RaceDetector.h"

namespace hadal::sim {

/// Memory order of a strong access or a fence; bits.
namespace order {
constexpr uint8_t acquire = 1, release = 2;
/// Scope .gpu or .sys; else the order reaches the cluster only.
constexpr uint8_t wide = 4;
/// A strong access at all (relaxed if nothing else is set).
constexpr uint8_t strong = 8;
} // namespace order

/// Who accesses: a warp or an asynchronous operation of a cluster.
struct GlobalAgent {
  uint32_t cluster = 0;
  uint32_t index = 0; ///< the agent's number in the cluster's RaceDetector
  uint32_t clock = 0;
  uint32_t warp = 0; ///< warp of the cluster that executes or issued it
  const SyncClock *knowledge = nullptr;
};

struct GlobalConflict {
  uint64_t address = 0; ///< of the first byte in conflict
  Access access = Access::read; ///< the earlier one
  uint32_t cluster = 0, warp = 0, pc = 0;
};

class GlobalRaces {
public:
  /// Agents of a cluster and clusters of a launch that can be told apart;
  /// larger launches are not checked.
  static constexpr unsigned agentBits = 12;
  static constexpr uint64_t maxClusters = uint64_t(1) << (32 - agentBits);

  /// |who| accesses [address, address + bytes); the first conflict, if any.
  std::optional<GlobalConflict> access(const GlobalAgent &who, uint64_t address,
                                       uint64_t bytes, Access access,
                                       Strength strength, uint32_t pc);

  /// A strong access of |warp| to the location at |address|, after access():
  /// a load, a store or (both) an atomic.
  void synchronise(RaceDetector &detector, uint32_t cluster, unsigned warp,
                   uint64_t address, bool loads, bool stores, uint8_t order);
  /// fence or membar.
  void fence(RaceDetector &detector, uint32_t cluster, unsigned warp,
             uint8_t order);
  /// Conflicts with the accesses that |other| saw, of other clusters of the
  /// launch, when nothing orders the clusters of one with those of the other:
  /// the access here, the access there. One for each pair of instructions.
  std::vector<std::pair<GlobalConflict, GlobalConflict>>
  conflictsWith(const GlobalRaces &other) const;
  /// The warps of |cluster| are gone; numbers of clusters are never reused.
  void forget(uint32_t cluster);

private:
  static constexpr unsigned pageShift = 12, cellShift = 4;
  static constexpr size_t cellsPerPage = size_t(1) << (pageShift - cellShift);
  /// Reads remembered of a page: the first ones, and a ring of the last.
  static constexpr size_t firstReads = 48, lastReads = 48;

  struct Epoch {
    uint32_t agent = 0, clock = 0, pc = 0;
    uint16_t warp = 0;
    bool strong = false;
  };
  struct Read {
    Epoch by;
    uint16_t first = 0, last = 0; ///< bytes of the page
  };
  struct Write {
    Epoch by;
    uint16_t mask = 0;
  };
  struct Page {
    std::vector<Read> reads;
    uint32_t next = 0; ///< of the ring
    std::unique_ptr<std::array<Write, cellsPerPage>> writes;
    /// Writes of other bytes of a cell by earlier agents.
    std::vector<std::pair<uint16_t, Write>> more;
  };
  /// What releases of a location hand on.
  struct Location {
    ForeignClocks wide;
    uint32_t cluster = 0; ///< of `narrow`
    SyncClock narrow;
  };
  struct FenceState {
    bool released = false;
    uint8_t order = 0;
    SyncClock before;  ///< what the last releasing fence covers
    SyncClock pending; ///< what relaxed loads have seen
  };

  static uint32_t name(uint32_t cluster, uint32_t index) {
    return cluster << agentBits | index;
  }
  static bool ordered(const Epoch &old, const GlobalAgent &who);
  static bool conflicts(const Epoch &old, const Epoch &now,
                        const GlobalAgent &who);
  static ForeignClocks exported(const SyncClock &clock, uint32_t cluster);
  static SyncClock imported(const Location &location, uint32_t cluster,
                            uint8_t order);
  static void publish(Location &to, const SyncClock &clock, uint32_t cluster,
                      uint8_t order);
  Page &page(uint64_t number);
  void noteRead(Page &page, const Read &read);
  bool checkWrites(const Page &page, unsigned first, unsigned last,
                   const Epoch &now, const GlobalAgent &who, unsigned &at,
                   Epoch &other) const;
  bool checkReads(Page &page, unsigned first, unsigned last, const Epoch &now,
                  const GlobalAgent &who, unsigned &at, Epoch &other);
  void noteWrite(Page &page, unsigned first, unsigned last, const Epoch &now,
                 const GlobalAgent &who);

  std::unordered_map<uint64_t, Page> pages;
  struct Cached {
    uint64_t number = ~uint64_t(0);
    Page *page = nullptr;
  };
  std::array<Cached, 64> cache;
  std::unordered_map<uint64_t, Location> locations;
  std::unordered_map<uint64_t, FenceState> fences; ///< cluster << 32 | warp
};

} // namespace hadal::sim
