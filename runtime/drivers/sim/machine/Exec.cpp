#include "runtime/drivers/sim/machine/Exec.h"

#include <fmt/format.h>

namespace hadal::sim {

const uint32_t Exec::definedWords[8] = {};

Flow Exec::parkLanes(uint32_t lanes, Park park, uint32_t mbarrier) {
  Group group = warp.current;
  group.pc = pc;
  group.mask = lanes;
  group.park = park;
  group.mbarrier = mbarrier;
  group.eventSeen = cta.cluster.events;
  warp.others.push_back(group);
  warp.current.mask &= ~lanes;
  return warp.current.mask ? Flow::next : Flow::reschedule;
}

bool Exec::converge(uint32_t members, Flow &flow) {
  if (uint32_t outside = mask & ~members) [[unlikely]]
    report(FindingKind::badMemberMask, outside, 0,
           fmt::format("lanes {:#x} are not in their own member mask {:#x}",
                       outside, members));
  if (!(members & warp.live & ~mask)) [[likely]]
    return true;
  flow = parkLanes(mask, Park::sync);
  return false;
}

Flow Exec::exitLanes(uint32_t lanes) {
  warp.live &= ~lanes;
  warp.current.mask &= ~lanes;
  // Waits for lanes that are gone are looked at again.
  for (Group &group : warp.others) {
    if (group.park != Park::sync && group.park != Park::aligned)
      continue;
    if (group.park == Park::aligned)
      cta.report(FindingKind::divergentAligned, warp, group.pc, group.mask, 0,
                 fmt::format("lanes {:#x} exit while lanes {:#x} are at {}",
                             lanes, group.mask,
                             cta.kernel.mnemonics[group.pc]));
    group.park = Park::none;
  }
  if (warp.live == 0) {
    --cta.liveWarps;
    for (unsigned id = 0; id < cta.barriers.size(); ++id)
      if (cta.barriers[id].inUse)
        cta.settleBarrier(id);
  }
  cta.cluster.settleBarrier();
  return warp.current.mask ? Flow::next : Flow::reschedule;
}

Flow Exec::branch(uint32_t taken, uint32_t target) {
  bool back = target <= pc;
  if (taken == warp.current.mask) {
    if (back && !warp.others.empty())
      ++warp.current.backEdges;
    pc = target;
    return Flow::jump;
  }
  if (!taken)
    return Flow::next;
  ++cta.launch.report.statistics.divergences;
  Group group = warp.current;
  group.pc = target;
  group.mask = taken;
  group.backEdges += back;
  warp.others.push_back(group);
  warp.current.mask &= ~taken;
  return Flow::next;
}

bool Exec::aligned(Flow &flow) {
  if (mask == warp.live) [[likely]]
    return true;
  // Lanes whose guard is false are here and do not take part.
  if (mask == warp.current.mask && !warp.current.diverged) {
    flow = parkLanes(mask, Park::aligned);
    return false;
  }
  warp.current.diverged = false;
  flow = Flow::next;
  report(FindingKind::divergentAligned, mask, 0,
         fmt::format("{} is executed by lanes {:#x} of the live lanes {:#x}",
                     cta.kernel.mnemonics[pc], mask, warp.live));
  return false;
}

} // namespace hadal::sim
