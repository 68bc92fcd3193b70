#include "runtime/capi/RankGroup.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "runtime/comm/control/Launch.h"
#include "runtime/comm/loopback/Loopback.h"
#include "runtime/comm/mpi/Mpi.h"
#include "runtime/comm/nccl/Nccl.h"

namespace hadal::capi {

namespace {

/// The runs of this process whose ranks have not all joined, by the text that
/// they share.
class OpenWorlds {
public:
  StatusOr<std::unique_ptr<comm::Group>> join(const RankOptions &options) {
    comm::LoopbackOptions link;
    if (!options.delay.empty()) {
      HADAL_ASSIGN_OR_RETURN(link, comm::parseDelay(options.delay));
    }
    std::lock_guard<std::mutex> held(mutex);
    auto [at, isFirst] = worlds.try_emplace(options.rendezvous);
    Open &open = at->second;
    if (isFirst)
      open = {comm::LoopbackWorld::create(options.ranks, link),
              options.ranks,
              options.delay,
              {}};
    if (open.ranks != options.ranks || open.delay != options.delay)
      return error(6003,
                   "rank {} joins run '{}' of {} ranks and comm_delay '{}', "
                   "another has joined it as one of {} and '{}'; give all the "
                   "same",
                   options.rank, options.rendezvous, options.ranks,
                   options.delay, open.ranks, open.delay);
    if (!open.joined.insert(options.rank).second)
      return error(6002,
                   "rank {} of run '{}' has joined already; give each rank a "
                   "number of its own, and runs at the same time texts of "
                   "their own",
                   options.rank, options.rendezvous);
    std::unique_ptr<comm::Group> group = open.world->join(options.rank);
    if (open.joined.size() == options.ranks)
      worlds.erase(at);
    return group;
  }

  /// A rank of the run has given up waiting: who joins from now on meets in a
  /// new one.
  void close(const RankOptions &options) {
    std::lock_guard<std::mutex> held(mutex);
    if (auto at = worlds.find(options.rendezvous);
        at != worlds.end() && at->second.joined.contains(options.rank))
      worlds.erase(at);
  }

private:
  struct Open {
    std::shared_ptr<comm::LoopbackWorld> world;
    unsigned ranks = 0;
    std::string delay;
    std::set<unsigned> joined;
  };
  std::mutex mutex; // guards all
  std::map<std::string, Open> worlds;
};

/// Waits until the others are there: they load only together.
Status meet(comm::Group &group, const RankOptions &options) {
  Status status =
      group.exchange({}, std::chrono::steady_clock::now() + options.joinTimeout)
          .status();
  return status.code() == 6001
             ? error(6002, "run '{}': not all of {} ranks have joined: {}",
                     options.rendezvous, options.ranks, status.message())
             : status;
}

StatusOr<Joined> joinThreads(const RankOptions &options) {
  static OpenWorlds worlds;
  if (!options.token.empty() || !options.flightRecord.empty())
    return error(5011, "token and flight_record are of ranks that are "
                       "processes; give comm \"mpi\" or \"nccl\"");
  if (options.ranks == 0 || options.ranks > 1024 ||
      options.rank >= options.ranks)
    return error(5011,
                 "rank {} of {} ranks; expected 1 to 1024 ranks and a rank "
                 "below their number",
                 options.rank, options.ranks);
  Joined joined;
  joined.localRanks = options.ranks;
  HADAL_ASSIGN_OR_RETURN(joined.group, worlds.join(options));
  if (Status status = meet(*joined.group, options); !status.ok()) {
    worlds.close(options);
    return status;
  }
  return joined;
}

StatusOr<Joined> joinProcesses(const RankOptions &options) {
  if (!options.delay.empty())
    return error(5011, "comm_delay is of ranks that are threads; leave it out, "
                       "or give comm \"loopback\"");
  comm::LaunchedRank rank{
      options.rank, options.ranks,
      options.localRanks ? options.localRanks : options.ranks,
      options.localRanks ? options.localRank : options.rank, "the program"};
  if (!options.ranks) {
    HADAL_ASSIGN_OR_RETURN(std::optional<comm::LaunchedRank> launched,
                           comm::launchedRank(::getenv));
    if (!launched)
      return error(5011,
                   "comm \"{}\" without ranks, and no launcher has "
                   "made this process a rank; start it with mpirun or "
                   "srun, or say rank and ranks",
                   options.comm);
    rank = *launched;
  }
  if (rank.rank >= rank.ranks)
    return error(5011,
                 "rank {} of {} ranks; expected a rank below their "
                 "number",
                 rank.rank, rank.ranks);
  if (rank.localRank >= rank.localRanks || rank.localRanks > rank.ranks)
    return error(5011,
                 "local rank {} of {} local ranks, of {} in all; expected one "
                 "below their number, which is {} at most",
                 rank.localRank, rank.localRanks, rank.ranks, rank.ranks);
  const comm::Environment environment = [&](const char *name) -> const char * {
    return !options.token.empty() && std::string_view(name) == "HADAL_JOB_TOKEN"
               ? options.token.c_str()
               : ::getenv(name);
  };
  HADAL_ASSIGN_OR_RETURN(
      comm::GroupOptions group,
      comm::groupOptions(rank, options.rendezvous, environment));
  group.joinTimeout = options.joinTimeout;
  group.leaveTimeout = options.commTimeout;
  group.flightRecord = options.flightRecord;
  group.openDataPlane = [&](comm::Group &all) {
    return options.comm == "mpi" ? comm::openMpi(all.rank(), all.size())
                                 : comm::openNccl(all);
  };
  Joined joined;
  joined.localRanks = rank.localRanks;
  joined.localRank = rank.localRank;
  HADAL_ASSIGN_OR_RETURN(joined.group, comm::joinGroup(std::move(group)));
  return joined;
}

} // namespace

StatusOr<Joined> joinRun(const RankOptions &options) {
  HADAL_ASSIGN_OR_RETURN(
      comm::StreamOptions stream,
      comm::parsePolicy(options.policy.empty() ? "async" : options.policy));
  stream.timeout = options.commTimeout;
  StatusOr<Joined> joined =
      options.comm.empty() || options.comm == "loopback" ? joinThreads(options)
      : options.comm == "mpi" || options.comm == "nccl"
          ? joinProcesses(options)
          : error(5011, "comm '{}'; expected \"loopback\", \"mpi\" or \"nccl\"",
                  options.comm);
  if (joined.ok())
    joined->stream = stream;
  return joined;
}

} // namespace hadal::capi
