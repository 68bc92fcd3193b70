#include "tools/common/ProcessRanks.h"

#include <cstdio>
#include <cstdlib>

#include "runtime/base/CpuCount.h"
#include "runtime/comm/control/Launch.h"
#include "runtime/comm/control/Spawn.h"
#include "runtime/comm/mpi/Mpi.h"
#include "runtime/comm/nccl/Nccl.h"
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
                 "processes over Open MPI; nccl, processes with a GPU each; "
                 "processes are started by mpirun or srun, or by this command "
                 "itself; default: nccl on cuda, else loopback")
      ->check(CLI::IsMember({"loopback", "mpi", "nccl"}));
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

Status ProcessFlags::resolve(unsigned ranks, const LoadFlags &load) {
  if (comm.empty() && ranks == 1) {
    comm = "loopback";
    return {};
  }
  StatusOr<Artifact> artifact = Artifact::open(load.artifact);
  // Processes say it to each other when they have met.
  if (!artifact.ok())
    return areProcesses() ? Status() : artifact.status();
  const std::string device = deviceFor(load.device, *artifact);
  if (comm.empty())
    comm = isGpu(device) ? "nccl" : "loopback";
  // One rank has nobody to send to.
  if ((areProcesses() || ranks > 1) && isGpu(device) != (comm == "nccl"))
    return error(5011,
                 "--comm {} moves the memory of {}, and the ranks compute on "
                 "device '{}'; {}",
                 comm, comm == "nccl" ? "GPUs" : "the host", device,
                 comm == "nccl" ? "leave --comm out, or give --comm mpi"
                                : "give --comm nccl, or leave --comm out");
  return {};
}

Status ProcessFlags::check() const {
  if (!comm.empty() && !areProcesses() &&
      (checkEnv || !rendezvous.empty() || !flightRecord.empty() || joinSeconds))
    return error(5011, "--check-env, --rendezvous, --join-timeout and "
                       "--flight-record are for ranks that are processes; give "
                       "--comm mpi or nccl");
  return {};
}

Status runAsProcess(
    const ProcessFlags &flags, std::optional<unsigned> ranks,
    std::chrono::milliseconds timeout, const LoadFlags &load,
    const std::function<Status(comm::Group *, const LoadFlags &)> &body) {
  HADAL_ASSIGN_OR_RETURN(std::optional<comm::LaunchedRank> rank,
                         comm::launchedRank(::getenv));
  if (!rank && flags.comm == "mpi")
    return comm::becomeMpirun(ranks.value_or(1), !flags.rendezvous.empty());
  if (!rank && ranks.value_or(1) > 1)
    return comm::becomeParent(*ranks, !flags.rendezvous.empty(),
                              interruptFlag());
  if (!rank) {
    HADAL_RETURN_IF_ERROR(comm::prepareJob(!flags.rendezvous.empty()));
    rank.emplace();
  }
  comm::endWithParent();
  if (ranks && *ranks != rank->ranks)
    return error(5011,
                 "--ranks {}, and {} has started {}; leave --ranks out, "
                 "or give both the same number",
                 *ranks, rank->launcher, rank->ranks);
  HADAL_ASSIGN_OR_RETURN(comm::GroupOptions options,
                         optionsOf(flags, *rank, load.quiet));
  std::string library;
  options.openDataPlane = [&](comm::Group &group) {
    auto plane = flags.comm == "mpi" ? comm::openMpi(group.rank(), group.size())
                                     : comm::openNccl(group);
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
  mine.device.localRank = rank->localRank;
  Status status = !flags.checkEnv ? body(group.get(), mine)
                  : flags.comm == "nccl"
                      ? checkDevices(*group, library, timeout, mine)
                      : checkEnvironment(*group, library, timeout);
  if (!status.ok())
    group->fail(status);
  return status;
}

} // namespace hadal::cli
