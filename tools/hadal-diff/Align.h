// Two sequences side by side.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hadal::diff {

/// A place in one sequence, in the other, or in both if they are equal there.
struct Aligned {
  std::optional<size_t> a, b;
};

/// A longest common subsequence of |a| and |b|, with what is between: what is
/// gone before what is new. Nothing if the table that it takes is too large
/// (hostile files).
std::optional<std::vector<Aligned>> align(const std::vector<std::string> &a,
                                          const std::vector<std::string> &b);

} // namespace hadal::diff
