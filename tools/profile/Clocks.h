// How far the clocks of ranks are apart: processes of several machines have
// each their own.
#pragma once

#include <functional>
#include <vector>

#include "runtime/comm/Group.h"

namespace hadal::profile {

/// Of a rank against rank 0, in nanoseconds.
struct ClockOffset {
  int64_t at = 0;     ///< of the rank's clock, when it was measured
  int64_t offset = 0; ///< what the rank's clock shows more
  int64_t error = 0;  ///< the true offset is that far away at most
};

using Now = std::function<int64_t()>;
/// The steady clock.
int64_t steadyNow();

/// The offsets of all ranks, on every rank. No rank has the result of an
/// exchange before each has begun it: every round bounds each offset from both
/// sides, and the round with the least trip bounds it best. All ranks call it;
/// |now| is of this rank. H6001, H6006.
StatusOr<std::vector<ClockOffset>>
measureClocks(comm::Group &group, std::chrono::milliseconds timeout,
              const Now &now = steadyNow);

/// A rank's times as rank 0's clock would show them, from offsets before and
/// after: clocks drift.
class ClockMap {
public:
  ClockMap() = default;
  ClockMap(const ClockOffset &first, const ClockOffset &last)
      : first(first), last(last) {}

  int64_t toRank0(int64_t time) const;
  int64_t error() const { return std::max(first.error, last.error); }

private:
  ClockOffset first, last;
};

} // namespace hadal::profile
