#include "tools/profile/Clocks.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "runtime/comm/Gather.h"

namespace hadal::profile {

namespace {

constexpr size_t kRounds = 16;

/// When a rank began each round and when it had its result.
struct Trips {
  int64_t sent[kRounds], received[kRounds];
};

/// |theirs| against |mine|, which are of rank 0.
ClockOffset offsetOf(const Trips &theirs, const Trips &mine) {
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t most = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < kRounds; ++i) {
    least = std::max(least, theirs.sent[i] - mine.received[i]);
    most = std::min(most, theirs.received[i] - mine.sent[i]);
  }
  ClockOffset offset;
  offset.at = theirs.received[kRounds - 1];
  offset.offset = least + (most - least) / 2;
  // A clock that was set between two rounds leaves nothing between the bounds.
  offset.error = std::abs(most - least) / 2 + 1;
  return offset;
}

} // namespace

int64_t steadyNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

StatusOr<std::vector<ClockOffset>>
measureClocks(comm::Group &group, std::chrono::milliseconds timeout,
              const Now &now) {
  Trips trips;
  const uint8_t ping = 0;
  for (size_t i = 0; i < kRounds; ++i) {
    trips.sent[i] = now();
    HADAL_RETURN_IF_ERROR(
        group.exchange({&ping, 1}, std::chrono::steady_clock::now() + timeout)
            .status());
    trips.received[i] = now();
  }
  const auto *bytes = reinterpret_cast<const uint8_t *>(&trips);
  HADAL_ASSIGN_OR_RETURN(std::vector<std::vector<uint8_t>> all,
                         comm::gather(group, {bytes, sizeof(trips)}, timeout));
  std::vector<ClockOffset> offsets;
  Trips first{};
  for (size_t r = 0; r < all.size(); ++r) {
    Trips theirs;
    if (all[r].size() != sizeof(theirs))
      return error(6006, "rank {} sent {} bytes of clock readings, expected {}",
                   r, all[r].size(), sizeof(theirs));
    std::memcpy(&theirs, all[r].data(), sizeof(theirs));
    if (r == 0)
      first = theirs;
    offsets.push_back(r ? offsetOf(theirs, first)
                        : ClockOffset{theirs.received[kRounds - 1], 0, 0});
  }
  return offsets;
}

int64_t ClockMap::toRank0(int64_t time) const {
  double offset = static_cast<double>(first.offset);
  if (last.at > first.at)
    offset += static_cast<double>(last.offset - first.offset) *
              (static_cast<double>(time - first.at) /
               static_cast<double>(last.at - first.at));
  return time - static_cast<int64_t>(offset);
}

} // namespace hadal::profile
