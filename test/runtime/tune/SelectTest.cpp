// What is found and what is not, by truths that are planted.
#include "runtime/tune/Select.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "test/runtime/tune/SyntheticTimer.h"

using namespace hadal;
using namespace hadal::tune;

namespace {

std::vector<Candidate> candidatesOf(size_t count) {
  std::vector<Candidate> all;
  for (size_t arm = 1; arm <= count; ++arm)
    all.push_back({arm, 0, "c" + std::to_string(arm)});
  return all;
}

Selection selectionOf(SyntheticTimer &timer, std::vector<Candidate> candidates,
                      const Neighbours &neighbours = {}) {
  StatusOr<Selection> selection =
      select(timer, std::move(candidates), {}, neighbours);
  EXPECT_TRUE(selection.ok()) << selection.status().toString();
  return selection.ok() ? std::move(*selection) : Selection();
}

double medianOf(SyntheticTimer &timer, size_t arm, unsigned count) {
  std::vector<double> times;
  for (unsigned i = 0; i < count; ++i)
    times.push_back(*timer.time(arm));
  std::nth_element(times.begin(), times.begin() + count / 2, times.end());
  return times[count / 2];
}

} // namespace

TEST(Select, ADefaultSlowedByEightPercentIsFound) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SyntheticTimer timer({1.08e-3, 1.08e-3, 1e-3, 1.2e-3}, seed);
    Selection s = selectionOf(timer, candidatesOf(3));
    ASSERT_TRUE(s.winner) << seed;
    EXPECT_EQ(*s.winner, 1u) << seed;
    EXPECT_EQ(s.outcomes[1].end, End::W);
    EXPECT_GT(s.outcomes[1].gain.low, 0);
    EXPECT_NEAR(s.outcomes[1].gain.median, std::log(1.08), 0.03);
    EXPECT_EQ(s.outcomes[2].end, End::M01);
  }
}

TEST(Select, AnIdenticalCandidateIsNeverAdopted) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SyntheticTimer timer({1e-3, 1e-3}, 1000 + seed);
    Selection s = selectionOf(timer, candidatesOf(1));
    EXPECT_FALSE(s.winner) << seed;
    EXPECT_FALSE(s.refused) << seed;
  }
}

TEST(Select, ThreePercentIsAdoptedOrNoiseButNotSlower) {
  unsigned adopted = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SyntheticTimer timer({1.03e-3, 1e-3}, 2000 + seed);
    const End end = selectionOf(timer, candidatesOf(1)).outcomes[0].end;
    EXPECT_TRUE(end == End::W || end == End::M02) << seed;
    adopted += end == End::W;
  }
  EXPECT_GT(adopted, 0u);
}

TEST(Select, TheLuckiestOfTwelveEqualsWinsNothing) {
  unsigned naive = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SyntheticTimer timer(std::vector<double>(13, 1e-3), 3000 + seed);
    EXPECT_FALSE(selectionOf(timer, candidatesOf(12)).winner) << seed;

    // The rule of many tuners: a median of 11 each, the smallest is taken.
    SyntheticTimer again(std::vector<double>(13, 1e-3), 3000 + seed);
    const double own = medianOf(again, 0, 11);
    double best = own;
    for (size_t arm = 1; arm <= 12; ++arm)
      best = std::min(best, medianOf(again, arm, 11));
    naive += own / best > 1.02;
  }
  EXPECT_GT(naive, 10u) << "the test's noise would fool nobody";
}

TEST(Select, ADecisionCostsLessThanThreeSeconds) {
  // Between equal and the effect: the longest decisions.
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SyntheticTimer timer({1.02e-3, 1e-3}, 4000 + seed);
    std::vector<double> blocks;
    ASSERT_TRUE(compare(timer, 1, 0.02, blocks).ok());
    EXPECT_LE(blocks.size(), kMaxBlocks);
    EXPECT_LT(timer.seconds, 3);
  }
}

TEST(Select, EqualWinnersAreOrderedByResourcesThenText) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SyntheticTimer timer({1.2e-3, 1e-3, 1e-3, 1e-3}, 5000 + seed);
    Selection s = selectionOf(timer, {{1, 9, "a"}, {2, 4, "c"}, {3, 4, "b"}});
    ASSERT_TRUE(s.winner);
    EXPECT_EQ(s.outcomes[*s.winner].candidate.arm, 3u) << seed;
  }
}

TEST(Select, ConfirmationHasNewInputs) {
  SyntheticTimer timer({1.2e-3, 1e-3}, 1);
  EXPECT_TRUE(selectionOf(timer, candidatesOf(1)).winner);
  EXPECT_EQ(timer.seeds, std::vector<uint64_t>{2});
}

TEST(Select, AFailingCandidateEndsAlone) {
  // Arm 1 fails in its screening, arm 2, the fastest, in its confirmation.
  SyntheticTimer timer({1.2e-3, 1e-3, 0.8e-3, 1e-3}, 1);
  timer.failAt = {{1, 5}, {2, (8 + 16) * kRounds + 3}};
  Selection s = selectionOf(timer, candidatesOf(3));
  EXPECT_EQ(s.outcomes[0].end, End::R01);
  EXPECT_EQ(s.outcomes[0].failure.code(), 5001);
  EXPECT_EQ(timer.unitsOf[1], 6u);
  EXPECT_EQ(s.outcomes[1].end, End::R01);
  ASSERT_TRUE(s.winner);
  EXPECT_EQ(*s.winner, 2u);

  SyntheticTimer broken({1e-3, 1e-3}, 1);
  broken.failAt = {{0, 100}};
  EXPECT_EQ(select(broken, candidatesOf(1)).status().code(), 5001);
}

TEST(Select, NeighboursOfTheBestAreTried) {
  SyntheticTimer timer({1.2e-3, 1.1e-3, 1.15e-3, 1e-3}, 1);
  size_t asked = 0;
  Selection s = selectionOf(timer, candidatesOf(2), [&](const Candidate &best) {
    asked = best.arm;
    return std::vector<Candidate>{{3, 0, "c3"}};
  });
  EXPECT_EQ(asked, 1u);
  ASSERT_TRUE(s.winner);
  EXPECT_EQ(s.outcomes[*s.winner].candidate.arm, 3u);
}

namespace {

/// A default whose second run of a pair is slower: told from itself.
class BiasedTimer : public Timer {
public:
  StatusOr<double> time(size_t) override {
    // Places 2, 3 of ABBA and 1, 4 of BAAB are B's.
    const size_t place = units++ % 16, half = place / 8, at = place % 4;
    const bool b = (at == 1 || at == 2) != (half == 1);
    return b ? 1.1e-3 : 1e-3;
  }
  Status renew(uint64_t) override { return {}; }
  size_t units = 0;
};

} // namespace

TEST(Select, AMachineThatTellsTheDefaultFromItselfIsRefused) {
  BiasedTimer timer;
  StatusOr<Selection> s = select(timer, candidatesOf(3));
  ASSERT_TRUE(s.ok());
  EXPECT_TRUE(s->refused);
  EXPECT_FALSE(s->winner);
  EXPECT_EQ(timer.units, 16u * 2 * kRounds);
  for (const Outcome &o : s->outcomes)
    EXPECT_EQ(o.end, End::M02);
}
