// bra brx ret exit trap; bar barrier; fences, hints, griddepcontrol,
// setmaxnreg.
#include <fmt/format.h>

#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

Flow branchHandler(Exec &x, const Instruction &i) {
  return x.branch(x.mask, i.aux2);
}

/// brx.idx: list = target pcs, op[0] = index.
Flow branchTable(Exec &x, const Instruction &i) {
  uint32_t undefined = x.undefLanes<uint32_t>(i.op[0]) & x.mask;
  if (undefined)
    x.report(FindingKind::undefinedBranch, undefined, 0,
             "the index of brx depends on undefined bits");
  const uint32_t *index = x.in<uint32_t>(i.op[0]);
  const Operand *targets = x.cta.kernel.lists.data() + i.list;
  Group original = x.warp.current;
  for (uint32_t rest = x.mask; rest;) {
    uint32_t value = index[std::countr_zero(rest)];
    uint32_t same = 0;
    for (uint32_t r = rest; r; r &= r - 1) {
      unsigned l = std::countr_zero(r);
      same |= uint32_t(index[l] == value) << l;
    }
    rest &= ~same;
    if (value >= i.listSize) {
      x.report(FindingKind::trap, same, 0,
               fmt::format("index {} of brx is past its {} targets", value,
                           i.listSize));
      x.cta.launch.abandoned = true;
      value = 0;
    }
    Group group = original;
    group.pc = targets[value];
    group.mask = same;
    x.warp.others.push_back(group);
    x.warp.current.mask &= ~same;
  }
  return x.warp.current.mask ? Flow::next : Flow::reschedule;
}

Flow exitHandler(Exec &x, const Instruction &) { return x.exitLanes(x.mask); }

Flow trapHandler(Exec &x, const Instruction &) {
  x.report(FindingKind::trap, x.mask, 0, "trap is executed");
  x.cta.launch.abandoned = true;
  return x.exitLanes(x.mask);
}

Flow nothing(Exec &, const Instruction &) { return Flow::next; }

// ---- Named barriers ---------------------------------------------------

enum class BarrierOp : uint8_t { sync, arrive, popc, all, any };

/// sub = BarrierOp, aux: 1 = aligned, op[0] id, op[1] count or noOperand,
/// op[2] destination, op[3] predicate of bar.red.
Flow barrierHandler(Exec &x, const Instruction &i) {
  uint32_t id = x.uniform<uint32_t>(i.op[0]);
  uint32_t count =
      i.op[1] == noOperand ? 0 : x.uniform<uint32_t>(i.op[1]);
  bool alignedForm = i.aux & 1;
  if (id > 15 || count % 32) {
    x.report(FindingKind::barrierMisuse, x.mask, 0,
             fmt::format("barrier {} with {} threads: ids are 0..15, counts "
                         "multiples of 32", id, count));
    return Flow::next;
  }
  // Lanes that cannot come together have been reported; they go on, so that one
  // defect is not a deadlock as well.
  Flow flow = Flow::next;
  if (alignedForm && !x.aligned(flow) && flow == Flow::reschedule)
    return flow;
  NamedBarrier &b = x.cta.barriers[id];
  if (b.inUse && b.expected != count)
    x.report(FindingKind::barrierMisuse, x.mask, 0,
             fmt::format("barrier {} is used with {} threads here and with {} "
                         "by others", id, count, b.expected));
  b.inUse = true;
  b.expected = count;
  b.dependent |= (x.warp.dependent & x.mask) != 0;
  // A warp counts as 32 threads, also those that have exited.
  b.arrived += alignedForm || x.mask == x.warp.live ? 32 : std::popcount(x.mask);
  BarrierOp op = static_cast<BarrierOp>(i.sub);
  if (op >= BarrierOp::popc) {
    b.trueCount += std::popcount(x.predicate(i.op[3]) & x.mask);
    b.redCount += std::popcount(x.mask);
  }
  if (count && b.arrived > count)
    x.report(FindingKind::barrierMisuse, x.mask, 0,
             fmt::format("{} threads arrive at barrier {}, which expects {}",
                         b.arrived, id, count));
  if (x.cta.monitor)
    x.cta.monitor->barrierArrive(x.warp.index, id);
  if (op != BarrierOp::arrive) {
    flow = x.parkLanes(x.mask, Park::barrier);
    Group &parked = x.warp.others.back();
    parked.barrier = id;
    parked.pc = x.pc + 1;
  }
  x.cta.settleBarrier(id);
  return flow;
}

