// cvt.
#include "runtime/drivers/sim/ops/Handlers.h"
#include "runtime/drivers/sim/semantics/Convert.h"

namespace hadal::sim {
namespace {

/// Packed into Instruction: sub = rounding | flags, aux = dst << 8 | src.
constexpr uint8_t flagSat = 4, flagRelu = 8, flagFtz = 16, flagIntegral = 32;

FloatFormat formatOf(Type type) {
  switch (type) {
  case Type::bf16:
  case Type::bf16x2:
    return FloatFormat::bf16;
  case Type::e4m3x2:
    return FloatFormat::e4m3;
  case Type::e5m2x2:
    return FloatFormat::e5m2;
  default:
    return FloatFormat::f16;
  }
}

// ---- Integer to integer ----------------------------------------------

uint64_t extended(uint64_t value, Type type) {
  unsigned bits = bitsOf(type);
  if (bits == 64)
    return value;
  uint64_t low = value & ((uint64_t(1) << bits) - 1);
  if (isSigned(type) && (low >> (bits - 1) & 1))
    low |= ~uint64_t(0) << bits;
  return low;
}

/// .sat: clamps |value| of type |from| to the range of |to|.
uint64_t clamped(uint64_t value, Type from, Type to) {
  unsigned bits = bitsOf(to);
  __int128 v = isSigned(from) ? __int128(static_cast<int64_t>(value))
                              : __int128(value);
  __int128 low = isSigned(to) ? -(__int128(1) << (bits - 1)) : 0;
  __int128 high = isSigned(to) ? (__int128(1) << (bits - 1)) - 1
                               : (__int128(1) << bits) - 1;
  return static_cast<uint64_t>(v < low ? low : v > high ? high : v);
}

/// Value rows: source slot S, destination slot D; bytes keep their
/// definedness.
template <typename S, typename D>
Flow integerConvert(Exec &x, const Instruction &i) {
  Type to = static_cast<Type>(i.aux >> 8), from = static_cast<Type>(i.aux & 255);
  unsigned toBytes = bytesOf(to), fromBytes = bytesOf(from);
  uint32_t words[8] = {};
  const uint32_t *u = x.undef(i.op[1]);
  for (unsigned n = 0; n < sizeof(D); ++n) {
    if (n < fromBytes)
      words[n] = u[n];
    else if (isSigned(from))
      words[n] = u[fromBytes - 1];
    // Beyond the destination's type the value is extended by its sign.
    if (n >= toBytes)
      words[n] = isSigned(to) ? words[toBytes - 1] : 0;
  }
  const S *a = x.in<S>(i.op[1]);
  D *d = x.out<D>(i.op[0]);
  // The two common cases: a plain widening and a plain narrowing.
  if (!(i.sub & flagSat) && !isSigned(from) && !isSigned(to)) {
    uint64_t keep = ~uint64_t(0) >> (64 - std::min(bitsOf(from), bitsOf(to)));
    forLanes(x.mask, [&](unsigned l) { d[l] = static_cast<D>(a[l] & keep); });
  } else {
    forLanes(x.mask, [&](unsigned l) {
      uint64_t value = extended(a[l], from);
      if (i.sub & flagSat)
        value = clamped(value, from, to);
      d[l] = static_cast<D>(extended(value, to));
    });
  }
  x.setUndefBytes<D>(i.op[0], words);
  return Flow::next;
}

// ---- Through a double -------------------------------------------------

double valueOf(uint64_t bits, Type type) {
  switch (type) {
  case Type::f32:
    return std::bit_cast<float>(static_cast<uint32_t>(bits));
  case Type::f64:
    return std::bit_cast<double>(bits);
  default:
    return decodeFloat(bits, formatOf(type));
  }
}

/// Rounds |value| to f32; .rz .rm .rp by stepping off the nearest value.
float narrowed(double value, Rounding rounding) {
  float nearest = static_cast<float>(value);
  if (rounding == Rounding::nearestEven || std::isnan(value) ||
      std::isinf(value))
    return nearest;
  bool toward = rounding == Rounding::zero ? std::fabs(nearest) > std::fabs(value)
                : rounding == Rounding::down ? nearest > value
                                             : nearest < value;
  if (!toward)
    return nearest;
  float aim = rounding == Rounding::zero   ? 0.0f
              : rounding == Rounding::down ? -INFINITY
                                           : INFINITY;
  return std::nextafter(nearest, aim);
}

uint64_t convertOne(uint64_t bits, Type to, Type from, uint8_t flags) {
  Rounding rounding = static_cast<Rounding>(flags & 3);
  if (!isFloat(from)) {
    uint64_t value = extended(bits, from);
    if (to == Type::f64)
      return std::bit_cast<uint64_t>(
          isSigned(from) ? static_cast<double>(static_cast<int64_t>(value))
                         : static_cast<double>(value));
    if (to == Type::f32)
      return std::bit_cast<uint32_t>(
          cvtF32Int(value, bitsOf(from), isSigned(from), rounding));
    // Integers over 53 bits do not reach here (refused).
    double exact = isSigned(from) ? double(static_cast<int64_t>(value))
                                  : double(value);
    return encodeFloat(exact, formatOf(to), {rounding, false, false});
  }
  double value = valueOf(bits, from);
  if (flags & flagFtz && from == Type::f32)
    value = flushed(static_cast<float>(value));
  if (!isFloat(to))
    return cvtIntFloat(value, rounding, bitsOf(to), isSigned(to),
                       from == Type::f64);
  if (flags & flagIntegral)
    value = roundToIntegral(value, rounding);
  if (to == Type::f64)
    return std::bit_cast<uint64_t>(value);
  if (to == Type::f32) {
    float result = narrowed(value, rounding);
    if (flags & flagFtz)
      result = flushed(result);
    if (flags & flagSat)
      result = saturated(result);
    return canonicalSlot(result);
  }
  return encodeFloat(value, formatOf(to),
                     {rounding, bool(flags & flagSat), bool(flags & flagRelu)});
}

template <typename S, typename D>
Flow floatConvert(Exec &x, const Instruction &i) {
  Type to = static_cast<Type>(i.aux >> 8), from = static_cast<Type>(i.aux & 255);
  const S *a = x.in<S>(i.op[1]);
  uint32_t undefined = x.undefLanes<S>(i.op[1]);
  D *d = x.out<D>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = static_cast<D>(convertOne(a[l], to, from, i.sub));
  });
  x.setUndef<D>(i.op[0], undefined);
  return Flow::next;
}

