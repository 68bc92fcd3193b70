// Between two looks at something that somebody else will change.
#pragma once

#include <chrono>
#include <thread>

namespace hadal::comm::nccl {

/// Gives way to other threads at first, and sleeps when it takes longer.
class Pause {
public:
  void operator()() const {
    if (std::chrono::steady_clock::now() - begin < kYielding)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(kSleep);
  }

private:
  static constexpr std::chrono::microseconds kYielding{500}, kSleep{50};
  const std::chrono::steady_clock::time_point begin =
      std::chrono::steady_clock::now();
};

} // namespace hadal::comm::nccl
