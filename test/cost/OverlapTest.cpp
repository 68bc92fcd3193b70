// Orders of two micro-batches: by hand, and what the rule says of them.
#include "cost/Overlap.h"

#include <set>

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::cost;

namespace {

/// Experts await a dispatch, the rest of the layer a return.
Chain chainOf(double attend, double experts, double transfer) {
  return {{"experts", experts, 1, "dispatch",
           Collective{"return", 0, transfer, 0, false}},
          {"attend", attend, 1, "return",
           Collective{"dispatch", 0, transfer, 0, false}}};
}

OverlapPlan planOf(const Chain &chain, const Machine &machine = {}) {
  StatusOr<OverlapPlan> plan = searchOverlap(chain, machine);
  EXPECT_TRUE(plan.ok()) << plan.status().toString();
  return plan.ok() ? *plan : OverlapPlan();
}

} // namespace

TEST(Overlap, PlainLayersWaitForEachCollective) {
  StatusOr<Timeline> t = runPlain(chainOf(40, 50, 30), {});
  ASSERT_TRUE(t.ok());
  EXPECT_DOUBLE_EQ(t->us, 150);
  EXPECT_DOUBLE_EQ(t->exposedUs, 60);
}

TEST(Overlap, AStageBetweenStartAndAwaitCoversIt) {
  Chain chain = chainOf(40, 50, 30);
  chain.insert(chain.begin(), {"shared", 12, 1, "", std::nullopt});
  StatusOr<Timeline> t = runPlain(chain, {});
  ASSERT_TRUE(t.ok());
  EXPECT_DOUBLE_EQ(t->us, 150);
  EXPECT_DOUBLE_EQ(t->exposedByLabel.at("dispatch"), 18);
  EXPECT_DOUBLE_EQ(t->exposedByLabel.at("return"), 30);
}

// Collectives of 30 lie under kernels of at least 40 of the other micro-batch:
// only at the body's ends one is exposed.
TEST(Overlap, OneComputesWhileTheOtherCommunicates) {
  OverlapPlan plan = planOf(chainOf(40, 50, 30));
  // Without the ends' barrier 180 would do; dispatch of chain 0 is awaited
  // first.
  EXPECT_LE(plan.timeline.us, 210);
  EXPECT_LE(plan.timeline.exposedUs, 30);
  EXPECT_GE(plan.timeline.us, 180);
}

TEST(Overlap, NoOrderIsBetterThanTheOneFound) {
  Chain chain = {
      {"shared", 22, 3, "", std::nullopt},
      {"experts", 128, 4, "dispatch", Collective{"return", 35, 309, 25, false}},
      {"combine", 0, 3, "return", std::nullopt},
      {"project", 59, 6, "", std::nullopt},
      {"attend", 334, 8, "", Collective{"dispatch", 25, 147, 20, false}}};
  const Machine machine{2, 1};
  OverlapPlan plan = planOf(chain, machine);
  // Lag 0, one micro-batch after the other.
  Interleaving inTurn{0, {0, 0, 0, 0, 0, 1, 1, 1, 1, 1}};
  StatusOr<Timeline> worse = simulate(bodyOf(chain, inTurn), machine);
  ASSERT_TRUE(worse.ok());
  EXPECT_LT(plan.timeline.us, worse->us);
  // The order that ranks.md derives, and what it takes without a lag.
  EXPECT_EQ(plan.interleaving.toString(chain),
            "lag 2: shared.0 project.1 experts.0 attend.1 combine.0 project.0 "
            "shared.1 experts.1 attend.0 combine.1");
  EXPECT_NEAR(plan.timeline.us, 1482, 1);
  // No body leaves anything in flight: as many waits as collectives.
  unsigned collectives = 0, waits = 0;
  for (const Command &command : bodyOf(chain, plan.interleaving)) {
    collectives += command.kind == Command::Kind::collective;
    waits += command.kind == Command::Kind::wait && command.stream == 0;
  }
  EXPECT_EQ(collectives, 4u);
  EXPECT_EQ(waits, 4u);
}

TEST(Overlap, KeepsWhatGainsEnoughAndFits) {
  const Chain whole = chainOf(80, 100, 60), half = chainOf(40, 50, 30);
  StatusOr<OverlapDecision> d = decideOverlap("decode_8", whole, half, {});
  ASSERT_TRUE(d.ok()) << d.status().toString();
  EXPECT_TRUE(d->kept);
  EXPECT_DOUBLE_EQ(d->beforeUs, 300);
  EXPECT_DOUBLE_EQ(d->exposedBeforeUs, 120);
  EXPECT_EQ(
      d->text,
      fmt::format("decode_8: two micro-batches: 300 -> {:.0f} us a layer, "
                  "exposed 120 -> {:.0f} us: kept",
                  d->afterUs, d->exposedAfterUs));
  d = decideOverlap("decode_8", whole, half, {}, /*fits=*/false);
  ASSERT_TRUE(d.ok());
  EXPECT_FALSE(d->kept);
  EXPECT_TRUE(d->text.ends_with("refused: their memory does not fit"));
  d = decideOverlap("decode_8", whole, half, {}, true, OverlapMode::off);
  ASSERT_TRUE(d.ok());
  EXPECT_FALSE(d->kept);
  EXPECT_TRUE(d->text.ends_with("refused as asked for"));
}

TEST(Overlap, RefusesWhatGainsLittle) {
  // Halves take as long as the whole: weights bound them.
  const Chain whole = chainOf(40, 50, 10), half = chainOf(40, 50, 5);
  StatusOr<OverlapDecision> d = decideOverlap("decode_2", whole, half, {});
  ASSERT_TRUE(d.ok());
  EXPECT_FALSE(d->kept);
  EXPECT_FALSE(d->forced);
  EXPECT_TRUE(d->text.ends_with("refused: the time does not fall by 5 %"))
      << d->text;
  d = decideOverlap("decode_2", whole, half, {}, true, OverlapMode::on);
  ASSERT_TRUE(d.ok());
  EXPECT_TRUE(d->kept);
  EXPECT_TRUE(d->forced);
  EXPECT_TRUE(d->text.ends_with(
      "kept as asked for, though the time does not fall by 5 %"))
      << d->text;
}

TEST(Overlap, RefusesChainsThatMakeNoSense) {
  Chain chain = chainOf(1, 1, 1);
  chain[0].awaits = "";
  EXPECT_EQ(searchOverlap(chain, {}).status().message(),
            "collective 'dispatch' is started 1 times and awaited 0 times in a "
            "layer, expected once each");
  chain = chainOf(1, 1, 1);
  chain[1].starts.reset();
  EXPECT_EQ(runPlain(chain, {}).status().message(),
            "a stage awaits 'dispatch', which none starts");
  EXPECT_EQ(searchOverlap({}, {}).status().message(),
            "a layer without stages cannot be overlapped");
}
