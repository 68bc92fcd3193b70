// mov; setp set; selp slct.
#include <algorithm>

#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

template <typename T> void copyRow(Exec &x, Operand to, Operand from) {
  const Slot<T> *a = x.in<T>(from);
  Slot<T> *d = x.out<T>(to);
  forLanes(x.mask, [&](unsigned l) { d[l] = a[l]; });
  x.setUndefBytes<T>(to, x.undef(from));
}

template <typename T> Flow moveHandler(Exec &x, const Instruction &i) {
  copyRow<T>(x, i.op[0], i.op[1]);
  return Flow::next;
}

Flow movePredicate(Exec &x, const Instruction &i) {
  x.setPredicate(i.op[0], x.predicate(i.op[1]), x.predicateUndef(i.op[1]));
  return Flow::next;
}

Flow setPredicateConstant(Exec &x, const Instruction &i) {
  x.setPredicate(i.op[0], i.imm ? ~0u : 0, 0);
  return Flow::next;
}

/// {a, b, ..} = d: aux element bits, list = destinations, op[1] = source, which
/// is copied: it may be one of the destinations.
template <typename S> Flow unpackHandler(Exec &x, const Instruction &i) {
  unsigned count = i.listSize, part = i.aux;
  S values[32];
  uint32_t words[8];
  const Slot<S> *a = x.in<S>(i.op[1]);
  const uint32_t *u = x.undef(i.op[1]);
  for (unsigned l = 0; l < 32; ++l)
    values[l] = a[l];
  for (unsigned n = 0; n < sizeof(S); ++n)
    words[n] = u[n];
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  uint32_t keep = part == 32 ? ~0u : (1u << part) - 1;
  for (unsigned e = 0; e < count; ++e) {
    if (list[e] == noOperand)
      continue;
    uint32_t *d = x.out<uint32_t>(list[e]);
    forLanes(x.mask, [&](unsigned l) {
      d[l] = static_cast<uint32_t>(values[l] >> (part * e)) & keep;
    });
    uint32_t element[4] = {};
    std::copy_n(words + e * part / 8, part / 8, element);
    x.setUndefBytes<uint32_t>(list[e], element);
  }
  return Flow::next;
}

/// d = {a, b, ..}: aux element bits, list = sources, op[0] = destination.
template <typename D> Flow packHandler(Exec &x, const Instruction &i) {
  unsigned count = i.listSize, part = i.aux;
  D values[32] = {};
  uint32_t words[8] = {};
  const Operand *list = x.cta.kernel.lists.data() + i.list;
  uint32_t keep = part == 32 ? ~0u : (1u << part) - 1;
  for (unsigned e = 0; e < count; ++e) {
    const uint32_t *a = x.in<uint32_t>(list[e]);
    const uint32_t *u = x.undef(list[e]);
    for (unsigned l = 0; l < 32; ++l)
      values[l] |= static_cast<D>(a[l] & keep) << (part * e);
    for (unsigned n = 0; n < part / 8; ++n)
      words[e * part / 8 + n] = u[n];
  }
  Slot<D> *d = x.out<D>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = values[l]; });
  x.setUndefBytes<D>(i.op[0], words);
  return Flow::next;
}

