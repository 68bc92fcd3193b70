// mbarrier.*: decoding and execution.
#include <fmt/format.h>

#include "runtime/drivers/sim/machine/AsyncEngine.h"
#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

enum class BarrierOp : uint8_t {
  init,
  inval,
  expect,
  complete,
  arrive,
  arriveDrop,
  arriveNoComplete,
};

/// Flags of Instruction::sub.
constexpr uint8_t wideAddress = 1, isRelaxed = 2, isParity = 4, mayBlock = 8,
                  isRemote = 16, returnsState = 32;

/// The owner of the mbarrier at |address|, which loses its rank; nullptr, and a
/// finding, if that is no CTA of the cluster.
Cta *ownerOf(Exec &x, uint64_t &address, unsigned lane) {
  return sharedOwner(x, address, lane, "an mbarrier operand");
}

/// op[0] address + imm, op[1] count or bytes, op[2] state out, op[3] bytes of
/// arrive.expect_tx; aux = BarrierOp.
Flow barrierChange(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  uint32_t lanes = laneAddresses(x, i.op[0], i.sub & wideAddress, i.imm,
                                 addresses);
  const auto op = static_cast<BarrierOp>(i.aux);
  const uint32_t *count =
      i.op[1] == noOperand ? nullptr : x.in<uint32_t>(i.op[1]);
  const uint32_t *bytes =
      i.op[3] == noOperand ? nullptr : x.in<uint32_t>(i.op[3]);
  const BarrierObject *released = nullptr;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    uint64_t address = addresses[lane];
    Cta *owner = ownerOf(x, address, lane);
    if (!owner)
      continue;
    AsyncEngine &engine = *owner->engine;
    auto at = static_cast<uint32_t>(address);
    Place place{&x.warp, x.pc, 1u << lane};
    uint64_t n = count ? count[lane] : 1;
    if (op == BarrierOp::init) {
      engine.initialise(place, at, n);
      continue;
    }
    if (op == BarrierOp::inval) {
      engine.invalidate(place, at);
      continue;
    }
    BarrierObject *object = engine.barrier(place, at);
    if (!object)
      continue;
    RaceMonitor *races = x.cta.engine->races();
    if (races && owner == &x.cta)
      races->barrierOperation(x.warp, x.pc, at, false);
    bool arrives = op >= BarrierOp::arrive;
    if (arrives && owner == &x.cta)
      object->watch.observe(x.warp.index, object->state.phase());
    // Ahead of the change, which may complete the phase and hand on what its
    // arrivals released. One instruction releases once, whatever the number of
    // its lanes.
    if (races && arrives && !(i.sub & isRelaxed) && released != object) {
      races->detector().release(races->agent(x.warp.index), object->pending);
      released = object;
    }
    if (arrives && !(i.sub & isRelaxed))
      object->dependentPending |= x.warp.dependent >> lane & 1;
    if (i.sub & returnsState)
      x.out<uint64_t>(i.op[2])[lane] = object->state.token();
    engine.change(place, at, *object, [&](Mbarrier &state) {
      switch (op) {
      case BarrierOp::expect:
        return state.expect(n);
      case BarrierOp::complete:
        return state.complete(n);
      case BarrierOp::arriveDrop:
        return state.arriveDrop(n, bytes ? bytes[lane] : 0);
      case BarrierOp::arriveNoComplete:
        return state.arriveNoComplete(n);
      default:
        return state.arrive(n, bytes ? bytes[lane] : 0);
      }
    });
  }
  if (i.sub & returnsState)
    x.setUndef<uint64_t>(i.op[2], 0);
  return Flow::next;
}

/// How many failing test_wait make a pending copy of the object complete: a
/// loop around test_wait has to end under the lazy policy too.
constexpr unsigned pollsUntilCompletion = 64;

