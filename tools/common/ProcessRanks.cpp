#include "tools/common/ProcessRanks.h"

#include <cstdio>
#include <cstdlib>

#include "runtime/base/CpuCount.h"
#include "runtime/comm/control/Launch.h"
#include "runtime/comm/mpi/Mpi.h"
#include "tools/common/CheckEnvironment.h"

namespace hadal::cli {

namespace {

/// How long ranks have to join.
constexpr double kJoinSeconds = 60;
/// How long a process may take to end by itself once its run has failed.
constexpr std::chrono::seconds kExitAfter{5};

StatusOr<comm::GroupOptions> optionsOf(const ProcessFlags &flags,
                                       const comm::LaunchedRank &rank,
                                       bool quiet) {
  HADAL_ASSIGN_OR_RETURN(comm::GroupOptions options,
                         comm::groupOptions(rank, flags.rendezvous, ::getenv));
  options.joinTimeout =
      std::chrono::milliseconds(static_cast<int64_t>(
          flags.joinSeconds.value_or(kJoinSeconds) * 1e3));
  options.flightRecord = flags.flightRecord;
  options.exitAfter = kExitAfter;
  options.interrupt = &interruptFlag();
  options.onFailure = comm::printFailure;
  if (!quiet)
    options.onNotice = [](const std::string &text) {
      fmt::print(stderr, "notice: {}\n", text);
    };
  return options;
}

} // namespace

void ProcessFlags::add(CLI::App &app) {
  app.add_option("--comm", comm,
                 "what the ranks are: loopback, threads of this process; mpi, "
                 "processes over Open MPI, started by mpirun or srun, or by "
                 "this command itself")
      ->check(CLI::IsMember({"loopback", "mpi"}))
      ->capture_default_str();
  app.add_option("--rendezvous", rendezvous,
                 "where processes meet: host:port of rank 0, or file:PATH; "
                 "default: HADAL_RENDEZVOUS, else " +
                     std::string(comm::kDefaultRendezvous));
  app.add_option("--join-timeout", joinSeconds,
                 fmt::format("seconds until all processes must have joined; "
                             "default: {}",
                             kJoinSeconds))
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("--flight-record", flightRecord,
                 "a directory for the last collectives of each process, "
                 "written when the run fails");
  app.add_flag("--check-env", checkEnv,
               "only meet, and say who is there, over which library and how "
               "fast");
}

Status ProcessFlags::check() const {
  if (!areProcesses() &&
      (checkEnv || !rendezvous.empty() || !flightRecord.empty() || joinSeconds))
    return error(5011, "--check-env, --rendezvous, --join-timeout and "
                       "--flight-record are for ranks that are processes; give "
                       "--comm mpi");
  return {};
}

Status runAsProcess(
    const ProcessFlags &flags, std::optional<unsigned> ranks,
    std::chrono::milliseconds timeout, const LoadFlags &load,
    const std::function<Status(comm::Group *, const LoadFlags &)> &body) {
  HADAL_ASSIGN_OR_RETURN(std::optional<comm::LaunchedRank> rank,
                         comm::launchedRank(::getenv));
  if (!rank)
    return comm::becomeMpirun(ranks.value_or(1), !flags.rendezvous.empty());
  if (ranks && *ranks != rank->ranks)
    return error(5011,
                 "--ranks {}, and {} has started {}; leave --ranks out, "
                 "or give both the same number",
                 *ranks, rank->launcher, rank->ranks);
  HADAL_ASSIGN_OR_RETURN(comm::GroupOptions options,
                         optionsOf(flags, *rank, load.quiet));
  std::string library;
  options.openDataPlane = [&](unsigned r, unsigned n) {
    auto plane = comm::openMpi(r, n);
    if (plane.ok())
      library = (*plane)->description();
    return plane;
  };
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<comm::Group> group,
                         comm::joinGroup(std::move(options)));
  LoadFlags mine = load;
  mine.quiet |= rank->rank != 0; // one of them speaks
  if (!mine.device.threads)
    mine.device.threads = std::max(1u, usableCpus() / rank->localRanks);
  Status status = flags.checkEnv ? checkEnvironment(*group, library, timeout)
                                 : body(group.get(), mine);
  if (!status.ok())
    group->fail(status);
  return status;
}

} // namespace hadal::cli
