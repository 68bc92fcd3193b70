#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <immintrin.h>

#include "runtime/drivers/cpu/ThreadPool.h"

using namespace hadal;
using cpu::ThreadPool;

namespace {

struct Visits {
  std::vector<std::atomic<int>> counts;
  std::atomic<unsigned> threads{0};
};

void visit(void *context, uint64_t begin, uint64_t end, unsigned thread) {
  auto &visits = *static_cast<Visits *>(context);
  visits.threads.fetch_or(1u << thread);
  for (uint64_t i = begin; i < end; ++i)
    visits.counts[i].fetch_add(1);
}

std::unique_ptr<ThreadPool> pool(unsigned threads) {
  StatusOr<std::unique_ptr<ThreadPool>> p = ThreadPool::create(threads);
  EXPECT_TRUE(p.ok()) << p.status().toString();
  return std::move(*p);
}

} // namespace

TEST(ThreadPool, EveryItemRunsOnceWhateverTheNumbers) {
  for (unsigned threads : {1, 2, 3, 8}) {
    std::unique_ptr<ThreadPool> p = pool(threads);
    EXPECT_EQ(p->threads(), threads);
    for (uint64_t items : {0, 1, 2, 3, 5, 31, 1000, 4099})
      for (int repeat = 0; repeat < 30; ++repeat) {
        Visits visits{std::vector<std::atomic<int>>(items)};
        p->parallelFor(items, visit, &visits);
        for (uint64_t i = 0; i < items; ++i)
          ASSERT_EQ(visits.counts[i], 1)
              << threads << " threads, item " << i << " of " << items;
      }
  }
}

TEST(ThreadPool, WorkersTakePart) {
  std::unique_ptr<ThreadPool> p = pool(2);
  // Item 0 waits for item 1, which only another thread can run.
  struct Meeting {
    std::atomic<bool> arrived{false};
    std::thread::id ids[2];
  } meeting;
  auto body = [](void *context, uint64_t begin, uint64_t end, unsigned) {
    auto &m = *static_cast<Meeting *>(context);
    for (uint64_t i = begin; i < end; ++i) {
      m.ids[i] = std::this_thread::get_id();
      if (i == 1)
        m.arrived = true;
      while (!m.arrived)
        std::this_thread::yield();
    }
  };
  p->parallelFor(2, body, &meeting);
  EXPECT_NE(meeting.ids[0], meeting.ids[1]);
}

TEST(ThreadPool, SleepingWorkersWakeUp) {
  std::unique_ptr<ThreadPool> p = pool(3);
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Visits visits{std::vector<std::atomic<int>>(300)};
    p->parallelFor(300, visit, &visits);
    for (auto &count : visits.counts)
      ASSERT_EQ(count, 1);
  }
}

TEST(ThreadPool, BodiesRunWithTheDefaultFloatingPointEnvironment) {
  std::unique_ptr<ThreadPool> p = pool(2);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040); // flush denormals, as a host may have set
  std::atomic<unsigned> seen{0};
  auto body = [](void *context, uint64_t, uint64_t, unsigned) {
    static_cast<std::atomic<unsigned> *>(context)->fetch_or(_mm_getcsr() &
                                                             ~0x3fu);
  };
  p->parallelFor(64, body, &seen);
  EXPECT_EQ(seen, 0x1f80u);
  EXPECT_EQ(_mm_getcsr() & 0x8040, 0x8040u) << "the caller's was not restored";
  _mm_setcsr(before);
}

TEST(ThreadPool, AThreadNumberOutOfRangeIsRefused) {
  EXPECT_EQ(ThreadPool::create(0).status().code(), 5005);
  EXPECT_EQ(ThreadPool::create(4096).status().code(), 5005);
}
