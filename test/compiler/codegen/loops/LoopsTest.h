// What the tests of the lowering to loops share.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "test/lib/KernelRunner.h"

namespace hadal::test {

/// Both arithmetic modes of the lowering.
class LoopsTest : public ::testing::TestWithParam<bool> {
protected:
  bool f64() const { return GetParam(); }

  /// Compiles |text| and runs all |items| of its kernel @k.
  void run(const std::string &text, const std::vector<uint64_t> &args,
           int64_t items = 1) {
    std::string error;
    auto runner = KernelRunner::fromText(text, f64(), error);
    ASSERT_TRUE(runner) << error;
    ASSERT_EQ(runner->run("k", args, items), "");
    scratch = runner->scratchBytes("k");
  }
  int64_t scratch = 0;
};

inline float fromBf16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

/// Nearest even by exact comparison of the two neighbours.
inline uint16_t toBf16(double x) {
  if (std::isnan(x))
    return 0x7fc0;
  auto bits = std::bit_cast<uint32_t>(float(std::abs(x)));
  // Neighbours below and above |x|.
  uint32_t low = bits >> 16;
  while (low > 0 && fromBf16(low) > std::abs(x))
    --low;
  uint32_t high = low + 1;
  double below = fromBf16(low);
  double above = high == 0x7f80 ? std::ldexp(1.0, 128) : fromBf16(high);
  double a = std::abs(x) - below, b = above - std::abs(x);
  uint32_t best = a < b || (a == b && low % 2 == 0) ? low : high;
  return best | (std::signbit(x) ? 0x8000 : 0);
}

inline float fromFp8(uint8_t code) {
  int e = (code >> 3) & 15, m = code & 7;
  if ((code & 0x7f) == 0x7f)
    return std::numeric_limits<float>::quiet_NaN();
  float v = e ? std::ldexp(8.0f + m, e - 10) : std::ldexp(float(m), -9);
  return code & 0x80 ? -v : v;
}

/// Nearest even, saturating, by search over all codes.
inline uint8_t toFp8(float x) {
  if (std::isnan(x))
    return 0x7f | (std::signbit(x) ? 0x80 : 0);
  int best = 0;
  double distance = std::numeric_limits<double>::infinity();
  double a = std::min(std::abs(double(x)), 448.0);
  for (int code = 0; code < 0x7f; ++code) {
    double d = std::abs(double(fromFp8(code)) - a);
    if (d < distance || (d == distance && code % 2 == 0)) {
      best = code;
      distance = d;
    }
  }
  return best | (std::signbit(x) ? 0x80 : 0);
}

inline std::vector<float> randomFloats(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &v : values)
    v = normal(engine);
  return values;
}

inline std::vector<uint8_t> randomCodes(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<uint8_t> codes(count);
  for (uint8_t &c : codes)
    do
      c = engine();
    while ((c & 0x7f) == 0x7f);
  return codes;
}

/// |got| against |want| within |tolerance| of the largest |want|.
inline void expectClose(const std::vector<float> &got,
                        const std::vector<double> &want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  double largest = 0;
  for (double w : want)
    largest = std::max(largest, std::abs(w));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * largest) << "at " << i;
}

} // namespace hadal::test
