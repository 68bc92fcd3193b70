// The order of a block and what it makes of its times.
#include "runtime/tune/Block.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "test/runtime/tune/SyntheticTimer.h"

using namespace hadal;
using namespace hadal::tune;

namespace {

/// Arm a takes a + 1 seconds, its fifth unit half of it.
class ScriptTimer : public Timer {
public:
  StatusOr<double> time(size_t arm) override {
    const auto seen = std::count(order.begin(), order.end(), 'A' + int(arm));
    order += static_cast<char>('A' + arm);
    if (static_cast<int>(arm) == failing && seen == 2)
      return error(5001, "planted failure");
    return (static_cast<double>(arm) + 1) * (seen == 4 ? 0.5 : 1);
  }
  Status renew(uint64_t) override { return {}; }

  int failing = -1;
  std::string order;
};

} // namespace

TEST(Block, OfOneArmIsMirrored) {
  ScriptTimer timer;
  const size_t arm = 1;
  auto block = runBlock(timer, {&arm, 1});
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(timer.order, "ABBAABBABAABBAAB");
  EXPECT_DOUBLE_EQ(*block->front(), std::log(0.5 / 1.0));
}

TEST(Block, OfSeveralArmsHasAllInTurn) {
  ScriptTimer timer;
  const std::vector<size_t> arms = {1, 2};
  auto block = runBlock(timer, arms);
  ASSERT_TRUE(block.ok());
  EXPECT_EQ(timer.order, "ABCCBAABCCBACBAABCCBAABC");
  EXPECT_DOUBLE_EQ(*(*block)[1], std::log(0.5 / 1.5));
}

TEST(Block, AFailedArmIsNotRunAgain) {
  ScriptTimer timer;
  timer.failing = 1;
  const std::vector<size_t> arms = {1, 2};
  auto block = runBlock(timer, arms);
  ASSERT_TRUE(block.ok());
  EXPECT_FALSE((*block)[0].ok());
  EXPECT_TRUE((*block)[1].ok());
  EXPECT_EQ(std::count(timer.order.begin(), timer.order.end(), 'B'), 3);

  timer = {};
  timer.failing = 0;
  EXPECT_EQ(runBlock(timer, arms).status().code(), 5001);
}

// Robust standard deviation of blocks of two equal programs, measured: 0.016
// where they compute, 0.039 where they stream, on two cores under a load of 5.
TEST(SyntheticTimer, IsAsNoisyAsTheMachine) {
  SyntheticTimer timer({1e-3, 1e-3}, 3);
  const size_t arm = 1;
  std::vector<double> size;
  for (int i = 0; i < 2000; ++i)
    size.push_back(std::abs(**runBlock(timer, {&arm, 1})->data()));
  std::sort(size.begin(), size.end());
  const double deviation = 1.4826 * size[size.size() / 2];
  EXPECT_GT(deviation, 0.016);
  EXPECT_LT(deviation, 0.039);
  EXPECT_GT(size.back(), 4 * deviation) << "no heavy tail";
}
