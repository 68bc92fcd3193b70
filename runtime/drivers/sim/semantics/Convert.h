// cvt: conversions between the floating-point storage formats of PTX and
// between floats and integers (PTX ISA, instruction cvt). Pure functions on
// bit patterns. Written from the ISA's rules, not shared with the kernels.
#pragma once

#include <cstdint>

namespace hadal::sim {

/// Rounding of a conversion: to nearest even, toward zero, down, up.
enum class Rounding : uint8_t { nearestEven, zero, down, up };

/// A small floating-point format of PTX.
enum class FloatFormat : uint8_t { f16, bf16, e4m3, e5m2 };

/// Options of a conversion to a small format.
struct CvtOptions {
  Rounding rounding = Rounding::nearestEven;
  /// Infinity and overflow give the largest finite value; always the case for
  /// e4m3 and e5m2, which have no other form.
  bool saturate = false;
  /// Negative values give +0; a NaN stays the canonical NaN.
  bool relu = false;
};

/// |value| (exact in double for every source type of cvt) in |format| with one
/// rounding. NaN gives the canonical NaN: 0x7FFF for f16 and bf16, 0x7F for
/// the 8-bit formats.
uint16_t encodeFloat(double value, FloatFormat format, CvtOptions options);

/// The value of |bits|; exact. The sign and payload of a NaN are dropped.
float decodeFloat(uint16_t bits, FloatFormat format);

inline uint16_t cvtF16F32(float a, CvtOptions options = {}) {
  return encodeFloat(a, FloatFormat::f16, options);
}
inline uint16_t cvtBf16F32(float a, CvtOptions options = {}) {
  return encodeFloat(a, FloatFormat::bf16, options);
}
inline uint8_t cvtE4m3F32(float a, bool relu = false) {
  return static_cast<uint8_t>(
      encodeFloat(a, FloatFormat::e4m3, {Rounding::nearestEven, true, relu}));
}
inline uint8_t cvtE5m2F32(float a, bool relu = false) {
  return static_cast<uint8_t>(
      encodeFloat(a, FloatFormat::e5m2, {Rounding::nearestEven, true, relu}));
}

/// cvt.*.{f16x2,bf16x2,e4m3x2,e5m2x2}.f32 d, a, b: |a| goes to the high half.
uint32_t cvtPackF32(float a, float b, FloatFormat format, CvtOptions options);

/// cvt.rn.satfinite.{e4m3x2,e5m2x2}.f16x2 d, a: half by half.
uint16_t cvtPackF16x2(uint32_t a, FloatFormat format, bool relu);

/// cvt.rn.f16x2.{e4m3x2,e5m2x2} d, a: exact; byte 1 to the high half.
uint32_t cvtUnpackF16x2(uint16_t a, FloatFormat format, bool relu);

/// cvt.{rni,rzi,rmi,rpi}.f32.f32 and .f64.f64: rounds to an integral value.
double roundToIntegral(double value, Rounding rounding);

/// cvt.r?i.{s,u}N.f*: rounds, then saturates to the |bits|-wide (8..64)
/// destination. A NaN gives 0, except for a 64-bit destination or an f64
/// source, where it gives 0x8000000000000000 (low |bits| bits: 0x80.. for 32).
uint64_t cvtIntFloat(double value, Rounding rounding, unsigned bits,
                     bool isSigned, bool sourceIsF64);

/// cvt.r?.f32.{s,u}N: one rounding.
float cvtF32Int(uint64_t value, unsigned bits, bool isSigned,
                Rounding rounding);

} // namespace hadal::sim
