// Feeds the race detector of a cluster with the accesses and synchronisation of
// one CTA and turns its conflicts into findings.
//
// An agent is a warp: accesses of its lanes are taken for ordered among each
// other, and what synchronises lanes of one warp says nothing new.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "runtime/drivers/sim/monitors/Monitor.h"
#include "runtime/drivers/sim/semantics/RaceDetector.h"

namespace hadal::sim {

class Cta;
struct Warp;

class RaceMonitor final : public SharedMonitor {
public:
  /// The CTAs of a cluster share |detector|, made by makeDetector.
  RaceMonitor(Cta &cta, std::shared_ptr<RaceDetector> detector);

  static std::shared_ptr<RaceDetector> makeDetector(unsigned ctas,
                                                    unsigned warps,
                                                    uint32_t sharedBytes);

  void access(Exec &exec, uint32_t lanes, const uint32_t *addresses,
              unsigned bytes, AccessKind kind) override;
  void barrierArrive(unsigned warp, unsigned id) override;
  void barrierDepart(unsigned warp, unsigned id) override;
  void warpSync(unsigned warp, uint32_t lanes) override {}
  void proxyFence(unsigned warp, uint32_t lanes) override;
  void clusterArrive(unsigned warp) override;
  void clusterDepart(unsigned warp) override;

  // ---- For mbarriers and asynchronous operations ----------------------

  RaceDetector &detector() { return *races; }
  /// The detector's number of a warp of this CTA.
  unsigned agent(unsigned warp) const { return firstAgent + warp; }
  /// The detector's address of a shared address of this CTA.
  uint64_t flat(uint32_t address) const;

  /// An operation on the mbarrier at |address|: initialisation writes it,
  /// every other one is a strong access.
  void barrierOperation(const Warp &warp, uint32_t pc, uint32_t address,
                        bool initialises);
  /// An access of asynchronous |operation| to shared memory of this CTA.
  void asyncAccess(RaceDetector::Operation operation, const Warp &warp,
                   uint32_t pc, uint32_t address, uint32_t bytes,
                   Access access);

  /// The same for 16-byte |chunks|, all inside shared memory.
  void asyncChunks(RaceDetector::Operation operation, const Warp &warp,
                   uint32_t pc, std::span<const uint32_t> chunks,
                   Access access);

private:
  void report(const Warp &warp, uint32_t pc, uint32_t lanes, Access access,
              bool async, const Conflict &conflict);

  Cta &cta;
  std::shared_ptr<RaceDetector> races;
  unsigned firstAgent;
  uint64_t firstByte;
  /// Arrivals of the current use of a named barrier and of the last one.
  std::array<SyncClock, 16> arriving, departed;
  std::array<bool, 16> open{};
  /// Lanes of a warp with generic writes behind their last proxy fence.
  std::vector<uint32_t> unfenced;
  std::vector<uint64_t> flatChunks;
};

} // namespace hadal::sim
