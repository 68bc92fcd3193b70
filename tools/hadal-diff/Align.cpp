#include "tools/hadal-diff/Align.h"

#include <algorithm>
#include <cstdint>

namespace hadal::diff {

std::optional<std::vector<Aligned>> align(const std::vector<std::string> &a,
                                          const std::vector<std::string> &b) {
  constexpr size_t kMostCells = size_t{64} << 20;
  // What begins and ends alike needs no table.
  size_t begin = 0, endA = a.size(), endB = b.size();
  while (begin < endA && begin < endB && a[begin] == b[begin])
    ++begin;
  while (endA > begin && endB > begin && a[endA - 1] == b[endB - 1])
    --endA, --endB;
  const size_t rows = endA - begin, columns = endB - begin;
  if (rows && columns && columns + 1 > kMostCells / (rows + 1))
    return std::nullopt;
  // Longest common subsequences of the ends from (i, j) on.
  std::vector<uint32_t> length((rows + 1) * (columns + 1));
  auto at = [&](size_t i, size_t j) -> uint32_t & {
    return length[i * (columns + 1) + j];
  };
  for (size_t i = rows; i-- > 0;)
    for (size_t j = columns; j-- > 0;)
      at(i, j) = a[begin + i] == b[begin + j]
                     ? at(i + 1, j + 1) + 1
                     : std::max(at(i + 1, j), at(i, j + 1));
  std::vector<Aligned> result;
  for (size_t k = 0; k < begin; ++k)
    result.push_back({k, k});
  for (size_t i = 0, j = 0; i < rows || j < columns;) {
    if (i < rows && j < columns && a[begin + i] == b[begin + j])
      result.push_back({begin + i++, begin + j++});
    else if (j == columns || (i < rows && at(i + 1, j) >= at(i, j + 1)))
      result.push_back({begin + i++, std::nullopt});
    else
      result.push_back({std::nullopt, begin + j++});
  }
  for (size_t k = endA; k < a.size(); ++k)
    result.push_back({k, endB + (k - endA)});
  return result;
}

} // namespace hadal::diff
