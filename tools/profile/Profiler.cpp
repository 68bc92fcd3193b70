#include "tools/profile/Profiler.h"

#include <cstdio>

namespace hadal::profile {

void ProfileFlags::add(CLI::App &app) {
  app.add_option_function<std::vector<std::string>>(
         "--profile,--trace",
         [this](const std::vector<std::string> &values) {
           enabled = true;
           file = values.empty() ? "" : values[0];
         },
         "say where the time goes: entries, kernels, waits for collectives; "
         "with a FILE also the timeline of the last steps of all ranks, for "
         "ui.perfetto.dev")
      ->type_name("FILE")
      ->expected(0, 1);
  app.add_option("--profile-steps", keep,
                 "--profile FILE: runs of each entry that it shows, the last "
                 "ones")
      ->check(CLI::Range(1u, 100000u))
      ->capture_default_str();
}

Profiler::Profiler(Model &model, const ProfileFlags &flags,
                   std::chrono::milliseconds timeout)
    : model(model), flags(flags), timeout(timeout),
      recorder(model.artifact(), model.layout().rank, flags.keep) {}

StatusOr<std::vector<ClockOffset>> Profiler::clocks() const {
  if (model.group())
    return measureClocks(*model.group(), timeout);
  return std::vector<ClockOffset>(1);
}

Status Profiler::begin(SessionOptions &options) {
  if (!flags.file.empty() && model.layout().rank == 0) {
    HADAL_ASSIGN_OR_RETURN(file, OutputFile::create(flags.file));
  }
  HADAL_ASSIGN_OR_RETURN(first, clocks());
  recorder.clear();
  recorder.attach(model.executable(), options);
  return {};
}

StatusOr<RunProfile> Profiler::finish() {
  model.executable().setProfiling(false);
  HADAL_ASSIGN_OR_RETURN(const std::vector<ClockOffset> last, clocks());
  RunProfile run{model.artifact(), recorder.names(), {}, {}};
  HADAL_ASSIGN_OR_RETURN(
      run.ranks, gatherProfiles(model.group(), recorder.profile(), timeout));
  for (size_t r = 0; r < run.ranks.size(); ++r)
    run.clocks.emplace_back(first[r], last[r]);
  return run;
}

Status Profiler::writeTraceOf(const RunProfile &run, bool quiet) {
  if (!file)
    return {};
  HADAL_ASSIGN_OR_RETURN(const TraceFacts facts,
                         writeTrace(std::move(*file), run));
  file.reset();
  if (!quiet)
    fmt::print(stderr,
               "'{}': {} runs of entries{}; open it in "
               "ui.perfetto.dev\n",
               flags.file, facts.runs,
               facts.dropped ? fmt::format(", without {} older ones, for which "
                                           "there is no room in 50 MiB",
                                           facts.dropped)
                             : "");
  return {};
}

} // namespace hadal::profile
