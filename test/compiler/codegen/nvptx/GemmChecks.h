// GEMM kernels scheduled for sm_90a, on the simulator, against plain references.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "test/kernels/References.h"

namespace hadal::kernels::test {

struct Shape {
  int64_t n, k, rows, tokens;
};

/// W8A8, or bf16 throughout.
GemmSpec makeSpec(Shape shape, bool fp8, Epilogue epilogue = Epilogue::none);

/// The rules' schedule of |spec| with at most |split| parts of K: as many as
/// whole steps give.
schedule::Words splitBy(const GemmSpec &spec, int64_t split);

/// Runs |spec| on random inputs of |tokens| rows (spec.rows is the capacity) and
/// compares every element; rows beyond are untouched. |given|: words of the
/// schedule in place of the rules'.
void checkDense(GemmSpec spec, int64_t tokens, const schedule::Words &given = {});

/// The same for a grouped GEMM with |counts| rows of each expert.
void checkGrouped(GemmSpec spec, std::vector<int> counts,
                  const schedule::Words &given = {});

} // namespace hadal::kernels::test
