// shfl vote match redux elect activemask: lanes of one warp together.
#include <fmt/format.h>

#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// Waits until all lanes that the executing lanes name in their member masks
/// are here. False: return |flow|.
bool gatherMembers(Exec &x, Operand masks, Flow &flow) {
  uint32_t all = 0;
  const uint32_t *m = x.in<uint32_t>(masks);
  uint32_t outside = 0;
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    all |= m[l];
    outside |= uint32_t(!(m[l] >> l & 1)) << l;
  }
  if (uint32_t bad = x.undefLanes<uint32_t>(masks) & x.mask)
    x.report(FindingKind::undefinedBranch, bad, 0,
             "the member mask depends on undefined bits");
  if (outside)
    x.report(FindingKind::badMemberMask, outside, 0,
             fmt::format("lanes {:#x} are not in their own member mask",
                         outside));
  if (!x.converge(all | x.mask, flow))
    return false;
  if (x.cta.monitor)
    x.cta.monitor->warpSync(x.warp.index, x.mask);
  return true;
}

/// Calls f(subset) for each set of executing lanes with one member mask.
template <typename F> void forSubsets(Exec &x, Operand masks, F &&f) {
  const uint32_t *m = x.in<uint32_t>(masks);
  for (uint32_t rest = x.mask; rest;) {
    uint32_t members = m[std::countr_zero(rest)];
    uint32_t subset = 0;
    for (uint32_t r = rest; r; r &= r - 1) {
      unsigned l = std::countr_zero(r);
      subset |= uint32_t(m[l] == members) << l;
    }
    f(subset);
    rest &= ~subset;
  }
}

enum class Shuffle : uint8_t { up, down, bfly, idx };

/// op: 0 d, 1 p or noOperand, 2 a, 3 b, 4 c, 5 mask. sub: mode. c is a clamp
/// (bits 4:0) and a mask of the lane bits that name a segment (12:8) (PTX ISA,
/// "shfl.sync"). A lane that reads one that does not take part gets an
/// undefined value.
Flow shuffle(Exec &x, const Instruction &i) {
  Flow flow;
  if (!gatherMembers(x, i.op[5], flow))
    return flow;
  const uint32_t *a = x.in<uint32_t>(i.op[2]);
  const uint32_t *b = x.in<uint32_t>(i.op[3]);
  const uint32_t *c = x.in<uint32_t>(i.op[4]);
  const uint32_t *ua = x.undef(i.op[2]);
  uint32_t control =
      x.undefLanes<uint32_t>(i.op[3]) | x.undefLanes<uint32_t>(i.op[4]);
  uint32_t result[32], inRange = 0, missing = 0;
  uint8_t source[32];
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    int lane = std::countr_zero(rest);
    int distance = b[lane] & 31, clamp = c[lane] & 31;
    int segment = c[lane] >> 8 & 31;
    int highest = (lane & segment) | (clamp & ~segment & 31);
    int lowest = lane & segment;
    int j = lane;
    bool p = false;
    switch (static_cast<Shuffle>(i.sub)) {
    case Shuffle::up:
      j = lane - distance;
      p = j >= highest;
      break;
    case Shuffle::down:
      j = lane + distance;
      p = j <= highest;
      break;
    case Shuffle::bfly:
      j = lane ^ distance;
      p = j <= highest;
      break;
    case Shuffle::idx:
      j = lowest | (distance & ~segment & 31);
      p = j <= highest;
      break;
    }
    if (!p)
      j = lane;
    source[lane] = j;
    result[lane] = a[j];
    inRange |= uint32_t(p) << lane;
    missing |= uint32_t(!(x.mask >> j & 1)) << lane;
  }
  uint32_t words[4] = {};
  if ((ua[0] | ua[1] | ua[2] | ua[3]) || missing || control)
    for (unsigned n = 0; n < 4; ++n) {
      words[n] = missing | control;
      for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
        unsigned l = std::countr_zero(rest);
        words[n] |= (ua[n] >> source[l] & 1) << l;
      }
    }
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = result[l]; });
  x.setUndefBytes<uint32_t>(i.op[0], words);
  if (i.op[1] != noOperand)
    x.setPredicate(i.op[1], inRange, control);
  return Flow::next;
}

