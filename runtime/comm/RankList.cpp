#include "runtime/comm/RankList.h"

#include <fmt/format.h>

namespace hadal::comm {

std::string rankList(std::span<const unsigned> ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size();) {
    size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1)
      ++last;
    text += fmt::format("{}{}", i ? ", " : "", ranks[i]);
    if (last > i)
      text += fmt::format("-{}", ranks[last]);
    i = last + 1;
  }
  return text;
}

} // namespace hadal::comm
