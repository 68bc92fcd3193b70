// add sub mul div rem min max abs neg, fma mad on integers and f32, f64.
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

template <typename T> using Unsigned = std::make_unsigned_t<T>;

struct Add {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Unsigned<T>(a) + Unsigned<T>(b));
    else
      return a + b;
  }
};
struct Sub {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Unsigned<T>(a) - Unsigned<T>(b));
    else
      return a - b;
  }
};
struct Mul {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(uint64_t(Unsigned<T>(a)) * Unsigned<T>(b));
    else
      return a * b;
  }
};
struct MulHigh {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (sizeof(T) == 8) {
      if constexpr (std::is_signed_v<T>)
        return static_cast<T>((__int128(a) * b) >> 64);
      else
        return static_cast<T>((static_cast<unsigned __int128>(a) * b) >> 64);
    } else if constexpr (std::is_signed_v<T>) {
      return static_cast<T>((int64_t(a) * b) >> (8 * sizeof(T)));
    } else {
      return static_cast<T>((uint64_t(a) * b) >> (8 * sizeof(T)));
    }
  }
};
/// Division by zero is unspecified; the results are those of the hardware's
/// usual sequence: all ones, and the dividend as remainder.
struct Div {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0)
        return static_cast<T>(~T(0));
      if (std::is_signed_v<T> && b == T(-1))
        return static_cast<T>(Unsigned<T>(0) - Unsigned<T>(a));
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  }
};
struct Rem {
  template <typename T> T operator()(T a, T b) const {
    if (b == 0)
      return a;
    if (std::is_signed_v<T> && b == T(-1))
      return 0;
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return a < b ? a : b;
    if (a == b)
      return std::signbit(a) ? a : b;
    return a < b || b != b ? a : b;
  }
};
struct Max {
  template <typename T> T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return a > b ? a : b;
    if (a == b)
      return std::signbit(a) ? b : a;
    return a > b || b != b ? a : b;
  }
};
template <typename Base> struct NanWins {
  template <typename T> T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : Base{}(a, b);
  }
};
struct Neg {
  template <typename T> T operator()(T a) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Unsigned<T>(0) - Unsigned<T>(a));
    else
      return -a;
  }
};
struct Abs {
  template <typename T> T operator()(T a) const {
    if constexpr (std::is_integral_v<T>)
      return a < 0 ? static_cast<T>(Unsigned<T>(0) - Unsigned<T>(a)) : a;
    else
      return std::fabs(a);
  }
};

constexpr uint8_t flagFtz = 1, flagSat = 2;

/// f32 with the canonical NaN; .ftz and .sat by Instruction::sub.
template <typename Op> Flow binaryF32(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<float>(i.op[0]);
  const uint32_t *a = x.in<float>(i.op[1]);
  const uint32_t *b = x.in<float>(i.op[2]);
  if (i.sub == 0) {
    forLanes(x.mask, [&](unsigned l) {
      d[l] = canonicalSlot(
          Op{}(std::bit_cast<float>(a[l]), std::bit_cast<float>(b[l])));
    });
  } else {
    bool ftz = i.sub & flagFtz, sat = i.sub & flagSat;
    forLanes(x.mask, [&](unsigned l) {
      float u = std::bit_cast<float>(a[l]), v = std::bit_cast<float>(b[l]);
      float r = ftz ? flushed(Op{}(flushed(u), flushed(v))) : Op{}(u, v);
      d[l] = canonicalSlot(sat ? saturated(r) : r);
    });
  }
  x.setUndef<float>(i.op[0],
                    x.undefLanes<float>(i.op[1]) | x.undefLanes<float>(i.op[2]));
  return Flow::next;
}

template <typename Op> Flow unaryF32(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<float>(i.op[0]);
  const uint32_t *a = x.in<float>(i.op[1]);
  bool ftz = i.sub & flagFtz;
  forLanes(x.mask, [&](unsigned l) {
    float u = std::bit_cast<float>(a[l]);
    d[l] = std::bit_cast<uint32_t>(Op{}(ftz ? flushed(u) : u));
  });
  x.setUndef<float>(i.op[0], x.undefLanes<float>(i.op[1]));
  return Flow::next;
}

