// and or xor not cnot; shl shr; bfe bfi bfind brev clz lop3 popc prmt shf.
// Undefinedness goes byte by byte where the instruction moves whole bytes, so
// that packing two halves with a mask and a shift keeps the defined half.
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

struct And {
  template <typename T> T operator()(T a, T b) const { return a & b; }
};
struct Or {
  template <typename T> T operator()(T a, T b) const { return a | b; }
};
struct Xor {
  template <typename T> T operator()(T a, T b) const { return a ^ b; }
};
struct Not {
  template <typename T> T operator()(T a) const { return ~a; }
};
struct CNot {
  template <typename T> T operator()(T a) const { return a == 0; }
};

template <typename T> constexpr unsigned slotBytes = sizeof(Slot<T>);

/// Undef words of op(a, b) with |zero| deciding: a defined byte that equals
/// |zero| (and: 0, or: 0xFF) decides the result whatever the other one is. Only
/// looked at for constant operands.
template <typename T>
void logicUndef(Exec &x, const Instruction &i, int deciding) {
  uint32_t words[8];
  const uint32_t *a = x.undef(i.op[1]), *b = x.undef(i.op[2]);
  uint32_t any = 0;
  for (unsigned n = 0; n < slotBytes<T>; ++n)
    any |= words[n] = a[n] | b[n];
  if (any && deciding >= 0)
    for (Operand op : {i.op[1], i.op[2]}) {
      if (op >= 0)
        continue;
      Slot<T> value = x.in<T>(op)[0];
      for (unsigned n = 0; n < slotBytes<T>; ++n)
        if (static_cast<int>(value >> (8 * n) & 0xFF) == deciding)
          words[n] = 0;
    }
  x.setUndefBytes<T>(i.op[0], words);
}

template <typename T, typename Op, int deciding>
Flow logicHandler(Exec &x, const Instruction &i) {
  const Slot<T> *a = x.in<T>(i.op[1]);
  const Slot<T> *b = x.in<T>(i.op[2]);
  logicUndef<T>(x, i, deciding);
  Slot<T> *d = x.out<T>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = Op{}(a[l], b[l]); });
  return Flow::next;
}

/// op[0] predicate, op[1], op[2] source predicates; sub: 0 and, 1 or, 2 xor,
/// 3 not.
Flow predicateLogic(Exec &x, const Instruction &i) {
  uint32_t a = x.predicate(i.op[1]), ua = x.predicateUndef(i.op[1]);
  if (i.sub == 3) {
    x.setPredicate(i.op[0], ~a, ua);
    return Flow::next;
  }
  uint32_t b = x.predicate(i.op[2]), ub = x.predicateUndef(i.op[2]);
  uint32_t result = i.sub == 0 ? a & b : i.sub == 1 ? a | b : a ^ b;
  uint32_t undefined = ua | ub;
  // A defined deciding operand decides.
  if (i.sub == 0)
    undefined &= ~((~a & ~ua) | (~b & ~ub));
  else if (i.sub == 1)
    undefined &= ~((a & ~ua) | (b & ~ub));
  x.setPredicate(i.op[0], result, undefined);
  return Flow::next;
}

/// Undef words of a shift by a whole number of bytes, else of everything from
/// the lowest (shl) or highest (shr) undefined byte on.
template <typename T>
void shiftUndef(Exec &x, const Instruction &i, bool left, bool arithmetic) {
  constexpr unsigned bytes = slotBytes<T>;
  const uint32_t *a = x.undef(i.op[1]);
  uint32_t words[8] = {};
  uint32_t any = x.undefLanes<T>(i.op[1]);
  uint32_t amountUndef = x.undefLanes<uint32_t>(i.op[2]);
  if (any) {
    if (i.op[2] < 0) {
      unsigned amount = x.in<uint32_t>(i.op[2])[0];
      constexpr unsigned width = sizeof(T) * 8;
      if (amount < width) {
        unsigned whole = amount / 8;
        bool part = amount % 8;
        for (unsigned n = 0; n < sizeof(T); ++n) {
          if (left) {
            words[n] = (n >= whole ? a[n - whole] : 0) |
                       (part && n >= whole + 1 ? a[n - whole - 1] : 0);
          } else {
            unsigned from = n + whole;
            uint32_t fill = arithmetic ? a[sizeof(T) - 1] : 0;
            words[n] = (from < sizeof(T) ? a[from] : fill) |
                       (part && from + 1 < sizeof(T) ? a[from + 1] : 0);
          }
        }
      } else if (!left && arithmetic) {
        for (unsigned n = 0; n < sizeof(T); ++n)
          words[n] = a[sizeof(T) - 1];
      }
    } else {
      for (unsigned n = 0; n < bytes; ++n)
        words[n] = any;
    }
  }
  for (unsigned n = 0; n < bytes; ++n)
    words[n] |= amountUndef;
  x.setUndefBytes<T>(i.op[0], words);
}

