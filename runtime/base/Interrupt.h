// SIGINT, SIGTERM and SIGHUP for the tools: a flag that long work polls, a
// limit after which the process ends anyhow, and what must be gone by then.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <string>

namespace hadal {

/// Exit status of a process that a signal asked to end, whichever it was; that
/// of H5016.
inline constexpr int kInterruptedStatus = 130;

/// Blocks the signals in the calling thread, which must be the only one so far,
/// and starts a thread that waits for them. The first one sets interruptFlag();
/// |grace| later, or at a second one, all CleanUps run and the process ends
/// with kInterruptedStatus and a line on stderr that begins with |prefix|. A
/// signal that is ignored at the start stays ignored. For executables, never
/// for a library: children inherit the blocked signals unless they are spawned
/// with an empty mask.
void watchInterrupts(std::chrono::milliseconds grace, std::string prefix = "");

/// True from the first signal on.
const std::atomic<bool> &interruptFlag();

/// While one lives, SIGINT sets its flag instead of ending the process, as often
/// as it comes; a second one within a second still ends it, and the other
/// signals do what they always do. One at a time; for work that a person stops
/// and goes on from.
class InterruptScope {
public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope &) = delete;
  InterruptScope &operator=(const InterruptScope &) = delete;

  /// True from the first signal on, also of one that ends the process.
  static const std::atomic<bool> &flag();
};

/// Runs all CleanUps and ends the process with |status|; at once and without
/// them where nobody called watchInterrupts(). Async-signal-safe: for handlers
/// of faults.
[[noreturn]] void endAfterCleanUp(int status);

/// What is undone if the process is interrupted while this lives: a temporary
/// file removed, a child killed; the last registered first. It runs in another
/// thread, and only functions that were registered; a thing that is made and
/// then registered is safe if lock() is held over both, and so is one that is
/// unmade and then unregistered.
class CleanUp {
public:
  CleanUp() = default;
  /// |undo| may not throw, nor use CleanUps.
  explicit CleanUp(std::function<void()> undo);
  CleanUp(CleanUp &&other) noexcept { swap(other); }
  CleanUp &operator=(CleanUp &&other) noexcept {
    CleanUp(std::move(other)).swap(*this);
    return *this;
  }
  ~CleanUp() { dismiss(); }

  /// Unregisters the function without calling it.
  void dismiss();

  /// Excludes the end by interrupt. Recursive; once CleanUps run it is never
  /// given again.
  static std::unique_lock<std::recursive_mutex> lock();

private:
  void swap(CleanUp &other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(active_, other.active_);
  }
  std::list<std::function<void()>>::iterator entry_;
  bool active_ = false;
};

} // namespace hadal
