// Is B faster than A by more than a minimum effect? A sequential sign test on
// blocks, which assumes nothing of the noise but that blocks are independent.
#pragma once

#include <span>

namespace hadal::tune {

/// The looks at the blocks and how many of them must agree at each. By chance
/// (a fair coin) the three together happen with probability 0.0049.
struct Look {
  unsigned blocks, agree;
};
inline constexpr Look kLooks[] = {{16, 14}, {32, 25}, {64, 44}};
inline constexpr unsigned kMaxBlocks = 64;

enum class Verdict {
  Open,   ///< more blocks are wanted; after kMaxBlocks: not decided
  Faster, ///< B is faster than A by more than the minimum effect
  NoGain, ///< B isn't faster by the minimum effect
  Slower, ///< A is faster than B by more than the minimum effect
};

/// The verdict on |blocks|, each ln(time of A / time of B) (above 0: B is
/// faster), in the order of their measurement. |effect| is the minimum effect
/// as a fraction, 0.02 on a CPU, 0.01 on a GPU. Only looks decide: the verdict
/// is that of the first look that has one, whatever comes after.
Verdict signTest(std::span<const double> blocks, double effect);

/// The median of |blocks| and an interval of at least 99 % confidence: two of
/// its order statistics. Fewer than 8 blocks have no such interval: low and
/// high are then minus and plus infinity. All 0 for no block. The confidence is
/// that of a number of blocks fixed beforehand: where a look ended the test,
/// the interval covers less often, and the verdict, not the interval, decides.
struct Estimate {
  double median = 0, low = 0, high = 0;
  unsigned blocks = 0;
};
Estimate estimate(std::span<const double> blocks);

} // namespace hadal::tune