template <typename T> struct ShiftLeft {
  static Flow run(Exec &x, const Instruction &i) {
    constexpr unsigned width = sizeof(T) * 8;
    const Slot<T> *a = x.in<T>(i.op[1]);
    const uint32_t *b = x.in<uint32_t>(i.op[2]);
    shiftUndef<T>(x, i, true, false);
    Slot<T> *d = x.out<T>(i.op[0]);
    forLanes(x.mask, [&](unsigned l) {
      Slot<T> shifted = a[l] << (b[l] & (sizeof(Slot<T>) * 8 - 1));
      d[l] = b[l] >= width ? 0
                           : toSlot<T>(static_cast<T>(shifted));
    });
    return Flow::next;
  }
};
template <typename T> struct ShiftRight {
  static Flow run(Exec &x, const Instruction &i) {
    constexpr unsigned width = sizeof(T) * 8;
    const Slot<T> *a = x.in<T>(i.op[1]);
    const uint32_t *b = x.in<uint32_t>(i.op[2]);
    shiftUndef<T>(x, i, false, std::is_signed_v<T>);
    Slot<T> *d = x.out<T>(i.op[0]);
    forLanes(x.mask, [&](unsigned l) {
      T value = fromSlot<T>(a[l]);
      if constexpr (std::is_signed_v<T>) {
        d[l] = toSlot<T>(static_cast<T>(
            value >> (b[l] >= width ? width - 1 : b[l])));
      } else {
        d[l] = b[l] >= width
                   ? 0
                   : toSlot<T>(static_cast<T>(value >> (b[l] & (width - 1))));
      }
    });
    return Flow::next;
  }
};

template <typename T> T bitFieldExtract(T a, uint32_t p, uint32_t n) {
  constexpr unsigned width = sizeof(T) * 8;
  p &= 0xFF;
  n &= 0xFF;
  if (n == 0)
    return 0;
  using U = std::make_unsigned_t<T>;
  U bits = p < width ? static_cast<U>(a) >> p : 0;
  unsigned top = std::min(p + n - 1, width - 1);
  bool sign = std::is_signed_v<T> && (static_cast<U>(a) >> top & 1);
  if (n < width) {
    U low = (U(1) << n) - 1;
    // Bits of the field beyond the value's own are the sign.
    U known = p >= width ? 0 : (width - p >= n ? low : (U(1) << (width - p)) - 1);
    bits &= known;
    if (sign)
      bits |= ~known;
  } else if (sign && p > 0) {
    U known = p >= width ? 0 : (U(1) << (width - p)) - 1;
    bits = (bits & known) | ~known;
  }
  return static_cast<T>(bits);
}

template <typename T> struct ExtractField {
  static Flow run(Exec &x, const Instruction &i) {
    const Slot<T> *a = x.in<T>(i.op[1]);
    const uint32_t *p = x.in<uint32_t>(i.op[2]);
    const uint32_t *n = x.in<uint32_t>(i.op[3]);
    uint32_t undefined =
        x.undefLanes<uint32_t>(i.op[2]) | x.undefLanes<uint32_t>(i.op[3]);
    if (i.op[2] < 0 && i.op[3] < 0) {
      // Only the bytes that the field touches count.
      unsigned from = (p[0] & 0xFF) / 8;
      unsigned to = ((p[0] & 0xFF) + (n[0] & 0xFF) + 7) / 8;
      const uint32_t *u = x.undef(i.op[1]);
      for (unsigned b = from; b < std::min<unsigned>(to, sizeof(T)); ++b)
        undefined |= u[b];
    } else {
      undefined |= x.undefLanes<T>(i.op[1]);
    }
    Slot<T> *d = x.out<T>(i.op[0]);
    forLanes(x.mask, [&](unsigned l) {
      d[l] = toSlot<T>(bitFieldExtract<T>(fromSlot<T>(a[l]), p[l], n[l]));
    });
    x.setUndef<T>(i.op[0], undefined);
    return Flow::next;
  }
};

