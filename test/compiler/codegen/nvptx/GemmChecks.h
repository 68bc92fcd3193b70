// GEMM kernels scheduled for sm_90a, on the simulator, against plain references.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "schedule/GemmSchedule.h"
#include "test/kernels/References.h"

namespace hadal::kernels::test {

struct Shape {
  int64_t n, k, rows, tokens;
};

/// W8A8, or bf16 throughout.
GemmSpec makeSpec(Shape shape, bool fp8, Epilogue epilogue = Epilogue::none);

/// A schedule; none: the one that the compiler picks.
using Scheduled = std::optional<schedule::GemmSchedule>;

/// The compiler's own with |split| parts of K.
Scheduled splitBy(const GemmSpec &spec, int64_t split);

/// |spec| as an Executable::Build with |schedule|.
Executable::Build buildWith(const GemmSpec &spec, const Scheduled &schedule);

/// Runs |spec| on random inputs of |tokens| rows (spec.rows is the capacity) and
/// compares every element; rows beyond are untouched.
void checkDense(GemmSpec spec, int64_t tokens, const Scheduled &schedule = {});

/// The same for a grouped GEMM with |counts| rows of each expert.
void checkGrouped(GemmSpec spec, std::vector<int> counts,
                  const Scheduled &schedule = {});

} // namespace hadal::kernels::test
