#include "runtime/comm/Gather.h"

#include <algorithm>
#include <cstring>

namespace hadal::comm {

StatusOr<std::vector<std::vector<uint8_t>>>
gather(Group &group, std::span<const uint8_t> mine,
       std::chrono::milliseconds timeout) {
  // A frame of the control plane holds 64 KiB.
  constexpr uint64_t kPiece = 32768;
  auto exchange = [&](std::span<const uint8_t> piece) {
    return group.exchange(piece, std::chrono::steady_clock::now() + timeout);
  };
  const uint64_t bytes = mine.size();
  uint8_t length[sizeof(bytes)];
  std::memcpy(length, &bytes, sizeof(bytes));
  HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> lengths,
                         exchange(length));
  uint64_t longest = 0;
  for (size_t r = 0; r < lengths.size(); ++r) {
    uint64_t theirs;
    if (lengths[r].size() != sizeof(theirs))
      return error(6006, "rank {} sent {} bytes, expected a length of {}", r,
                   lengths[r].size(), sizeof(theirs));
    std::memcpy(&theirs, lengths[r].data(), sizeof(theirs));
    longest = std::max(longest, theirs);
  }
  std::vector<std::vector<uint8_t>> all(group.size());
  for (uint64_t at = 0; at < longest; at += kPiece) {
    const uint64_t begin = std::min(at, bytes);
    HADAL_ASSIGN_OR_RETURN(
        std::vector<std::vector<uint8_t>> pieces,
        exchange(mine.subspan(begin, std::min(kPiece, bytes - begin))));
    for (size_t r = 0; r < all.size(); ++r)
      all[r].insert(all[r].end(), pieces[r].begin(), pieces[r].end());
  }
  return all;
}

} // namespace hadal::comm
