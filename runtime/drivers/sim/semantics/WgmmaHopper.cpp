// The hopper13 accumulation model; ptx numerics of Hopper's tensor cores as
// published with arXiv 2511.10909: align, truncate, add as integers.
#include "runtime/drivers/sim/semantics/Convert.h"
#include "runtime/drivers/sim/semantics/Vectorised.h"
#include "runtime/drivers/sim/semantics/WgmmaCompute.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace hadal::sim {
namespace {

/// The exponent of a zero term in the model.
constexpr int zeroExponent = -126;

/// Smallest normal exponent of an operand type; subnormals are held at it.
constexpr int minimumExponent(WgmmaType type) {
  switch (type) {
  case WgmmaType::e4m3:
    return -6;
  case WgmmaType::e5m2:
  case WgmmaType::f16:
    return -14;
  case WgmmaType::bf16:
    return -126;
  }
  return -126;
}

/// Exponent of a finite |x| of |type|.
inline int exponentOf(WgmmaType type, float x) {
  if (x == 0)
    return zeroExponent;
  int field = static_cast<int>(std::bit_cast<uint32_t>(x) >> 23 & 0xff);
  return std::max(std::max(field, 1) - 127, minimumExponent(type));
}

inline int accumulatorExponent(float c) {
  int field = static_cast<int>(std::bit_cast<uint32_t>(c) >> 23 & 0xff);
  return std::max(field, 1) - 127;
}

bool is8Bit(WgmmaType type) { return wgmmaElementBytes(type) == 1; }

/// |value| truncated toward zero to |bits| fraction bits; below 2^-126 the
/// quantum stays that of the smallest normal number.
float truncateToFloat(double value, int bits) {
  if (value == 0)
    return 0.0f;
  int exponent = std::max(std::ilogb(value), -126);
  if (exponent > 127)
    return static_cast<float>(std::copysign(INFINITY, value));
  double units = std::trunc(std::ldexp(value, bits - exponent));
  return static_cast<float>(std::ldexp(units, exponent - bits));
}

constexpr uint32_t canonicalNan = 0x7fffffffu;

} // namespace

float hopperDot(WgmmaType ta, WgmmaType tb, const float *a, const float *b,
                unsigned count, float c, bool f16Result) {
  // Infinities and NaNs obey the usual algebra.
  double special = 0;
  bool finite = std::isfinite(c);
  if (!finite)
    special += c;
  for (unsigned i = 0; i < count; ++i)
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) {
      finite = false;
      special += static_cast<double>(a[i]) * b[i];
    }
  if (!finite)
    return std::isnan(special) ? std::bit_cast<float>(canonicalNan)
                               : static_cast<float>(special);

  const int fraction = is8Bit(ta) ? 13 : 25;
  int largest = c == 0 ? zeroExponent : accumulatorExponent(c);
  for (unsigned i = 0; i < count; ++i)
    largest = std::max(largest, exponentOf(ta, a[i]) + exponentOf(tb, b[i]));
  double sum = std::trunc(
      std::ldexp(static_cast<double>(c), fraction - largest));
  for (unsigned i = 0; i < count; ++i)
    sum += std::trunc(
        std::ldexp(static_cast<double>(a[i]) * b[i], fraction - largest));
  double value = std::ldexp(sum, largest - fraction);
  if (f16Result)
    return decodeFloat(encodeFloat(value, FloatFormat::f16, {}),
                       FloatFormat::f16);
  return truncateToFloat(value, is8Bit(ta) ? 13 : 23);
}

