// Threads for what would keep the I/O thread from its streams: parsing and
// tokenising a megabyte of text.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hadal::serve {

class Workers {
public:
  explicit Workers(unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      threads.emplace_back([this] { work(); });
  }
  /// What is queued and has not begun is dropped.
  ~Workers() {
    {
      std::lock_guard lock(mutex);
      ending = true;
    }
    changed.notify_all();
    for (std::thread &thread : threads)
      thread.join();
  }

  void run(std::function<void()> job) {
    {
      std::lock_guard lock(mutex);
      queue.push_back(std::move(job));
    }
    changed.notify_one();
  }

private:
  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return ending || !queue.empty(); });
      if (ending)
        return;
      std::function<void()> job = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;
  bool ending = false;
  std::vector<std::thread> threads;
};

} // namespace hadal::serve