enum class Special : uint8_t {
  tidX, tidY, tidZ, ntidX, ntidY, ntidZ, ctaidX, ctaidY, ctaidZ, nctaidX,
  nctaidY, nctaidZ, laneid, warpid, nwarpid, clusteridX, clusteridY,
  clusteridZ, nclusteridX, nclusteridY, nclusteridZ, clusterCtaidX,
  clusterCtaidY, clusterCtaidZ, clusterNctaidX, clusterNctaidY,
  clusterNctaidZ, clusterRank, clusterSize, smid, nsmid, gridid, clock,
  clock64, globaltimer, dynamicShared, totalShared, maskEq, maskLe, maskLt,
  maskGe, maskGt, warpSize,
};
constexpr std::string_view specialNames[] = {
    "%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z",
    "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y",
    "%nctaid.z", "%laneid", "%warpid", "%nwarpid", "%clusterid.x",
    "%clusterid.y", "%clusterid.z", "%nclusterid.x", "%nclusterid.y",
    "%nclusterid.z", "%cluster_ctaid.x", "%cluster_ctaid.y",
    "%cluster_ctaid.z", "%cluster_nctaid.x", "%cluster_nctaid.y",
    "%cluster_nctaid.z", "%cluster_ctarank", "%cluster_nctarank", "%smid",
    "%nsmid", "%gridid", "%clock", "%clock64", "%globaltimer",
    "%dynamic_smem_size", "%total_smem_size", "%lanemask_eq", "%lanemask_le",
    "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "WARP_SZ"};

uint64_t specialValue(const Exec &x, Special special, unsigned lane) {
  const Cta &cta = x.cta;
  const LaunchConfig &config = cta.launch.config;
  unsigned thread = x.warp.index * 32 + lane;
  unsigned at = static_cast<unsigned>(special);
  auto in = [&](Special first) {
    return at >= static_cast<unsigned>(first) &&
           at < static_cast<unsigned>(first) + 3;
  };
  auto d = [&](Special first) { return at - static_cast<unsigned>(first); };
  if (in(Special::tidX)) {
    uint32_t t[3] = {thread % config.block[0],
                     thread / config.block[0] % config.block[1],
                     thread / config.block[0] / config.block[1]};
    return t[d(Special::tidX)];
  }
  if (in(Special::ntidX))
    return config.block[d(Special::ntidX)];
  if (in(Special::ctaidX))
    return cta.index[d(Special::ctaidX)];
  if (in(Special::nctaidX))
    return config.grid[d(Special::nctaidX)];
  if (in(Special::clusteridX))
    return cta.index[d(Special::clusteridX)] /
           config.cluster[d(Special::clusteridX)];
  if (in(Special::nclusteridX))
    return config.grid[d(Special::nclusteridX)] /
           config.cluster[d(Special::nclusteridX)];
  if (in(Special::clusterCtaidX))
    return cta.index[d(Special::clusterCtaidX)] %
           config.cluster[d(Special::clusterCtaidX)];
  if (in(Special::clusterNctaidX))
    return config.cluster[d(Special::clusterNctaidX)];
  uint32_t bit = 1u << lane;
  switch (special) {
  case Special::laneid:
    return lane;
  case Special::warpid:
    return x.warp.index;
  case Special::nwarpid:
    return cta.warps.size();
  case Special::clusterRank:
    return cta.rank;
  case Special::clusterSize:
    return cta.cluster.ctas.size();
  case Special::smid:
    return cta.linear % 132;
  case Special::nsmid:
    return 132;
  case Special::clock:
    return static_cast<uint32_t>(cta.instructions);
  case Special::clock64:
  case Special::globaltimer:
    return cta.instructions;
  case Special::dynamicShared:
    return config.sharedBytes;
  case Special::totalShared:
    return cta.shared.bytes();
  case Special::maskEq:
    return bit;
  case Special::maskLe:
    return bit | (bit - 1);
  case Special::maskLt:
    return bit - 1;
  case Special::maskGe:
    return ~(bit - 1);
  case Special::maskGt:
    return ~(bit | (bit - 1));
  case Special::warpSize:
    return 32;
  default:
    return 0;
  }
}

template <typename T> Flow specialHandler(Exec &x, const Instruction &i) {
  Slot<T> *d = x.out<T>(i.op[0]);
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    d[l] = specialValue(x, static_cast<Special>(i.sub), l);
  }
  x.setUndef<T>(i.op[0], 0);
  return Flow::next;
}

// ---- setp -------------------------------------------------------------

enum class Compare : uint8_t {
  eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan,
};

template <typename T> bool compares(Compare op, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    bool unordered = a != a || b != b;
    switch (op) {
    case Compare::eq:
      return a == b;
    case Compare::ne:
      return !unordered && a != b;
    case Compare::lt:
      return a < b;
    case Compare::le:
      return a <= b;
    case Compare::gt:
      return a > b;
    case Compare::ge:
      return a >= b;
    case Compare::equ:
      return unordered || a == b;
    case Compare::neu:
      return a != b;
    case Compare::ltu:
      return unordered || a < b;
    case Compare::leu:
      return unordered || a <= b;
    case Compare::gtu:
      return unordered || a > b;
    case Compare::geu:
      return unordered || a >= b;
    case Compare::num:
      return !unordered;
    case Compare::nan:
      return unordered;
    }
    return false;
  } else {
    switch (op) {
    case Compare::eq:
      return a == b;
    case Compare::ne:
      return a != b;
    case Compare::lt:
      return a < b;
    case Compare::le:
      return a <= b;
    case Compare::gt:
      return a > b;
    default:
      return a >= b;
    }
  }
}

/// Lanes (of all 32) in which the comparison holds.
template <typename T, Compare op>
uint32_t compareLanes(const Slot<T> *a, const Slot<T> *b) {
  uint8_t holds[32];
  for (unsigned l = 0; l < 32; ++l)
    holds[l] = compares<T>(op, fromSlot<T>(a[l]), fromSlot<T>(b[l]));
  uint32_t lanes = 0;
  for (unsigned l = 0; l < 32; ++l)
    lanes |= uint32_t(holds[l]) << l;
  return lanes;
}

