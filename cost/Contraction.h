// What a contraction takes on a chip, from the chip's numbers: CTAs in waves,
// each walking its part of K through a ring of stages. One owner of the
// formula: how many CTAs share a fold, and which schedules a tuner measures
// first, are decided by it.
#pragma once

#include <cstdint>
#include <optional>

#include "cost/ChipModel.h"
#include "cost/Prediction.h"

namespace hadal::cost {

/// Parts beyond this gain nothing that their meeting does not cost.
inline constexpr int64_t kMostParts = 32;

/// What of a step its tiles and its ring decide. Clocks are of one CTA alone on
/// a multiprocessor.
struct StepPipeline {
  double tensorClocks;    ///< of the tensor core
  double feedClocks;      ///< of the operands' way to it, at 128 bytes a clock
  double promotionClocks; ///< of the FMAs that add scaled products
  int64_t warpgroups, stages;
  double outputBytes; ///< of an item, once
  /// Items that read the same parameters, through L2: tiles of rows.
  double readers = 1;
};

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
  /// For a price in full. Without it a step is its bytes and its flops at the
  /// peaks, by which splits have been chosen: what else there is, all splits of
  /// one tile have in common, as nearly as unfitted numbers tell.
  std::optional<StepPipeline> pipeline = {};
};

/// Steps of a part when |steps| are cut into at most |split| parts of whole
/// steps, all but the last of equal length; none of them is empty.
int64_t stepsOfPart(int64_t steps, int64_t split);

/// What a launch takes with |parts| parts of |partSteps| steps.
Prediction predictFold(const ChipModel &model, const FoldWork &work,
                       int64_t parts, int64_t partSteps);

/// The number of parts for which predictFold is least, 1 if none is better by a
/// twentieth. The workspace of a launch stays within half of L2, so that parts
/// meet there.
int64_t pickSplit(const ChipModel &model, const FoldWork &work);

} // namespace hadal::cost