template <typename T> Flow insertField(Exec &x, const Instruction &i) {
  constexpr unsigned width = sizeof(T) * 8;
  Slot<T> *d = x.out<T>(i.op[0]);
  const Slot<T> *a = x.in<T>(i.op[1]);
  const Slot<T> *b = x.in<T>(i.op[2]);
  const uint32_t *p = x.in<uint32_t>(i.op[3]);
  const uint32_t *n = x.in<uint32_t>(i.op[4]);
  uint32_t undefined = x.undefLanes<T>(i.op[1]) | x.undefLanes<T>(i.op[2]) |
                       x.undefLanes<uint32_t>(i.op[3]) |
                       x.undefLanes<uint32_t>(i.op[4]);
  forLanes(x.mask, [&](unsigned l) {
    unsigned position = p[l] & 0xFF, length = n[l] & 0xFF;
    if (position >= width || length == 0) {
      d[l] = b[l];
      return;
    }
    T field = length >= width ? ~T(0) : (T(1) << length) - 1;
    d[l] = (static_cast<T>(b[l]) & ~(field << position)) |
           ((static_cast<T>(a[l]) & field) << position);
  });
  x.setUndef<T>(i.op[0], undefined);
  return Flow::next;
}

/// d (u32) = f(a) for clz, popc, brev.
template <typename T, typename D, typename F>
Flow bitsUnary(Exec &x, const Instruction &i) {
  Slot<D> *d = x.out<D>(i.op[0]);
  const Slot<T> *a = x.in<T>(i.op[1]);
  uint32_t undefined = x.undefLanes<T>(i.op[1]);
  forLanes(x.mask, [&](unsigned l) { d[l] = F{}(static_cast<T>(a[l])); });
  x.setUndef<D>(i.op[0], undefined);
  return Flow::next;
}
struct CountLeading {
  template <typename T> uint32_t operator()(T a) const {
    return std::countl_zero(a);
  }
};
struct Population {
  template <typename T> uint32_t operator()(T a) const {
    return std::popcount(a);
  }
};
struct Reverse {
  template <typename T> T operator()(T a) const {
    T result = 0;
    for (unsigned b = 0; b < sizeof(T) * 8; ++b)
      result |= (a >> b & 1) << (sizeof(T) * 8 - 1 - b);
    return result;
  }
};
/// Position of the highest bit that differs from the sign (0 for unsigned).
template <typename T> struct FindTop {
  template <typename U> uint32_t operator()(U a) const {
    if (std::is_signed_v<T> && static_cast<T>(a) < 0)
      a = ~a;
    return a ? sizeof(T) * 8 - 1 - std::countl_zero(a) : 0xFFFFFFFF;
  }
};

Flow lop3(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  const uint32_t *b = x.in<uint32_t>(i.op[2]);
  const uint32_t *c = x.in<uint32_t>(i.op[3]);
  const uint32_t *ua = x.undef(i.op[1]), *ub = x.undef(i.op[2]);
  const uint32_t *uc = x.undef(i.op[3]);
  uint32_t words[4];
  for (unsigned n = 0; n < 4; ++n)
    words[n] = ua[n] | ub[n] | uc[n];
  x.setUndefBytes<uint32_t>(i.op[0], words);
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  uint32_t lut = i.imm;
  forLanes(x.mask, [&](unsigned l) {
    uint32_t r = 0;
    for (unsigned n = 0; n < 8; ++n)
      if (lut >> n & 1)
        r |= (n & 4 ? a[l] : ~a[l]) & (n & 2 ? b[l] : ~b[l]) &
             (n & 1 ? c[l] : ~c[l]);
    d[l] = r;
  });
  return Flow::next;
}

