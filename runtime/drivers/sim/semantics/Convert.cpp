#include "runtime/drivers/sim/semantics/Convert.h"

#include <bit>
#include <cmath>
#include <limits>

namespace hadal::sim {
namespace {

/// What distinguishes one format: |maxCode| is the largest finite magnitude,
/// |infCode| the code of infinity or 0 when the format has none.
struct Traits {
  int mantissaBits;
  int bias;
  uint16_t maxCode;
  uint16_t infCode;
  uint16_t nanCode;
  uint16_t signBit;
};

constexpr Traits traitsOf(FloatFormat format) {
  switch (format) {
  case FloatFormat::f16:
    return {10, 15, 0x7bff, 0x7c00, 0x7fff, 0x8000};
  case FloatFormat::bf16:
    return {7, 127, 0x7f7f, 0x7f80, 0x7fff, 0x8000};
  case FloatFormat::e4m3:
    return {3, 7, 0x7e, 0, 0x7f, 0x80};
  case FloatFormat::e5m2:
    return {2, 15, 0x7b, 0x7c, 0x7f, 0x80};
  }
  return {};
}

/// |magnitude| >= 0 rounded to an integer; |negative| decides down and up.
double roundMagnitude(double magnitude, Rounding rounding, bool negative) {
  double floor = std::floor(magnitude);
  double rest = magnitude - floor;
  bool up = false;
  switch (rounding) {
  case Rounding::nearestEven:
    up = rest > 0.5 || (rest == 0.5 && std::fmod(floor, 2.0) != 0.0);
    break;
  case Rounding::zero:
    break;
  case Rounding::down:
    up = negative && rest > 0;
    break;
  case Rounding::up:
    up = !negative && rest > 0;
    break;
  }
  return floor + (up ? 1.0 : 0.0);
}

} // namespace

uint16_t encodeFloat(double value, FloatFormat format, CvtOptions options) {
  const Traits traits = traitsOf(format);
  if (std::isnan(value))
    return traits.nanCode;
  bool negative = std::signbit(value);
  if (options.relu && negative)
    return 0;
  const uint16_t sign = negative ? traits.signBit : 0;
  const bool saturate = options.saturate || traits.infCode == 0;
  const uint16_t overflow = saturate ? traits.maxCode : traits.infCode;
  double magnitude = std::fabs(value);
  if (std::isinf(magnitude))
    return sign | overflow;
  if (magnitude == 0)
    return sign;
  // The quantum is the unit in the last place at this magnitude, held at the
  // subnormal one below the smallest normal number.
  int exponent = std::max(std::ilogb(magnitude), 1 - traits.bias);
  double units = std::ldexp(magnitude, traits.mantissaBits - exponent);
  auto code = static_cast<uint64_t>(
      roundMagnitude(units, options.rounding, negative));
  // units >= 2^mantissaBits is a normal number: the implicit bit adds one to
  // the exponent field, and a carry out of the fraction does the same.
  code += static_cast<uint64_t>(exponent + traits.bias - 1)
          << traits.mantissaBits;
  if (code > traits.maxCode) {
    bool towardZero =
        options.rounding == Rounding::zero ||
        options.rounding == (negative ? Rounding::up : Rounding::down);
    return sign | (towardZero ? traits.maxCode : overflow);
  }
  return sign | static_cast<uint16_t>(code);
}

float decodeFloat(uint16_t bits, FloatFormat format) {
  const Traits traits = traitsOf(format);
  unsigned magnitude = bits & (traits.signBit - 1u);
  bool negative = bits & traits.signBit;
  if (traits.infCode && magnitude == traits.infCode) {
    float infinity = std::numeric_limits<float>::infinity();
    return negative ? -infinity : infinity;
  }
  if (magnitude > traits.maxCode)
    return std::bit_cast<float>(0x7fffffffu);
  unsigned exponent = magnitude >> traits.mantissaBits;
  unsigned fraction = magnitude & ((1u << traits.mantissaBits) - 1);
  if (exponent)
    fraction |= 1u << traits.mantissaBits;
  else
    exponent = 1;
  float value = static_cast<float>(
      std::ldexp(static_cast<double>(fraction),
                 static_cast<int>(exponent) - traits.bias -
                     traits.mantissaBits));
  return negative ? -value : value;
}

uint32_t cvtPackF32(float a, float b, FloatFormat format, CvtOptions options) {
  unsigned half =
      format == FloatFormat::f16 || format == FloatFormat::bf16 ? 16 : 8;
  return static_cast<uint32_t>(encodeFloat(a, format, options)) << half |
         encodeFloat(b, format, options);
}

uint16_t cvtPackF16x2(uint32_t a, FloatFormat format, bool relu) {
  CvtOptions options{Rounding::nearestEven, true, relu};
  float high = decodeFloat(static_cast<uint16_t>(a >> 16), FloatFormat::f16);
  float low = decodeFloat(static_cast<uint16_t>(a), FloatFormat::f16);
  return static_cast<uint16_t>(cvtPackF32(high, low, format, options));
}

uint32_t cvtUnpackF16x2(uint16_t a, FloatFormat format, bool relu) {
  CvtOptions options{Rounding::nearestEven, false, relu};
  return cvtPackF32(decodeFloat(a >> 8, format), decodeFloat(a & 0xff, format),
                    FloatFormat::f16, options);
}

double roundToIntegral(double value, Rounding rounding) {
  if (!std::isfinite(value))
    return value;
  bool negative = std::signbit(value);
  double magnitude = roundMagnitude(std::fabs(value), rounding, negative);
  return negative ? -magnitude : magnitude;
}

uint64_t cvtIntFloat(double value, Rounding rounding, unsigned bits,
                     bool isSigned, bool sourceIsF64) {
  const uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
  if (std::isnan(value)) {
    if (bits == 64 || sourceIsF64)
      return 1ull << (bits - 1);
    return 0;
  }
  double rounded = roundToIntegral(value, rounding);
  double limit = std::ldexp(1.0, static_cast<int>(isSigned ? bits - 1 : bits));
  if (rounded >= limit)
    return isSigned ? mask >> 1 : mask;
  if (isSigned) {
    if (rounded < -limit)
      return 1ull << (bits - 1);
    return static_cast<uint64_t>(static_cast<int64_t>(rounded)) & mask;
  }
  return rounded <= 0 ? 0 : static_cast<uint64_t>(rounded);
}

float cvtF32Int(uint64_t value, unsigned bits, bool isSigned,
                Rounding rounding) {
  const uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
  value &= mask;
  bool negative = isSigned && (value >> (bits - 1) & 1);
  uint64_t magnitude = negative ? (~value + 1) & mask : value;
  if (magnitude == 0)
    return 0.0f;
  // 24 significant bits survive; the rest decides the rounding.
  int drop = 64 - std::countl_zero(magnitude) - 24;
  if (drop > 0) {
    uint64_t kept = magnitude >> drop;
    uint64_t rest = magnitude & ((1ull << drop) - 1);
    uint64_t half = 1ull << (drop - 1);
    bool up = false;
    switch (rounding) {
    case Rounding::nearestEven:
      up = rest > half || (rest == half && (kept & 1));
      break;
    case Rounding::zero:
      break;
    case Rounding::down:
      up = negative && rest;
      break;
    case Rounding::up:
      up = !negative && rest;
      break;
    }
    float result = std::ldexp(static_cast<float>(kept + up), drop);
    return negative ? -result : result;
  }
  auto result = static_cast<float>(magnitude);
  return negative ? -result : result;
}

} // namespace hadal::sim
