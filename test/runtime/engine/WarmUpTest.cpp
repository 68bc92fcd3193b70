#include "runtime/engine/WarmUp.h"

#include <gtest/gtest.h>

#include "test/runtime/engine/HashRunner.h"

using namespace hadal;
using namespace hadal::engine;

namespace {

RunnerLimits limits() {
  RunnerLimits limits;
  limits.vocabSize = 11;
  limits.maxSeqLen = 48;
  limits.pageSize = 4;
  limits.pages = 16;
  limits.maxRows = 6;
  limits.prompt = {{8, 2, 8}, {64, 4, 64}};
  limits.decode = {{1, 1, 1}, {4, 4, 1}, {16, 16, 1}};
  return limits;
}

} // namespace

TEST(WarmUp, RunsAFullCallOfEachSize) {
  HashRunner runner(limits());
  std::vector<std::pair<size_t, size_t>> told;
  Status status =
      warmUp(runner, [&](size_t call, size_t calls) {
        told.emplace_back(call, calls);
      });
  ASSERT_TRUE(status.ok()) << status.toString();
  EXPECT_EQ(runner.misuse, "");
  EXPECT_EQ(runner.calls, 5u);
  EXPECT_EQ(told.front(), std::pair(size_t{1}, size_t{5}));
  EXPECT_EQ(told.back(), std::pair(size_t{5}, size_t{5}));
  // Prompts of 8 and of 64 tokens (of which the pages hold all), then 1, 4 and,
  // where the scheduler has no more, 6 rows.
  EXPECT_EQ(runner.promptTokens, 8u + 64u);
  EXPECT_EQ(runner.decodeTokens, 1u + 4u + 6u);
}

TEST(WarmUp, TakesWhatThePagesHold) {
  RunnerLimits few = limits();
  few.pages = 3;
  HashRunner runner(few);
  ASSERT_TRUE(warmUp(runner, {}).ok());
  EXPECT_EQ(runner.misuse, "");
  EXPECT_EQ(runner.decodeTokens, 1u + 3u + 3u);
}

TEST(WarmUp, EndsAtWhatFails) {
  HashRunner runner(limits());
  runner.failingCall = 2;
  EXPECT_EQ(warmUp(runner, {}).code(), 5017);
  HashRunner other(limits());
  std::atomic<bool> interrupt{false};
  Status status = warmUp(
      other, [&](size_t call, size_t) { interrupt = call == 3; }, &interrupt);
  EXPECT_EQ(status.code(), 5016);
  EXPECT_EQ(other.calls, 3u);
}
