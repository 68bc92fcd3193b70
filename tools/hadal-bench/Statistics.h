// What repeated measurements are summed up by.
#pragma once

#include <algorithm>
#include <vector>

namespace hadal::bench {

/// The median; 0 without values.
inline double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle]
                           : (values[middle - 1] + values[middle]) / 2;
}

} // namespace hadal::bench