Flow warpBarrier(Exec &x, const Instruction &i) {
  Flow flow;
  uint32_t members = x.uniform<uint32_t>(i.op[0]);
  if (!x.converge(members, flow))
    return flow;
  if (x.cta.monitor)
    x.cta.monitor->warpSync(x.warp.index, x.mask);
  if (x.warp.dependent & x.mask)
    x.warp.dependent |= x.mask;
  return Flow::next;
}

Flow clusterArrive(Exec &x, const Instruction &i) {
  Flow flow = Flow::next;
  if ((i.aux & 1) && !x.aligned(flow) && flow == Flow::reschedule)
    return flow;
  x.warp.clusterPhase = x.cta.cluster.barrierPhase;
  x.cta.cluster.barrierArrived += std::popcount(x.mask);
  x.cta.cluster.barrierDependent |= (x.warp.dependent & x.mask) != 0;
  if (x.cta.monitor)
    x.cta.monitor->clusterArrive(x.warp.index);
  x.cta.cluster.settleBarrier();
  return Flow::next;
}

Flow clusterWait(Exec &x, const Instruction &i) {
  Flow flow = Flow::next;
  if ((i.aux & 1) && !x.aligned(flow) && flow == Flow::reschedule)
    return flow;
  if (x.cta.cluster.barrierPhase == x.warp.clusterPhase)
    return x.parkLanes(x.mask, Park::event);
  if (x.cta.monitor)
    x.cta.monitor->clusterDepart(x.warp.index);
  if (x.cta.cluster.barrierDependent)
    x.warp.dependent |= x.mask;
  return Flow::next;
}

Flow proxyFence(Exec &x, const Instruction &) {
  if (x.cta.monitor)
    x.cta.monitor->proxyFence(x.warp.index, x.mask);
  return Flow::next;
}

/// sub = memory order.
Flow memoryFence(Exec &x, const Instruction &i) {
  if (x.cta.globalMonitor)
    x.cta.globalMonitor->fence(x, i.sub);
  return Flow::next;
}

/// The launches ahead are complete: they ran before this one. What is left is
/// who may know (Warp::dependent).
Flow gridWait(Exec &x, const Instruction &) {
  x.warp.dependent |= x.mask;
  return Flow::next;
}

/// imm = registers, sub: 1 = inc.
Flow setMaxRegisters(Exec &x, const Instruction &i) {
  Flow flow;
  if (!x.aligned(flow) && flow == Flow::reschedule)
    return flow;
  Cta &cta = x.cta;
  uint32_t threads = cta.warps.size() * 32;
  // The cap at entry: .maxnreg, else what the block leaves of 65536.
  uint32_t cap = cta.kernel.maxRegisters;
  if (!cap)
    cap = std::min<uint32_t>(65536 / threads / 8 * 8, 255);
  uint32_t wanted = i.imm;
  uint32_t now = x.warp.registers ? x.warp.registers : cap;
  if (i.sub ? wanted < now : wanted > now)
    x.report(FindingKind::registerBudget, x.mask, 0,
             fmt::format("setmaxnreg.{} {} while the warp has {} registers a "
                         "thread",
                         i.sub ? "inc" : "dec", wanted, now));
  uint32_t sum = 0;
  for (const Warp &warp : cta.warps)
    if (!warp.done())
      sum += &warp == &x.warp ? wanted
             : warp.registers ? warp.registers
                              : cap;
  // An increase waits until others have given registers back.
  if (i.sub && sum > cap * cta.warps.size())
    return x.parkLanes(x.mask, Park::event);
  x.warp.registers = wanted;
  ++cta.cluster.events;
  return Flow::next;
}

} // namespace

