#include "runtime/base/Float.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

using namespace hadal;

namespace {

/// The value of an e4m3fn code, from the definition.
double definitionOfE4m3(int code) {
  int exponent = (code >> 3) & 15, mantissa = code & 7;
  double value = exponent ? std::pow(2.0, exponent - 7) * (1 + mantissa / 8.0)
                          : std::pow(2.0, -6) * (mantissa / 8.0);
  return code & 0x80 ? -value : value;
}

TEST(FloatTest, decodesAllE4m3Codes) {
  for (int code = 0; code < 256; ++code) {
    float value = e4m3ToF32(static_cast<uint8_t>(code));
    if ((code & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value)) << code;
      continue;
    }
    EXPECT_EQ(value, definitionOfE4m3(code)) << code;
    EXPECT_EQ(std::signbit(value), code >= 0x80) << code;
  }
  EXPECT_EQ(e4m3ToF32(0x7e), 448.0f);
  EXPECT_EQ(e4m3ToF32(0x01), 0x1p-9f);
  // 0x80 is -0, not the NaN of e4m3fnuz.
  EXPECT_EQ(e4m3ToF32(0x80), 0.0f);
}

TEST(FloatTest, encodesEveryE4m3ValueToItsCode) {
  for (int code = 0; code < 256; ++code)
    EXPECT_EQ(f32ToE4m3(e4m3ToF32(static_cast<uint8_t>(code))), code);
}

TEST(FloatTest, roundsToTheNearestE4m3AndTiesToEven) {
  for (int code = 0; code < 0x7e; ++code) {
    float low = e4m3ToF32(static_cast<uint8_t>(code));
    float high = e4m3ToF32(static_cast<uint8_t>(code + 1));
    float middle = (low + high) / 2; // exact in f32
    int even = code % 2 == 0 ? code : code + 1;
    EXPECT_EQ(f32ToE4m3(middle), even) << code;
    EXPECT_EQ(f32ToE4m3(-middle), even | 0x80) << code;
    EXPECT_EQ(f32ToE4m3(std::nextafter(middle, 0.0f)), code);
    EXPECT_EQ(f32ToE4m3(std::nextafter(middle, 1000.0f)), code + 1);
  }
}

TEST(FloatTest, saturatesE4m3) {
  float infinity = std::numeric_limits<float>::infinity();
  for (float value : {448.0f, 448.1f, 464.0f, 465.0f, 1e30f, infinity}) {
    EXPECT_EQ(f32ToE4m3(value), 0x7e) << value;
    EXPECT_EQ(f32ToE4m3(-value), 0xfe) << value;
  }
  float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(f32ToE4m3(nan), 0x7f);
  EXPECT_EQ(f32ToE4m3(-nan), 0xff);
}

TEST(FloatTest, encodesTheExamplesOfTheSpecification) {
  const std::pair<float, int> examples[] = {
      {0.0f, 0x00},   {-0.0f, 0x80},   {1.0f, 0x38},        {-1.0f, 0xb8},
      {240.0f, 0x77}, {0x1p-9f, 0x01}, {0x1p-10f, 0x00},    {0x1.8p-10f, 0x01},
      {17.0f, 0x58},  {18.0f, 0x59},   {19.0f, 0x5a},       {20.0f, 0x5a},
      {21.0f, 0x5a},  {0.3f, 0x2a},    {3.14159265f, 0x45}, {1e-38f, 0x00}};
  for (auto [value, code] : examples)
    EXPECT_EQ(f32ToE4m3(value), code) << value;
}

TEST(FloatTest, convertsAllBf16Codes) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = bf16ToF32(static_cast<uint16_t>(bits));
    uint16_t back = f32ToBf16(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16ToF32(back)));
      EXPECT_EQ(back & 0x8000, bits & 0x8000);
    } else {
      EXPECT_EQ(back, bits);
    }
  }
}

TEST(FloatTest, roundsToTheNearestBf16AndTiesToEven) {
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x3f817fffu)), 0x3f81);
  EXPECT_EQ(f32ToBf16(std::numeric_limits<float>::max()), 0x7f80);
  // A NaN whose payload lies in the dropped half must not become infinity.
  EXPECT_EQ(f32ToBf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

TEST(FloatTest, decodesAllE8m0Codes) {
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(e8m0ToF32(static_cast<uint8_t>(code)), std::pow(2.0, code - 127));
  EXPECT_TRUE(std::isnan(e8m0ToF32(255)));
}

TEST(FloatTest, roundsScalesUpToPowersOfTwo) {
  const std::pair<float, double> examples[] = {{3.5f, 0x1p-7},
                                               {7.0f, 0x1p-6},
                                               {7.0001f, 0x1p-5},
                                               {448.0f, 1},
                                               {449.0f, 2}};
  for (auto [amax, scale] : examples)
    EXPECT_EQ(e8m0ToF32(f32ToE8m0Ceil(amax / 448.0f)), scale) << amax;
  EXPECT_EQ(e8m0ToF32(f32ToE8m0Ceil(1e-4f / 448.0f)), 0x1p-22);
  EXPECT_EQ(f32ToE8m0Ceil(std::numeric_limits<float>::denorm_min()), 1);
  EXPECT_EQ(f32ToE8m0Ceil(std::numeric_limits<float>::max()), 254);
  for (int code = 1; code < 255; ++code) {
    float power = e8m0ToF32(static_cast<uint8_t>(code));
    EXPECT_EQ(f32ToE8m0Ceil(power), code);
    if (code > 1) {
      EXPECT_EQ(f32ToE8m0Ceil(std::nextafter(power, 0.0f)), code);
    }
    if (code < 254) {
      EXPECT_EQ(f32ToE8m0Ceil(std::nextafter(power, 1e38f)), code + 1);
    }
  }
}

} // namespace