template <typename T, typename Op> struct Binary {
  static Flow run(Exec &x, const Instruction &i) {
    return binaryHandler<T, Op>(x, i);
  }
};
template <typename T> using AddInt = Binary<T, Add>;
template <typename T> using SubInt = Binary<T, Sub>;
template <typename T> using MulInt = Binary<T, Mul>;
template <typename T> using MulHighInt = Binary<T, MulHigh>;
template <typename T> using DivInt = Binary<T, Div>;
template <typename T> using RemInt = Binary<T, Rem>;
template <typename T> using MinInt = Binary<T, Min>;
template <typename T> using MaxInt = Binary<T, Max>;

/// .sat of add and sub: s32 only.
struct AddSat {
  int32_t operator()(int32_t a, int32_t b) const {
    int64_t sum = int64_t(a) + b;
    return sum > INT32_MAX   ? INT32_MAX
           : sum < INT32_MIN ? INT32_MIN
                             : static_cast<int32_t>(sum);
  }
};
struct SubSat {
  int32_t operator()(int32_t a, int32_t b) const {
    int64_t sum = int64_t(a) - b;
    return sum > INT32_MAX   ? INT32_MAX
           : sum < INT32_MIN ? INT32_MIN
                             : static_cast<int32_t>(sum);
  }
};

template <typename T, typename Wide>
Flow mulWide(Exec &x, const Instruction &i) {
  Slot<Wide> *d = x.out<Wide>(i.op[0]);
  const Slot<T> *a = x.in<T>(i.op[1]);
  const Slot<T> *b = x.in<T>(i.op[2]);
  const Slot<Wide> *c =
      i.op[3] == noOperand ? nullptr : x.in<Wide>(i.op[3]);
  uint32_t undefined =
      x.undefLanes<T>(i.op[1]) | x.undefLanes<T>(i.op[2]);
  if (c) {
    undefined |= x.undefLanes<Wide>(i.op[3]);
    forLanes(x.mask, [&](unsigned l) {
      d[l] = static_cast<Unsigned<Wide>>(
                 static_cast<Wide>(Wide(fromSlot<T>(a[l])) *
                                   Wide(fromSlot<T>(b[l])))) +
             c[l];
    });
  } else {
    forLanes(x.mask, [&](unsigned l) {
      d[l] = toSlot<Wide>(static_cast<Wide>(Wide(fromSlot<T>(a[l])) *
                                            Wide(fromSlot<T>(b[l]))));
    });
  }
  x.setUndef<Wide>(i.op[0], undefined);
  return Flow::next;
}

Handler mulWideFor(Type type) {
  switch (type) {
  case Type::u16:
    return mulWide<uint16_t, uint32_t>;
  case Type::s16:
    return mulWide<int16_t, int32_t>;
  case Type::u32:
    return mulWide<uint32_t, uint64_t>;
  case Type::s32:
    return mulWide<int32_t, int64_t>;
  default:
    return nullptr;
  }
}

template <typename T, bool high> struct MadBase {
  static Flow run(Exec &x, const Instruction &i) {
    Slot<T> *d = x.out<T>(i.op[0]);
    const Slot<T> *a = x.in<T>(i.op[1]);
    const Slot<T> *b = x.in<T>(i.op[2]);
    const Slot<T> *c = x.in<T>(i.op[3]);
    forLanes(x.mask, [&](unsigned l) {
      T product;
      if constexpr (high)
        product = MulHigh{}(fromSlot<T>(a[l]), fromSlot<T>(b[l]));
      else
        product = Mul{}(fromSlot<T>(a[l]), fromSlot<T>(b[l]));
      d[l] = toSlot<T>(Add{}(product, fromSlot<T>(c[l])));
    });
    x.setUndef<T>(i.op[0], x.undefLanes<T>(i.op[1]) |
                               x.undefLanes<T>(i.op[2]) |
                               x.undefLanes<T>(i.op[3]));
    return Flow::next;
  }
};
template <typename T> using MadLow = MadBase<T, false>;
template <typename T> using MadHigh = MadBase<T, true>;

