#include "runtime/tune/Block.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hadal::tune {

StatusOr<std::vector<StatusOr<double>>> runBlock(Timer &timer,
                                                 std::span<const size_t> arms) {
  constexpr bool kMirrored[kRounds] = {false, true,  false, true,
                                       true,  false, true,  false};
  const size_t count = arms.size() + 1;
  std::vector<double> least(count, std::numeric_limits<double>::infinity());
  std::vector<Status> failed(count);
  for (bool mirrored : kMirrored)
    for (size_t i = 0; i < count; ++i) {
      const size_t place = mirrored ? count - 1 - i : i;
      if (!failed[place].ok())
        continue;
      StatusOr<double> seconds = timer.time(place ? arms[place - 1] : 0);
      if (seconds.ok())
        least[place] = std::min(least[place], *seconds);
      else if (place)
        failed[place] = seconds.status();
      else
        return seconds.status();
    }
  std::vector<StatusOr<double>> result;
  for (size_t place = 1; place < count; ++place)
    if (failed[place].ok())
      result.emplace_back(std::log(least[0] / least[place]));
    else
      result.emplace_back(failed[place]);
  return result;
}

} // namespace hadal::tune
