#include "runtime/comm/control/Spawn.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/comm/control/Launch.h"

namespace hadal::comm {

namespace {

constexpr std::chrono::milliseconds kLook{20};
constexpr const char *kParent = "HADAL_PARENT";
/// The exit code of a rank that ends because another one has.
constexpr int kPeerLost = 6;

/// |words| as execve() takes them; they outlive the result.
std::vector<char *> pointersTo(std::vector<std::string> &words) {
  std::vector<char *> pointers;
  for (std::string &word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// The environment of rank |rank|.
std::vector<std::string> environmentOf(unsigned rank, unsigned ranks) {
  std::vector<std::string> result;
  for (char **at = ::environ; *at; ++at)
    result.emplace_back(*at);
  for (auto [name, value] :
       {std::pair<const char *, unsigned>{"HADAL_RANK", rank},
        {"HADAL_RANKS", ranks},
        {"HADAL_LOCAL_RANK", rank},
        {"HADAL_LOCAL_RANKS", ranks},
        {kParent, static_cast<unsigned>(::getpid())}})
    result.push_back(fmt::format("{}={}", name, value));
  return result;
}

StatusOr<pid_t> start(OwnCommand &own, unsigned rank, unsigned ranks) {
  std::vector<std::string> variables = environmentOf(rank, ranks);
  std::vector<char *> arguments = pointersTo(own.arguments),
                      environment = pointersTo(variables);
  // This process keeps signals from its threads; a rank handles its own.
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int failure =
      ::posix_spawn(&pid, own.program.c_str(), nullptr, &attributes,
                    arguments.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  if (failure)
    return error(6005, "cannot start rank {} of {}: {}", rank, ranks,
                 std::strerror(failure));
  return pid;
}

int exitCodeOf(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace

Status becomeParent(unsigned ranks, bool hasRendezvous,
                    const std::atomic<bool> &interrupt) {
  HADAL_RETURN_IF_ERROR(prepareJob(hasRendezvous));
  OwnCommand own = ownCommand();
  std::vector<pid_t> running;
  auto signalAll = [&](int signal) {
    for (pid_t pid : running)
      (void)::kill(pid, signal);
  };
  for (unsigned rank = 0; rank < ranks; ++rank) {
    StatusOr<pid_t> pid = start(own, rank, ranks);
    if (!pid.ok()) {
      signalAll(SIGKILL);
      return pid.status();
    }
    running.push_back(*pid);
  }
  int code = 0;
  bool told = false;
  while (!running.empty()) {
    std::this_thread::sleep_for(kLook);
    if (interrupt && !told) {
      told = true;
      signalAll(SIGTERM);
    }
    std::erase_if(running, [&](pid_t pid) {
      int status = 0;
      if (::waitpid(pid, &status, WNOHANG) != pid)
        return false;
      const int its = exitCodeOf(status);
      if (its && (!code || code == kPeerLost))
        code = its;
      return true;
    });
  }
  std::fflush(nullptr);
  ::_exit(code);
}

void endWithParent() {
  const char *parent = std::getenv(kParent);
  if (!parent)
    return;
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  // It may have ended before.
  if (::getppid() != std::atoi(parent))
    (void)::raise(SIGTERM);
}

} // namespace hadal::comm