/// op[0] address + imm, op[1] parity or state, op[2] predicate.
Flow barrierWait(Exec &x, const Instruction &i) {
  uint64_t addresses[32];
  uint32_t lanes = laneAddresses(x, i.op[0], i.sub & wideAddress, i.imm,
                                 addresses);
  uint32_t undefined = i.sub & isParity ? x.undefLanes<uint32_t>(i.op[1])
                                        : x.undefLanes<uint64_t>(i.op[1]);
  if (undefined &= lanes; undefined) [[unlikely]]
    x.report(FindingKind::undefinedBranch, undefined, 0,
             "the phase of an mbarrier wait depends on undefined bits");
  RaceMonitor *races = x.cta.engine->races();
  uint32_t done = 0;
  const BarrierObject *last = nullptr;
  uint32_t waited = 0;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    uint64_t address = addresses[lane];
    Cta *owner = ownerOf(x, address, lane);
    Place place{&x.warp, x.pc, 1u << lane};
    auto at = static_cast<uint32_t>(address);
    BarrierObject *object = nullptr;
    if (owner == &x.cta)
      object = x.cta.engine->barrier(place, at);
    else if (owner)
      x.report(FindingKind::mbarrierMisuse, 1u << lane, address,
               "a wait on the mbarrier of another CTA");
    if (!object) {
      done |= 1u << lane; // reported; waiting would only add a deadlock
      continue;
    }
    if (races && object != last)
      races->barrierOperation(x.warp, x.pc, at, false);
    if (!object->state.live()) {
      x.cta.engine->reportFault(place, at, *object,
                                MbarrierFault::notInitialised);
      done |= 1u << lane;
      continue;
    }
    // |phase| is the parity of the phase waited for, under which the object
    // keeps what its arrivals released (completed, dependent).
    bool complete;
    unsigned phase;
    if (i.sub & isParity) {
      phase = x.in<uint32_t>(i.op[1])[lane];
      if (phase > 1) {
        x.report(FindingKind::mbarrierMisuse, 1u << lane, at,
                 fmt::format("the parity of a wait is 0 or 1, not {}", phase));
        phase &= 1;
      }
      if (object != last) {
        MbarrierFault fault = object->watch.test(x.warp.index, phase,
                                                 object->state.phase());
        if (fault != MbarrierFault::none)
          x.cta.engine->reportFault(place, at, *object, fault);
      }
      complete = object->state.testParity(phase);
    } else {
      uint64_t token = x.in<uint64_t>(i.op[1])[lane];
      complete = object->state.testToken(token);
      phase = token >> 20 & 1;
      if (complete)
        object->watch.observe(x.warp.index, (token >> 20) + 1);
    }
    if (complete) {
      done |= 1u << lane;
      // Behind an arrival that is itself behind griddepcontrol.wait.
      if (!(i.sub & isRelaxed) && object->dependent[phase])
        x.warp.dependent |= 1u << lane;
      if (races && !(i.sub & isRelaxed) && object != last)
        races->detector().acquire(races->agent(x.warp.index),
                                  object->completed[phase]);
    } else {
      waited = at;
    }
    last = object;
  }
  if ((i.sub & mayBlock) && (lanes & ~done)) {
    // try_wait may suspend its thread: these lanes come back when a phase
    // somewhere completed.
    x.setPredicate(i.op[2], done, 0);
    return x.parkLanes(lanes & ~done, Park::event, waited);
  }
  if (lanes & ~done) {
    unsigned &polls = x.cta.engine->warpgroup(x.warp).failedPolls;
    if (++polls % pollsUntilCompletion == 0)
      x.cta.async.completeFor(waited);
  }
  x.setPredicate(i.op[2], done, 0);
  return Flow::next;
}

/// op[0] count out, op[1] state.
Flow pendingCount(Exec &x, const Instruction &i) {
  const uint64_t *state = x.in<uint64_t>(i.op[1]);
  uint32_t *out = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    out[l] = static_cast<uint32_t>(Mbarrier::tokenPending(state[l]));
  });
  x.setUndef<uint32_t>(i.op[0], x.undefLanes<uint64_t>(i.op[1]));
  return Flow::next;
}

Status decodeAddress(DecodeContext &c, size_t index) {
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address, c.address(index));
  c.out.op[0] = address.base;
  c.out.imm = address.offset;
  if (address.wide)
    c.out.sub |= wideAddress;
  return {};
}

/// .{release,acquire,relaxed}.{cta,cluster} and the space.
Status decodeQualifiers(DecodeContext &c, bool arrives) {
  int semantics = c.takeOne({"release", "acquire", "relaxed"});
  if ((semantics == 0 && !arrives) || (semantics == 1 && arrives))
    return c.refuse("this ordering does not belong to the operation");
  if (semantics == 2)
    c.out.sub |= isRelaxed;
  c.takeOne({"cta", "cluster"});
  if (c.takeOne({"shared", "shared::cta"}) < 0 && c.take("shared::cluster"))
    c.out.sub |= isRemote;
  if (!c.take("b64"))
    return c.refuse("needs .b64");
  return c.finish();
}