enum class Vote : uint8_t { all, any, uni, ballot };

/// op: 0 d, 1 q, 2 mask.
Flow vote(Exec &x, const Instruction &i) {
  Flow flow;
  if (!gatherMembers(x, i.op[2], flow))
    return flow;
  uint32_t q = x.predicate(i.op[1]), uq = x.predicateUndef(i.op[1]);
  uint32_t result = 0, undefined = 0;
  uint32_t ballots[32];
  forSubsets(x, i.op[2], [&](uint32_t subset) {
    uint32_t yes = q & subset;
    bool holds = false;
    switch (static_cast<Vote>(i.sub)) {
    case Vote::all:
      holds = yes == subset;
      break;
    case Vote::any:
      holds = yes != 0;
      break;
    case Vote::uni:
      holds = yes == 0 || yes == subset;
      break;
    case Vote::ballot:
      for (uint32_t r = subset; r; r &= r - 1)
        ballots[std::countr_zero(r)] = yes;
      break;
    }
    if (holds)
      result |= subset;
    if (uq & subset)
      undefined |= subset;
  });
  if (static_cast<Vote>(i.sub) != Vote::ballot) {
    x.setPredicate(i.op[0], result, undefined);
    return Flow::next;
  }
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = ballots[l]; });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

/// op: 0 d, 1 p or noOperand, 2 a, 3 mask. sub: 1 = all.
template <typename T> Flow match(Exec &x, const Instruction &i) {
  Flow flow;
  if (!gatherMembers(x, i.op[3], flow))
    return flow;
  const Slot<T> *a = x.in<T>(i.op[2]);
  uint32_t ua = x.undefLanes<T>(i.op[2]);
  uint32_t result[32], equal = 0, undefined = 0;
  forSubsets(x, i.op[3], [&](uint32_t subset) {
    Slot<T> first = a[std::countr_zero(subset)];
    bool all = true;
    for (uint32_t r = subset; r; r &= r - 1)
      all &= a[std::countr_zero(r)] == first;
    if (all)
      equal |= subset;
    if (ua & subset)
      undefined |= subset;
    for (uint32_t r = subset; r; r &= r - 1) {
      unsigned l = std::countr_zero(r);
      if (i.sub) {
        result[l] = all ? subset : 0;
        continue;
      }
      result[l] = 0;
      for (uint32_t s = subset; s; s &= s - 1) {
        unsigned k = std::countr_zero(s);
        result[l] |= uint32_t(a[k] == a[l]) << k;
      }
    }
  });
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = result[l]; });
  x.setUndef<uint32_t>(i.op[0], undefined);
  if (i.op[1] != noOperand)
    x.setPredicate(i.op[1], equal, undefined);
  return Flow::next;
}

enum class Redux : uint8_t { add, min, max, bitAnd, bitOr, bitXor };

/// op: 0 d, 1 a, 2 mask. sub: Redux, aux: signed.
Flow redux(Exec &x, const Instruction &i) {
  Flow flow;
  if (!gatherMembers(x, i.op[2], flow))
    return flow;
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  uint32_t ua = x.undefLanes<uint32_t>(i.op[1]);
  uint32_t result[32], undefined = 0;
  forSubsets(x, i.op[2], [&](uint32_t subset) {
    uint32_t value = a[std::countr_zero(subset)];
    for (uint32_t r = subset & (subset - 1); r; r &= r - 1) {
      uint32_t v = a[std::countr_zero(r)];
      bool less = i.aux ? static_cast<int32_t>(v) < static_cast<int32_t>(value)
                        : v < value;
      switch (static_cast<Redux>(i.sub)) {
      case Redux::add:
        value += v;
        break;
      case Redux::min:
        value = less ? v : value;
        break;
      case Redux::max:
        value = less ? value : v;
        break;
      case Redux::bitAnd:
        value &= v;
        break;
      case Redux::bitOr:
        value |= v;
        break;
      case Redux::bitXor:
        value ^= v;
        break;
      }
    }
    for (uint32_t r = subset; r; r &= r - 1)
      result[std::countr_zero(r)] = value;
    if (ua & subset)
      undefined |= subset;
  });
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = result[l]; });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

