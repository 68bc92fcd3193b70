// As which rank a process was started, and how it joins: what launchers and the
// environment say.
#pragma once

#include "runtime/comm/control/Join.h"

namespace hadal::comm {

/// Where ranks meet that nobody told where.
inline constexpr std::string_view kDefaultRendezvous = "127.0.0.1:47470";

struct LaunchedRank {
  unsigned rank = 0, ranks = 1;
  /// Ranks on this machine, those that share its cores, and its number among
  /// them, which is that of its GPU.
  unsigned localRanks = 1, localRank = 0;
  std::string launcher; ///< "HADAL_RANK", "mpirun", "a PMI launcher", "srun"
};

/// The value of an environment variable, null if it is not set.
using Environment = std::function<const char *(const char *)>;

/// What the first of these says that is set: HADAL_RANK and HADAL_RANKS;
/// OMPI_COMM_WORLD_RANK and _SIZE; PMI_RANK and PMI_SIZE; SLURM_PROCID and
/// SLURM_NTASKS. None: this process is no rank yet. H5011 for no numbers, or
/// one without the other.
StatusOr<std::optional<LaunchedRank>> launchedRank(const Environment &get);

/// How |rank| joins: at |rendezvous|, or where HADAL_RENDEZVOUS says, or at
/// kDefaultRendezvous, with the token HADAL_JOB_TOKEN. H5011.
StatusOr<GroupOptions> groupOptions(const LaunchedRank &rank,
                                    const std::string &rendezvous,
                                    const Environment &get);

/// Prints |status| as one line on stderr, unless the last call printed the
/// same: a failure is said when it is known, and again by who ends for it.
void printFailure(const Status &status);

/// What starts |ranks| processes of the program |self| on this machine, with
/// |arguments|, of which the first is its name: mpirun's command line.
std::vector<std::string> mpirunCommand(unsigned ranks, const std::string &self,
                                       std::span<const std::string> arguments);

/// Sets what the processes of a run have in common where the environment does
/// not say it: a token of their own and, without |hasRendezvous|, a file of
/// their own to meet through. H5014.
Status prepareJob(bool hasRendezvous);

/// The program of this process, and its command line.
struct OwnCommand {
  std::string program;
  std::vector<std::string> arguments;
};
OwnCommand ownCommand();

/// Becomes mpirun, which starts the command of this process |ranks| times, as
/// ranks of a job that prepareJob() makes. Returns only if that fails: H6005.
Status becomeMpirun(unsigned ranks, bool hasRendezvous);

} // namespace hadal::comm
