// A CTA in execution, its cluster, and the launch they belong to.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/drivers/sim/machine/AsyncQueue.h"
#include "runtime/drivers/sim/machine/Launch.h"
#include "runtime/drivers/sim/machine/Warp.h"
#include "runtime/drivers/sim/monitors/GlobalMonitor.h"
#include "runtime/drivers/sim/monitors/Monitor.h"
#include "runtime/drivers/sim/semantics/RaceDetector.h"

namespace hadal::sim {

class AsyncEngine;
class Cluster;

/// Windows of generic addresses; everything outside them is global.
namespace window {
constexpr uint64_t shared = 0x7000'0000'0000'0000;
constexpr uint64_t local = 0x7100'0000'0000'0000;
constexpr uint64_t param = 0x7200'0000'0000'0000;
constexpr uint64_t mask = 0xFF00'0000'0000'0000;
} // namespace window

/// Shared memory of a CTA. Addresses start at `base`, as on hardware not at 0;
/// bits 31:24 of a shared::cluster address are the CTA's rank + 1, or 0 for
/// the executing CTA.
class SharedMemory {
public:
  static constexpr uint32_t base = sharedWindowBase;
  static constexpr uint32_t rankShift = 24;

  explicit SharedMemory(uint32_t bytes)
      : size(bytes), storage(bytes), definedBytes(bytes) {}
  uint32_t bytes() const { return size; }
  bool contains(uint32_t address, uint32_t count) const {
    return address >= base && address - base <= size &&
           count <= size - (address - base);
  }
  /// Valid for contained addresses, and as the origin that they are added to.
  uint8_t *at(uint32_t address) {
    return storage.data() + (int64_t(address) - int64_t(base));
  }
  /// One byte per byte: 0 undefined, 1 defined.
  uint8_t *definedAt(uint32_t address) {
    return definedBytes.data() + (address - base);
  }

private:
  uint32_t size;
  std::vector<uint8_t> storage, definedBytes;
};

/// Everything that the CTAs of one launch share.
struct LaunchState {
  const PtxModule *module = nullptr;
  const Kernel *kernel = nullptr;
  LaunchConfig config;
  Options options;
  Memory *memory = nullptr;
  GlobalRaces *globalRaces = nullptr; ///< null when not checked
  std::vector<uint8_t> parameters;
  Report report;
  std::map<std::pair<FindingKind, uint32_t>, size_t> findingIndex;
  /// Place of the running cluster in the order of this launch, and of those
  /// that report.findings come from.
  size_t position = 0;
  std::vector<size_t> findingPositions;
  bool abandoned = false; ///< a CTA cannot go on: the launch ends
  /// The kernel's constant pool, module variables' addresses filled in.
  std::vector<uint64_t> constants;
};

/// A named barrier (bar.*), ids 0..15.
struct NamedBarrier {
  uint32_t arrived = 0;
  uint32_t expected = 0; ///< 0: all threads of the CTA
  bool inUse = false;
  bool dependent = false; ///< a thread of Warp::dependent arrived
  uint32_t trueCount = 0; ///< bar.red: threads whose predicate is true
  uint32_t redCount = 0;  ///< threads that took part in bar.red
};

class Cta {
public:
  Cta(LaunchState &launch, Cluster &cluster, uint32_t linear);
  ~Cta();

  /// Runs every runnable warp until it blocks. False if nothing ran.
  bool step();
  bool done() const { return liveWarps == 0; }
  /// Nothing else can run: lets a group go on that waits at an `.aligned`
  /// instruction for lanes that cannot come. False if there is none.
  bool releaseAligned();
  /// Adds a deadlock finding that lists where each warp stands.
  void reportDeadlock();
  /// Performs one pending asynchronous operation, first one that a parked
  /// group waits for. False if there is none.
  bool completeSomething();
  /// Adds a finding at |pc| (counted if (kind, pc) was reported before).
  void report(FindingKind kind, const Warp &warp, uint32_t pc, uint32_t lanes,
              uint64_t address, std::string text);

  LaunchState &launch;
  const Kernel &kernel;
  Cluster &cluster;
  uint32_t linear;            ///< index in the grid
  uint32_t rank;              ///< within the cluster
  uint32_t index[3];          ///< %ctaid
  SharedMemory shared;
  std::vector<Warp> warps;
  std::array<NamedBarrier, 16> barriers;
  AsyncQueue async;
  std::unique_ptr<SharedMonitor> monitor; ///< null when checks are off
  std::unique_ptr<GlobalMonitor> globalMonitor; ///< likewise
  /// mbarriers, bulk groups and wgmma state (AsyncEngine.h).
  std::unique_ptr<AsyncEngine> engine;
  uint32_t liveWarps = 0;
  uint64_t instructions = 0;
  /// Bytes of one thread's local memory: localOf(thread).
  uint8_t *localOf(unsigned warp, unsigned lane);
  uint8_t *localDefinedOf(unsigned warp, unsigned lane);

  /// Completes barrier |id| if enough threads have arrived.
  void settleBarrier(unsigned id);

private:
  friend class Exec;
  void runWarp(Warp &warp);
  bool pickGroup(Warp &warp);
  bool hasRunnable(const Warp &warp) const;
  bool runnable(const Group &group) const;
  /// Merges groups that met at one pc; true if another group must run now.
  bool mergeOrSwitch(Warp &warp);
  void checkTags(Exec &exec);
  void finishReduction(Exec &exec, const Group &group, const NamedBarrier &b);
  void finish();

  std::vector<uint32_t> registerFile, undefFile, predicateFile;
  std::vector<uint8_t> localMemory, localDefined;
};

/// CTAs that run at the same time. A launch without clusters has clusters of
/// one CTA.
class Cluster {
public:
  Cluster(LaunchState &launch, uint32_t clusterIndex, uint32_t count);
  /// Runs all CTAs to their end, or abandons the launch.
  void run();

  LaunchState &launch;
  uint32_t index; ///< in the launch
  /// Raised whenever something happens that a parked group may wait for: a
  /// phase of an mbarrier completes, a cluster barrier completes.
  uint64_t events = 0;
  std::vector<std::unique_ptr<Cta>> ctas;
  uint32_t barrierArrived = 0, barrierPhase = 0;
  /// A thread of Warp::dependent arrived, now or before.
  bool barrierDependent = false;
  /// What arrivals at the cluster barrier release.
  SyncClock barrierClock;
  /// Completes the cluster barrier if all live threads have arrived.
  void settleBarrier();
};

} // namespace hadal::sim
