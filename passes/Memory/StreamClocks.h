// The order of commands in a program of two streams and events: vector clocks.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace hadal {

/// Commands have ascending numbers from 1 on. A clock says of each stream up to
/// which number its commands are known to be done.
using StreamClock = std::array<int64_t, 2>;

/// What each stream knows as a program runs. At the beginning a stream knows
/// that its own past is done (0), and nothing of the other's (-1).
class StreamClocks {
public:
  const StreamClock &operator[](int64_t stream) const { return of[stream]; }

  /// Starts command |number| on |stream|: what is known to be done before it.
  StreamClock start(int64_t stream, int64_t number) {
    StreamClock before = of[stream];
    of[stream][stream] = number;
    return before;
  }
  /// |stream| goes on when |clock| is reached.
  void join(int64_t stream, const StreamClock &clock) {
    for (size_t s = 0; s < clock.size(); ++s)
      of[stream][s] = std::max(of[stream][s], clock[s]);
  }

private:
  std::array<StreamClock, 2> of = {{{0, -1}, {-1, 0}}};
};

} // namespace hadal
