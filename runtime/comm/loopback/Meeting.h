// Where the members of a communicator meet for one operation after the other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// One operation at a time: all members arrive, compare what they issued, copy
/// what they receive out of the others' send arrays, and leave together, so
/// that nobody's send array is reused while it is read. Every function: any
/// thread.
class Meeting {
public:
  /// |members|: their ranks in the run. |whereIs|: where a rank is, for
  /// messages; called with the meeting's lock held.
  Meeting(std::string name, std::vector<unsigned> members,
          std::function<std::string(unsigned)> whereIs);

  const std::string &name() const { return name_; }
  unsigned size() const { return static_cast<unsigned>(members_.size()); }

  /// Copies what the member receives; |all| are the operations by member.
  using Copy = std::function<Status(std::span<const Operation *const> all)>;
  /// Takes part as member |index|. After |copy|, which runs at the same time as
  /// that of the others, the operation lasts until |lasting| after the last
  /// arrival. H6001, H6006; the first error is that of every later call.
  Status run(unsigned index, const Operation &operation, const Copy &copy,
             std::chrono::nanoseconds lasting, Deadline deadline);

  /// Ends every call, now and later, with |status|.
  void fail(const Status &status) noexcept;
  /// Rank |rank| will not come again.
  void leave(unsigned rank) noexcept;

private:
  enum class Phase : uint8_t { gathering, copying };

  Status arrive(unsigned index, const Operation &operation);
  /// H6001 with those who have not come and those who wait.
  enum class Why : uint8_t { gone, late };
  Status missing(Why why) const;
  void failLocked(const Status &status);
  void notify();
  /// Waits until |ready|, at most until |deadline|; what |ready| is then.
  bool await(std::unique_lock<std::mutex> &lock, Deadline deadline,
             const std::function<bool()> &ready);

  const std::string name_;
  const std::vector<unsigned> members_;
  const std::function<std::string(unsigned)> whereIs_;

  /// How long a member looks before it sleeps, where each has a processor.
  const std::chrono::microseconds spin_;
  std::atomic<uint64_t> changes_{0};

  mutable std::mutex mutex_; // guards all below
  std::condition_variable changed_;
  std::vector<const Operation *> present_; // by member
  std::vector<bool> gone_;
  Phase phase_ = Phase::gathering;
  unsigned arrived_ = 0, finished_ = 0;
  unsigned readers_ = 0; // members that read others' send arrays
  uint64_t round_ = 0;
  std::chrono::steady_clock::time_point gathered_;
  Status failure_;
  /// The failure when the last round was complete. What fails later, perhaps
  /// because of what a round told the first member to return from it, is not
  /// the round's: all members get one result. The next round cannot overwrite it
  /// before all have returned, since it needs them.
  Status completed_;
};

} // namespace hadal::comm
