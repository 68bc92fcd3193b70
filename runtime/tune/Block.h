// Arms timed side by side: load and drift meet all of them alike.
#pragma once

#include <span>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::tune {

/// Where times come from. Arm 0 is the default, others are candidates, numbered
/// by the caller. The caller has shown that each arm is right before it is
/// here.
class Timer {
public:
  virtual ~Timer() = default;
  /// Runs one unit (1 to 3 ms of launches) of |arm|: seconds of a launch, above
  /// 0. An error ends the arm; an error of arm 0 ends the selection.
  virtual StatusOr<double> time(size_t arm) = 0;
  /// New inputs, in new buffers.
  virtual Status renew(uint64_t seed) = 0;
};

inline constexpr unsigned kRounds = 8;

/// One block: kRounds units of arm 0 and of each of |arms|, in turn and
/// mirrored: for one arm B it is ABBA ABBA BAAB BAAB. Gives of each arm
/// ln(min A / min B), the minimum being what preemption reaches least, or the
/// error of its first unit that failed, after which it isn't run again. The
/// error of the block is arm 0's.
StatusOr<std::vector<StatusOr<double>>> runBlock(Timer &timer,
                                                 std::span<const size_t> arms);

} // namespace hadal::tune
