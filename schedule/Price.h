// What a kernel with a schedule is predicted to take.
#pragma once

#include <optional>

#include "cost/CpuContraction.h"
#include "kernels/KernelSpecs.h"
#include "schedule/Space.h"

namespace hadal::schedule {

/// What schedules are priced by.
struct Machine {
  const nvptx::Chip *chip = nullptr; ///< of a target that has chips
  cost::CpuModel cpu;                ///< of one that has none
};

/// The price of a launch of |spec| in a full bucket with |words|, a complete
/// schedule; none of kinds that no model covers: kernels of rows, prefill, and
/// decode on a CPU.
std::optional<cost::Prediction> predict(const kernels::AnySpec &spec,
                                        Target target, const Machine &machine,
                                        const Words &words);

} // namespace hadal::schedule
