// hadal-tune: schedules of a model's kernels that are measured to be faster
// than the default ones. Each mode is a file of its own.
#include "schedule/spaces/CpuForms.h"
#include "tools/common/RunTool.h"
#include "tools/hadal-tune/CompileOnly.h"
#include "tools/hadal-tune/DryRun.h"
#include "tools/hadal-tune/MergeMode.h"

using namespace hadal;

int main(int argc, char **argv) {
  if (argc > 1 && std::string_view(argv[1]) == "merge")
    return tune::runMergeMode(argc - 1, argv + 1);
  tune::InputOptions input;
  tune::DryRunOptions dry;
  tune::CandidateOptions candidates;
  bool isDry = false, isCompileOnly = false;
  int vectorBits = 512;
  std::string bits = "any", format = "text";
  CLI::App app("Looks for faster schedules of a model's kernels.",
               "hadal-tune");
  app.footer("hadal-tune merge A B -o C merges databases; see hadal-tune merge "
             "--help");
  app.add_option("input", input.input,
                 "a model directory, an IR file of hadal-compile "
                 "--compile-to=lower (*.mlir), or an artifact")
      ->required();
  app.add_option("--target", input.target,
                 "of a model directory: machine to compile for");
  app.add_option("--chip", input.chip, "of a model directory: chip");
  app.add_option("--only", input.only, "kernels whose symbol it matches")
      ->type_name("REGEX");
  app.add_option("--bits", bits,
                 "any: sums may be added in another order; same: only what "
                 "gives the default's bits")
      ->check(CLI::IsMember({"same", "any"}))
      ->capture_default_str();
  app.add_option("--vector-bits", vectorBits,
                 "of a target with several images: width of the vectors of the "
                 "one that is tuned")
      ->check(CLI::IsMember({256, 512}))
      ->capture_default_str();
  app.add_option("--top-k", dry.rank.topK,
                 "candidates of a kernel that are measured, beside the default")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--escapes", dry.rank.escapes,
                 "candidates that the model leaves out and that are measured "
                 "all the same, to learn where it is wrong")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--seed", dry.rank.seed, "of what is drawn")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_flag("--dry-run", isDry,
               "print what would be tried, and why not the rest");
  auto *compileOnly = app.add_flag(
      "--compile-only", isCompileOnly,
      "write an artifact of the candidates, which hadal-bench measures");
  app.add_option("-o,--output", candidates.output,
                 "--compile-only: the artifact to write")
      ->needs(compileOnly)
      ->type_name("FILE");
  app.add_option("--images", candidates.images,
                 "--compile-only: of the cpu target, as of hadal-compile; "
                 "native: this machine's alone")
      ->needs(compileOnly);
  app.add_option("-j,--jobs", candidates.threads,
                 "--compile-only: threads; 0: one per core")
      ->needs(compileOnly)
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--format", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_flag("-q,--quiet", input.quiet, "no progress on stderr");
  return cli::run(app, argc, argv, [&]() -> Status {
    if (isDry == isCompileOnly)
      return error(5011, "give one mode: --dry-run or --compile-only");
    dry.space.sameBits = bits == "same";
    dry.space.fixed = schedule::wordsOfOtherImages(vectorBits);
    dry.vectorBits = vectorBits;
    dry.json = format == "json";
    if (isCompileOnly) {
      if (candidates.output.empty())
        return error(5011, "--compile-only writes an artifact: -o FILE");
      candidates.space = dry.space;
      candidates.rank = dry.rank;
      candidates.vectorBits = vectorBits;
      HADAL_ASSIGN_OR_RETURN(
          std::string text, tune::compileOnly(input, candidates, dry.json));
      return cli::writeStdout(text);
    }
    HADAL_ASSIGN_OR_RETURN(tune::KernelSet set, tune::readKernels(input));
    HADAL_ASSIGN_OR_RETURN(std::string text, tune::dryRun(set, dry));
    return cli::writeStdout(text);
  });
}
