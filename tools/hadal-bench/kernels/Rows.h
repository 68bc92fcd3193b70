// The kernels' functions on rows of doubles, from the definition of the model
// (docs/numerics.md), independent of any lowering. hadal-bench and the tests of
// the kernels both compare with these.
#pragma once

#include <functional>
#include <vector>

#include "kernels/KernelSpecs.h"

namespace hadal::reference {

using Row = std::vector<double>;

/// x / sqrt(mean(x^2) + eps) * w.
Row rmsNorm(const Row &x, const Row &w, double eps);
/// Interleaved pairs turned by (cos, sin) of the same columns:
/// y[2i] = x[2i] cos - x[2i+1] sin, y[2i+1] = x[2i] sin + x[2i+1] cos.
Row rope(const Row &x, const Row &cosSin);
double sigmoid(double x);
double silu(double x);

struct Routing {
  std::vector<int> ids;
  Row weights;
};
/// The chosen experts in descending order of their selection score; ties go to
/// the lower id. |bias| counts if the spec has one: empty or an element per
/// expert.
Routing route(const Row &logits, const Row &bias,
              const kernels::GateTopkSpec &spec);
/// softmax(scores) . values, a row of which belongs to each score (at least
/// one). |stored| rounds a weight that is multiplied, not one that is summed:
/// kernels store P before P . V. Null: no rounding.
Row attend(const Row &scores, const std::vector<Row> &values,
           const std::function<double(double)> &stored = nullptr);

} // namespace hadal::reference
