// Verdicts by hand, and what chance can do.
#include "runtime/tune/SignTest.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

using namespace hadal::tune;

namespace {

/// |agree| blocks of |x| and |others| of |y|, mixed evenly, so that no earlier
/// look sees enough of either.
std::vector<double> blocksOf(unsigned agree, double x, unsigned others,
                             double y) {
  std::vector<double> blocks;
  const unsigned all = agree + others;
  for (unsigned i = 0; i < all; ++i)
    blocks.push_back((i + 1) * agree / all > i * agree / all ? x : y);
  return blocks;
}

double tail(unsigned n, unsigned least) {
  double p = 0;
  for (unsigned k = least; k <= n; ++k)
    p += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) -
                  std::lgamma(n - k + 1) - n * std::log(2.0));
  return p;
}

} // namespace

TEST(SignTest, LooksDecideByTheirCounts) {
  for (const Look &look : kLooks) {
    const unsigned rest = look.blocks - look.agree;
    EXPECT_EQ(signTest(blocksOf(look.agree, 0.05, rest, -0.05), 0.02),
              Verdict::Faster)
        << look.blocks;
    EXPECT_EQ(signTest(blocksOf(look.agree, -0.05, rest, 0.05), 0.02),
              Verdict::Slower)
        << look.blocks;
    EXPECT_EQ(signTest(blocksOf(look.agree, 0.0, rest, 0.05), 0.02),
              Verdict::NoGain)
        << look.blocks;
    EXPECT_EQ(signTest(blocksOf(look.agree - 1, 0.05, rest + 1, -0.05), 0.02),
              Verdict::Open)
        << look.blocks;
    EXPECT_EQ(signTest(blocksOf(look.agree - 1, 0.05, rest, -0.05), 0.02),
              Verdict::Open)
        << "one block short of the look of " << look.blocks;
  }
}

TEST(SignTest, AGainBelowTheEffectIsNone) {
  EXPECT_EQ(signTest(std::vector<double>(64, 0.019), 0.02), Verdict::NoGain);
  EXPECT_EQ(signTest(std::vector<double>(64, 0.019), 0.01), Verdict::Faster);
  EXPECT_EQ(signTest(std::vector<double>(64, -0.019), 0.02), Verdict::NoGain);
}

TEST(SignTest, LaterBlocksChangeNoVerdict) {
  std::vector<double> blocks(16, 0.05);
  blocks.insert(blocks.end(), 48, -0.05);
  EXPECT_EQ(signTest(blocks, 0.02), Verdict::Faster);
}

TEST(SignTest, ChanceOfAllLooks) {
  double sum = 0;
  for (const Look &look : kLooks)
    sum += tail(look.blocks, look.agree);
  EXPECT_LT(sum, 0.005);
  EXPECT_EQ(kLooks[2].blocks, kMaxBlocks);
}

TEST(Estimate, IntervalIsOfOrderStatistics) {
  std::vector<double> blocks;
  for (int i = 64; i > 0; --i)
    blocks.push_back(i);
  const Estimate e = estimate(blocks);
  EXPECT_DOUBLE_EQ(e.median, 32.5);
  EXPECT_EQ(e.blocks, 64u);
  // The 22nd of each end: fewer than 22 of 64 coins with 0.0041.
  EXPECT_DOUBLE_EQ(e.low, 22);
  EXPECT_DOUBLE_EQ(e.high, 43);
  EXPECT_LE(tail(64, 64 - 21), 0.005);
  EXPECT_GT(tail(64, 64 - 22), 0.005);
}

TEST(Estimate, IntervalCoversAFixedNumberOfBlocks) {
  std::mt19937_64 random(1);
  std::cauchy_distribution<double> block(0.077, 0.02);
  for (unsigned count : {8u, 16u, 32u, 64u}) {
    unsigned covered = 0;
    for (int draw = 0; draw < 2000; ++draw) {
      std::vector<double> blocks(count);
      for (double &x : blocks)
        x = block(random);
      const Estimate e = estimate(blocks);
      covered += e.low <= 0.077 && 0.077 <= e.high;
    }
    EXPECT_GE(covered, 1970u) << count; // 99 %, less 4.5 deviations
  }
}

TEST(Estimate, FewBlocksHaveNoInterval) {
  EXPECT_TRUE(std::isinf(estimate(std::vector<double>(7, 1.0)).low));
  EXPECT_DOUBLE_EQ(estimate(std::vector<double>(8, 1.0)).low, 1);
  EXPECT_EQ(estimate({}).blocks, 0u);
}