/// op: 0 d, 1 p, 2 mask. The lowest lane is elected.
Flow elect(Exec &x, const Instruction &i) {
  Flow flow;
  if (!gatherMembers(x, i.op[2], flow))
    return flow;
  uint32_t leaders = 0;
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forSubsets(x, i.op[2], [&](uint32_t subset) {
    unsigned leader = std::countr_zero(subset);
    leaders |= 1u << leader;
    forLanes(subset, [&](unsigned l) { d[l] = leader; });
  });
  x.setUndef<uint32_t>(i.op[0], 0);
  x.setPredicate(i.op[1], leaders, 0);
  return Flow::next;
}

Flow activeMask(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = x.mask; });
  x.setUndef<uint32_t>(i.op[0], 0);
  return Flow::next;
}

} // namespace

Status decodeShuffle(DecodeContext &c) {
  int mode = c.takeOne({"up", "down", "bfly", "idx"});
  if (!c.take("sync") || mode < 0 || !c.take("b32"))
    return c.refuse("needs .sync, a mode and .b32");
  HADAL_RETURN_IF_ERROR(c.expectOperands(5, 6));
  bool two = c.count() == 6;
  c.out.sub = mode;
  c.out.handler = shuffle;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::b32));
  if (two) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.destinationPredicate(1));
  }
  for (unsigned s = 0; s < 4; ++s) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[2 + s], c.source(1 + two + s, Type::b32));
  }
  return c.finish();
}

Status decodeVote(DecodeContext &c) {
  int mode = c.takeOne({"all", "any", "uni", "ballot"});
  if (!c.take("sync") || mode < 0 || !c.take(mode == 3 ? "b32" : "pred"))
    return c.refuse("needs .sync, a mode and its type");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
  c.out.sub = mode;
  c.out.handler = vote;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], mode == 3
                                          ? c.destination(0, Type::b32)
                                          : c.destinationPredicate(0));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.sourcePredicate(1));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::b32));
  return c.finish();
}

Status decodeMatch(DecodeContext &c) {
  int mode = c.takeOne({"any", "all"});
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (!c.take("sync") || mode < 0 || (type != Type::b32 && type != Type::b64))
    return c.refuse("needs .any or .all, .sync and .b32 or .b64");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, mode == 1 ? 4 : 3));
  bool two = c.count() == 4;
  c.out.sub = mode;
  c.out.handler = type == Type::b64 ? match<uint64_t> : match<uint32_t>;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::b32));
  if (two) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.destinationPredicate(1));
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(1 + two, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(2 + two, Type::b32));
  return c.finish();
}

Status decodeRedux(DecodeContext &c) {
  int op = c.takeOne({"add", "min", "max", "and", "or", "xor"});
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  bool bits = op >= 3;
  if (!c.take("sync") || op < 0 ||
      (bits ? type != Type::b32 : type != Type::u32 && type != Type::s32))
    return c.refuse("this form is not on sm_90a");
  c.out.sub = op;
  c.out.aux = type == Type::s32;
  c.out.handler = redux;
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::b32));
  return c.finish();
}

Status decodeElect(DecodeContext &c) {
  if (!c.take("sync"))
    return c.refuse("needs .sync");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
  c.out.handler = elect;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::b32));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.destinationPredicate(1));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::b32));
  return c.finish();
}

Status decodeActiveMask(DecodeContext &c) {
  if (!c.take("b32"))
    return c.refuse("needs .b32");
  HADAL_RETURN_IF_ERROR(c.expectOperands(1, 1));
  c.out.handler = activeMask;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::b32));
  return c.finish();
}

} // namespace hadal::sim
