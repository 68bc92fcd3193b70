// Ranks for tests of the control plane: how each joins.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "runtime/comm/control/Join.h"
#include "test/runtime/TempDirectory.h"

namespace hadal::test {

inline comm::Deadline in(int milliseconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::milliseconds(milliseconds);
}

/// Options of |rank|; ranks meet through a file of |directory|.
inline comm::GroupOptions optionsOf(const TempDirectory &directory,
                                    unsigned rank, unsigned ranks) {
  comm::GroupOptions options;
  options.rank = rank;
  options.ranks = ranks;
  options.rendezvous =
      *comm::Rendezvous::parse("file:" + directory.file("meet"));
  options.token = {7, 7, 7};
  options.joinTimeout = std::chrono::seconds(20);
  return options;
}

/// Runs |body| as each of |ranks|, at once.
inline void asRanks(unsigned ranks, const std::function<void(unsigned)> &body) {
  std::vector<std::thread> threads;
  for (unsigned rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] { body(rank); });
  for (std::thread &thread : threads)
    thread.join();
}

inline std::vector<uint8_t> bytesOfText(std::string_view text) {
  return {text.begin(), text.end()};
}

} // namespace hadal::test
