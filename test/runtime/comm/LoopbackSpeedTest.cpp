// The rate of an exchange of two ranks beside that of plain copies.
#include <algorithm>
#include <barrier>
#include <cstring>
#include <thread>

#include "runtime/comm/loopback/Loopback.h"

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::comm;
using Clock = std::chrono::steady_clock;

namespace {

// A row of the V3 dispatch: codes, scales and meta.
constexpr uint64_t kRows = 128, kRowBytes = 7424, kBlock = kRows * kRowBytes;

double secondsOf(const std::function<void()> &work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

} // namespace

TEST(LoopbackSpeed, AnExchangeReachesTheRateOfCopies) {
  // Both ranks copy, then both exchange, in turn: what else the machine does
  // meets both. The fastest of each.
  constexpr unsigned kTries = 60;
  double copies = 1e9, exchanges = 1e9;
  auto world = LoopbackWorld::create(2);
  std::unique_ptr<Group> groups[] = {world->join(0), world->join(1)};
  std::barrier together(2);
  auto rank = [&](unsigned r) {
    auto all = groups[r]->create("ep", std::vector<unsigned>{0, 1});
    ASSERT_TRUE(all.ok());
    std::vector<uint8_t> send(2 * kBlock, 1), received(2 * kBlock);
    Operation operation;
    operation.parts.push_back({reinterpret_cast<Address>(send.data()),
                               reinterpret_cast<Address>(received.data()),
                               kRows, kRowBytes});
    for (unsigned i = 0; i < kTries; ++i) {
      together.arrive_and_wait();
      const double copied = secondsOf([&] {
        std::memcpy(received.data(), send.data(), received.size());
        together.arrive_and_wait();
      });
      operation.sequence = i;
      const double exchanged = secondsOf([&] {
        Status status =
            (*all)->run(operation, Clock::now() + std::chrono::seconds(20));
        ASSERT_TRUE(status.ok()) << status.toString();
      });
      if (!r) {
        copies = std::min(copies, copied);
        exchanges = std::min(exchanges, exchanged);
      }
    }
  };
  std::thread other([&] { rank(1); });
  rank(0);
  other.join();
  const double bytes = 2.0 * 2 * kBlock;
  fmt::print("copies {:.1f} GB/s, exchange {:.1f} GB/s: {:.2f}\n",
             bytes / copies / 1e9, bytes / exchanges / 1e9, copies / exchanges);
  EXPECT_GE(copies / exchanges, 0.4);
}
