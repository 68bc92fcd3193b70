#include "runtime/base/Float.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace hadal {

float e4m3ToF32(uint8_t code) {
  int exponent = (code >> 3) & 15;
  int mantissa = code & 7;
  float magnitude;
  if (exponent == 15 && mantissa == 7)
    magnitude = std::numeric_limits<float>::quiet_NaN();
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(mantissa), -9);
  else
    magnitude = std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return code & 0x80 ? -magnitude : magnitude;
}

uint8_t f32ToE4m3(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint8_t sign = static_cast<uint8_t>((bits >> 24) & 0x80);
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return sign | 0x7f;
  if (magnitude >= std::bit_cast<uint32_t>(448.0f))
    return sign | 0x7e;
  if (magnitude < std::bit_cast<uint32_t>(0x1p-6f)) {
    // Subnormal: a multiple of 2^-9. The sum rounds to nearest even at that
    // unit, since it lies in [2^14, 2^15) where an f32 step is 2^-9.
    float rounded = std::bit_cast<float>(magnitude) + 0x1p14f;
    return sign | static_cast<uint8_t>(std::bit_cast<uint32_t>(rounded) -
                                       std::bit_cast<uint32_t>(0x1p14f));
  }
  // Keep 3 mantissa bits; a carry into the exponent is the right result.
  uint32_t rounded = magnitude + 0x7ffffu + ((magnitude >> 20) & 1u);
  return sign | static_cast<uint8_t>((rounded >> 20) - ((127 - 7) << 3));
}

float e8m0ToF32(uint8_t code) {
  if (code == 0xff)
    return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(code) - 127);
}

uint8_t f32ToE8m0Ceil(float scale) {
  assert(std::isfinite(scale) && scale > 0);
  uint32_t bits = std::bit_cast<uint32_t>(scale);
  uint32_t exponent = (bits >> 23) + ((bits & 0x7fffffu) != 0);
  return static_cast<uint8_t>(std::clamp<uint32_t>(exponent, 1, 254));
}

} // namespace hadal
