#include "runtime/drivers/sim/semantics/Approx.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace hadal::sim {
namespace {

/// Every NaN result of PTX f32 arithmetic is 0x7FFFFFFF.
float finish(double value, bool ftz) {
  if (std::isnan(value))
    return std::bit_cast<float>(0x7fffffffu);
  float result = static_cast<float>(value);
  return ftz ? flushSubnormal(result) : result;
}

} // namespace

float flushSubnormal(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}

template <typename Fn> static float apply(float x, bool ftz, Fn fn) {
  return finish(fn(static_cast<double>(ftz ? flushSubnormal(x) : x)), ftz);
}

float ex2Approx(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return std::exp2(v); });
}

float lg2Approx(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return std::log2(v); });
}

float rcpApprox(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return 1.0 / v; });
}

float rsqrtApprox(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return 1.0 / std::sqrt(v); });
}

float sqrtApprox(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return std::sqrt(v); });
}

float tanhApprox(float x) {
  return apply(x, false, [](double v) { return std::tanh(v); });
}

float sinApprox(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return std::sin(v); });
}

float cosApprox(float x, bool ftz) {
  return apply(x, ftz, [](double v) { return std::cos(v); });
}

float divApprox(float a, float b, bool ftz) {
  double divisor = ftz ? flushSubnormal(b) : b;
  return apply(a, ftz, [&](double v) { return v / divisor; });
}

} // namespace hadal::sim