Status decodeBranch(DecodeContext &c) {
  c.take("uni");
  if (c.parsed.opcode == "brx") {
    if (!c.take("idx"))
      return c.refuse("needs .idx");
    HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.source(0, Type::u32));
    if (c.operand(1).kind != ParsedOperand::vector ||
        c.operand(1).elements.empty())
      return c.refuse("needs a list of targets");
    for (const ParsedOperand &target : c.operand(1).elements)
      c.append(target.value);
    c.out.handler = branchTable;
    return c.finish();
  }
  HADAL_RETURN_IF_ERROR(c.expectOperands(1, 1));
  if (c.operand(0).kind != ParsedOperand::label)
    return c.refuse("needs a label");
  c.out.aux2 = c.operand(0).value;
  c.out.handler = branchHandler;
  return c.finish();
}

Status decodeExit(DecodeContext &c) {
  c.take("uni");
  c.out.handler = c.parsed.opcode == "trap" ? trapHandler : exitHandler;
  HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
  return c.finish();
}

Status decodeBarrier(DecodeContext &c) {
  bool alignedForm = c.parsed.opcode == "bar";
  if (c.take("warp")) {
    c.take("sync");
    c.out.handler = warpBarrier;
    HADAL_RETURN_IF_ERROR(c.expectOperands(1, 1));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.source(0, Type::b32));
    return c.finish();
  }
  bool cluster = c.take("cluster");
  c.take("cta");
  if (c.take("aligned"))
    alignedForm = true;
  c.out.aux = alignedForm;
  if (cluster) {
    int op = c.takeOne({"arrive", "wait"});
    if (op < 0)
      return c.refuse("needs .arrive or .wait");
    c.takeOne({"release", "acquire", "relaxed"});
    c.out.handler = op == 0 ? clusterArrive : clusterWait;
    HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
    return c.finish();
  }
  int op = c.takeOne({"sync", "arrive", "red"});
  if (op < 0)
    return c.refuse("needs .sync, .arrive or .red");
  c.out.handler = barrierHandler;
  c.out.sub = op;
  size_t at = 0;
  if (op == 2) {
    int kind = c.takeOne({"popc", "and", "or"});
    if (kind < 0)
      return c.refuse("needs .popc, .and or .or");
    c.out.sub = static_cast<uint8_t>(BarrierOp::popc) + kind;
    HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
    if (type != (kind == 0 ? Type::u32 : Type::pred))
      return c.refuse("this type is not modelled");
    HADAL_RETURN_IF_ERROR(c.expectOperands(3, 4));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], kind == 0
                                            ? c.destination(0, Type::u32)
                                            : c.destinationPredicate(0));
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.sourcePredicate(c.count() - 1));
    at = 1;
  }
  size_t counted = c.count() - at - (op == 2);
  if (counted < 1 || counted > 2 || (op == 1 && counted != 2))
    return c.refuse("needs a barrier and, for .arrive, a thread count");
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.source(at, Type::u32));
  if (counted == 2) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(at + 1, Type::u32));
  }
  return c.finish();
}

