#include "runtime/tune/SignTest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace hadal::tune {

Verdict signTest(std::span<const double> blocks, double effect) {
  const double least = std::log1p(effect);
  for (const Look &look : kLooks) {
    if (blocks.size() < look.blocks)
      return Verdict::Open;
    unsigned faster = 0, noGain = 0, slower = 0;
    for (double x : blocks.first(look.blocks)) {
      faster += x > least;
      noGain += x < least;
      slower += x < -least;
    }
    if (faster >= look.agree)
      return Verdict::Faster;
    if (slower >= look.agree)
      return Verdict::Slower;
    if (noGain >= look.agree)
      return Verdict::NoGain;
  }
  return Verdict::Open;
}

Estimate estimate(std::span<const double> blocks) {
  if (blocks.empty())
    return {};
  std::vector<double> sorted(blocks.begin(), blocks.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  Estimate result;
  result.blocks = static_cast<unsigned>(n);
  result.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;

  // The largest |outside| with P(fewer than |outside| of n coins) <= 0.005.
  double term = std::pow(0.5, static_cast<double>(n)), sum = 0;
  size_t outside = 0;
  while (outside < n / 2 && sum + term <= 0.005) {
    sum += term;
    term *= static_cast<double>(n - outside) / static_cast<double>(outside + 1);
    ++outside;
  }
  if (outside == 0) {
    result.high = std::numeric_limits<double>::infinity();
    result.low = -result.high;
  } else {
    result.low = sorted[outside - 1];
    result.high = sorted[n - outside];
  }
  return result;
}

} // namespace hadal::tune
