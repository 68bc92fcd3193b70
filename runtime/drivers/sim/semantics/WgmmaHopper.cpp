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

/// Columns of one vector block.
constexpr unsigned width = 8;

/// Exponents of the operands of one instruction.
struct Exponents {
  alignas(64) int32_t a[64 * 32];
  alignas(64) int32_t b[32 * 256];
};

/// Below this exponent the f32 form would leave the range of its scale.
constexpr int smallestVectorExponent = -100;

/// One row by |width| columns of 8-bit products. Terms are at most
/// 4 * 2^13 in magnitude, 33 of them, so int32 sums are exact.
/// |low| receives non-zero where the scalar form must be used.
[[gnu::always_inline]] inline void
row8Bit(const float *a, const int32_t *ea, const float *b, const int32_t *eb,
        unsigned n, unsigned k, float *d, int32_t *low) {
  int32_t largest[width], sum[width];
  float scale[width];
  for (unsigned j = 0; j < width; ++j) {
    auto field = static_cast<int32_t>(std::bit_cast<uint32_t>(d[j]) >> 23 &
                                      0xff);
    largest[j] = (field > 1 ? field : 1) - 127;
  }
  for (unsigned kk = 0; kk < k; ++kk)
    for (unsigned j = 0; j < width; ++j) {
      int32_t e = ea[kk] + eb[kk * n + j];
      largest[j] = e > largest[j] ? e : largest[j];
    }
  for (unsigned j = 0; j < width; ++j) {
    low[j] = largest[j] < smallestVectorExponent;
    largest[j] = low[j] ? smallestVectorExponent : largest[j];
    scale[j] = std::bit_cast<float>((13 - largest[j] + 127) << 23);
    sum[j] = static_cast<int32_t>(d[j] * scale[j]);
  }
  for (unsigned kk = 0; kk < k; ++kk) {
    float factor = a[kk];
    for (unsigned j = 0; j < width; ++j)
      sum[j] += static_cast<int32_t>(factor * b[kk * n + j] * scale[j]);
  }
  for (unsigned j = 0; j < width; ++j) {
    float unit = std::bit_cast<float>((largest[j] - 13 + 127) << 23);
    float value = static_cast<float>(sum[j]) * unit;
    float cut =
        std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xfffffc00u);
    d[j] = low[j] ? d[j] : cut;
  }
}

/// The same for 16-bit operands in double: sums stay below 2^33, exact.
[[gnu::always_inline]] inline void
row16Bit(const float *a, const int32_t *ea, const float *b, const int32_t *eb,
         unsigned n, unsigned k, float *d, int32_t *low) {
  int32_t largest[width];
  double scale[width], sum[width];
  for (unsigned j = 0; j < width; ++j) {
    auto field = static_cast<int32_t>(std::bit_cast<uint32_t>(d[j]) >> 23 &
                                      0xff);
    largest[j] = (field > 1 ? field : 1) - 127;
  }
  for (unsigned kk = 0; kk < k; ++kk)
    for (unsigned j = 0; j < width; ++j) {
      int32_t e = ea[kk] + eb[kk * n + j];
      largest[j] = e > largest[j] ? e : largest[j];
    }
  for (unsigned j = 0; j < width; ++j) {
    scale[j] = std::bit_cast<double>(
        static_cast<uint64_t>(25 - largest[j] + 1023) << 52);
    sum[j] = __builtin_trunc(static_cast<double>(d[j]) * scale[j]);
  }
  for (unsigned kk = 0; kk < k; ++kk) {
    double factor = a[kk];
    for (unsigned j = 0; j < width; ++j)
      sum[j] += __builtin_trunc(
          factor * static_cast<double>(b[kk * n + j]) * scale[j]);
  }
  for (unsigned j = 0; j < width; ++j) {
    double unit = std::bit_cast<double>(
        static_cast<uint64_t>(largest[j] - 25 + 1023) << 52);
    double value = sum[j] * unit;
    double magnitude = __builtin_fabs(value);
    // Cutting the low 29 fraction bits truncates to f32 in its normal range.
    double cut = std::bit_cast<double>(std::bit_cast<uint64_t>(value) &
                                       ~((1ull << 29) - 1));
    low[j] = magnitude != 0 && (magnitude < 0x1p-126 || magnitude >= 0x1p128);
    d[j] = low[j] ? d[j] : static_cast<float>(cut);
  }
}

[[gnu::always_inline]] inline void
hopperBody(const WgmmaShape &shape, const Exponents &exponents, const float *a,
           const float *b, float *d, float *column) {
  const unsigned n = shape.n, k = shape.k();
  const bool small = wgmmaElementBytes(shape.a) == 1;
  for (unsigned row = 0; row < 64; ++row)
    for (unsigned c = 0; c < n; c += width) {
      int32_t low[width];
      float *out = d + row * n + c;
      if (small)
        row8Bit(a + row * k, exponents.a + row * k, b + c, exponents.b + c, n,
                k, out, low);
      else
        row16Bit(a + row * k, exponents.a + row * k, b + c, exponents.b + c, n,
                 k, out, low);
      for (unsigned j = 0; j < width; ++j) {
        if (!low[j])
          continue;
        for (unsigned kk = 0; kk < k; ++kk)
          column[kk] = b[kk * n + c + j];
        out[j] = hopperDot(shape.a, shape.b, a + row * k, column, k, out[j],
                           false);
      }
    }
}

HADAL_SIM_VECTORISED(hopperFast,
                     (const WgmmaShape &shape, const Exponents &exponents,
                      const float *a, const float *b, float *d, float *column),
                     (shape, exponents, a, b, d, column), hopperBody)

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
  hopperFast(shape, exponents, a, b, d, column);
}

} // namespace hadal::sim