/// op: 0 p, 1 q or noOperand, 2 a, 3 b, 4 c or noOperand. sub: boolean op.
template <typename T, Compare op>
Flow comparePredicate(Exec &x, const Instruction &i) {
  uint32_t holds = compareLanes<T, op>(x.in<T>(i.op[2]), x.in<T>(i.op[3]));
  uint32_t undefined = x.undefLanes<T>(i.op[2]) | x.undefLanes<T>(i.op[3]);
  uint32_t p = holds, q = ~holds;
  if (i.op[4] != noOperand) {
    uint32_t c = x.predicate(i.op[4]);
    undefined |= x.predicateUndef(i.op[4]);
    p = i.sub == 0 ? p & c : i.sub == 1 ? p | c : p ^ c;
    q = i.sub == 0 ? q & c : i.sub == 1 ? q | c : q ^ c;
  }
  if (i.op[1] != noOperand)
    x.setPredicate(i.op[1], q, undefined);
  x.setPredicate(i.op[0], p, undefined);
  return Flow::next;
}

template <typename T> Handler compareFor(Compare op) {
  constexpr bool floating = std::is_floating_point_v<T>;
  switch (op) {
  case Compare::eq:
    return comparePredicate<T, Compare::eq>;
  case Compare::ne:
    return comparePredicate<T, Compare::ne>;
  case Compare::lt:
    return comparePredicate<T, Compare::lt>;
  case Compare::le:
    return comparePredicate<T, Compare::le>;
  case Compare::gt:
    return comparePredicate<T, Compare::gt>;
  case Compare::ge:
    return comparePredicate<T, Compare::ge>;
  default:
    break;
  }
  if constexpr (floating)
    switch (op) {
    case Compare::equ:
      return comparePredicate<T, Compare::equ>;
    case Compare::neu:
      return comparePredicate<T, Compare::neu>;
    case Compare::ltu:
      return comparePredicate<T, Compare::ltu>;
    case Compare::leu:
      return comparePredicate<T, Compare::leu>;
    case Compare::gtu:
      return comparePredicate<T, Compare::gtu>;
    case Compare::geu:
      return comparePredicate<T, Compare::geu>;
    case Compare::num:
      return comparePredicate<T, Compare::num>;
    case Compare::nan:
      return comparePredicate<T, Compare::nan>;
    default:
      break;
    }
  return nullptr;
}

// ---- selp, slct -------------------------------------------------------

/// A byte is undefined where that of the chosen source is; all of them where
/// |undefined| says that the choice itself is.
template <typename T> void selectRows(Exec &x, const Instruction &i,
                                      uint32_t takeA, uint32_t undefined) {
  const Slot<T> *a = x.in<T>(i.op[1]);
  const Slot<T> *b = x.in<T>(i.op[2]);
  const uint32_t *ua = x.undef(i.op[1]), *ub = x.undef(i.op[2]);
  uint32_t words[8];
  for (unsigned n = 0; n < sizeof(Slot<T>); ++n)
    words[n] = (ua[n] & takeA) | (ub[n] & ~takeA) | undefined;
  Slot<T> *d = x.out<T>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = takeA >> l & 1 ? a[l] : b[l]; });
  x.setUndefBytes<T>(i.op[0], words);
}

template <typename T> Flow selectHandler(Exec &x, const Instruction &i) {
  selectRows<T>(x, i, x.predicate(i.op[3]), x.predicateUndef(i.op[3]));
  return Flow::next;
}

/// slct: c >= 0 ? a : b; sub 1 = c is f32 (NaN takes b).
template <typename T> Flow signSelect(Exec &x, const Instruction &i) {
  const uint32_t *c = x.in<uint32_t>(i.op[3]);
  uint32_t takeA = 0;
  for (unsigned l = 0; l < 32; ++l) {
    bool positive = i.sub ? std::bit_cast<float>(c[l]) >= 0.0f
                          : static_cast<int32_t>(c[l]) >= 0;
    takeA |= uint32_t(positive) << l;
  }
  selectRows<T>(x, i, takeA, x.undefLanes<uint32_t>(i.op[3]));
  return Flow::next;
}

} // namespace

