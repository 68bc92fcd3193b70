// hadal-report: an artifact, its compilation and its runs as one page.
#include "runtime/base/MappedFile.h"
#include "runtime/base/OutputFile.h"
#include "tools/common/Cli.h"
#include "tools/hadal-inspect/Sections.h"
#include "tools/hadal-report/Explain.h"
#include "tools/hadal-report/Inputs.h"

using namespace hadal;
using namespace hadal::report;

namespace {

struct ReportFlags {
  std::string artifact, phases, passes, cluster, output, extract, explain,
      format = "text";
  std::vector<std::string> profiles;
  bool dataOnly = false;
  unsigned budget = 8;
};

/// The commands that fill what |flags| leaves out.
void addMissing(Report &report, const ReportFlags &flags) {
  Json &missing = report.data["missing"];
  if (flags.phases.empty())
    missing["phases"] = "hadal-compile MODEL_DIR --dump-phases-to d -o m.hadal"
                        " && hadal-report m.hadal --phases d -o m.html";
  if (flags.passes.empty())
    missing["passes"] = "hadal-compile MODEL_DIR --dump-passes-to p -o m.hadal"
                        " && hadal-report m.hadal --passes p -o m.html";
  if (flags.profiles.empty())
    missing["profiles"] =
        "hadal-run m.hadal --weights MODEL_DIR -p a --profile p.json"
        " && hadal-report m.hadal --profile p.json -o m.html";
}

StatusOr<Report> make(const ReportFlags &flags) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(flags.artifact));
  Report report;
  report.data["hadal_report"] = 1;
  report.data["missing"] = Json::object();
  std::optional<cost::Cluster> cluster;
  if (!flags.cluster.empty()) {
    HADAL_ASSIGN_OR_RETURN(cluster, cost::readCluster(flags.cluster));
  }
  HADAL_RETURN_IF_ERROR(addArtifact(report, artifact));
  HADAL_RETURN_IF_ERROR(addProgram(report, artifact, cluster));
  if (!flags.phases.empty())
    HADAL_RETURN_IF_ERROR(addPhases(report, flags.phases));
  if (!flags.passes.empty())
    HADAL_RETURN_IF_ERROR(addPasses(report, flags.passes));
  for (const std::string &profile : flags.profiles)
    HADAL_RETURN_IF_ERROR(addProfile(report, profile));
  addMissing(report, flags);
  return report;
}

Status writeOutput(const ReportFlags &flags, std::string_view text) {
  if (flags.output.empty() || flags.output == "-")
    return cli::writeStdout(text);
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(flags.output));
  HADAL_RETURN_IF_ERROR(file.write(text));
  return file.commit();
}

} // namespace

int main(int argc, char **argv) {
  ReportFlags flags;
  CLI::App app(
      "Writes what is known of an artifact as one HTML file that needs "
      "no server and no network. It shows names and shapes of the "
      "model, no weights and no paths.",
      "hadal-report");
  CLI::Option *artifact =
      app.add_option("artifact", flags.artifact, "the .hadal file");
  app.add_option("-o,--output", flags.output, "the page; default: stdout")
      ->type_name("FILE");
  app.add_option("--phases", flags.phases,
                 "what hadal-compile --dump-phases-to wrote")
      ->type_name("DIR");
  app.add_option("--passes", flags.passes,
                 "what hadal-compile --dump-passes-to wrote")
      ->type_name("DIR");
  app.add_option("--profile", flags.profiles,
                 "a trace of a run (Chrome's format); repeatable")
      ->type_name("FILE");
  app.add_option("--cluster", flags.cluster,
                 "a file of a cluster to predict times on (docs/ranks.md); "
                 "default: floors, of the chip compiled for at its peaks")
      ->type_name("FILE");
  app.add_option("--budget", flags.budget,
                 "MiB of the page; over it sm90 IR, then snapshots, then "
                 "profiles are left out")
      ->capture_default_str();
  app.add_flag("--data-only", flags.dataOnly,
               "write what the page shows as JSON");
  app.add_option("--explain", flags.explain,
                 "print instead what became of one operation: its lines in "
                 "each phase, launches, cost, kernels, schedules")
      ->type_name("KEY[@BUCKET]");
  app.add_option("--format", flags.format, "of --explain: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--extract", flags.extract,
                 "write the JSON of a page that was made before")
      ->type_name("FILE")
      ->excludes(artifact);
  return cli::run(app, argc, argv, [&]() -> Status {
    if (!flags.extract.empty()) {
      HADAL_ASSIGN_OR_RETURN(MappedFile page, MappedFile::open(flags.extract));
      HADAL_ASSIGN_OR_RETURN(
          std::string json,
          extractJson(std::string(reinterpret_cast<const char *>(page.data()),
                                  page.size()),
                      flags.extract));
      return writeOutput(flags, json);
    }
    if (flags.artifact.empty())
      return error(5011, "name an artifact, or --extract a page");
    HADAL_ASSIGN_OR_RETURN(Report report, make(flags));
    if (!flags.explain.empty()) {
      HADAL_ASSIGN_OR_RETURN(Json json,
                             explainOperation(report, flags.explain));
      return writeOutput(
          flags,
          flags.format == "json"
              ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
              : inspect::render(json));
    }
    return writeOutput(
        flags, flags.dataOnly
                   ? toJson(report)
                   : toHtml(std::move(report), uint64_t{flags.budget} << 20));
  });
}