Status decodeWait(DecodeContext &c, bool blocking) {
  if (blocking)
    c.out.sub |= mayBlock;
  if (c.take("parity"))
    c.out.sub |= isParity;
  HADAL_RETURN_IF_ERROR(decodeQualifiers(c, false));
  if (c.out.sub & isRemote)
    return c.refuse("a wait needs an mbarrier of the executing CTA");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, blocking ? 4 : 3));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.destinationPredicate(0));
  HADAL_RETURN_IF_ERROR(decodeAddress(c, 1));
  HADAL_ASSIGN_OR_RETURN(
      c.out.op[1],
      c.source(2, c.out.sub & isParity ? Type::u32 : Type::b64));
  if (c.count() == 4)
    HADAL_RETURN_IF_ERROR(c.source(3, Type::u32).status());
  c.out.handler = barrierWait;
  return {};
}

/// init, inval, expect_tx and complete_tx.
Status decodeSimple(DecodeContext &c, BarrierOp op) {
  c.out.aux = static_cast<uint16_t>(op);
  c.out.handler = barrierChange;
  HADAL_RETURN_IF_ERROR(decodeQualifiers(c, false));
  const size_t operands = op == BarrierOp::inval ? 1 : 2;
  HADAL_RETURN_IF_ERROR(c.expectOperands(operands, operands));
  if (operands == 2) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, Type::u32));
  }
  if ((op == BarrierOp::init || op == BarrierOp::inval) &&
      (c.out.sub & isRemote))
    return c.refuse("the object must be of the executing CTA");
  return decodeAddress(c, 0);
}

Status decodePendingCount(DecodeContext &c) {
  if (!c.take("b64"))
    return c.refuse("needs .b64");
  c.out.handler = pendingCount;
  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::u32));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, Type::b64));
  return c.finish();
}

Status decodeArrive(DecodeContext &c, bool drop) {
  bool expects = c.take("expect_tx");
  bool noComplete = c.take("noComplete");
  HADAL_RETURN_IF_ERROR(decodeQualifiers(c, true));
  BarrierOp op = drop         ? BarrierOp::arriveDrop
                 : noComplete ? BarrierOp::arriveNoComplete
                              : BarrierOp::arrive;
  if (drop && noComplete)
    return c.refuse("arrive_drop.noComplete is not modelled");
  c.out.aux = static_cast<uint16_t>(op);
  // The state may be left out for a remote object.
  size_t first = c.count() && c.operand(0).kind == ParsedOperand::address ? 0
                                                                          : 1;
  if (first == 1 && c.operand(0).kind != ParsedOperand::sink) {
    if (c.out.sub & isRemote)
      return c.refuse("the state of a remote arrival must be _");
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.destination(0, Type::b64));
    c.out.sub |= returnsState;
  }
  HADAL_RETURN_IF_ERROR(decodeAddress(c, first));
  bool counted = c.count() > first + 1;
  if (c.count() > first + 2 || (!counted && (expects || noComplete)))
    return c.refuse("the number of operands does not fit");
  if (counted) {
    HADAL_ASSIGN_OR_RETURN(Operand value, c.source(first + 1, Type::u32));
    c.out.op[expects ? 3 : 1] = value;
  }
  c.out.handler = barrierChange;
  return {};
}

} // namespace

Status decodeMbarrier(DecodeContext &c) {
  // An arrival comes first: it may carry expect_tx as a qualifier.
  int op = c.takeOne({"arrive", "arrive_drop", "init", "inval", "expect_tx",
                      "complete_tx", "test_wait", "try_wait",
                      "pending_count"});
  switch (op) {
  case 0:
  case 1:
    return decodeArrive(c, op == 1);
  case 2:
    return decodeSimple(c, BarrierOp::init);
  case 3:
    return decodeSimple(c, BarrierOp::inval);
  case 4:
    return decodeSimple(c, BarrierOp::expect);
  case 5:
    return decodeSimple(c, BarrierOp::complete);
  case 6:
  case 7:
    return decodeWait(c, op == 7);
  case 8:
    return decodePendingCount(c);
  default:
    return c.refuse("this mbarrier operation is not modelled");
  }
}

} // namespace hadal::sim