Status decodeMove(DecodeContext &c) {
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  HADAL_RETURN_IF_ERROR(c.finish());
  const ParsedOperand &to = c.operand(0), &from = c.operand(1);
  if (type == Type::pred) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destinationPredicate(0));
    if (from.kind == ParsedOperand::integer) {
      c.out.handler = setPredicateConstant;
      c.out.imm = from.value;
      return {};
    }
    c.out.handler = movePredicate;
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.sourcePredicate(1));
    return {};
  }
  unsigned bits = bitsOf(type);
  if (bits > 64 || bits < 16)
    return c.refuse("this type is not modelled");
  if (to.kind == ParsedOperand::vector || from.kind == ParsedOperand::vector) {
    bool unpack = to.kind == ParsedOperand::vector;
    const ParsedOperand &vector = unpack ? to : from;
    size_t count = vector.elements.size();
    if ((count != 2 && count != 4) || bits / count < 8)
      return c.refuse("this vector is not modelled");
    unsigned part = bits / count;
    Type element = part == 32 ? Type::b32 : Type::b16;
    c.out.aux = part;
    for (const ParsedOperand &e : vector.elements) {
      if (unpack && e.kind == ParsedOperand::sink) {
        c.append(noOperand);
        continue;
      }
      HADAL_ASSIGN_OR_RETURN(Operand operand,
                             unpack ? c.destination(e, element)
                                    : c.source(e, element));
      c.append(operand);
    }
    if (unpack) {
      HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
      c.out.handler = bits == 64 ? unpackHandler<uint64_t>
                                 : unpackHandler<uint32_t>;
    } else {
      HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
      c.out.handler =
          bits == 64 ? packHandler<uint64_t> : packHandler<uint32_t>;
    }
    return {};
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  if (from.kind == ParsedOperand::special) {
    for (size_t s = 0; s < std::size(specialNames); ++s)
      if (specialNames[s] == from.text) {
        c.out.sub = s;
        c.out.handler =
            bits == 64 ? specialHandler<uint64_t> : specialHandler<uint32_t>;
        return {};
      }
    return c.refuse(fmt::format("register {} is not modelled", from.text));
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
  c.out.handler = bits == 64 ? moveHandler<uint64_t> : moveHandler<uint32_t>;
  return {};
}

Status decodeCompare(DecodeContext &c) {
  if (c.parsed.opcode == "set")
    return c.refuse("set is not modelled, setp is");
  static constexpr std::string_view floatOnly[] = {
      "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
  int op = c.takeOne({"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu",
                      "leu", "gtu", "geu", "num", "nan"});
  // lo ls hi hs: the unsigned names of lt le gt ge.
  if (op < 0) {
    int u = c.takeOne({"lo", "ls", "hi", "hs"});
    if (u < 0)
      return c.refuse("needs a comparison");
    op = static_cast<int>(Compare::lt) + u;
  }
  int boolean = c.takeOne({"and", "or", "xor"});
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  Compare compare = static_cast<Compare>(op);
  switch (type) {
  case Type::u16:
  case Type::b16:
    c.out.handler = compareFor<uint16_t>(compare);
    break;
  case Type::s16:
    c.out.handler = compareFor<int16_t>(compare);
    break;
  case Type::u32:
  case Type::b32:
    c.out.handler = compareFor<uint32_t>(compare);
    break;
  case Type::s32:
    c.out.handler = compareFor<int32_t>(compare);
    break;
  case Type::u64:
  case Type::b64:
    c.out.handler = compareFor<uint64_t>(compare);
    break;
  case Type::s64:
    c.out.handler = compareFor<int64_t>(compare);
    break;
  case Type::f32:
    c.out.handler = compareFor<float>(compare);
    break;
  case Type::f64:
    c.out.handler = compareFor<double>(compare);
    break;
  default:
    break;
  }
  if (!c.out.handler)
    return c.refuse(isFloat(type) || op < 6
                        ? "this type is not modelled"
                        : fmt::format(".{} needs a float type",
                                      floatOnly[op - 6]));
  // p, [q,] a, b [, c]: with a boolean there is a c; one more operand is q.
  size_t sources = boolean >= 0 ? 3 : 2;
  HADAL_RETURN_IF_ERROR(c.expectOperands(sources + 1, sources + 2));
  bool two = c.count() == sources + 2;
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destinationPredicate(0));
  if (two) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.destinationPredicate(1));
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(1 + two, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(2 + two, type));
  if (boolean >= 0) {
    c.out.sub = boolean;
    HADAL_ASSIGN_OR_RETURN(c.out.op[4], c.sourcePredicate(3 + two));
  }
  return c.finish();
}

Status decodeSelect(DecodeContext &c) {
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (bitsOf(type) < 16 || bitsOf(type) > 64)
    return c.refuse("this type is not modelled");
  bool wide = bitsOf(type) == 64;
  HADAL_RETURN_IF_ERROR(c.expectOperands(4, 4));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, type));
  if (c.parsed.opcode == "selp") {
    c.out.handler = wide ? selectHandler<uint64_t> : selectHandler<uint32_t>;
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.sourcePredicate(3));
    return c.finish();
  }
  HADAL_ASSIGN_OR_RETURN(Type by, requireType(c));
  if (by != Type::s32 && by != Type::f32)
    return c.refuse("slct needs s32 or f32 as its second type");
  c.out.sub = by == Type::f32;
  c.out.handler = wide ? signSelect<uint64_t> : signSelect<uint32_t>;
  HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(3, by));
  return c.finish();
}

} // namespace hadal::sim
