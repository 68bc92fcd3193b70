#include "runtime/base/Interrupt.h"

#include <csignal>
#include <ctime>
#include <optional>
#include <thread>

#include <unistd.h>

namespace hadal {

namespace {

std::atomic<bool> interrupted{false};
/// Of InterruptScope.
std::atomic<bool> isScoped{false}, scopeInterrupted{false};
/// Of endAfterCleanUp(), which hands over to the watching thread.
std::atomic<bool> isWatched{false};
std::atomic<int> wantedStatus{0};

/// The signal of that request: no one else's, and not one a user ignores.
int requestSignal() { return SIGRTMIN; }

/// Never destroyed: the watching thread outlives the statics.
struct Registry {
  std::recursive_mutex mutex;
  std::list<std::function<void()>> undos;
};
Registry &registry() {
  static Registry *instance = new Registry;
  return *instance;
}

timespec timespecOf(std::chrono::milliseconds time) {
  return {static_cast<time_t>(time.count() / 1000),
          static_cast<long>(time.count() % 1000 * 1'000'000)};
}

[[noreturn]] void endProcess(const std::string &line, int status) {
  // Kept for good: nothing may be made after it has been looked for.
  registry().mutex.lock();
  for (auto undo = registry().undos.rbegin(); undo != registry().undos.rend();
       ++undo)
    (*undo)();
  // Nothing can be done about a failing stderr here.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
  _exit(status);
}

void watch(sigset_t signals, std::chrono::milliseconds grace,
           std::string prefix) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kTwice{1};
  std::optional<Clock::time_point> last;
  int signal = 0;
  for (;;) {
    while (sigwait(&signals, &signal) != 0)
      ;
    if (signal != SIGINT || !isScoped)
      break;
    scopeInterrupted = true;
    if (last && Clock::now() - *last < kTwice)
      endProcess("", kInterruptedStatus);
    last = Clock::now();
  }
  scopeInterrupted = true;
  if (signal != requestSignal()) {
    interrupted = true;
    // Ends at the limit, or at a second signal.
    const timespec limit = timespecOf(grace);
    signal = sigtimedwait(&signals, nullptr, &limit);
  }
  if (signal == requestSignal())
    endProcess("", wantedStatus);
  endProcess(prefix + "error H5016: interrupted\n", kInterruptedStatus);
}

} // namespace

void watchInterrupts(std::chrono::milliseconds grace, std::string prefix) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) == 0 &&
        action.sa_handler != SIG_IGN)
      sigaddset(&signals, signal);
  }
  sigaddset(&signals, requestSignal());
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  isWatched = true;
  std::thread(watch, signals, grace, std::move(prefix)).detach();
}

const std::atomic<bool> &interruptFlag() { return interrupted; }

InterruptScope::InterruptScope() {
  scopeInterrupted = interrupted.load();
  isScoped = true;
}
InterruptScope::~InterruptScope() { isScoped = false; }
const std::atomic<bool> &InterruptScope::flag() {
  return scopeInterrupted;
}

void endAfterCleanUp(int status) {
  if (!isWatched)
    _exit(status);
  wantedStatus = status;
  ::kill(::getpid(), requestSignal());
  while (true)
    ::pause();
}

CleanUp::CleanUp(std::function<void()> undo) : active_(true) {
  auto held = lock();
  entry_ = registry().undos.insert(registry().undos.end(), std::move(undo));
}

void CleanUp::dismiss() {
  if (!active_)
    return;
  auto held = lock();
  registry().undos.erase(entry_);
  active_ = false;
}

std::unique_lock<std::recursive_mutex> CleanUp::lock() {
  return std::unique_lock(registry().mutex);
}

} // namespace hadal
