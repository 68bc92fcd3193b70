#include "runtime/drivers/sim/monitors/RaceMonitor.h"

#include <fmt/format.h>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/machine/Exec.h"
#include "runtime/drivers/sim/machine/LaneRuns.h"

namespace hadal::sim {

std::shared_ptr<RaceDetector> RaceMonitor::makeDetector(unsigned ctas,
                                                        unsigned warps,
                                                        uint32_t sharedBytes) {
  return std::make_shared<RaceDetector>(
      ctas * warps, ctas * ((uint64_t{sharedBytes} + 15) / 16 * 16));
}

RaceMonitor::RaceMonitor(Cta &cta, std::shared_ptr<RaceDetector> detector)
    : cta(cta), races(std::move(detector)),
      firstAgent(cta.rank * static_cast<unsigned>(cta.warps.size())),
      firstByte(cta.rank * ((uint64_t{cta.shared.bytes()} + 15) / 16 * 16)),
      unfenced(cta.warps.size()) {}

uint64_t RaceMonitor::flat(uint32_t address) const {
  return firstByte + (address - SharedMemory::base);
}

void RaceMonitor::report(const Warp &warp, uint32_t pc, uint32_t lanes,
                         Access access, bool async, const Conflict &conflict) {
  auto name = [](Access a) { return a == Access::read ? "read" : "write"; };
  unsigned line = cta.kernel.lines[conflict.line];
  uint32_t address = static_cast<uint32_t>(conflict.address - firstByte) +
                     SharedMemory::base;
  std::string other = fmt::format(
      "the {}{} by warp {} at line {}", conflict.async ? "asynchronous " : "",
      name(conflict.access), conflict.warp - firstAgent, line);
  if (conflict.kind == Conflict::missingProxyFence) {
    cta.report(FindingKind::missingProxyFence, warp, pc, lanes, address,
               fmt::format("asynchronous {} of shared {:#x} after {}, which no "
                           "fence.proxy.async of the writing threads follows",
                           name(access), address, other));
    return;
  }
  cta.report(FindingKind::race, warp, pc, lanes, address,
             fmt::format("{}{} of shared {:#x} is not ordered after {}",
                         async ? "asynchronous " : "", name(access), address,
                         other));
}

void RaceMonitor::access(Exec &exec, uint32_t lanes, const uint32_t *addresses,
                         unsigned bytes, AccessKind kind) {
  const unsigned warp = exec.warp.index;
  const Access access =
      kind == AccessKind::read || kind == AccessKind::strongRead
          ? Access::read
          : Access::write;
  const Strength strength =
      kind == AccessKind::atomic || kind == AccessKind::strongRead
          ? Strength::strong
          : Strength::weak;
  if (access == Access::write)
    unfenced[warp] |= lanes;
  uint32_t low = UINT32_MAX, high = 0, contiguous = 0;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    uint32_t address = addresses[std::countr_zero(rest)];
    low = std::min(low, address);
    high = std::max(high, address);
  }
  const bool barriers = cta.engine->touchesBarrier(low, high + bytes);
  if (lanes == ~0u)
    for (unsigned l = 0; l < 32; ++l)
      contiguous |= addresses[l] ^ (addresses[0] + l * bytes);
  if ((lanes != ~0u || contiguous) && !barriers && bytes <= 16 &&
      races->repeats(agent(warp), lanes, addresses,
                     firstByte - SharedMemory::base, bytes, access, strength))
    return;
  forEachRun(lanes, addresses, bytes, [&](unsigned first, uint32_t begin,
                                          uint32_t end) {
    auto conflict = races->warpAccess(agent(warp), flat(begin), end - begin,
                                      access, strength, exec.pc);
    if (conflict) [[unlikely]]
      report(exec.warp, exec.pc, 1u << first, access, false, *conflict);
    if (barriers && cta.engine->touchesBarrier(begin, end)) [[unlikely]]
      exec.report(FindingKind::mbarrierMisuse, 1u << first, begin,
                  "an ordinary access touches a live mbarrier");
  });
}

void RaceMonitor::barrierArrive(unsigned warp, unsigned id) {
  if (!open[id]) {
    open[id] = true;
    arriving[id].clear();
  }
  races->release(agent(warp), arriving[id]);
}

void RaceMonitor::barrierDepart(unsigned warp, unsigned id) {
  // All waiting warps depart together, before the next arrival.
  if (open[id]) {
    open[id] = false;
    std::swap(departed[id], arriving[id]);
  }
  races->acquire(agent(warp), departed[id]);
}

void RaceMonitor::proxyFence(unsigned warp, uint32_t lanes) {
  // The fence covers the writes of the lanes that execute it; the warp's
  // writes count as fenced when no writing lane is left out.
  unfenced[warp] &= ~lanes;
  if (!unfenced[warp])
    races->fenceProxy(agent(warp));
}

void RaceMonitor::clusterArrive(unsigned warp) {
  races->release(agent(warp), cta.cluster.barrierClock);
}

void RaceMonitor::clusterDepart(unsigned warp) {
  races->acquire(agent(warp), cta.cluster.barrierClock);
}

void RaceMonitor::barrierOperation(const Warp &warp, uint32_t pc,
                                   uint32_t address, bool initialises) {
  Access access = initialises ? Access::write : Access::read;
  auto conflict = races->warpAccess(
      agent(warp.index), flat(address), 8, access,
      initialises ? Strength::weak : Strength::strong, pc);
  if (conflict) [[unlikely]]
    report(warp, pc, 0, access, false, *conflict);
}

void RaceMonitor::asyncAccess(RaceDetector::Operation operation,
                              const Warp &warp, uint32_t pc, uint32_t address,
                              uint32_t bytes, Access access) {
  auto conflict =
      races->asyncAccess(operation, flat(address), bytes, access, pc);
  if (conflict) [[unlikely]]
    report(warp, pc, 0, access, true, *conflict);
}

void RaceMonitor::asyncChunks(RaceDetector::Operation operation,
                              const Warp &warp, uint32_t pc,
                              std::span<const uint32_t> chunks,
                              Access access) {
  flatChunks.resize(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i)
    flatChunks[i] = flat(chunks[i]);
  auto conflict = races->asyncChunks(operation, flatChunks, access, pc);
  if (conflict) [[unlikely]]
    report(warp, pc, 0, access, true, *conflict);
}

} // namespace hadal::sim
