#include "cost/Routing.h"

#include <algorithm>
#include <cmath>

namespace hadal::cost {

double distinctRanks(const Routing &routing) {
  const auto all = static_cast<double>(routing.ranks * routing.slots);
  const auto others = all - static_cast<double>(routing.slots);
  double missed = 1; // the chance that a rank has none of them
  for (int64_t i = 0; i < routing.choices && missed > 0; ++i)
    missed *= std::max(others - static_cast<double>(i), 0.0) /
              std::max(all - static_cast<double>(i), 1.0);
  return static_cast<double>(routing.ranks) * (1 - missed);
}

int64_t pairsOfRows(const Routing &routing, int64_t rows) {
  constexpr int64_t step = 8;
  // The mean of both is in proportion.
  const double pairs =
      static_cast<double>(rows * routing.choices) / distinctRanks(routing);
  return (static_cast<int64_t>(std::ceil(pairs)) + step - 1) / step * step;
}

int64_t rowsThatHold(const Routing &routing, int64_t rows, int64_t pairs) {
  rows = std::max<int64_t>(rows, 1);
  while (pairsOfRows(routing, rows) < pairs)
    ++rows;
  return rows;
}

} // namespace hadal::cost
