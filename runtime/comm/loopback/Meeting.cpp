#include "runtime/comm/loopback/Meeting.h"

#include <algorithm>
#include <thread>

#include "runtime/base/CpuCount.h"
#include "runtime/comm/Operation.h"
#include "runtime/comm/RankList.h"

namespace hadal::comm {

using Clock = std::chrono::steady_clock;

Meeting::Meeting(std::string name, std::vector<unsigned> members,
                 std::function<std::string(unsigned)> whereIs)
    : name_(std::move(name)), members_(std::move(members)),
      whereIs_(std::move(whereIs)),
      spin_(members_.size() > 1 && usableCpus() >= members_.size() ? 50 : 0),
      present_(members_.size()), gone_(members_.size()) {}

Status Meeting::missing(Why why) const {
  std::vector<unsigned> absent, waiting;
  const Operation *operation = nullptr;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (present_[i]) {
      waiting.push_back(members_[i]);
      operation = operation ? operation : present_[i];
    } else if (why == Why::late || gone_[i]) {
      absent.push_back(members_[i]);
    }
  }
  std::string where;
  for (unsigned rank : absent)
    where += fmt::format("; rank {} is at {}", rank, whereIs_(rank));
  return error(6001, "{} {}; {} waited at {} of communicator '{}'{}",
               rankList(absent),
               why == Why::late    ? "did not come in time"
               : absent.size() > 1 ? "are gone"
                                   : "is gone",
               rankList(waiting), describe(*operation), name_, where);
}

void Meeting::notify() {
  changes_.fetch_add(1, std::memory_order_release);
  changed_.notify_all();
}

bool Meeting::await(std::unique_lock<std::mutex> &lock, Deadline deadline,
                    const std::function<bool()> &ready) {
  // Waking from a sleep takes as long as a small exchange.
  for (const auto end = Clock::now() + spin_;
       spin_.count() && !ready() && Clock::now() < end;) {
    const uint64_t seen = changes_.load(std::memory_order_acquire);
    lock.unlock();
    while (changes_.load(std::memory_order_acquire) == seen &&
           Clock::now() < end)
      std::this_thread::yield();
    lock.lock();
  }
  return changed_.wait_until(lock, deadline, ready);
}

void Meeting::failLocked(const Status &status) {
  if (failure_.ok())
    failure_ = status;
  notify();
}

void Meeting::fail(const Status &status) noexcept {
  std::lock_guard lock(mutex_);
  failLocked(status);
}

void Meeting::leave(unsigned rank) noexcept {
  std::lock_guard lock(mutex_);
  auto at = std::find(members_.begin(), members_.end(), rank);
  if (at == members_.end())
    return;
  const size_t index = static_cast<size_t>(at - members_.begin());
  gone_[index] = true;
  if (failure_.ok() && arrived_ && phase_ == Phase::gathering &&
      !present_[index])
    failLocked(missing(Why::gone));
}

Status Meeting::arrive(unsigned index, const Operation &operation) {
  HADAL_RETURN_IF_ERROR(failure_);
  present_[index] = &operation;
  ++arrived_;
  if (std::find(gone_.begin(), gone_.end(), true) != gone_.end()) {
    failLocked(missing(Why::gone));
    return failure_;
  }
  if (arrived_ < members_.size())
    return {};
  for (size_t i = 1; i < members_.size(); ++i)
    if (Status status = checkSame(name_, members_[0], *present_[0], members_[i],
                                  *present_[i]);
        !status.ok()) {
      failLocked(status);
      return failure_;
    }
  phase_ = Phase::copying;
  gathered_ = Clock::now();
  notify();
  return {};
}

Status Meeting::run(unsigned index, const Operation &operation,
                    const Copy &copy, std::chrono::nanoseconds lasting,
                    Deadline deadline) {
  std::unique_lock lock(mutex_);
  const uint64_t round = round_;
  Status status = arrive(index, operation);
  if (status.ok() && !await(lock, deadline, [&] {
        return !failure_.ok() || phase_ == Phase::copying;
      }))
    failLocked(missing(Why::late));
  if (failure_.ok()) {
    ++readers_;
    const std::vector<const Operation *> all = present_;
    lock.unlock();
    status = copy(all);
    lock.lock();
    --readers_;
    if (!status.ok())
      failLocked(status);
    if (lasting.count())
      changed_.wait_until(lock, gathered_ + lasting,
                          [&] { return !failure_.ok(); });
    if (++finished_ == members_.size()) {
      phase_ = Phase::gathering;
      arrived_ = finished_ = 0;
      completed_ = failure_;
      std::fill(present_.begin(), present_.end(), nullptr);
      ++round_;
    }
    notify();
    await(lock, Deadline::max(),
          [&] { return !failure_.ok() || round_ != round; });
    if (round_ != round)
      return completed_;
  }
  // A reader may still be in this member's send array.
  changed_.wait(lock, [&] { return !readers_; });
  present_[index] = nullptr;
  return failure_;
}

} // namespace hadal::comm