// ---- Fast forms -------------------------------------------------------

inline uint32_t toBf16(uint32_t bits) {
  uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FFF : rounded;
}

Flow bf16FromF32(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<float>(i.op[1]);
  uint32_t undefined = x.undefLanes<float>(i.op[1]);
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = toBf16(a[l]); });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

Flow f32FromBf16(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  uint32_t undefined = x.undefLanes<uint32_t>(i.op[1]);
  uint32_t *d = x.out<float>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) { d[l] = a[l] << 16; });
  x.setUndef<float>(i.op[0], undefined);
  return Flow::next;
}

Flow f32FromS32(Exec &x, const Instruction &i) {
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  uint32_t undefined = x.undefLanes<uint32_t>(i.op[1]);
  uint32_t *d = x.out<float>(i.op[0]);
  forLanes(x.mask, [&](unsigned l) {
    d[l] = std::bit_cast<uint32_t>(
        static_cast<float>(static_cast<int32_t>(a[l])));
  });
  x.setUndef<float>(i.op[0], undefined);
  return Flow::next;
}

void setHalves(Exec &x, Operand d, uint32_t low, uint32_t high,
               unsigned halfBytes) {
  uint32_t words[4] = {};
  for (unsigned n = 0; n < 2 * halfBytes; ++n)
    words[n] = n < halfBytes ? low : high;
  x.setUndefBytes<uint32_t>(d, words);
}

/// cvt.*.x2.f32 d, a, b: a to the high half.
Flow packPair(Exec &x, const Instruction &i) {
  Type to = static_cast<Type>(i.aux >> 8);
  const uint32_t *a = x.in<float>(i.op[1]);
  const uint32_t *b = x.in<float>(i.op[2]);
  uint32_t high = x.undefLanes<float>(i.op[1]);
  uint32_t low = x.undefLanes<float>(i.op[2]);
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  if (to == Type::bf16x2 && i.sub == 0) {
    forLanes(x.mask,
             [&](unsigned l) { d[l] = toBf16(a[l]) << 16 | toBf16(b[l]); });
  } else {
    CvtOptions options{static_cast<Rounding>(i.sub & 3), bool(i.sub & flagSat),
                       bool(i.sub & flagRelu)};
    FloatFormat format = formatOf(to);
    forLanes(x.mask, [&](unsigned l) {
      d[l] = cvtPackF32(std::bit_cast<float>(a[l]), std::bit_cast<float>(b[l]),
                        format, options);
    });
  }
  setHalves(x, i.op[0], low, high, bytesOf(to) / 2);
  return Flow::next;
}

/// e4m3x2 / e5m2x2 from f16x2, and back.
Flow repackPair(Exec &x, const Instruction &i) {
  Type to = static_cast<Type>(i.aux >> 8), from = static_cast<Type>(i.aux & 255);
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  const uint32_t *u = x.undef(i.op[1]);
  bool narrow = from == Type::f16x2;
  uint32_t low = narrow ? u[0] | u[1] : u[0];
  uint32_t high = narrow ? u[2] | u[3] : u[1];
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  bool relu = i.sub & flagRelu;
  forLanes(x.mask, [&](unsigned l) {
    d[l] = narrow ? cvtPackF16x2(a[l], formatOf(to), relu)
                  : cvtUnpackF16x2(a[l], formatOf(from), relu);
  });
  setHalves(x, i.op[0], low, high, narrow ? 1 : 2);
  return Flow::next;
}

bool isEightBitPair(Type type) {
  return type == Type::e4m3x2 || type == Type::e5m2x2;
}

