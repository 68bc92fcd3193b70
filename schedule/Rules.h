// What the tables of schedule/spaces share.
#pragma once

#include <numeric>

#include "schedule/Space.h"

namespace hadal::schedule {

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t alignTo(int64_t a, int64_t b) { return ceilDiv(a, b) * b; }

/// The numbers of |all| for which |keep| holds.
inline std::vector<Value>
numbers(std::initializer_list<int64_t> all,
        const std::function<bool(int64_t)> &keep = nullptr) {
  std::vector<Value> values;
  for (int64_t value : all)
    if (!keep || keep(value))
      values.push_back(value);
  return values;
}

/// |first|, |first| + |step|, ... up to |last|.
inline std::vector<Value> range(int64_t first, int64_t last, int64_t step = 1) {
  std::vector<Value> values;
  for (int64_t value = first; value <= last; value += step)
    values.push_back(value);
  return values;
}

inline std::vector<Value> flags(bool on) {
  return on ? std::vector<Value>{false, true} : std::vector<Value>{false};
}

/// The step to cover |extent| in tiles that never leave it: |preferred| if it
/// divides, |extent| itself while small, else the largest divisor that is at
/// most |preferred| (or |extent| where that would be degenerate).
int64_t exactStep(int64_t extent, int64_t preferred);

/// Columns of a group of activation scales and of a block of weight scales.
inline constexpr int64_t kScaleGroup = 128;

/// P01 unless the number |word| divides |extent|.
template <typename Spec>
Check divides(std::string_view word, const Facts<Spec> &f, int64_t extent) {
  int64_t n = f.number(word);
  if (n > 0 && extent % n == 0)
    return std::nullopt;
  return Broken{Prune::P01, std::to_string(n) + " does not divide " +
                                std::to_string(extent)};
}

/// P14 if the number |word| is more than |extent|.
template <typename Spec>
Check covers(std::string_view word, const Facts<Spec> &f, int64_t extent) {
  int64_t n = f.number(word);
  if (n <= extent)
    return std::nullopt;
  return Broken{Prune::P14,
                std::to_string(n) + " of " + std::to_string(extent)};
}

/// P13 where the spec says in which order it adds, unless it |isRule|: what the
/// rule says of that order.
template <typename Spec> Check keepsSums(const Facts<Spec> &f, bool isRule) {
  if (isRule || f.spec.sums == kernels::Sums::free)
    return std::nullopt;
  auto words = wordsOf(kernels::Sums());
  return Broken{
      Prune::P13,
      "sums of the order " +
          std::string(words[static_cast<size_t>(kernels::Sums(f.spec.sums))])};
}

} // namespace hadal::schedule
