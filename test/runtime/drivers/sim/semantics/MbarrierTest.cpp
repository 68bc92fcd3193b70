// The four published traces of the mbarrier state machine and its faults.
#include "runtime/drivers/sim/semantics/Mbarrier.h"

#include <gtest/gtest.h>

using namespace hadal::sim;

namespace {

constexpr auto none = MbarrierFault::none;

TEST(Mbarrier, TraceAOnePhaseOfExpectedBytes) {
  Mbarrier bar;
  ASSERT_EQ(bar.init(1), none);
  EXPECT_TRUE(bar.testParity(1));
  EXPECT_FALSE(bar.testParity(0));
  ASSERT_EQ(bar.arrive(1, 4096), none);
  EXPECT_EQ(bar.pending(), 0);
  EXPECT_EQ(bar.transactions(), 4096);
  EXPECT_FALSE(bar.testParity(0));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(bar.complete(1024), none);
    EXPECT_FALSE(bar.testParity(0));
  }
  ASSERT_EQ(bar.complete(1024), none);
  EXPECT_EQ(bar.phase(), 1u);
  EXPECT_EQ(bar.pending(), 1);
  EXPECT_TRUE(bar.testParity(0));
  EXPECT_FALSE(bar.testParity(1));
}

TEST(Mbarrier, TraceBBytesMayComeBeforeTheirExpectation) {
  Mbarrier bar;
  ASSERT_EQ(bar.init(2), none);
  ASSERT_EQ(bar.complete(512), none);
  EXPECT_EQ(bar.transactions(), -512);
  EXPECT_EQ(bar.pending(), 2);
  ASSERT_EQ(bar.arrive(1), none);
  EXPECT_EQ(bar.pending(), 1);
  ASSERT_EQ(bar.arrive(1, 512), none);
  EXPECT_EQ(bar.phase(), 1u);
}

TEST(Mbarrier, TraceCArriveDropLowersTheNextPhase) {
  Mbarrier bar;
  ASSERT_EQ(bar.init(3), none);
  ASSERT_EQ(bar.arrive(1), none);
  ASSERT_EQ(bar.arriveDrop(1), none);
  EXPECT_EQ(bar.expected(), 2);
  EXPECT_EQ(bar.pending(), 1);
  ASSERT_EQ(bar.arrive(1), none);
  EXPECT_EQ(bar.phase(), 1u);
  EXPECT_EQ(bar.pending(), 2);
  ASSERT_EQ(bar.arrive(1), none);
  ASSERT_EQ(bar.arrive(1), none);
  EXPECT_EQ(bar.phase(), 2u);
  EXPECT_TRUE(bar.testParity(1));
  EXPECT_FALSE(bar.testParity(0));
}

TEST(Mbarrier, TraceDAnExpectationAfterTheArrivalCountsForTheNextPhase) {
  Mbarrier bar;
  ASSERT_EQ(bar.init(1), none);
  ASSERT_EQ(bar.arrive(1), none);
  EXPECT_EQ(bar.phase(), 1u);
  ASSERT_EQ(bar.expect(64), none);
  ASSERT_EQ(bar.arrive(1), none);
  EXPECT_EQ(bar.phase(), 1u);
}

TEST(Mbarrier, TokensNameTheirPhase) {
  Mbarrier bar;
  ASSERT_EQ(bar.init(2), none);
  uint64_t token = bar.token();
  EXPECT_EQ(Mbarrier::tokenPending(token), 2u);
  EXPECT_FALSE(bar.testToken(token));
  ASSERT_EQ(bar.arrive(2), none);
  EXPECT_TRUE(bar.testToken(token));
}

TEST(Mbarrier, FaultsAreNamed) {
  Mbarrier bar;
  EXPECT_EQ(bar.arrive(1), MbarrierFault::notInitialised);
  EXPECT_EQ(bar.expect(1), MbarrierFault::notInitialised);
  EXPECT_EQ(bar.complete(1), MbarrierFault::notInitialised);
  EXPECT_EQ(bar.invalidate(), MbarrierFault::notInitialised);
  EXPECT_EQ(bar.init(0), MbarrierFault::countRange);
  ASSERT_EQ(bar.invalidate(), none);
  ASSERT_EQ(bar.init(2), none);
  EXPECT_EQ(bar.init(2), MbarrierFault::initOfLive);
  EXPECT_EQ(bar.arrive(3), MbarrierFault::tooManyArrivals);
  EXPECT_EQ(bar.expect(1 << 20), MbarrierFault::transactionRange);
  ASSERT_EQ(bar.expect((1 << 20) - 1), none);
  EXPECT_EQ(bar.expect(1), MbarrierFault::transactionRange);
  ASSERT_EQ(bar.complete((1 << 20) - 1), none);
  EXPECT_EQ(bar.arriveNoComplete(2), MbarrierFault::noCompleteCompletes);
  // Early bytes and all arrivals first, then the expectation alone.
  ASSERT_EQ(bar.complete(8), none);
  ASSERT_EQ(bar.arrive(2), none);
  EXPECT_EQ(bar.expect(8), MbarrierFault::completedByExpect);
}

// A consumer in step with the barrier sees no alias; one that was overtaken by
// two phases does.
TEST(Mbarrier, PhaseWatchReportsAnOvertakenWaiter) {
  PhaseWatch watch;
  EXPECT_EQ(watch.test(0, 1, 0), none); // a producer's first wait
  EXPECT_EQ(watch.test(0, 0, 0), none); // not complete yet
  EXPECT_EQ(watch.test(0, 0, 1), none);
  EXPECT_EQ(watch.test(0, 1, 1), none);
  EXPECT_EQ(watch.test(0, 1, 2), none);
  EXPECT_EQ(watch.test(0, 0, 4), MbarrierFault::phaseAlias);
  // What a waiter learns from a token or its own arrival counts.
  watch.observe(2, 4);
  EXPECT_EQ(watch.test(2, 0, 5), none);
  // Another waiter has its own history.
  EXPECT_EQ(watch.test(1, 0, 1), none);
}

} // namespace
