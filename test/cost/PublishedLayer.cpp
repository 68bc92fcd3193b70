#include "test/cost/PublishedLayer.h"

#include <gtest/gtest.h>

#include "cost/Routing.h"
#include "test/Paths.h"

namespace hadal::cost {

namespace {

const std::string kInputs = HADAL_SOURCE_DIR "/test/cost/Inputs/";

template <typename T> T valueOf(StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status().toString();
  return value.ok() ? std::move(*value) : T();
}

/// The kernel runs on what collectives leave of the chip.
double multiprocessorShare(const Cluster &cluster) {
  unsigned held = 0;
  for (const auto &[name, link] : cluster.links)
    if (name == "dispatch" || name == "return" || name == "ep")
      held = std::max(held, link.multiprocessors);
  return static_cast<double>(cluster.multiprocessors) /
         (cluster.multiprocessors - held);
}

} // namespace

PublishedLayer::PublishedLayer(const Json &json, const std::string &cluster)
    : json(json),
      cluster_(valueOf(readCluster(
          HADAL_SOURCE_DIR "/models/clusters/" +
          (cluster.empty() ? json["cluster"].get<std::string>() : cluster)))),
      costs(valueOf(
          readKernelCosts(kInputs + json["kernels"].get<std::string>()))) {}

double PublishedLayer::kernelUs(const Json &kernel,
                                const Deployment &deployment, double rows,
                                unsigned batches) const {
  const std::string name = kernel["name"];
  const KernelCost *cost = costs.find(name);
  EXPECT_TRUE(cost) << name;
  if (kernel.value("rows", "tokens") == "pairs")
    rows *= json["choices"].get<double>() / deployment.balancedness;
  double us = cost->us(rows);
  // Weights of every slot are read, however few the rows are.
  us = std::max(us, kernel.value("us_a_slot", 0.0) * deployment.slots);
  if (kernel.contains("context"))
    us *= deployment.context / kernel["context"].get<double>();
  if (batches > 1 && kernel.value("on_multiprocessors", false))
    us *= multiprocessorShare(cluster_);
  return us * deployment.scale.value(kernel.value("scale", "kernels"), 1.0);
}

Collective PublishedLayer::collective(const std::string &label,
                                      const Deployment &deployment,
                                      double rows) const {
  const Link *link = cluster_.find(label, "ep");
  EXPECT_TRUE(link) << label;
  const double ranks = distinctRanks(
      {deployment.ranks, deployment.slots, json["choices"].get<int64_t>()});
  double copies = 0;
  switch (link->moves) {
  case Moves::pairs:
    copies = json["choices"];
    break;
  case Moves::copies:
    copies = link->copies;
    break;
  case Moves::rows:
    copies = ranks;
    break;
  case Moves::capacity:
    // Room for twice the mean of a pair of ranks, at most for all rows.
    copies = std::min<double>(deployment.ranks, 2 * ranks);
    break;
  }
  return collectiveOf(*link, label, deployment.ranks,
                      rows * copies * json["collectives"][label].get<double>(),
                      1 / deployment.balancedness);
}

Chain PublishedLayer::chain(const Deployment &deployment, double rows,
                            unsigned batches) const {
  Chain chain;
  for (const Json &stage : json["stages"]) {
    Stage made;
    made.name = stage["name"];
    made.launches = stage["launches"];
    made.awaits = stage.value("awaits", "");
    for (const Json &kernel : stage["kernels"])
      made.us += kernelUs(kernel, deployment, rows, batches);
    if (stage.contains("starts"))
      made.starts = collective(stage["starts"], deployment, rows);
    chain.push_back(std::move(made));
  }
  return chain;
}

double PublishedLayer::tokensPerSecond(double layerUs,
                                       double stepTokens) const {
  const double stepUs =
      json["layers"].get<double>() * layerUs + cluster_.outsideUs;
  return stepTokens / (stepUs * 1e-6) * cluster_.ranksPerNode;
}

const Json &published() {
  static const Json json =
      valueOf(readJsonFile(kInputs + "published.json", 5023));
  return json;
}

Deployment deploymentOf(const Json &row) {
  Deployment deployment;
  deployment.ranks = row["ranks"];
  deployment.slots = row["slots"];
  deployment.balancedness = row.value("balancedness", 1.0);
  deployment.context = row["context"];
  deployment.scale = row.value("scale", Json::object());
  return deployment;
}

} // namespace hadal::cost