namespace {

/// Exponents of the operands of one instruction.
struct Exponents {
  alignas(64) int32_t a[64 * 32];
  alignas(64) int32_t b[32 * 256];
};

/// The largest exponent of the terms and the accumulator, lane by lane.
template <unsigned W>
[[gnu::always_inline]] inline Lanes<int32_t, W>
largestExponent(const int32_t *ea, const int32_t *eb, unsigned n, unsigned k,
                Lanes<int32_t, W> accumulator) {
  using Int = Lanes<int32_t, W>;
  Int field = accumulator >> 23 & 0xff;
  Int largest = __builtin_elementwise_max(field, Int{} + 1) - 127;
  for (unsigned kk = 0; kk < k; ++kk)
    largest = __builtin_elementwise_max(largest,
                                        loadLanes<Int>(eb + kk * n) + ea[kk]);
  return largest;
}

/// Below this exponent the f32 form would leave the range of its scale.
constexpr int smallestVectorExponent = -100;

/// One row by W columns of 8-bit products. Terms are at most 4 * 2^13 in
/// magnitude, 33 of them, so int32 sums are exact. |low| is non-zero in the
/// lanes that are left to the scalar form.
template <unsigned W>
[[gnu::always_inline]] inline void
row8Bit(const float *a, const int32_t *ea, const float *b, const int32_t *eb,
        unsigned n, unsigned k, float *d, Lanes<int32_t, W> &low) {
  using Int = Lanes<int32_t, W>;
  using Float = Lanes<float, W>;
  Float c = loadLanes<Float>(d);
  Int largest = largestExponent<W>(ea, eb, n, k, std::bit_cast<Int>(c));
  low = largest < smallestVectorExponent;
  largest = __builtin_elementwise_max(largest, Int{} + smallestVectorExponent);
  Float scale = std::bit_cast<Float>((13 - largest + 127) << 23);
  Int sum = __builtin_convertvector(c * scale, Int);
  for (unsigned kk = 0; kk < k; ++kk)
    sum += __builtin_convertvector(a[kk] * loadLanes<Float>(b + kk * n) * scale,
                                   Int);
  Float unit = std::bit_cast<Float>((largest - 13 + 127) << 23);
  Float value = __builtin_convertvector(sum, Float) * unit;
  // 13 of the 23 fraction bits survive.
  Int cut = std::bit_cast<Int>(value) & ~0x3ff;
  Int result = (low & std::bit_cast<Int>(c)) | (~low & cut);
  std::memcpy(d, &result, sizeof(result));
}

/// The same for 16-bit operands in double: sums stay below 2^33, exact.
template <unsigned W>
[[gnu::always_inline]] inline void
row16Bit(const float *a, const int32_t *ea, const float *b, const int32_t *eb,
         unsigned n, unsigned k, float *d, Lanes<int32_t, W> &low) {
  using Int = Lanes<int32_t, W>;
  using Long = Lanes<int64_t, W>;
  using Float = Lanes<float, W>;
  using Double = Lanes<double, W>;
  Float c = loadLanes<Float>(d);
  Long largest = __builtin_convertvector(
      largestExponent<W>(ea, eb, n, k, std::bit_cast<Int>(c)), Long);
  Double scale = std::bit_cast<Double>((25 - largest + 1023) << 52);
  Double sum =
      __builtin_elementwise_trunc(__builtin_convertvector(c, Double) * scale);
  for (unsigned kk = 0; kk < k; ++kk) {
    Double line =
        __builtin_convertvector(loadLanes<Float>(b + kk * n), Double);
    sum += __builtin_elementwise_trunc(static_cast<double>(a[kk]) * line *
                                       scale);
  }
  Double unit = std::bit_cast<Double>((largest - 25 + 1023) << 52);
  Double value = sum * unit;
  Double magnitude = __builtin_elementwise_abs(value);
  Long outside = (magnitude != 0.0) &
                 ((magnitude < 0x1p-126) | (magnitude >= 0x1p128));
  low = __builtin_convertvector(outside, Int);
  // Cutting the low 29 fraction bits truncates to f32 in its normal range.
  Double cut = std::bit_cast<Double>(std::bit_cast<Long>(value) &
                                     ~((int64_t{1} << 29) - 1));
  Int bits = std::bit_cast<Int>(__builtin_convertvector(cut, Float));
  Int result = (low & std::bit_cast<Int>(c)) | (~low & bits);
  std::memcpy(d, &result, sizeof(result));
}

template <unsigned W>
[[gnu::always_inline]] inline void
hopperBlock(const WgmmaShape &shape, const Exponents &exponents, const float *a,
            const float *b, float *d, unsigned c) {
  const unsigned n = shape.n, k = shape.k();
  const bool small = wgmmaElementBytes(shape.a) == 1;
  for (unsigned row = 0; row < 64; ++row) {
    Lanes<int32_t, W> low;
    float *out = d + row * n + c;
    if (small)
      row8Bit<W>(a + row * k, exponents.a + row * k, b + c, exponents.b + c, n,
                 k, out, low);
    else
      row16Bit<W>(a + row * k, exponents.a + row * k, b + c, exponents.b + c,
                  n, k, out, low);
    if (!__builtin_reduce_or(low))
      continue;
    float column[32];
    for (unsigned j = 0; j < W; ++j) {
      if (!low[j])
        continue;
      for (unsigned kk = 0; kk < k; ++kk)
        column[kk] = b[kk * n + c + j];
      out[j] =
          hopperDot(shape.a, shape.b, a + row * k, column, k, out[j], false);
    }
  }
}

[[gnu::always_inline]] inline void
hopperBody(const WgmmaShape &shape, const Exponents &exponents, const float *a,
           const float *b, float *d) {
  unsigned column = 0;
  for (; column + 16 <= shape.n; column += 16)
    hopperBlock<16>(shape, exponents, a, b, d, column);
  for (; column < shape.n; column += 8)
    hopperBlock<8>(shape, exponents, a, b, d, column);
}

HADAL_SIM_VECTORISED(hopperFast,
                     (const WgmmaShape &shape, const Exponents &exponents,
                      const float *a, const float *b, float *d),
                     (shape, exponents, a, b, d), hopperBody)

bool allFinite(const float *values, size_t count) {
  uint32_t any = 0;
  for (size_t i = 0; i < count; ++i)
    any |= (std::bit_cast<uint32_t>(values[i]) & 0x7f800000u) == 0x7f800000u;
  return !any;
}

} // namespace

void detail::computeHopper(const WgmmaShape &shape, const float *a,
                           const float *b, float *d) {
  const unsigned n = shape.n, k = shape.k();
  float column[32];
  if (shape.f16Result || !allFinite(a, 64 * k) || !allFinite(b, k * n) ||
      !allFinite(d, 64 * n)) {
    for (unsigned row = 0; row < 64; ++row)
      for (unsigned c = 0; c < n; ++c) {
        for (unsigned kk = 0; kk < k; ++kk)
          column[kk] = b[kk * n + c];
        float &out = d[row * n + c];
        out = hopperDot(shape.a, shape.b, a + row * k, column, k, out,
                        shape.f16Result);
      }
    return;
  }
  thread_local Exponents exponents;
  for (unsigned i = 0; i < 64 * k; ++i)
    exponents.a[i] = exponentOf(shape.a, a[i]);
  for (unsigned i = 0; i < k * n; ++i)
    exponents.b[i] = exponentOf(shape.b, b[i]);
  hopperFast(shape, exponents, a, b, d);
}

} // namespace hadal::sim
