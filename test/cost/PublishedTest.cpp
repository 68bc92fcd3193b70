// The model beside what DeepSeek and SGLang have published. Every parameter is
// in models/clusters and test/cost/Inputs; none is fitted to a single row.
#include <chrono>

#include <gtest/gtest.h>

#include "test/cost/PublishedLayer.h"

using namespace hadal;
using namespace hadal::cost;

namespace {

OverlapDecision decisionOf(const Json &row, const std::string &cluster = "") {
  const PublishedLayer layer(
      published()["layers"][row["layer"].get<std::string>()], cluster);
  const Deployment deployment = deploymentOf(row);
  const double rows = row["rows"];
  StatusOr<OverlapDecision> decision = decideOverlap(
      row["name"], layer.chain(deployment, rows, 1),
      layer.chain(deployment, rows / 2, 2), layer.cluster().machine);
  EXPECT_TRUE(decision.ok()) << decision.status().toString();
  return decision.ok() ? std::move(*decision) : OverlapDecision();
}

double gainOf(const OverlapDecision &decision) {
  return decision.beforeUs / decision.afterUs;
}

} // namespace

// Every rate within 10 %, their mean within 5 %.
TEST(Published, Rates) {
  const auto begin = std::chrono::steady_clock::now();
  double sum = 0;
  for (const Json &row : published()["rates"]) {
    const PublishedLayer layer(
        published()["layers"][row["layer"].get<std::string>()]);
    const OverlapDecision decision = decisionOf(row);
    const double layerUs =
        row["micro_batches"] == 2 ? decision.afterUs : decision.beforeUs;
    const double rate = layer.tokensPerSecond(layerUs, row["tokens"]);
    const double ratio = rate / row["published"].get<double>();
    fmt::print("{:60} published {:6} predicted {:6.0f} ratio {:.3f}\n",
               row["name"].get<std::string>(), row["published"].get<int>(),
               rate, ratio);
    EXPECT_GE(ratio, 0.9) << row["name"];
    EXPECT_LE(ratio, 1.1) << row["name"];
    sum += ratio;
  }
  const double mean = sum / published()["rates"].size();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  fmt::print("mean ratio {:.3f}, {:.2f} s\n", mean, took.count());
  EXPECT_NEAR(mean, 1, 0.05);
}

// The sign of every gain; where one is published, within 20 % of it.
TEST(Published, Gains) {
  for (const Json &row : published()["gains"]) {
    const OverlapDecision decision = decisionOf(row);
    const double gain = gainOf(decision);
    std::string figure = "";
    if (row.contains("published")) {
      const double least = row["published"][0], most = row["published"][1];
      figure = fmt::format("{:.2f} to {:.2f}", least, most);
      EXPECT_EQ(gain > 1, least > 1) << row["name"];
      EXPECT_GE(gain, least * 0.8) << row["name"];
      EXPECT_LE(gain, most * 1.2) << row["name"];
    } else {
      figure = row["published_sign"].get<int>() > 0 ? "> 1" : "< 1";
      EXPECT_EQ(gain > 1, row["published_sign"].get<int>() > 0) << row["name"];
    }
    fmt::print("{:60} published {:12} predicted {:.3f}\n",
               row["name"].get<std::string>(), figure, gain);
  }
}

// What the rule says of eight buckets and links.
TEST(Published, Decisions) {
  struct Case {
    const char *layer, *cluster;
    unsigned ranks, slots;
    double rows, context;
    bool kept;
  };
  const char *lowLatency = "h800-deepep-low-latency.json";
  const char *normal = "h800-deepep-normal.json";
  const char *nccl = "h100-nccl.json";
  const Case cases[] = {
      {"decode", lowLatency, 72, 4, 32, 2000, false},
      {"decode", lowLatency, 72, 4, 64, 2000, false},
      {"decode", lowLatency, 72, 4, 128, 2000, true},
      {"decode", lowLatency, 72, 4, 256, 2000, true},
      {"decode", nccl, 8, 32, 32, 2000, false},
      {"decode", nccl, 128, 2, 256, 4096, true},
      {"prefill", normal, 32, 9, 8192, 4096, true},
      {"prefill", normal, 32, 9, 16384, 4096, true},
  };
  for (const Case &c : cases) {
    Json row = {{"name", fmt::format("{}_{}, {} ranks, {}", c.layer, c.rows,
                                     c.ranks, c.cluster)},
                {"layer", c.layer},
                {"ranks", c.ranks},
                {"slots", c.slots},
                {"rows", c.rows},
                {"context", c.context},
                {"balancedness", 0.85}};
    // SGLang's kernels, whose gains are published.
    if (c.cluster == lowLatency)
      row["scale"] = {{"kernels", 1.3}, {"experts", 1.25}};
    const OverlapDecision decision = decisionOf(row, c.cluster);
    fmt::print("{}\n", decision.text);
    EXPECT_EQ(decision.kept, c.kept) << decision.text;
    // All figures are in the remark.
    for (double figure : {decision.beforeUs, decision.afterUs,
                          decision.exposedBeforeUs, decision.exposedAfterUs})
      EXPECT_NE(decision.text.find(fmt::format("{:.0f}", figure)),
                std::string::npos);
  }
}

// Even routing, exact counts: a token costs about the same on 32 and 320 ranks.
TEST(Published, CostOfATokenByRanks) {
  const PublishedLayer layer(published()["layers"]["decode"]);
  double first = 0;
  for (auto [ranks, slots] :
       {std::pair(32u, 9u), {72u, 4u}, {144u, 2u}, {320u, 1u}}) {
    Deployment deployment;
    deployment.ranks = ranks;
    deployment.slots = slots;
    deployment.context = 4096;
    deployment.scale = Json::object();
    StatusOr<OverlapPlan> plan =
        searchOverlap(layer.chain(deployment, 128, 2), layer.cluster().machine);
    ASSERT_TRUE(plan.ok());
    if (first == 0)
      first = plan->timeline.us;
    fmt::print("EP{}: {:.0f} us a layer, {:.2f}, exposed {:.0f} us, bound {}\n",
               ranks, plan->timeline.us, plan->timeline.us / first,
               plan->timeline.exposedUs, plan->timeline.bound());
    EXPECT_NEAR(plan->timeline.us / first, 1.0, 0.1);
  }
}
