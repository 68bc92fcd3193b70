#include "runtime/drivers/cpu/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <immintrin.h>
#include <system_error>

namespace hadal::cpu {

namespace {

constexpr unsigned kDefaultMxcsr = 0x1f80;
/// How long an idle worker spins before it sleeps: longer than the gap between
/// the launches of a step, short against a pause between steps.
constexpr auto kSpin = std::chrono::microseconds(200);

} // namespace

ThreadPool::ThreadPool(unsigned threads)
    : threads_(threads), shares_(new Share[threads]) {}

StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::create(unsigned threads) {
  if (threads < 1 || threads > 1024)
    return error(5005, "{} threads; expected 1 to 1024", threads);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(threads));
  pool->workers_.reserve(threads - 1);
  for (unsigned i = 1; i < threads; ++i) {
    try {
      pool->workers_.emplace_back([p = pool.get(), i] { p->work(i); });
    } catch (const std::system_error &e) {
      return error(5006, "cannot start thread {} of {}: {}; use fewer threads",
                   i + 1, threads, e.what());
    }
  }
  return pool;
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread &worker : workers_)
    worker.join();
}

/// Takes chunks of every share, the thread's own first, until none is left. A
/// chunk is a quarter of what is left of a share: few dispatches, and a slow
/// thread holds back at most a quarter of its share.
void ThreadPool::runShare(unsigned thread) {
  for (unsigned i = 0; i < threads_; ++i) {
    Share &share = shares_[(thread + i) % threads_];
    uint64_t next = share.next.load(std::memory_order_relaxed);
    while (next < share.end) {
      uint64_t chunk = std::max<uint64_t>(1, (share.end - next) / 4);
      if (share.next.compare_exchange_weak(next, next + chunk,
                                           std::memory_order_relaxed)) {
        body_(context_, next, next + chunk, thread);
        next = share.next.load(std::memory_order_relaxed);
      }
    }
  }
}

void ThreadPool::parallelFor(uint64_t items, Body body, void *context) {
  if (!items)
    return;
  const unsigned mxcsr = _mm_getcsr();
  _mm_setcsr(kDefaultMxcsr);
  if (threads_ == 1 || items == 1) {
    body(context, 0, items, 0);
    _mm_setcsr(mxcsr);
    return;
  }
  // No worker is inside a launch here: joining is closed and all have left.
  body_ = body;
  context_ = context;
  for (unsigned i = 0; i < threads_; ++i) {
    uint64_t quotient = items / threads_, rest = items % threads_;
    uint64_t begin = quotient * i + std::min<uint64_t>(i, rest);
    shares_[i].next.store(begin, std::memory_order_relaxed);
    shares_[i].end = begin + quotient + (i < rest);
  }
  left_.store(0, std::memory_order_relaxed);
  uint64_t serial = (state_.load(std::memory_order_relaxed) >> 32) + 1;
  // Sequentially consistent with the sleepers' count: either this thread sees a
  // sleeper and wakes it, or the sleeper sees the new launch.
  state_.store(serial << 32 | kOpen);
  if (sleepers_.load()) {
    wake_.fetch_add(1);
    wake_.notify_all();
  }
  runShare(0);
  uint64_t closed = state_.exchange(serial << 32, std::memory_order_acq_rel);
  uint32_t joined = static_cast<uint32_t>(closed & kJoinedMask);
  for (unsigned spins = 0;
       left_.load(std::memory_order_acquire) != joined; ++spins) {
    _mm_pause();
    if (spins % 4096 == 4095)
      std::this_thread::yield();
  }
  _mm_setcsr(mxcsr);
}

void ThreadPool::work(unsigned thread) {
  _mm_setcsr(kDefaultMxcsr);
  uint64_t lastSerial = 0;
  // True if a launch that this thread has not seen is open.
  auto pending = [&](uint64_t state) {
    return (state & kOpen) && (state >> 32) != lastSerial;
  };
  while (!stop_.load(std::memory_order_relaxed)) {
    uint64_t state = state_.load(std::memory_order_acquire);
    if (pending(state)) {
      if (!state_.compare_exchange_weak(state, state + 1,
                                        std::memory_order_acq_rel))
        continue;
      lastSerial = state >> 32;
      runShare(thread);
      left_.fetch_add(1, std::memory_order_release);
      continue;
    }
    auto deadline = std::chrono::steady_clock::now() + kSpin;
    bool found = false;
    do {
      for (int i = 0; i < 64 && !found; ++i) {
        _mm_pause();
        found = pending(state_.load(std::memory_order_relaxed)) ||
                stop_.load(std::memory_order_relaxed);
      }
    } while (!found && std::chrono::steady_clock::now() < deadline);
    if (found)
      continue;
    uint32_t ticket = wake_.load();
    sleepers_.fetch_add(1);
    if (!pending(state_.load()) && !stop_.load())
      wake_.wait(ticket);
    sleepers_.fetch_sub(1);
  }
}

} // namespace hadal::cpu
