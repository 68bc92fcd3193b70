// hadal-diff: what differs between two artifacts, and how fast that is
// predicted to be.
#include <algorithm>

#include "tools/common/Cli.h"
#include "tools/hadal-diff/Differences.h"

using namespace hadal;
using namespace hadal::diff;

namespace {

struct DiffFlags {
  std::string a, b, format = "text", cluster;
  std::vector<std::string> only;
  bool exitCode = false;
};

StatusOr<Changes> differences(const DiffFlags &flags, std::string &noTime) {
  HADAL_ASSIGN_OR_RETURN(Artifact a, Artifact::open(flags.a));
  HADAL_ASSIGN_OR_RETURN(Artifact b, Artifact::open(flags.b));
  const std::set<std::string> only(flags.only.begin(), flags.only.end());
  Changes changes;
  compareOptions(a, b, changes);
  compareKernels(a, b, changes);
  compareProgram(a, b, changes);
  compareMemory(a, b, changes);
  compareWeights(a, b, changes);
  // A file of equal bytes is as fast.
  if ((only.empty() || only.contains("time")) && !changes.list().empty()) {
    std::optional<cost::Cluster> cluster;
    if (!flags.cluster.empty()) {
      HADAL_ASSIGN_OR_RETURN(cluster, cost::readCluster(flags.cluster));
    }
    HADAL_ASSIGN_OR_RETURN(noTime, compareTimes(a, b, cluster, changes));
  }
  changes.keepOnly(only);
  return changes;
}

} // namespace

int main(int argc, char **argv) {
  DiffFlags flags;
  CLI::App app("Shows what differs between two artifacts; nothing if nothing "
               "does.",
               "hadal-diff");
  app.add_option("a", flags.a, "the .hadal file before")->required();
  app.add_option("b", flags.b, "the .hadal file after")->required();
  app.add_option("--only", flags.only, "sections to show, joined by commas")
      ->delimiter(',')
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kSections),
                                                     std::end(kSections))));
  app.add_option("--cluster", flags.cluster,
                 "a file of a cluster to predict times on (docs/ranks.md); "
                 "default: the chip compiled for, at its peaks");
  app.add_flag("--exit-code", flags.exitCode,
               "exit with 1 if they differ, 0 if not");
  app.add_option("--format", flags.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  bool differ = false;
  int code = cli::run(app, argc, argv, [&]() -> Status {
    std::string noTime;
    HADAL_ASSIGN_OR_RETURN(Changes changes, differences(flags, noTime));
    differ = !changes.list().empty();
    if (!noTime.empty())
      fmt::print(stderr, "hadal-diff: no predicted times: {}\n", noTime);
    return cli::writeStdout(
        flags.format == "json"
            ? toJson(changes).dump(2, ' ', false,
                                   Json::error_handler_t::replace) +
                  "\n"
            : toText(changes));
  });
  return code == 0 && flags.exitCode && differ ? 1 : code;
}
