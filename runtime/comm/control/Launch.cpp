#include "runtime/comm/control/Launch.h"

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>

#include <unistd.h>

namespace hadal::comm {

namespace {

struct Launcher {
  const char *rank, *ranks, *localRanks, *localRank, *name;
};
constexpr Launcher kLaunchers[] = {
    {"HADAL_RANK", "HADAL_RANKS", "HADAL_LOCAL_RANKS", "HADAL_LOCAL_RANK",
     "HADAL_RANK"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
     "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", "MPI_LOCALRANKID",
     "a PMI launcher"},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_LOCALID",
     "srun"}};

StatusOr<unsigned> numberOf(const Environment &get, const char *name,
                            const char *with) {
  const char *text = get(name);
  if (!text)
    return error(5011,
                 "{} is set and {} is not; set both, or start the ranks "
                 "with mpirun or srun",
                 with, name);
  unsigned number = 0;
  const char *end = text + std::strlen(text);
  auto [at, failure] = std::from_chars(text, end, number);
  if (failure != std::errc() || at != end || at == text)
    return error(5011, "{} is '{}', expected a number", name, text);
  return number;
}

} // namespace

StatusOr<std::optional<LaunchedRank>> launchedRank(const Environment &get) {
  for (const Launcher &launcher : kLaunchers) {
    if (!get(launcher.rank))
      continue;
    LaunchedRank result;
    result.launcher = launcher.name;
    HADAL_ASSIGN_OR_RETURN(result.rank,
                           numberOf(get, launcher.rank, launcher.ranks));
    HADAL_ASSIGN_OR_RETURN(result.ranks,
                           numberOf(get, launcher.ranks, launcher.rank));
    if (result.rank >= result.ranks)
      return error(5011, "{} is {} and {} is {}: ranks are counted from 0",
                   launcher.rank, result.rank, launcher.ranks, result.ranks);
    // All, where nobody says: better too few threads than too many.
    result.localRanks = result.ranks;
    if (get(launcher.localRanks)) {
      HADAL_ASSIGN_OR_RETURN(result.localRanks,
                             numberOf(get, launcher.localRanks, launcher.rank));
      result.localRanks = std::max(1u, result.localRanks);
    }
    // Where nobody says, machines hold neighbours.
    result.localRank = result.rank % result.localRanks;
    if (get(launcher.localRank)) {
      HADAL_ASSIGN_OR_RETURN(result.localRank,
                             numberOf(get, launcher.localRank, launcher.rank));
    }
    return std::optional(std::move(result));
  }
  return std::optional<LaunchedRank>();
}

StatusOr<GroupOptions> groupOptions(const LaunchedRank &rank,
                                    const std::string &rendezvous,
                                    const Environment &get) {
  GroupOptions options;
  options.rank = rank.rank;
  options.ranks = rank.ranks;
  std::string meet = rendezvous;
  if (meet.empty() && get("HADAL_RENDEZVOUS"))
    meet = get("HADAL_RENDEZVOUS");
  if (meet.empty())
    meet = kDefaultRendezvous;
  HADAL_ASSIGN_OR_RETURN(options.rendezvous, Rendezvous::parse(meet));
  const char *token = get("HADAL_JOB_TOKEN");
  if (!token)
    return error(5011,
                 "HADAL_JOB_TOKEN is not set: the ranks of a run know each "
                 "other by a secret; set it to the same 64 random hexadecimal "
                 "digits for all, e.g. export HADAL_JOB_TOKEN=$(openssl rand "
                 "-hex 32)");
  HADAL_ASSIGN_OR_RETURN(options.token, parseToken(token));
  return options;
}

void printFailure(const Status &status) {
  static std::mutex mutex;
  static std::string last;
  const std::string line = status.toString() + "\n";
  std::lock_guard lock(mutex);
  if (line == last)
    return;
  last = line;
  // Nothing can be done about a failing stderr here.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
}

std::vector<std::string> mpirunCommand(unsigned ranks, const std::string &self,
                                       std::span<const std::string> arguments) {
  // Threads of a rank share the cores as they like; more ranks than cores are
  // for trying things.
  std::vector<std::string> command = {
      "mpirun", "-n", std::to_string(ranks), "--oversubscribe", "--bind-to",
      "none",   self};
  if (arguments.size() > 1)
    command.insert(command.end(), arguments.begin() + 1, arguments.end());
  return command;
}

Status prepareJob(bool hasRendezvous) {
  HADAL_ASSIGN_OR_RETURN(Nonce random, randomNonce());
  ::setenv("HADAL_JOB_TOKEN", hexOf(random).c_str(), 0);
  if (hasRendezvous)
    return {};
  HADAL_ASSIGN_OR_RETURN(Nonce name, randomNonce());
  const char *directory = std::getenv("TMPDIR");
  const std::string file =
      fmt::format("file:{}/hadal-{}", directory ? directory : "/tmp",
                  hexOf(name).substr(0, 24));
  ::setenv("HADAL_RENDEZVOUS", file.c_str(), 0);
  return {};
}

OwnCommand ownCommand() {
  OwnCommand result;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');)
    result.arguments.push_back(word);
  result.program.resize(4096);
  const ssize_t length = ::readlink("/proc/self/exe", result.program.data(),
                                    result.program.size());
  result.program.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return result;
}

Status becomeMpirun(unsigned ranks, bool hasRendezvous) {
  HADAL_RETURN_IF_ERROR(prepareJob(hasRendezvous));
  const OwnCommand own = ownCommand();
  std::vector<std::string> command =
      mpirunCommand(ranks, own.program, own.arguments);
  std::vector<char *> argv;
  for (std::string &word : command)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  // mpirun handles the signals that this process has kept from its threads.
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::execvp(argv[0], argv.data());
  return error(6005,
               "cannot start mpirun: {}; install Open MPI (Debian: "
               "openmpi-bin), or start the ranks with srun",
               std::strerror(errno));
}

} // namespace hadal::comm