Handler integerHandler(unsigned from, unsigned to) {
  if (from == 32)
    return to == 32 ? integerConvert<uint32_t, uint32_t>
                    : integerConvert<uint32_t, uint64_t>;
  return to == 32 ? integerConvert<uint64_t, uint32_t>
                  : integerConvert<uint64_t, uint64_t>;
}
Handler floatHandler(unsigned from, unsigned to) {
  if (from == 32)
    return to == 32 ? floatConvert<uint32_t, uint32_t>
                    : floatConvert<uint32_t, uint64_t>;
  return to == 32 ? floatConvert<uint64_t, uint32_t>
                  : floatConvert<uint64_t, uint64_t>;
}

/// A register operand whose declared width may exceed its type.
Type widthOf(const ParsedOperand &operand, Type type) {
  if (operand.kind != ParsedOperand::registerRow)
    return type;
  return operand.bits == 64 ? Type::b64 : operand.bits == 32 ? Type::b32
                                                              : Type::b16;
}

Status decodePair(DecodeContext &c, Type to, Type from) {
  bool needsSat = isEightBitPair(to);
  bool sat = c.take("satfinite");
  if (needsSat && !sat)
    return c.refuse("needs .satfinite");
  if (sat)
    c.out.sub |= flagSat;
  if (c.take("relu"))
    c.out.sub |= flagRelu;
  if (from == Type::f32) {
    c.out.handler = packPair;
    HADAL_RETURN_IF_ERROR(c.expectOperands(3, 3));
    HADAL_ASSIGN_OR_RETURN(c.out.op[2], c.source(2, from));
  } else if ((needsSat && from == Type::f16x2) ||
             (to == Type::f16x2 && isEightBitPair(from))) {
    c.out.handler = repackPair;
    HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  } else {
    return c.refuse("this conversion is not on sm_90a");
  }
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, to));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, from));
  return c.finish();
}

} // namespace

Status decodeConvert(DecodeContext &c) {
  int integral = c.takeOne({"rni", "rzi", "rmi", "rpi"});
  int rounding = integral >= 0 ? -1 : c.takeOne({"rn", "rz", "rm", "rp"});
  c.out.sub = std::max(integral, std::max(rounding, 0));
  HADAL_ASSIGN_OR_RETURN(Type to, requireType(c));
  HADAL_ASSIGN_OR_RETURN(Type from, requireType(c));
  c.out.aux = static_cast<uint16_t>(to) << 8 | static_cast<uint16_t>(from);
  if (to == Type::pred || from == Type::pred || isBits(to) || isBits(from))
    return c.refuse("this type cannot be converted");
  bool pair = to == Type::f16x2 || to == Type::bf16x2 || isEightBitPair(to);
  if (pair)
    return rounding < 0 ? c.refuse("needs a rounding") : decodePair(c, to, from);
  if (from == Type::f16x2 || from == Type::bf16x2 || isEightBitPair(from))
    return c.refuse("this conversion is not on sm_90a");
  if (c.take("ftz"))
    c.out.sub |= flagFtz;
  if (c.take("sat") || c.take("satfinite"))
    c.out.sub |= flagSat;
  if (c.take("relu"))
    c.out.sub |= flagRelu;
  bool floats = isFloat(to) || isFloat(from);
  if (isFloat(to) && integral >= 0) {
    if (to != from)
      return c.refuse("an integral rounding needs one type");
    c.out.sub |= flagIntegral;
  }
  if (isFloat(from) && !isFloat(to) && integral < 0)
    return c.refuse("needs .rni, .rzi, .rmi or .rpi");
  if (isFloat(to) && !isFloat(from) && rounding < 0)
    return c.refuse("needs a rounding");
  if (!isFloat(from) && isFloat(to) && bitsOf(to) != 32 &&
      bitsOf(from) == 64)
    return c.refuse("64-bit integers convert to f32 only");
  if ((c.out.sub & flagSat) && floats && to != Type::f32 && isFloat(to) &&
      bitsOf(to) != 16)
    return c.refuse(".sat is not modelled for this type");

  HADAL_RETURN_IF_ERROR(c.expectOperands(2, 2));
  Type toSlot = widthOf(c.operand(0), to), fromSlot = widthOf(c.operand(1), from);
  if (bitsOf(toSlot) < bitsOf(to) || bitsOf(fromSlot) < bitsOf(from))
    return c.refuse("a register is narrower than its type");
  HADAL_ASSIGN_OR_RETURN(c.out.op[0], c.destination(0, toSlot));
  HADAL_ASSIGN_OR_RETURN(c.out.op[1], c.source(1, fromSlot));
  unsigned fromBits = DecodeContext::slotBits(fromSlot);
  unsigned toBits = DecodeContext::slotBits(toSlot);
  if (!floats)
    c.out.handler = integerHandler(fromBits, toBits);
  else if (to == Type::bf16 && from == Type::f32 && c.out.sub == 0)
    c.out.handler = bf16FromF32;
  else if (to == Type::f32 && from == Type::bf16 && c.out.sub == 0)
    c.out.handler = f32FromBf16;
  else if (to == Type::f32 && from == Type::s32 && c.out.sub == 0)
    c.out.handler = f32FromS32;
  else
    c.out.handler = floatHandler(fromBits, toBits);
  return c.finish();
}

} // namespace hadal::sim
