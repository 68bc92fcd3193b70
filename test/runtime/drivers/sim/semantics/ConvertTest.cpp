// Conversions against the vectors of the ISA's rules and against exhaustive
// decode-encode round trips.
#include "runtime/drivers/sim/semantics/Convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace hadal::sim;

namespace {

const float infinity = std::numeric_limits<float>::infinity();
const float nan = std::numeric_limits<float>::quiet_NaN();

TEST(Convert, F32ToE4m3FollowsTheVectors) {
  struct {
    float in;
    int out;
  } cases[] = {{0.0f, 0x00},
               {-0.0f, 0x80},
               {1.0f, 0x38},
               {448.0f, 0x7e},
               {449.0f, 0x7e},
               {464.0f, 0x7e},
               {480.0f, 0x7e},
               {1e30f, 0x7e},
               {infinity, 0x7e},
               {-infinity, 0xfe},
               {nan, 0x7f},
               {-nan, 0x7f},
               {0x1p-6f, 0x08},
               {0x1p-9f, 0x01},
               {0x1p-10f, 0x00},
               {-0x1p-10f, 0x80},
               {1.0001f * 0x1p-10f, 0x01},
               {3 * 0x1p-10f, 0x02},
               {5 * 0x1p-10f, 0x02},
               {0.1f, 0x1d},
               {0.3f, 0x2a},
               {17.0f, 0x58},
               {19.0f, 0x5a},
               {21.0f, 0x5a},
               {1.0625f, 0x38},
               {1.1875f, 0x3a},
               {-240.0f, 0xf7},
               {0.0156f, 0x08},
               {0.0137f, 0x07}};
  for (auto &c : cases)
    EXPECT_EQ(cvtE4m3F32(c.in), c.out) << c.in;
}

TEST(Convert, F32ToE5m2SaturatesAndRounds) {
  EXPECT_EQ(cvtE5m2F32(57344.0f), 0x7b);
  EXPECT_EQ(cvtE5m2F32(1e9f), 0x7b);
  EXPECT_EQ(cvtE5m2F32(-infinity), 0xfb);
  EXPECT_EQ(cvtE5m2F32(nan), 0x7f);
  EXPECT_EQ(cvtE5m2F32(0x1p-17f), 0x00);
  EXPECT_EQ(cvtE5m2F32(1.01f * 0x1p-17f), 0x01);
  EXPECT_EQ(cvtE5m2F32(1.0f), 0x3c);
  EXPECT_EQ(cvtE5m2F32(1.125f), 0x3c); // tie to even
  EXPECT_EQ(cvtE5m2F32(1.375f), 0x3e); // tie to even
}

TEST(Convert, E4m3ToF16IsExact) {
  const int cases[][2] = {{0x00, 0x0000}, {0x80, 0x8000}, {0x01, 0x1800},
                          {0x04, 0x2000}, {0x07, 0x2300}, {0x08, 0x2400},
                          {0x38, 0x3c00}, {0x3c, 0x3e00}, {0x7e, 0x5f00},
                          {0xfe, 0xdf00}, {0x7f, 0x7fff}};
  for (auto &c : cases)
    EXPECT_EQ(cvtUnpackF16x2(static_cast<uint16_t>(c[0]), FloatFormat::e4m3,
                             false),
              static_cast<uint32_t>(c[1]))
        << c[0];
  EXPECT_EQ(cvtUnpackF16x2(0x387e, FloatFormat::e4m3, false), 0x3c005f00u);
}

TEST(Convert, PackingPutsTheFirstOperandHigh) {
  EXPECT_EQ(cvtPackF32(1.0f, 448.0f, FloatFormat::e4m3, {}), 0x387eu);
  EXPECT_EQ(cvtPackF32(1.0f, -2.5f, FloatFormat::bf16, {}), 0x3f80c020u);
  EXPECT_EQ(cvtPackF32(1.0f, -2.0f, FloatFormat::f16, {}), 0x3c00c000u);
  EXPECT_EQ(cvtPackF16x2(0x3c005f00, FloatFormat::e4m3, false), 0x387e);
}

TEST(Convert, F32ToBf16RoundsToEven) {
  EXPECT_EQ(cvtBf16F32(1.0f), 0x3f80);
  EXPECT_EQ(cvtBf16F32(1.00390625f), 0x3f80);
  EXPECT_EQ(cvtBf16F32(1.01171875f), 0x3f82);
  EXPECT_EQ(cvtBf16F32(1.0039063692f), 0x3f81);
  EXPECT_EQ(cvtBf16F32(3.4e38f), 0x7f80);
  EXPECT_EQ(cvtBf16F32(nan), 0x7fff);
  EXPECT_EQ(cvtBf16F32(1e-40f), 0x0001);
}

TEST(Convert, ModifiersRzSatfiniteRelu) {
  EXPECT_EQ(cvtBf16F32(1.0117187f, {Rounding::zero}), 0x3f81);
  EXPECT_EQ(cvtBf16F32(3.4e38f, {Rounding::zero}), 0x7f7f);
  EXPECT_EQ(cvtBf16F32(3.4e38f, {Rounding::nearestEven, true}), 0x7f7f);
  EXPECT_EQ(cvtBf16F32(-infinity, {Rounding::nearestEven, true}), 0xff7f);
  EXPECT_EQ(cvtF16F32(65520.0f), 0x7c00);
  EXPECT_EQ(cvtF16F32(65519.0f), 0x7bff);
  EXPECT_EQ(cvtF16F32(65520.0f, {Rounding::nearestEven, true}), 0x7bff);
  EXPECT_EQ(cvtF16F32(0x1p-25f), 0x0000);
  EXPECT_EQ(cvtF16F32(1.5f * 0x1p-25f), 0x0001);
  EXPECT_EQ(cvtF16F32(-3.0f, {Rounding::nearestEven, false, true}), 0);
  EXPECT_EQ(cvtF16F32(nan, {Rounding::nearestEven, false, true}), 0x7fff);
}

// Every code decodes to a value that encodes to the code again, and the
// midpoint of two neighbours goes to the even one.
TEST(Convert, EveryCodeRoundTripsAndTiesGoToEven) {
  for (FloatFormat format : {FloatFormat::f16, FloatFormat::bf16,
                             FloatFormat::e4m3, FloatFormat::e5m2}) {
    bool wide = format == FloatFormat::f16 || format == FloatFormat::bf16;
    unsigned half = wide ? 0x8000 : 0x80;
    for (unsigned code = 0; code < half; ++code) {
      float value = decodeFloat(static_cast<uint16_t>(code), format);
      if (std::isnan(value))
        continue;
      // Infinity saturates in the 8-bit formats.
      if (std::isinf(value) && !wide)
        continue;
      EXPECT_EQ(encodeFloat(value, format, {}), code);
      EXPECT_EQ(encodeFloat(-value, format, {}), code + half);
      float next = decodeFloat(static_cast<uint16_t>(code + 1), format);
      if (code + 1 == half || !std::isfinite(next))
        continue;
      double middle = (static_cast<double>(value) + next) / 2;
      EXPECT_EQ(encodeFloat(middle, format, {}), (code + 1) & ~1u);
    }
  }
}

TEST(Convert, FloatToIntegerSaturates) {
  auto rz = [](double v, unsigned bits, bool isSigned) {
    return cvtIntFloat(v, Rounding::zero, bits, isSigned, false);
  };
  EXPECT_EQ(rz(-1.9, 32, true), 0xffffffffu);
  EXPECT_EQ(rz(3e9, 32, true), 0x7fffffffu);
  EXPECT_EQ(rz(-3e9, 32, true), 0x80000000u);
  EXPECT_EQ(rz(-1.0, 32, false), 0u);
  EXPECT_EQ(rz(300, 8, false), 255u);
  EXPECT_EQ(rz(-129, 8, true), 0x80u);
  EXPECT_EQ(rz(1e30, 64, true), 0x7fffffffffffffffull);
  EXPECT_EQ(rz(nan, 32, true), 0u);
  EXPECT_EQ(rz(nan, 64, true), 0x8000000000000000ull);
  EXPECT_EQ(cvtIntFloat(2.5, Rounding::nearestEven, 32, true, false), 2u);
  EXPECT_EQ(cvtIntFloat(3.5, Rounding::nearestEven, 32, true, false), 4u);
  EXPECT_EQ(cvtIntFloat(-2.5, Rounding::down, 32, true, false), 0xfffffffdu);
  EXPECT_EQ(cvtIntFloat(-2.5, Rounding::up, 32, true, false), 0xfffffffeu);
}

TEST(Convert, IntegerToFloatRoundsOnce) {
  auto rn = [](uint64_t v, unsigned bits, bool isSigned) {
    return cvtF32Int(v, bits, isSigned, Rounding::nearestEven);
  };
  EXPECT_EQ(rn(0xffffffff, 32, true), -1.0f);
  EXPECT_EQ(rn(0xffffffff, 32, false), 4294967296.0f);
  EXPECT_EQ(rn(16777217, 32, true), 16777216.0f);
  EXPECT_EQ(rn(16777219, 32, true), 16777220.0f);
  EXPECT_EQ(rn(1ull << 63, 64, true), -0x1p63f);
  EXPECT_EQ(rn((1ull << 40) + (1 << 16) + 1, 64, false), 0x1.000002p40f);
  EXPECT_EQ(cvtF32Int(16777219, 32, true, Rounding::zero), 16777218.0f);
}

TEST(Convert, RoundToIntegralKeepsSpecials) {
  EXPECT_EQ(roundToIntegral(-0.4, Rounding::nearestEven), 0.0);
  EXPECT_TRUE(std::signbit(roundToIntegral(-0.4, Rounding::nearestEven)));
  EXPECT_EQ(roundToIntegral(1.5, Rounding::zero), 1.0);
  EXPECT_TRUE(std::isinf(roundToIntegral(infinity, Rounding::zero)));
}

} // namespace
