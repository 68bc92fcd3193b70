#include "cost/Routing.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

using namespace hadal::cost;

namespace {

/// The same by drawing experts: of |tokens| tokens, the mean number of ranks.
double drawn(const Routing &routing, int tokens) {
  std::mt19937_64 random(7);
  std::vector<int64_t> slots(routing.ranks * routing.slots);
  for (size_t i = 0; i < slots.size(); ++i)
    slots[i] = static_cast<int64_t>(i);
  size_t sum = 0;
  for (int t = 0; t < tokens; ++t) {
    std::set<int64_t> ranks;
    for (int64_t j = 0; j < routing.choices; ++j) {
      std::swap(slots[j], slots[j + random() % (slots.size() - j)]);
      ranks.insert(slots[j] / routing.slots);
    }
    sum += ranks.size();
  }
  return static_cast<double>(sum) / tokens;
}

} // namespace

// 8 experts of a token, as DeepSeek-V3 has them.
TEST(Routing, RanksThatATokenMeets) {
  EXPECT_NEAR(distinctRanks({8, 32, 8}), 5.295, 0.001);
  EXPECT_NEAR(distinctRanks({32, 9, 8}), 7.257, 0.001);
  EXPECT_NEAR(distinctRanks({144, 2, 8}), 7.902, 0.001);
  // An expert a rank: as many ranks as experts.
  EXPECT_NEAR(distinctRanks({320, 1, 8}), 8, 1e-9);
  EXPECT_DOUBLE_EQ(distinctRanks({1, 256, 8}), 1);
  EXPECT_DOUBLE_EQ(distinctRanks({1, 0, 0}), 0);
  // As many choices as there are experts: all ranks.
  EXPECT_DOUBLE_EQ(distinctRanks({4, 2, 8}), 4);
}

TEST(Routing, RanksThatATokenMeetsAsDrawn) {
  for (const Routing &routing :
       {Routing{8, 32, 8}, Routing{32, 9, 8}, Routing{72, 4, 8},
        Routing{144, 2, 8}, Routing{4, 4, 6}, Routing{2, 3, 2}})
    EXPECT_NEAR(drawn(routing, 40000) / distinctRanks(routing), 1, 0.005)
        << routing.ranks << " ranks of " << routing.slots;
}

TEST(Routing, PairsBesideRowsAndBack) {
  const Routing v3{32, 9, 8};
  EXPECT_EQ(pairsOfRows(v3, 16), 24); // 17.6
  EXPECT_EQ(pairsOfRows(v3, 72), 80); // 79.4
  EXPECT_EQ(rowsThatHold(v3, 48, 40), 48);
  EXPECT_EQ(rowsThatHold(v3, 48, 80), 66);
  EXPECT_EQ(rowsThatHold(v3, 0, 0), 1);
  for (int64_t pairs = 1; pairs < 400; ++pairs) {
    const int64_t rows = rowsThatHold(v3, 5, pairs);
    EXPECT_GE(pairsOfRows(v3, rows), pairs);
    EXPECT_TRUE(rows == 5 || pairsOfRows(v3, rows - 1) < pairs);
  }
}
