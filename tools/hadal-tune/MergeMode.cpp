#include "tools/hadal-tune/MergeMode.h"

#include <cstdio>

#include "runtime/tune/Merge.h"
#include "tools/common/RunTool.h"

namespace hadal::tune {

namespace {

struct MergeOptions {
  std::vector<std::string> inputs;
  std::string output;
  bool fail = false;
};

/// The database |path|; what of it cannot be used is said on stderr.
Database readSaying(const std::string &path, size_t &warned) {
  std::vector<Status> warnings;
  Database database = Database::read(path, warnings);
  for (const Status &warning : warnings)
    std::fprintf(stderr, "hadal-tune: warning H%04d: %s\n", warning.code(),
                 warning.message().c_str());
  warned += warnings.size();
  return database;
}

Status mergeAll(const MergeOptions &options) {
  std::string report;
  size_t conflicts = 0, warned = 0;
  Database all = readSaying(options.inputs.front(), warned);
  for (size_t i = 1; i < options.inputs.size(); ++i) {
    Merged merged = merge(all, readSaying(options.inputs[i], warned));
    report += fmt::format(
        "{}: {} entries, {} new, {} equal, {} decided\n", options.inputs[i],
        merged.onlySecond + merged.equal + merged.decisions.size(),
        merged.onlySecond, merged.equal, merged.decisions.size());
    for (const MergeDecision &decision : merged.decisions) {
      report += "  " + decision.toString() + "\n";
      conflicts += decision.conflict;
    }
    all = std::move(merged.database);
  }
  HADAL_RETURN_IF_ERROR(cli::writeStdout(report));
  if (options.fail && conflicts + warned)
    return error(3007,
                 "{} conflicts and {} warnings, --on-conflict=fail: {} is not "
                 "written",
                 conflicts, warned, options.output);
  HADAL_RETURN_IF_ERROR(all.write(options.output));
  return cli::writeStdout(fmt::format("{}: {} entries, digest {}\n",
                                      options.output, all.entries().size(),
                                      all.digest()));
}

} // namespace

int runMergeMode(int argc, char **argv) {
  MergeOptions options;
  std::string onConflict = "keep";
  CLI::App app("Merges databases of schedules; says every choice in a line.",
               "hadal-tune merge");
  app.add_option("inputs", options.inputs, "databases (*.tdb.jsonl)")
      ->required()
      ->expected(2, -1)
      ->type_name("FILE...");
  app.add_option("-o", options.output, "database to write")
      ->required()
      ->type_name("FILE");
  app.add_option("--on-conflict", onConflict,
                 "entries of other default code by one compiler: keep the "
                 "first's, or fail (also where a line cannot be used)")
      ->check(CLI::IsMember({"keep", "fail"}))
      ->capture_default_str();
  return cli::run(app, argc, argv, [&] {
    options.fail = onConflict == "fail";
    return mergeAll(options);
  });
}

} // namespace hadal::tune
