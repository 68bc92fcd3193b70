// hadal-inspect: what an artifact holds, as text or JSON. Verifies the whole
// file first; needs no weights and runs no code of it.
#include "tools/common/Cli.h"
#include "tools/hadal-inspect/Sections.h"

using namespace hadal;

int main(int argc, char **argv) {
  std::string path, format = "text", ptxOf;
  bool showKernels = false, showProgram = false, showWeights = false,
       showMemory = false, showProvenance = false, showTuning = false;
  CLI::App app("Shows what an artifact holds; without a section: an overview.",
               "hadal-inspect");
  app.add_option("artifact", path, "the .hadal file")->required();
  app.add_flag("--kernels", showKernels, "kernels, schedules and their facts");
  app.add_flag("--program", showProgram, "entries and functions");
  app.add_flag("--weights", showWeights, "parameters and their tensors");
  app.add_flag("--memory", showMemory, "memory by use");
  app.add_flag("--provenance", showProvenance, "compiler, options, remarks");
  app.add_flag("--tuning", showTuning,
               "entries of tuning databases that kernels were chosen by");
  app.add_option("--ptx", ptxOf, "the PTX of one kernel (sm_90a)")
      ->type_name("KERNEL");
  app.add_option("--format", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  return cli::run(app, argc, argv, [&]() -> Status {
    HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(path));
    if (!ptxOf.empty()) {
      HADAL_ASSIGN_OR_RETURN(std::string text, inspect::ptx(artifact, ptxOf));
      return cli::writeStdout(text);
    }
    inspect::Json sections;
    if (showProvenance)
      sections["provenance"] = inspect::provenance(artifact);
    if (showKernels)
      sections["kernels"] = inspect::kernels(artifact);
    if (showProgram)
      sections["program"] = inspect::program(artifact);
    if (showWeights)
      sections["weights"] = inspect::weights(artifact);
    if (showMemory)
      sections["memory"] = inspect::memory(artifact);
    if (showTuning) {
      HADAL_ASSIGN_OR_RETURN(sections["tuning"], inspect::tuning(artifact));
    }
    if (sections.empty())
      sections["artifact"] = inspect::overview(artifact);
    return cli::writeStdout(format == "json" ? sections.dump(2, ' ', false, inspect::Json::error_handler_t::replace) + "\n"
                                             : inspect::render(sections));
  });
}
