// What prices of kernels go by on a chip, beside its data sheet: one row for
// each chip, each number with where it comes from.
#pragma once

#include <string_view>

#include "cost/Chip.h"

namespace hadal::cost {

/// A number of a model.
struct Quantity {
  double value;
  /// "estimate: ..." or "fitted: n pairs, day". Data sheets are cost/Chip.h.
  std::string_view source;
  operator double() const { return value; }
};

struct ChipModel {
  const nvptx::Chip &chip;
  Quantity memoryShare;    ///< of the memory's peak that streams get
  Quantity streamPerClock; ///< bytes that one multiprocessor draws
  Quantity l2PerClock;     ///< bytes that L2 gives to all multiprocessors
  Quantity memoryLatency;  ///< seconds of a load from memory
  Quantity ramp;   ///< seconds from a CTA's start until its loads flow, and end
  Quantity launch; ///< seconds before the first CTA starts
  Quantity meet;   ///< seconds of the parts' meeting, beside their states
  /// Share of the promotion's FMAs that a second warpgroup does not hide.
  Quantity exposedPromotion;
};

const ChipModel &modelOf(const nvptx::Chip &chip);

} // namespace hadal::cost
