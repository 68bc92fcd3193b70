// Approximate functions: special values exactly, others within the ISA's bound
// of a float64 oracle.
#include "runtime/drivers/sim/semantics/Approx.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

using namespace hadal::sim;

namespace {

const float infinity = std::numeric_limits<float>::infinity();

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }

TEST(Approx, SpecialValues) {
  EXPECT_EQ(bits(ex2Approx(-infinity, false)), 0u);
  EXPECT_EQ(ex2Approx(-0.0f, false), 1.0f);
  EXPECT_EQ(ex2Approx(infinity, false), infinity);
  EXPECT_EQ(bits(ex2Approx(-127.0f, true)), 0u); // subnormal result flushed
  EXPECT_EQ(ex2Approx(-127.0f, false), 0x1p-127f);
  EXPECT_EQ(ex2Approx(0x1p-130f, true), 1.0f);
  EXPECT_EQ(lg2Approx(0.0f, false), -infinity);
  EXPECT_EQ(lg2Approx(-0.0f, false), -infinity);
  EXPECT_EQ(bits(lg2Approx(-1.0f, false)), 0x7fffffffu);
  EXPECT_EQ(lg2Approx(0x1p-130f, true), -infinity);
  EXPECT_EQ(rcpApprox(-0.0f, false), -infinity);
  EXPECT_EQ(bits(rcpApprox(-infinity, false)), 0x80000000u);
  EXPECT_EQ(bits(rcpApprox(0x1p127f, true)), 0u);
  EXPECT_EQ(rsqrtApprox(-0.0f, false), -infinity);
  EXPECT_EQ(rsqrtApprox(0.0f, false), infinity);
  EXPECT_EQ(bits(rsqrtApprox(-1.0f, false)), 0x7fffffffu);
  EXPECT_EQ(bits(rsqrtApprox(infinity, false)), 0u);
  EXPECT_EQ(bits(sqrtApprox(-0.0f, false)), 0x80000000u);
  EXPECT_EQ(bits(sqrtApprox(-4.0f, false)), 0x7fffffffu);
  EXPECT_EQ(tanhApprox(infinity), 1.0f);
  EXPECT_EQ(tanhApprox(-infinity), -1.0f);
}

TEST(Approx, ValuesAreWithinTheBoundsOfTheIsa) {
  for (float x = -20; x < 20; x += 0.0371f) {
    double e = std::exp2(static_cast<double>(x));
    EXPECT_NEAR(ex2Approx(x, false), e, e * 0x1p-22);
    EXPECT_NEAR(tanhApprox(x), std::tanh(x), 0x1p-11);
    float y = std::fabs(x) + 0.01f;
    EXPECT_NEAR(lg2Approx(y, false), std::log2(y),
                std::max(0x1p-22, std::fabs(std::log2(y)) * 0x1p-22));
    EXPECT_NEAR(rcpApprox(y, false), 1.0 / y, 1.0 / y * 0x1p-23);
    EXPECT_NEAR(rsqrtApprox(y, false), 1 / std::sqrt(y),
                1 / std::sqrt(y) * 0x1p-22);
    EXPECT_NEAR(sqrtApprox(y, false), std::sqrt(y), std::sqrt(y) * 0x1p-23);
    EXPECT_NEAR(divApprox(x, y, false), x / y, std::fabs(x / y) * 0x1p-22);
  }
}

} // namespace
