// Persistent worker threads for kernels: low dispatch latency, work items that
// stay with their thread where possible.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::cpu {

/// Runs ranges of work items on `threads` threads, of which the caller of
/// parallelFor is one. Each thread first takes chunks of its own contiguous
/// share of the items, large ones first, then helps others: equal launches give
/// equal items to a thread, so that what it reads is in its cache. A thread
/// that wakes up late does not delay a launch whose items others have done.
class ThreadPool {
public:
  /// Called with |context|, a range of items and the thread's index.
  using Body = void (*)(void *context, uint64_t begin, uint64_t end,
                        unsigned thread);

  /// |threads| 1..1024. H5006 if a thread cannot be started.
  static StatusOr<std::unique_ptr<ThreadPool>> create(unsigned threads);
  ~ThreadPool();

  unsigned threads() const { return threads_; }

  /// Calls |body| for ranges that cover [0, items) once; returns when all are
  /// done. Kernels run with the default floating-point environment (MXCSR
  /// 0x1f80: round to nearest, denormals kept, exceptions masked) whatever the
  /// caller has set. One caller at a time.
  void parallelFor(uint64_t items, Body body, void *context);

private:
  explicit ThreadPool(unsigned threads);
  void work(unsigned thread);
  void runShare(unsigned thread);

  /// A thread's share of the items: those from next on are not yet taken.
  struct alignas(64) Share {
    std::atomic<uint64_t> next{0};
    uint64_t end = 0;
  };

  /// State of the current launch: a serial number, whether threads may still
  /// join, and how many joined.
  static constexpr uint64_t kOpen = uint64_t(1) << 31;
  static constexpr uint64_t kJoinedMask = kOpen - 1;

  unsigned threads_;
  std::unique_ptr<Share[]> shares_;
  Body body_ = nullptr;
  void *context_ = nullptr;
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<uint32_t> left_{0};
  alignas(64) std::atomic<uint32_t> wake_{0};
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

} // namespace hadal::cpu