Flow fmaF32(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<float>(i.op[0]);
  const uint32_t *a = x.in<float>(i.op[1]);
  const uint32_t *b = x.in<float>(i.op[2]);
  const uint32_t *c = x.in<float>(i.op[3]);
  auto f = [](uint32_t bits) { return std::bit_cast<float>(bits); };
  if (i.sub == 0) {
    forLanes(x.mask, [&](unsigned l) {
      d[l] = canonicalSlot(__builtin_fmaf(f(a[l]), f(b[l]), f(c[l])));
    });
  } else {
    bool ftz = i.sub & flagFtz, sat = i.sub & flagSat;
    auto g = [&](uint32_t bits) { return ftz ? flushed(f(bits)) : f(bits); };
    forLanes(x.mask, [&](unsigned l) {
      float r = __builtin_fmaf(g(a[l]), g(b[l]), g(c[l]));
      r = ftz ? flushed(r) : r;
      d[l] = canonicalSlot(sat ? saturated(r) : r);
    });
  }
  x.setUndef<float>(i.op[0], x.undefLanes<float>(i.op[1]) |
                                 x.undefLanes<float>(i.op[2]) |
                                 x.undefLanes<float>(i.op[3]));
  return Flow::next;
}

Flow fmaF64(Exec &x, const Instruction &i) {
  uint64_t *d = x.out<double>(i.op[0]);
  const uint64_t *a = x.in<double>(i.op[1]);
  const uint64_t *b = x.in<double>(i.op[2]);
  const uint64_t *c = x.in<double>(i.op[3]);
  auto f = [](uint64_t bits) { return std::bit_cast<double>(bits); };
  forLanes(x.mask, [&](unsigned l) {
    d[l] = std::bit_cast<uint64_t>(
        __builtin_fma(f(a[l]), f(b[l]), f(c[l])));
  });
  x.setUndef<double>(i.op[0], x.undefLanes<double>(i.op[1]) |
                                  x.undefLanes<double>(i.op[2]) |
                                  x.undefLanes<double>(i.op[3]));
  return Flow::next;
}

struct FloatForms {
  Handler f32, f64;
};

/// Handlers of a two-operand opcode on floats.
FloatForms floatForms(std::string_view opcode, bool nan) {
  if (opcode == "add")
    return {binaryF32<Add>, binaryHandler<double, Add>};
  if (opcode == "sub")
    return {binaryF32<Sub>, binaryHandler<double, Sub>};
  if (opcode == "mul")
    return {binaryF32<Mul>, binaryHandler<double, Mul>};
  if (opcode == "div")
    return {binaryF32<Div>, binaryHandler<double, Div>};
  if (opcode == "min")
    return {nan ? binaryF32<NanWins<Min>> : binaryF32<Min>,
            nan ? nullptr : binaryHandler<double, Min>};
  if (opcode == "max")
    return {nan ? binaryF32<NanWins<Max>> : binaryF32<Max>,
            nan ? nullptr : binaryHandler<double, Max>};
  if (opcode == "neg")
    return {unaryF32<Neg>, unaryHandler<double, Neg>};
  if (opcode == "abs")
    return {unaryF32<Abs>, unaryHandler<double, Abs>};
  return {nullptr, nullptr};
}

Handler integerForm(std::string_view opcode, Type type) {
  if (opcode == "add")
    return forInteger<AddInt>(type);
  if (opcode == "sub")
    return forInteger<SubInt>(type);
  if (opcode == "div")
    return forInteger<DivInt>(type);
  if (opcode == "rem")
    return forInteger<RemInt>(type);
  if (opcode == "min")
    return forInteger<MinInt>(type);
  if (opcode == "max")
    return forInteger<MaxInt>(type);
  bool neg = opcode == "neg";
  if (neg || opcode == "abs")
    switch (type) {
    case Type::s16:
      return neg ? unaryHandler<int16_t, Neg> : unaryHandler<int16_t, Abs>;
    case Type::s32:
      return neg ? unaryHandler<int32_t, Neg> : unaryHandler<int32_t, Abs>;
    case Type::s64:
      return neg ? unaryHandler<int64_t, Neg> : unaryHandler<int64_t, Abs>;
    default:
      break;
    }
  return nullptr;
}

