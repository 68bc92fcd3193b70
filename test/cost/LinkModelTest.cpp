// Costs of collectives by their bytes and ranks.
#include "cost/LinkModel.h"

#include <gtest/gtest.h>

using namespace hadal::cost;

namespace {

/// 10 us, then 1 byte a ns with 8 ranks and half of that with 32.
Link example() {
  Link link;
  link.alphaUs = 10;
  link.usPerByte = {{8, 1e-3}, {32, 2e-3}};
  return link;
}

} // namespace

TEST(LinkModel, AlphaAndBytes) {
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 8, 50000).us(), 60);
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 32, 50000).us(), 110);
  // The loaded rank's bytes count.
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 8, 50000, 1.5).us(), 85);
}

TEST(LinkModel, RanksInBetweenByTheLogarithm) {
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 16, 50000).us(), 85);
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 2, 50000).us(), 60);
  EXPECT_DOUBLE_EQ(collectiveOf(example(), "a", 320, 50000).us(), 110);
}

TEST(LinkModel, KernelsOfACollectiveGrowWithItsRows) {
  Link link = example();
  link.startUs = 20;
  link.endUs = 10;
  link.referenceBytes = 100000;
  Collective half = collectiveOf(link, "a", 8, 50000, 2);
  EXPECT_DOUBLE_EQ(half.startUs, 10);
  EXPECT_DOUBLE_EQ(half.endUs, 5);
  EXPECT_DOUBLE_EQ(half.transferUs, 95);
  EXPECT_FALSE(half.holdsMultiprocessors);
  link.multiprocessors = 24;
  EXPECT_TRUE(collectiveOf(link, "a", 8, 1).holdsMultiprocessors);
}

TEST(LinkModel, EvenRoutingIsNotQuiteEven) {
  // 1 + sqrt(2 ln 32 / 1024)
  EXPECT_NEAR(uniformImbalance(32, 128, 8), 1.0823, 1e-4);
  EXPECT_LT(uniformImbalance(32, 4096, 8), 1.015);
  EXPECT_DOUBLE_EQ(uniformImbalance(1, 128, 8), 1);
  EXPECT_DOUBLE_EQ(uniformImbalance(8, 0, 8), 1);
}
