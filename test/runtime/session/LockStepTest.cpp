#include "runtime/session/LockStep.h"

#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/comm/loopback/Loopback.h"

using namespace hadal;

namespace {

/// What each of the ranks agrees on with |demands|, in as many calls.
std::vector<std::vector<StepDemand>>
agree(const std::vector<std::vector<StepDemand>> &demands) {
  const auto ranks = static_cast<unsigned>(demands.size());
  auto world = comm::LoopbackWorld::create(ranks);
  std::vector<std::vector<StepDemand>> agreed(ranks);
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < ranks; ++r)
    threads.emplace_back([&, r, group = world->join(r)] {
      RankLayout layout;
      layout.rank = r;
      layout.dp = layout.ep = ranks;
      LockStep lockStep(*group, layout, std::chrono::seconds(20));
      for (const StepDemand &mine : demands[r]) {
        auto call = lockStep.agreeOnCall(mine, /*finished=*/false, 0);
        ASSERT_TRUE(call.ok()) << call.status().toString();
        ASSERT_TRUE(call->has_value());
        agreed[r].push_back(**call);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  return agreed;
}

StepDemand decode(uint32_t rows) {
  StepDemand demand;
  demand.phase = Phase::Decode;
  demand.tokens = demand.rows = rows;
  demand.queries = 1;
  demand.halves = rows != 1;
  demand.halfTokens = demand.halfRows = (rows + 1) / 2;
  return demand;
}

StepDemand prompt(uint64_t tokens) {
  StepDemand demand;
  demand.tokens = demand.queries = static_cast<uint32_t>(tokens);
  demand.rows = 1;
  demand.halves = false; // one row cannot be cut
  return demand;
}

} // namespace

TEST(LockStep, ACallHoldsWhatEachAsks) {
  auto agreed = agree({{decode(3)}, {decode(5)}});
  EXPECT_EQ(agreed[0], agreed[1]);
  EXPECT_EQ(agreed[0][0].rows, 5u);
  EXPECT_EQ(agreed[0][0].halfRows, 3u);
  EXPECT_TRUE(agreed[0][0].halves);
}

TEST(LockStep, PhasesTakeTurns) {
  auto agreed = agree(
      {{decode(4), decode(4), decode(4)}, {prompt(9), prompt(9), prompt(9)}});
  EXPECT_EQ(agreed[0], agreed[1]);
  EXPECT_EQ(agreed[0][0].phase, Phase::Decode);
  EXPECT_EQ(agreed[0][0].queries, 1u);
  EXPECT_EQ(agreed[0][1].phase, Phase::Prompt);
  EXPECT_EQ(agreed[0][1].tokens, 9u);
  EXPECT_EQ(agreed[0][2].phase, Phase::Decode);
}

TEST(LockStep, APromptThatWaitsLeavesOthersTwoMicroBatches) {
  // It has no rows in the call, and that its own cannot be cut is nothing to
  // the others.
  EXPECT_TRUE(agree({{decode(4)}, {prompt(9)}})[0][0].halves);
  // Unless it was told to have no micro-batches: ranks make the same call.
  StepDemand plain = prompt(9);
  plain.idleHalves = false;
  EXPECT_FALSE(agree({{decode(4)}, {plain}})[0][0].halves);
  EXPECT_FALSE(agree({{decode(4)}, {decode(1)}})[0][0].halves);
}