/// Takes .rn, .ftz, .sat into out.sub. Other roundings stay and are refused.
void takeFloatFlags(DecodeContext &c, Type type) {
  c.take("rn");
  if (type == Type::f32 && c.take("ftz"))
    c.out.sub |= flagFtz;
  if (type == Type::f32 && c.take("sat"))
    c.out.sub |= flagSat;
}

} // namespace

Status decodeArithmetic(DecodeContext &c) {
  const std::string &opcode = c.parsed.opcode;
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  unsigned sources = opcode == "neg" || opcode == "abs" ? 1 : 2;
  if (type == Type::f16 || type == Type::bf16 || type == Type::f16x2 ||
      type == Type::bf16x2)
    return decodeHalfArithmetic(c, type);
  if (isFloat(type)) {
    bool division = opcode == "div";
    takeFloatFlags(c, type);
    // div.full and div.approx: the correctly rounded quotient is within their
    // bounds.
    if (division)
      c.takeOne({"full", "approx"});
    bool nan = (opcode == "min" || opcode == "max") && c.take("NaN");
    FloatForms forms = floatForms(opcode, nan);
    c.out.handler = type == Type::f32 ? forms.f32
                    : type == Type::f64 ? forms.f64
                                        : nullptr;
    if (!c.out.handler || bitsOf(type) < 32)
      return c.refuse("this form is not modelled");
    return decodeOperands(c, type, sources);
  }
  if (opcode == "mul") {
    int part = c.takeOne({"lo", "hi", "wide"});
    if (part == 2) {
      c.out.handler = mulWideFor(type);
      if (!c.out.handler)
        return c.refuse("this type is not modelled");
      HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
      Type wide = bitsOf(type) == 32 ? Type::b64 : Type::b32;
      HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, wide));
      HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
      HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, type));
      return c.finish();
    }
    if (part < 0)
      return c.refuse("mul needs .lo, .hi or .wide");
    c.out.handler =
        part == 0 ? forInteger<MulInt>(type) : forInteger<MulHighInt>(type);
  } else if ((opcode == "add" || opcode == "sub") && type == Type::s32 &&
             c.take("sat")) {
    c.out.handler = opcode == "add" ? binaryHandler<int32_t, AddSat>
                                    : binaryHandler<int32_t, SubSat>;
  } else {
    c.out.handler = integerForm(opcode, type);
  }
  if (!c.out.handler)
    return c.refuse("this type is not modelled");
  return decodeOperands(c, type, sources);
}

Status decodeFma(DecodeContext &c) {
  HADAL_ASSIGN_OR_RETURN(Type type, requireType(c));
  if (isFloat(type)) {
    takeFloatFlags(c, type);
    if (bitsOf(type) < 32 || type == Type::f16x2 || type == Type::bf16x2)
      return decodeHalfArithmetic(c, type);
    c.out.handler = type == Type::f32   ? fmaF32
                    : type == Type::f64 ? fmaF64
                                        : nullptr;
    if (!c.out.handler)
      return c.refuse("this type is not modelled");
    return decodeOperands(c, type, 3);
  }
  int part = c.takeOne({"lo", "hi", "wide"});
  if (part == 2) {
    c.out.handler = mulWideFor(type);
    if (!c.out.handler)
      return c.refuse("this type is not modelled");
    HADAL_RETURN_IF_ERROR(c.expectOperands(4, 4));
    Type wide = bitsOf(type) == 32 ? Type::b64 : Type::b32;
    HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, wide));
    HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, type));
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(3, wide));
    return c.finish();
  }
  if (part < 0 || c.parsed.opcode == "fma")
    return c.refuse("mad needs .lo, .hi or .wide");
  c.out.handler =
      part == 0 ? forInteger<MadLow>(type) : forInteger<MadHigh>(type);
  if (!c.out.handler)
    return c.refuse("this type is not modelled");
  return decodeOperands(c, type, 3);
}

} // namespace hadal::sim
