#include "passes/Dsv3/Capacity.h"

#include "cost/Routing.h"

#include <algorithm>
#include <cmath>

namespace hadal {

/// Of the steps, how many may be repeated.
static constexpr double kReplayRate = 1e-3;
/// Capacities are multiples of it.
static constexpr int64_t kStep = 8;

/// The smallest capacity that a sum of mean |mean| exceeds in kReplayRate of
/// the steps at most, of which each makes |draws|. The sum is of independent
/// tokens, whose experts are drawn without replacement; its moments are below
/// those of Poisson's law (Hoeffding), so that Chernoff's bound e^-mean (e mean
/// / c)^c holds.
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

int64_t mostSlice(const ExchangeShape &shape) {
  // The verifier of artifacts has the same bound.
  constexpr int64_t numbered = (int64_t{1} << 31) - (int64_t{1} << 13);
  return numbered / (shape.ranks * shape.topk);
}

std::optional<ExchangeCapacity> expectedCapacity(const ExchangeShape &shape,
                                                 int64_t slice, int64_t given) {
  ExchangeCapacity worst = worstCapacity(shape, slice);
  double ranks = shape.ranks;
  cost::Routing routing{shape.ranks, shape.slots, shape.topk};
  double draws = ranks * (ranks - 1) * shape.layers;
  ExchangeCapacity expected;
  if (given > 0) {
    expected.rows = std::min(given, worst.rows);
    expected.pairs =
        std::min(cost::pairsOfRows(routing, expected.rows), worst.pairs);
  } else {
    expected.rows = boundOf(slice * cost::distinctRanks(routing) / ranks, draws,
                            worst.rows);
    expected.pairs = boundOf(slice * static_cast<double>(shape.topk) / ranks,
                             draws, worst.pairs);
  }
  expected.pairs = std::max(expected.pairs, expected.rows);
  // Experts' outputs are most of an exchange: half of them pays alone.
  if (expected.rows >= worst.rows && 2 * expected.pairs > worst.pairs)
    return std::nullopt;
  return expected;
}

} // namespace hadal