uint32_t permuted(uint32_t a, uint32_t b, uint32_t c, unsigned mode) {
  unsigned s = c & 3, h = 2 * (s & 1);
  unsigned pick[4];
  switch (mode) {
  case 1: // f4e
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = (s + n) & 7;
    break;
  case 2: // b4e
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = (s - n) & 7;
    break;
  case 3: // rc8
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = s;
    break;
  case 4: // ecl
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = std::max(n, s);
    break;
  case 5: // ecr
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = std::min(n, s);
    break;
  case 6: // rc16
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = h + (n & 1);
    break;
  default:
    for (unsigned n = 0; n < 4; ++n)
      pick[n] = c >> (4 * n) & 0xF;
    break;
  }
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (unsigned n = 0; n < 4; ++n) {
    uint32_t byte = bytes >> (8 * (pick[n] & 7)) & 0xFF;
    if (pick[n] & 8)
      byte = byte & 0x80 ? 0xFF : 0;
    result |= byte << (8 * n);
  }
  return result;
}

Flow permute(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  const uint32_t *b = x.in<uint32_t>(i.op[2]);
  const uint32_t *c = x.in<uint32_t>(i.op[3]);
  const uint32_t *ua = x.undef(i.op[1]), *ub = x.undef(i.op[2]);
  uint32_t words[4];
  uint32_t all =
      x.undefLanes<uint32_t>(i.op[1]) | x.undefLanes<uint32_t>(i.op[2]);
  uint32_t selector = x.undefLanes<uint32_t>(i.op[3]);
  for (unsigned n = 0; n < 4; ++n) {
    words[n] = all;
    if (i.op[3] < 0 && i.sub == 0) {
      unsigned pick = c[0] >> (4 * n) & 7;
      words[n] = pick < 4 ? ua[pick] : ub[pick - 4];
    }
  }
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = permuted(a[l], b[l], c[l], i.sub);
  });
  for (uint32_t &word : words)
    word |= selector;
  x.setUndefBytes<uint32_t>(i.op[0], words);
  return Flow::next;
}

/// sub: bit 0 right, bit 1 clamp.
Flow funnelShift(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  const uint32_t *b = x.in<uint32_t>(i.op[2]);
  const uint32_t *c = x.in<uint32_t>(i.op[3]);
  uint32_t undefined = x.undefLanes<uint32_t>(i.op[1]) |
                       x.undefLanes<uint32_t>(i.op[2]) |
                       x.undefLanes<uint32_t>(i.op[3]);
  forLanes(x.mask, [&](unsigned l) {
    unsigned n = i.sub & 2 ? std::min(c[l], 32u) : c[l] & 31;
    uint64_t pair = uint64_t(b[l]) << 32 | a[l];
    d[l] = i.sub & 1 ? static_cast<uint32_t>(pair >> n)
                     : static_cast<uint32_t>(pair << n >> 32);
  });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

template <typename Op, int deciding> Handler logicFor(Type type) {
  switch (bitsOf(type)) {
  case 16:
    return logicHandler<uint16_t, Op, deciding>;
  case 32:
    return logicHandler<uint32_t, Op, deciding>;
  case 64:
    return logicHandler<uint64_t, Op, deciding>;
  default:
    return nullptr;
  }
}

} // namespace

Status decodeLogic(DecodeContext &c) {
  const std::string &opcode = c.parsed.opcode;
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  bool unary = opcode == "not" || opcode == "cnot";
  if (type == Type::pred) {
    if (opcode == "cnot")
      return c.refuse("this type is not modelled");
    HADAL_RETURN_IF_ERROR(c.expectOperands(unary ? 2 : 3, unary ? 2 : 3));
    c.out.handler = predicateLogic;
    c.out.sub = opcode == "and"  ? 0
                : opcode == "or" ? 1
                : opcode == "xor" ? 2
                                  : 3;
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destinationPredicate(0));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.sourcePredicate(1));
    if (!unary) {
      HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.sourcePredicate(2));
    }
    return c.finish();
  }
  if (!isBits(type))
    return c.refuse("needs a .b type");
  if (opcode == "and")
    c.out.handler = logicFor<And, 0>(type);
  else if (opcode == "or")
    c.out.handler = logicFor<Or, 0xFF>(type);
  else if (opcode == "xor")
    c.out.handler = logicFor<Xor, -1>(type);
  else if (opcode == "not")
    c.out.handler = bitsOf(type) == 16   ? unaryHandler<uint16_t, Not>
                    : bitsOf(type) == 32 ? unaryHandler<uint32_t, Not>
                    : bitsOf(type) == 64 ? unaryHandler<uint64_t, Not>
                                         : nullptr;
  else
    c.out.handler = bitsOf(type) == 16   ? unaryHandler<uint16_t, CNot>
                    : bitsOf(type) == 32 ? unaryHandler<uint32_t, CNot>
                    : bitsOf(type) == 64 ? unaryHandler<uint64_t, CNot>
                                         : nullptr;
  if (!c.out.handler)
    return c.refuse("this type is not modelled");
  return decodeOperands(c, type, unary ? 1 : 2);
}

