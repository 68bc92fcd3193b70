// add sub mul fma min max neg abs on f16, bf16 and their pairs: one rounding
// per operation, subnormals kept.
#include "runtime/drivers/sim/ops/Handlers.h"
#include "runtime/drivers/sim/semantics/Convert.h"

namespace hadal::sim {
namespace {

enum class Half : uint8_t { add, sub, mul, fma, min, max, neg, abs };

/// a * b + c with sticky odd rounding to double, so that a second rounding to
/// a narrow format is the only one that counts.
double fmaOdd(double a, double b, double c) {
  // The product of two 11-bit significands is exact in double.
  double product = a * b;
  double sum = product + c;
  if (!std::isfinite(sum))
    return sum;
  double back = sum - product;
  double rest = (product - (sum - back)) + (c - back);
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (rest != 0 && !(bits & 1)) {
    bool grow = (rest > 0) == (sum > 0);
    bits = grow ? bits + 1 : bits - 1;
  }
  return std::bit_cast<double>(bits);
}

uint16_t compute(Half op, bool nan, bool relu, FloatFormat format, uint16_t a,
                 uint16_t b, uint16_t c) {
  if (op == Half::neg)
    return a ^ 0x8000;
  if (op == Half::abs)
    return a & 0x7FFF;
  double u = decodeFloat(a, format), v = decodeFloat(b, format);
  double w = decodeFloat(c, format);
  CvtOptions options;
  options.relu = relu;
  switch (op) {
  case Half::add:
    return encodeFloat(fmaOdd(u, 1.0, v), format, options);
  case Half::sub:
    return encodeFloat(fmaOdd(u, 1.0, -v), format, options);
  case Half::mul:
    return encodeFloat(u * v, format, options);
  case Half::fma:
    return encodeFloat(fmaOdd(u, v, w), format, options);
  default:
    break;
  }
  if (std::isnan(u) || std::isnan(v)) {
    if (nan || (std::isnan(u) && std::isnan(v)))
      return 0x7FFF;
    return std::isnan(u) ? b : a;
  }
  if (u == v)
    return (op == Half::min) == bool(a & 0x8000) ? a : b;
  return (u < v) == (op == Half::min) ? a : b;
}

/// sub: operation; aux: bit 0 bf16, bit 1 pair, bit 2 NaN, bit 3 relu.
Flow halfHandler(Exec &x, const Instruction &i) {
  uint32_t *d = x.out<uint32_t>(i.op[0]);
  const uint32_t *a = x.in<uint32_t>(i.op[1]);
  const uint32_t *b = i.op[2] == noOperand ? a : x.in<uint32_t>(i.op[2]);
  const uint32_t *c = i.op[3] == noOperand ? a : x.in<uint32_t>(i.op[3]);
  FloatFormat format = i.aux & 1 ? FloatFormat::bf16 : FloatFormat::f16;
  Half op = static_cast<Half>(i.sub);
  uint32_t undefined = 0;
  for (unsigned s = 1; s < 4; ++s)
    if (i.op[s] != noOperand)
      undefined |= x.undefLanes<uint32_t>(i.op[s]);
  forLanes(x.mask, [&](unsigned l) {
    uint32_t low = compute(op, i.aux & 4, i.aux & 8, format, a[l], b[l], c[l]);
    if (i.aux & 2)
      low |= uint32_t(compute(op, i.aux & 4, i.aux & 8, format, a[l] >> 16,
                              b[l] >> 16, c[l] >> 16))
             << 16;
    d[l] = low;
  });
  x.setUndef<uint32_t>(i.op[0], undefined);
  return Flow::next;
}

} // namespace

Status decodeHalfArithmetic(DecodeContext &c, Type type) {
  static constexpr std::string_view names[] = {"add", "sub", "mul", "fma",
                                               "min", "max", "neg", "abs"};
  unsigned op = 0;
  while (op < std::size(names) && names[op] != c.parsed.opcode)
    ++op;
  if (op == std::size(names))
    return c.refuse("this type is not modelled");
  Half half = static_cast<Half>(op);
  c.out.handler = halfHandler;
  c.out.sub = op;
  bool brain = type == Type::bf16 || type == Type::bf16x2;
  bool pair = type == Type::f16x2 || type == Type::bf16x2;
  c.take("rn");
  bool nan = (half == Half::min || half == Half::max) && c.take("NaN");
  bool relu = half == Half::fma && c.take("relu");
  c.out.aux = (brain ? 1 : 0) | (pair ? 2 : 0) | (nan ? 4 : 0) | (relu ? 8 : 0);
  unsigned sources = half == Half::fma                         ? 3
                     : half == Half::neg || half == Half::abs ? 1
                                                               : 2;
  return decodeOperands(c, type, sources);
}

} // namespace hadal::sim
