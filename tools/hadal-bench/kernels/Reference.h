// The kernels' functions on rows of doubles, from the definition of the model
// (docs/numerics.md), independent of any lowering.
#pragma once

#include <vector>

#include "compiler/kernels/KernelSpecs.h"
#include "tools/hadal-bench/kernels/Tensor.h"

namespace hadal::bench {

using Row = std::vector<double>;

/// Columns [begin, begin + count) of a row.
Row rowOf(const Tensor &tensor, uint64_t row, uint64_t begin, uint64_t count,
          uint64_t part = 0);
/// sum of x[i] * w[row, i].
double dotRow(const Row &x, const Tensor &w, uint64_t row, uint64_t part = 0);
/// x / sqrt(mean(x^2) + eps) * w.
Row rmsNorm(const Row &x, const Row &w, double eps);
/// Interleaved pairs turned by (cos, sin) of the same columns.
Row rope(const Row &x, const Row &cosSin);
double silu(double x);
/// Rounded to e4m3fn by groups of 128 and back: s = max(amax, 1e-4) / 448.
Row quantizeDequantize(const Row &x, kernels::ScaleFormat format);
/// Nearest bf16, or f32.
double roundToAct(kernels::Act act, double value);

struct Routing {
  std::vector<int64_t> ids;
  Row weights;
};
/// The chosen experts in descending order of their selection score; ties go to
/// the lower id.
Routing route(const Row &logits, const Row &bias,
              const kernels::GateTopkSpec &spec);

} // namespace hadal::bench
