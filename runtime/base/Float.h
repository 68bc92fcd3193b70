// Scalar conversions of the storage formats: bf16, e4m3fn, ue8m0.
// Exact tables of meaning; kernels carry their own vector forms and are tested
// against these.
#pragma once

#include <bit>
#include <cstdint>

namespace hadal {

/// bf16 bits -> f32, exact.
inline float bf16ToF32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// f32 -> bf16 bits, to nearest even. Overflow gives infinity; a NaN stays a
/// (quiet) NaN of its sign.
inline uint16_t f32ToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// e4m3fn code -> f32, exact: bias 7, no infinities, 0x7F and 0xFF are NaN,
/// largest 448 (0x7E), smallest subnormal 2^-9 (0x01).
float e4m3ToF32(uint8_t code);

/// f32 -> e4m3fn, to nearest even, saturating: beyond 448, infinities
/// included, gives +-448 (as PTX satfinite); NaN gives 0x7F with its sign.
uint8_t f32ToE4m3(float value);

/// ue8m0 code -> f32: 2^(code - 127), exact (code 0 is the f32 subnormal
/// 2^-127); 0xFF is NaN.
float e8m0ToF32(uint8_t code);

/// The smallest power of two >= |scale| as a ue8m0 code: exponent field plus
/// one where the mantissa is not zero, from the bits (log2 would round near
/// powers of two), clamped to 1..254. |scale| is finite and positive.
uint8_t f32ToE8m0Ceil(float scale);

} // namespace hadal