Status decodeShift(DecodeContext &c) {
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  c.out.handler = c.parsed.opcode == "shl" ? forInteger<ShiftLeft>(type)
                                           : forInteger<ShiftRight>(type);
  if (!c.out.handler)
    return c.refuse("this type is not modelled");
  HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
  HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::u32));
  return c.finish();
}

Status decodeBits(DecodeContext &c) {
  const std::string &opcode = c.parsed.opcode;
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  unsigned bits = bitsOf(type);
  if (bits != 32 && bits != 64)
    return c.refuse("this type is not modelled");
  bool wide = bits == 64;
  if (opcode == "clz" || opcode == "popc" || opcode == "bfind") {
    if (opcode == "clz")
      c.out.handler = wide ? bitsUnary<uint64_t, uint32_t, CountLeading>
                           : bitsUnary<uint32_t, uint32_t, CountLeading>;
    else if (opcode == "popc")
      c.out.handler = wide ? bitsUnary<uint64_t, uint32_t, Population>
                           : bitsUnary<uint32_t, uint32_t, Population>;
    else if (isSigned(type))
      c.out.handler = wide ? bitsUnary<uint64_t, uint32_t, FindTop<int64_t>>
                           : bitsUnary<uint32_t, uint32_t, FindTop<int32_t>>;
    else
      c.out.handler = wide ? bitsUnary<uint64_t, uint32_t, FindTop<uint64_t>>
                           : bitsUnary<uint32_t, uint32_t, FindTop<uint32_t>>;
    HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, Type::u32));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    return c.finish();
  }
  if (opcode == "brev") {
    c.out.handler = wide ? bitsUnary<uint64_t, uint64_t, Reverse>
                         : bitsUnary<uint32_t, uint32_t, Reverse>;
    return decodeOperands(c, type, 1);
  }
  if (opcode == "bfe") {
    c.out.handler = forInteger<ExtractField>(type);
    HADAL_RETURN_IF_ERROR(c.expectOperands(4, 4));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, Type::u32));
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(3, Type::u32));
    return c.finish();
  }
  if (opcode == "bfi") {
    c.out.handler = wide ? insertField<uint64_t> : insertField<uint32_t>;
    HADAL_RETURN_IF_ERROR(c.expectOperands(5, 5));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(3, Type::u32));
    HADAL_ASSIGN_OR_RETURN(c.out.op[4], c.source(4, Type::u32));
    return c.finish();
  }
  if (wide)
    return c.refuse("this type is not modelled");
  if (opcode == "lop3") {
    c.out.handler = lop3;
    HADAL_RETURN_IF_ERROR(c.expectOperands(5, 5));
    HADAL_ASSIGN_OR_RETURN(c.out.imm, c.immediate(4));
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, type));
    for (unsigned s = 1; s < 4; ++s) {
      HADAL_ASSIGN_OR_RETURN(c.out.op[s], c.source(s, type));
    }
    return c.finish();
  }
  if (opcode == "prmt") {
    int mode = c.takeOne({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
    c.out.sub = mode + 1;
    c.out.handler = permute;
    return decodeOperands(c, type, 3);
  }
  if (opcode == "shf") {
    int right = c.takeOne({"l", "r"});
    int clamp = c.takeOne({"wrap", "clamp"});
    if (right < 0 || clamp < 0)
      return c.refuse("needs .l or .r and .wrap or .clamp");
    c.out.sub = right | clamp << 1;
    c.out.handler = funnelShift;
    return decodeOperands(c, type, 3);
  }
  return c.refuse("this form is not modelled");
}

} // namespace hadal::sim
