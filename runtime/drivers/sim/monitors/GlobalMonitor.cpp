#include "runtime/drivers/sim/monitors/GlobalMonitor.h"

#include <fmt/format.h>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/machine/LaneRuns.h"
#include "runtime/drivers/sim/memory/Access.h"

namespace hadal::sim {

namespace {

const char *nameOf(Access access) {
  return access == Access::read ? "read" : "write";
}

/// "read by warp 2 of CTA 3 at line 17".
std::string describe(const LaunchState &launch, const GlobalConflict &other) {
  const LaunchConfig &config = launch.config;
  const uint32_t ctas =
      config.cluster[0] * config.cluster[1] * config.cluster[2];
  const uint32_t warps =
      (config.block[0] * config.block[1] * config.block[2] + 31) / 32;
  std::string cta =
      ctas == 1 ? fmt::format("CTA {}", other.cluster)
                : fmt::format("CTA {} of cluster {}", other.warp / warps,
                              other.cluster);
  return fmt::format("{} by warp {} of {} at line {}", nameOf(other.access),
                     other.warp % warps, cta,
                     launch.kernel->lines[other.pc]);
}

std::string raceText(const LaunchState &launch, Access access, bool async,
                     const GlobalConflict &other) {
  return fmt::format("{}{} of global memory ({}) is not ordered with the {}",
                     async ? "asynchronous " : "", nameOf(access),
                     launch.memory->describe(other.address),
                     describe(launch, other));
}

} // namespace

Finding globalRaceFinding(const LaunchState &launch,
                          const GlobalConflict &access,
                          const GlobalConflict &other) {
  Finding finding;
  finding.kind = FindingKind::race;
  finding.kernel = launch.kernel->name;
  finding.line = launch.kernel->lines[access.pc];
  finding.cta = access.cluster;
  finding.warp = access.warp;
  finding.address = access.address;
  finding.text = raceText(launch, access.access, false, other);
  return finding;
}

void GlobalMonitor::report(const Warp &warp, uint32_t pc, uint32_t lanes,
                           Access access, bool async,
                           const GlobalConflict &conflict) {
  cta.report(FindingKind::race, warp, pc, lanes, conflict.address,
             raceText(cta.launch, access, async, conflict));
}

void GlobalMonitor::access(Exec &exec, uint32_t lanes,
                           const uint64_t *addresses, unsigned bytes,
                           AccessKind kind) {
  RaceMonitor &shared = *cta.engine->races();
  const unsigned agent = shared.agent(exec.warp.index);
  const SyncClock &knowledge = shared.detector().knowledgeOf(agent);
  GlobalAgent who{cta.cluster.index, agent, knowledge.order[agent], agent,
                  &knowledge};
  const bool reads = kind == AccessKind::read || kind == AccessKind::strongRead;
  const Access access = reads ? Access::read : Access::write;
  const Strength strength =
      kind == AccessKind::atomic || kind == AccessKind::strongRead
          ? Strength::strong
          : Strength::weak;
  forEachRun(lanes, addresses, bytes, [&](unsigned first, uint64_t begin,
                                          uint64_t end) {
    auto conflict =
        races.access(who, begin, end - begin, access, strength, exec.pc);
    if (conflict) [[unlikely]]
      report(exec.warp, exec.pc, 1u << first, access, false, *conflict);
  });
}

void GlobalMonitor::asyncAccess(RaceDetector::Operation operation,
                                const Warp &warp, uint32_t pc, uint32_t lanes,
                                uint64_t address, uint64_t bytes,
                                Access access) {
  const RaceDetector &detector = cta.engine->races()->detector();
  GlobalAgent who{cta.cluster.index, detector.agentOf(operation),
                  detector.clockOf(operation), detector.issuerOf(operation),
                  &detector.knowledgeOfOperation(operation)};
  auto conflict =
      races.access(who, address, bytes, access, Strength::weak, pc);
  if (conflict) [[unlikely]]
    report(warp, pc, lanes, access, true, *conflict);
}

void GlobalMonitor::synchronise(Exec &exec, uint32_t lanes,
                                const uint64_t *addresses, bool loads,
                                bool stores, uint8_t memoryOrder) {
  RaceMonitor &shared = *cta.engine->races();
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    uint64_t address = addresses[std::countr_zero(rest)];
    if (resolveGeneric(address) == Space::global)
      races.synchronise(shared.detector(), cta.cluster.index,
                        shared.agent(exec.warp.index), address, loads, stores,
                        memoryOrder);
  }
}

void GlobalMonitor::fence(Exec &exec, uint8_t memoryOrder) {
  RaceMonitor &shared = *cta.engine->races();
  races.fence(shared.detector(), cta.cluster.index,
              shared.agent(exec.warp.index), memoryOrder);
}

} // namespace hadal::sim
