// hadal-bench: prefill and decode rates of an artifact, with decode set against
// a plain read of the same weight bytes in the same run; of several ranks, what
// communication costs beside what it should; or kernels alone.
#include "tools/hadal-bench/Bench.h"
#include "tools/hadal-bench/KernelBench.h"
#include "tools/hadal-bench/TuneBench.h"

using namespace hadal;
using bench::BenchFlags;
using Json = nlohmann::ordered_json;

namespace {

Status benchKernels(const BenchFlags &flags) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact,
                         Artifact::open(flags.load.artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(flags.load.device, artifact));
  Json report = {{"artifact", flags.load.artifact},
                 {"device", driver->description()}};
  if (!flags.tunePlan.empty()) {
    bench::TuneBenchOptions tuning;
    tuning.plan = flags.tunePlan;
    tuning.seed = flags.seed;
    tuning.budget = flags.budget;
    tuning.checkpoint = [&] { return bench::writeJson(flags.json, report); };
    tuning.interrupt = &interruptFlag();
    Status status = bench::runTuneBench(*driver, artifact, tuning, report);
    HADAL_RETURN_IF_ERROR(bench::writeJson(flags.json, report));
    return status;
  }
  bench::KernelBenchOptions options;
  options.pattern = *flags.kernels;
  options.seed = flags.seed;
  options.checkOnly = flags.checkOnly;
  options.checkpoint = [&] { return bench::writeJson(flags.json, report); };
  options.interrupt = &interruptFlag();
  Status status = bench::runKernelBench(*driver, artifact, options, report);
  // Figures of the kernels that are right are kept beside an error.
  HADAL_RETURN_IF_ERROR(bench::writeJson(flags.json, report));
  return status;
}

Status benchModel(const BenchFlags &flags) {
  HADAL_RETURN_IF_ERROR(flags.ranks.streamOptions().status());
  return cli::runRanks(flags.ranks, flags.load,
                       [&](comm::Group *group, const cli::LoadFlags &load) {
                         BenchFlags mine = flags;
                         mine.load = load;
                         if (group)
                           return bench::runRankBench(mine, *group);
                         if (!flags.cluster.empty())
                           return error(5011, "--cluster is for several ranks; "
                                              "give --ranks");
                         return bench::runBench(mine);
                       });
}

} // namespace

int main(int argc, char **argv) {
  BenchFlags flags;
  CLI::App app("Measures prefill and decode of a compiled model.",
               "hadal-bench");
  flags.load.add(app, /*needsWeights=*/false);
  app.add_option("--prompt-len", flags.promptLength, "tokens of each prompt")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--gen-len", flags.generateLength, "decode steps")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--batch", flags.batches, "rows (of each rank), e.g. 1,4")
      ->check(cli::nonNegative())
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--prefill-chunk", flags.prefillChunk,
                 "tokens of a prompt per call; default: the largest bucket")
      ->check(cli::nonNegative());
  app.add_option("--repeat", flags.repeat,
                 "prefills of the same prompts; the best counts, of the whole "
                 "and of each kernel")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--json", flags.json, "a file for all figures");
  flags.ranks.add(app);
  flags.profile.add(app);
  app.add_option("--cluster", flags.cluster,
                 "of several ranks: what their links do (models/clusters, "
                 "docs/ranks.md), for the prediction; default: measured "
                 "before");
  app.add_option_function<std::vector<std::string>>(
         "--kernels",
         [&](const std::vector<std::string> &pattern) {
           flags.kernels = pattern.empty() ? "" : pattern[0];
         },
         "each kernel alone on random inputs, checked and then timed; only "
         "those in whose name or spec (as hadal-inspect --kernels shows it: "
         "'kind=gemm .*n=2112 ') this regular expression is found")
      ->expected(0, 1);
  app.add_flag("--check-only", flags.checkOnly, "--kernels: do not time");
  app.add_option("--tune-plan", flags.tunePlan,
                 "of an artifact of hadal-tune --compile-only: checks and "
                 "times the candidates of this plan, which hadal-tune prints "
                 "with --format=json")
      ->type_name("FILE");
  app.add_option("--budget", flags.budget,
                 "--tune-plan: seconds after which no kernel begins; 0: no "
                 "limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", flags.seed, "--kernels, --tune-plan: of the inputs")
      ->capture_default_str();
  return cli::run(app, argc, argv, [&]() -> Status {
    if (flags.kernels || !flags.tunePlan.empty())
      return benchKernels(flags);
    if (flags.load.weights.empty())
      return error(5011, "--weights is required without --kernels");
    return benchModel(flags);
  });
}
