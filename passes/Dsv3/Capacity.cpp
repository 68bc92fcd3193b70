#include "passes/Dsv3/Capacity.h"

#include <algorithm>
#include <cmath>

namespace hadal {

/// Of the steps, how many may be repeated.
static constexpr double kReplayRate = 1e-3;
/// Capacities are multiples of it.
static constexpr int64_t kStep = 8;

/// The smallest capacity that a sum of mean |mean| exceeds in kReplayRate of
/// the steps at most, of which each makes |draws|. The sum is of independent
/// tokens, each of which wants a rank with experts drawn without replacement;
/// its moments are below those of Poisson's law (Hoeffding), so that Chernoff's
/// bound e^-mean (e mean / c)^c holds.
static int64_t boundOf(double mean, double draws, int64_t most) {
  for (int64_t c = kStep; c < most; c += kStep)
    if (c > mean && c - mean + c * std::log(mean / c) + std::log(draws) <=
                        std::log(kReplayRate))
      return c;
  return most;
}

ExchangeCapacity worstCapacity(const ExchangeShape &shape, int64_t slice) {
  return {slice, slice * std::min(shape.topk, shape.slots)};
}

std::optional<ExchangeCapacity> expectedCapacity(const ExchangeShape &shape,
                                                 int64_t slice, int64_t given) {
  ExchangeCapacity worst = worstCapacity(shape, slice);
  double ranks = shape.ranks;
  // Distinct ranks of a token's experts, and all of them, for each rank.
  double rows = 1 - std::pow(1 - 1 / ranks, shape.topk);
  double pairs = shape.topk / ranks;
  double draws = ranks * (ranks - 1) * shape.layers;
  ExchangeCapacity expected;
  if (given > 0) {
    expected.rows = std::min(given, worst.rows);
    int64_t scaled = std::ceil(expected.rows * pairs / rows);
    expected.pairs =
        std::min((scaled + kStep - 1) / kStep * kStep, worst.pairs);
  } else {
    expected.rows = boundOf(slice * rows, draws, worst.rows);
    expected.pairs = boundOf(slice * pairs, draws, worst.pairs);
  }
  expected.pairs = std::max(expected.pairs, expected.rows);
  // Experts' outputs are most of an exchange: half of them pays alone.
  if (expected.rows >= worst.rows && 2 * expected.pairs > worst.pairs)
    return std::nullopt;
  return expected;
}

} // namespace hadal
