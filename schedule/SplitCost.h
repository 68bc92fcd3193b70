// How many CTAs share a work item's fold, from the chip's numbers.
#pragma once

#include <cstdint>

namespace hadal::nvptx {
struct Chip;
}

namespace hadal::schedule {

/// Parts beyond this gain nothing that their meeting does not cost.
inline constexpr int64_t kMostParts = 32;

/// What one launch of a kernel does in its fold: the numbers of a bucket.
struct FoldWork {
  int64_t items;                 ///< work items that have work
  int64_t ctasPerMultiprocessor; ///< that run side by side
  int64_t steps;                 ///< of an item's fold
  /// Bytes that one CTA draws: parameters, which no other CTA reads, and
  /// activations, which all do and which L2 holds.
  double parameterBytesPerStep, activationBytesPerStep;
  double flopsPerStep; ///< of one CTA, a multiplication and an addition each
  double flopRate;     ///< of the whole chip, per second
  int64_t stateBytes;  ///< of one part, as far as rows of the bucket fill it
  int64_t stateSize;   ///< of one part in the workspace
};

/// Steps of a part when |steps| are cut into at most |split| parts of whole
/// steps, all but the last of equal length; none of them is empty.
int64_t stepsOfPart(int64_t steps, int64_t split);

/// Seconds that a launch takes with |parts| parts of |partSteps| steps.
double splitSeconds(const nvptx::Chip &chip, const FoldWork &work,
                    int64_t parts, int64_t partSteps);

/// The number of parts for which splitSeconds is least, 1 if none is better by
/// a twentieth. The workspace of a launch stays within half of L2, so that
/// parts meet there.
int64_t pickSplit(const nvptx::Chip &chip, const FoldWork &work);

} // namespace hadal::schedule
