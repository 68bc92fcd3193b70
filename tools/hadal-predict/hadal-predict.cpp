// hadal-predict: how fast an artifact of several ranks would be on a cluster
// that is described by a file. Runs nothing and needs no device and no weights.
#include <nlohmann/json.hpp>

#include "runtime/base/OutputFile.h"
#include "runtime/base/Progress.h"
#include "runtime/placement/Placement.h"
#include "tools/common/Cli.h"
#include "tools/hadal-place/ExpertLoad.h"
#include "tools/hadal-place/PlaceExperts.h"
#include "tools/hadal-predict/Prediction.h"

using namespace hadal;
using namespace hadal::predict;

namespace {

struct PredictFlags {
  std::string artifact, cluster, costs, load, placement, json;
  uint64_t context = 0;
};

std::string bytesText(double bytes) {
  return formatBytes(static_cast<uint64_t>(bytes));
}

/// Most over mean of the ranks' pairs under the load of |flags|, as it is in
/// the mean over the layers.
StatusOr<double> imbalanceOf(const PredictFlags &flags,
                             const Artifact &artifact) {
  const schema::Mesh *mesh = artifact.root().mesh();
  if (!mesh || mesh->ep() < 2)
    return error(5011,
                 "--load and --placement are about experts on several ranks, "
                 "which '{}' is not for",
                 flags.artifact);
  HADAL_ASSIGN_OR_RETURN(ExpertLoadFile load, readExpertLoad(flags.load));
  if (load.experts != artifact.model().num_experts())
    return error(5023, "'{}' is of {} experts, '{}' has {}", flags.load,
                 load.experts, flags.artifact, artifact.model().num_experts());
  PlacementShape shape{load.experts, mesh->ep(), mesh->slots(), {}};
  for (const auto &[number, tokens] : load.layers)
    shape.layers.push_back(number);
  ExpertPlacement placement = defaultPlacement(shape);
  if (!flags.placement.empty()) {
    HADAL_ASSIGN_OR_RETURN(placement, readPlacement(flags.placement, shape));
  }
  PlacementProblem problem;
  problem.experts = load.experts;
  problem.ranks = mesh->ep();
  problem.slots = mesh->slots();
  double sum = 0;
  for (const auto &[number, tokens] : load.layers)
    sum +=
        1 / balancedness(problem, tokens, placement.layers.at(number).experts);
  return sum / static_cast<double>(load.layers.size());
}

nlohmann::ordered_json toJson(const Prediction &p) {
  nlohmann::ordered_json json;
  json["ranks"] = p.ranks;
  json["tp"] = p.tp;
  json["dp"] = p.dp;
  json["ep"] = p.ep;
  json["slots"] = p.slots;
  json["memory"] = {
      {"weights", p.memory.weights},   {"cache", p.memory.cache},
      {"states", p.memory.states},     {"activations", p.memory.activations},
      {"exchange", p.memory.exchange}, {"workspace", p.memory.workspace},
      {"total", p.memory.total()}};
  json["entries"] = nlohmann::ordered_json::array();
  for (const EntryPrediction &e : p.entries) {
    nlohmann::ordered_json entry = {
        {"name", e.name},
        {"tokens", e.tokens},
        {"imbalance", e.imbalance},
        {"step_us", e.stepUs},
        {"body_us", e.body.us},
        {"head_us", e.headUs},
        {"compute_us", e.body.computeUs},
        {"link_us", e.body.linkUs},
        {"exposed_us", e.body.exposedUs},
        {"bound", std::string(e.body.bound())},
        {"launches", e.launches},
        {"measured", e.measured},
        {"tokens_per_second_rank", e.tokensPerSecondOfRank},
        {"tokens_per_second_node", e.tokensPerSecondOfNode}};
    for (const auto &[label, x] : e.exchanges)
      entry["exchanges"][label] = {{"operations", x.operations},
                                   {"us", x.us},
                                   {"exposed_us", x.exposedUs},
                                   {"bytes", x.bytes},
                                   {"needed_bytes", x.neededBytes}};
    if (e.overlap)
      entry["overlap"] = {{"kept", e.overlap->kept},
                          {"before_us", e.overlap->beforeUs},
                          {"after_us", e.overlap->afterUs},
                          {"exposed_before_us", e.overlap->exposedBeforeUs},
                          {"exposed_after_us", e.overlap->exposedAfterUs},
                          {"text", e.overlap->text}};
    json["entries"].push_back(std::move(entry));
  }
  return json;
}

std::string toText(const Prediction &p, const cost::Cluster &cluster) {
  std::string text =
      fmt::format("{} ranks (tp {}, dp {}, ep {}) on {}\n", p.ranks, p.tp, p.dp,
                  p.ep, cluster.name.empty() ? "a cluster" : cluster.name);
  text += fmt::format(
      "memory of a rank: weights {}, cache {}, activations {} (exchange {}), "
      "workspace {}, other {}: {}{}\n",
      bytesText(p.memory.weights), bytesText(p.memory.cache),
      bytesText(p.memory.activations), bytesText(p.memory.exchange),
      bytesText(p.memory.workspace), bytesText(p.memory.states),
      bytesText(p.memory.total()),
      cluster.memoryBytes > 0
          ? fmt::format(" of {}{}", bytesText(cluster.memoryBytes),
                        p.memory.total() > cluster.memoryBytes
                            ? ", which does not fit"
                            : "")
          : "");
  text += fmt::format("{:24} {:>8} {:>10} {:>12} {:>12} {:>10} {:>10} {:>6}\n",
                      "entry", "tokens", "step us", "tok/s/rank", "tok/s/node",
                      "compute us", "exposed us", "bound");
  for (const EntryPrediction &e : p.entries) {
    text += fmt::format(
        "{:24} {:8.0f} {:10.0f} {:12.1f} {:12.0f} {:10.0f} {:10.0f} {:>6}\n",
        e.name, e.tokens, e.stepUs, e.tokensPerSecondOfRank,
        e.tokensPerSecondOfNode, e.body.computeUs, e.body.exposedUs,
        e.body.bound());
    for (const auto &[label, x] : e.exchanges)
      text += fmt::format("  {} x {}: {:.0f} us, exposed {:.0f} us; a rank "
                          "sends {} ({} needed)\n",
                          x.operations, label, x.us, x.exposedUs,
                          bytesText(x.bytes), bytesText(x.neededBytes));
    if (e.overlap)
      text += fmt::format("  {}\n", e.overlap->text);
    text += fmt::format("  imbalance {:.2f}; {} of {} launches priced by "
                        "measurements, the others by the roofline\n",
                        e.imbalance, e.measured, e.launches);
  }
  return text;
}

Status runPredict(const PredictFlags &flags) {
  if (!flags.placement.empty() && flags.load.empty())
    return error(5011, "--placement needs --load: what it does depends on it");
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(flags.artifact));
  HADAL_ASSIGN_OR_RETURN(cost::Cluster cluster,
                         cost::readCluster(flags.cluster));
  cost::KernelCosts costs;
  if (!flags.costs.empty()) {
    HADAL_ASSIGN_OR_RETURN(costs, cost::readKernelCosts(flags.costs));
  }
  Options options;
  options.context = flags.context;
  if (!flags.load.empty()) {
    HADAL_ASSIGN_OR_RETURN(options.imbalance, imbalanceOf(flags, artifact));
  }
  HADAL_ASSIGN_OR_RETURN(Prediction prediction,
                         predict::predict(artifact, cluster, costs, options));
  HADAL_RETURN_IF_ERROR(cli::writeStdout(toText(prediction, cluster)));
  if (flags.json.empty())
    return {};
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(flags.json));
  HADAL_RETURN_IF_ERROR(file.write(toJson(prediction).dump(2) + "\n"));
  return file.commit();
}

} // namespace

int main(int argc, char **argv) {
  PredictFlags flags;
  CLI::App app("Predicts how fast an artifact would be on a cluster: tokens a "
               "second, and where the time goes. Runs nothing of it.",
               "hadal-predict");
  app.add_option("artifact", flags.artifact, "the .hadal file")->required();
  app.add_option("--cluster", flags.cluster,
                 "what its chips and links do (models/clusters, docs/ranks.md)")
      ->required();
  app.add_option("--costs", flags.costs,
                 "measured kernels: the file of hadal-bench --kernels --json; "
                 "others are priced by the cluster's roofline");
  app.add_option(
      "--load", flags.load,
      "tokens by expert, for the imbalance of the ranks: the file of "
      "hadal-run --expert-load; default: even routing");
  app.add_option("--placement", flags.placement,
                 "the experts of each rank (hadal-place); default: in turn");
  app.add_option("--context", flags.context,
                 "tokens in the cache of a sequence while it decodes; default: "
                 "half of the artifact's --max-seq-len")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 30));
  app.add_option("--json", flags.json, "a file for all figures");
  return cli::run(app, argc, argv, [&] { return runPredict(flags); });
}
