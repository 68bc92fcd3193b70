// hadal-place: from how many tokens each expert got, which experts each rank is
// to hold. Writes the file that hadal-run --placement reads.
#include "runtime/base/OutputFile.h"
#include "runtime/placement/Placement.h"
#include "tools/common/Cli.h"
#include "tools/hadal-place/ExpertLoad.h"
#include "tools/hadal-place/PlaceExperts.h"

using namespace hadal;

namespace {

struct PlaceFlags {
  std::string load, output;
  PlacementProblem problem;
  uint32_t groups = 0;
  bool quiet = false;
};

/// What the placement gained, in a line.
std::string summary(const PlacementProblem &problem,
                    const ExpertPlacement &placement, uint32_t swaps) {
  double before = 0, after = 0, least = 1;
  uint32_t mostReplicas = 0;
  for (const auto &[number, layer] : placement.layers) {
    before += layer.balancednessBefore;
    after += layer.balancednessAfter;
    least = std::min(least, layer.balancednessAfter);
    std::vector<uint32_t> replicas(problem.experts, 0);
    for (uint32_t expert : layer.experts)
      mostReplicas = std::max(mostReplicas, ++replicas[expert]);
  }
  const double count = static_cast<double>(placement.layers.size());
  const std::string how =
      problem.hierarchical()
          ? fmt::format("hierarchical: {} groups on {} nodes", problem.groups,
                        problem.nodes)
          : std::string("global");
  return fmt::format(
      "placed {} experts and {} replicas on {} ranks of {} slots in {} layers, "
      "{}: balancedness {:.3f} -> {:.3f} (mean), {:.3f} at least; an expert "
      "has "
      "up to {} replicas; {} swaps kept them apart\n",
      problem.experts,
      uint64_t{problem.ranks} * problem.slots - problem.experts, problem.ranks,
      problem.slots, placement.layers.size(), how, before / count,
      after / count, least, mostReplicas, swaps);
}

Status place(PlaceFlags flags) {
  HADAL_ASSIGN_OR_RETURN(ExpertLoadFile load, readExpertLoad(flags.load));
  PlacementProblem &problem = flags.problem;
  problem.experts = load.experts;
  problem.groups = flags.groups ? flags.groups : std::max(load.groups, 1u);
  HADAL_RETURN_IF_ERROR(checkProblem(problem));

  PlacementShape shape{problem.experts, problem.ranks, problem.slots, {}};
  for (const auto &[number, tokens] : load.layers)
    shape.layers.push_back(number);
  ExpertPlacement placement = defaultPlacement(shape);
  placement.loadDigest = load.digest;
  uint32_t swaps = 0;
  for (auto &[number, layer] : placement.layers) {
    const std::vector<uint64_t> &tokens = load.layers.at(number);
    layer.balancednessBefore = balancedness(problem, tokens, layer.experts);
    PlacedLayer placed = placeExperts(problem, tokens);
    swaps += placed.swaps;
    layer.experts = std::move(placed.experts);
    layer.balancednessAfter = balancedness(problem, tokens, layer.experts);
  }
  HADAL_RETURN_IF_ERROR(checkPlacement(placement, shape, flags.output));
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(flags.output));
  HADAL_RETURN_IF_ERROR(file.write(writePlacement(placement)));
  HADAL_RETURN_IF_ERROR(file.commit());
  if (!flags.quiet)
    fmt::print(stderr, "{}", summary(problem, placement, swaps));
  return {};
}

} // namespace

int main(int argc, char **argv) {
  PlaceFlags flags;
  CLI::App app("Places experts on ranks, popular ones on several, so that all "
               "ranks get about the same load.",
               "hadal-place");
  const CLI::Range some(1u, 1u << 20);
  app.add_option("--load", flags.load,
                 "tokens by expert: the file of hadal-run --expert-load")
      ->required();
  app.add_option("--ranks", flags.problem.ranks,
                 "ranks that share the experts (--ep of hadal-compile)")
      ->required()
      ->check(some);
  app.add_option("--slots", flags.problem.slots,
                 "experts that a rank holds of a layer: (experts + "
                 "--redundant-experts of hadal-compile) / ranks")
      ->required()
      ->check(some);
  app.add_option("--nodes", flags.problem.nodes,
                 "nodes that the ranks are on; where they divide the groups of "
                 "experts, a group stays on one node")
      ->check(some)
      ->capture_default_str();
  app.add_option("--groups", flags.groups,
                 "groups that the router chooses among (n_group of "
                 "config.json); default: as the load's file says, else 1")
      ->check(some);
  app.add_option("-o,--output", flags.output, "the placement file to write")
      ->required();
  app.add_flag("-q,--quiet", flags.quiet, "no line about the gain on stderr");
  return cli::run(app, argc, argv, [&] { return place(flags); });
}