Status decodeFence(DecodeContext &c) {
  if (c.parsed.opcode == "membar") {
    if (c.take("proxy"))
      return c.refuse("proxy membar is not modelled, fence.proxy is");
    int scope = c.takeOne({"cta", "gl", "sys"});
    if (scope < 0)
      return c.refuse("needs a scope");
    c.out.sub = order::acquire | order::release | (scope ? order::wide : 0);
    c.out.handler = memoryFence;
    HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
    return c.finish();
  }
  if (c.take("mbarrier_init")) {
    if (!c.take("release") || !c.take("cluster"))
      return c.refuse("needs .release.cluster");
    c.out.handler = nothing;
    HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
    return c.finish();
  }
  if (c.take("proxy")) {
    int kind = c.takeOne({"async", "async.global", "tensormap::generic"});
    if (kind < 0)
      return c.refuse("this proxy is not modelled");
    if (kind == 2) {
      // Maps are read when a copy is issued; only host-made ones are used.
      if (c.takeOne({"acquire", "release"}) < 0 ||
          c.takeOne({"cta", "cluster", "gpu", "sys"}) < 0)
        return c.refuse("needs an order and a scope");
      c.out.handler = nothing;
      HADAL_RETURN_IF_ERROR(c.expectOperands(0, 2));
      return c.finish();
    }
    // Proxies are told apart in shared memory only.
    int space = c.takeOne({"global", "shared::cta", "shared::cluster"});
    c.out.handler = space == 0 ? nothing : proxyFence;
    HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
    return c.finish();
  }
  int kind = c.takeOne({"sc", "acq_rel", "acquire", "release"});
  int scope = c.takeOne({"cta", "cluster", "gpu", "sys"});
  if (scope < 0)
    return c.refuse("needs a scope");
  c.out.sub = (kind != 3 ? order::acquire : 0) |
              (kind != 2 ? order::release : 0) |
              (scope >= 2 ? order::wide : 0);
  c.out.handler = memoryFence;
  HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
  return c.finish();
}

Status decodeNothing(DecodeContext &c) {
  // nanosleep, prefetch: no observable effect.
  if (c.parsed.opcode == "nanosleep") {
    c.take("u32");
  } else {
    c.takeOne({"global", "local", "param", "const"});
    if (c.takeOne({"L1", "L2", "tensormap", "L2::evict_last",
                   "L2::evict_normal"}) < 0)
      return c.refuse("this level is not modelled");
  }
  HADAL_RETURN_IF_ERROR(c.expectOperands(1, 1));
  if (c.operand(0).kind == ParsedOperand::address) {
    HADAL_RETURN_IF_ERROR(c.address(0).status());
  } else {
    HADAL_RETURN_IF_ERROR(c.source(0, Type::u32).status());
  }
  c.out.handler = nothing;
  return c.finish();
}

Status decodeGridDependency(DecodeContext &c) {
  int op = c.takeOne({"wait", "launch_dependents"});
  if (op < 0)
    return c.refuse("needs .wait or .launch_dependents");
  c.out.handler = op == 0 ? gridWait : nothing;
  HADAL_RETURN_IF_ERROR(c.expectOperands(0, 0));
  return c.finish();
}

Status decodeSetMaxRegisters(DecodeContext &c) {
  int op = c.takeOne({"dec", "inc"});
  if (op < 0 || !c.take("sync") || !c.take("aligned") || !c.take("u32"))
    return c.refuse("needs .inc or .dec and .sync.aligned.u32");
  HADAL_RETURN_IF_ERROR(c.expectOperands(1, 1));
  HADAL_ASSIGN_OR_RETURN(c.out.imm, c.immediate(0));
  if (c.out.imm < 24 || c.out.imm > 256 || c.out.imm % 8)
    return c.refuse("the count must be 24..256, a multiple of 8");
  c.out.sub = op;
  c.out.handler = setMaxRegisters;
  return c.finish();
}

void Cta::finishReduction(Exec &x, const Group &group, const NamedBarrier &b) {
  const Instruction &i = kernel.code[x.pc];
  BarrierOp op = static_cast<BarrierOp>(i.sub);
  if (i.handler != barrierHandler || op < BarrierOp::popc)
    return;
  if (op == BarrierOp::popc) {
    uint32_t *d = x.out<uint32_t>(i.op[2]);
    forLanes(group.mask, [&](unsigned l) { d[l] = b.trueCount; });
    x.setUndef<uint32_t>(i.op[2], 0);
    return;
  }
  bool holds = op == BarrierOp::all ? b.trueCount == b.redCount
                                    : b.trueCount > 0;
  x.setPredicate(i.op[2], holds ? ~0u : 0, 0);
}

} // namespace hadal::sim
