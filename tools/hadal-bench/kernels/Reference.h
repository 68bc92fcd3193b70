// Rows.h on tensors, and the roundings of what kernels store.
#pragma once

#include <vector>

#include "tools/hadal-bench/kernels/Rows.h"
#include "tools/hadal-bench/kernels/Tensor.h"

namespace hadal::bench {

using reference::attend;
using reference::rmsNorm;
using reference::rope;
using reference::route;
using reference::Routing;
using reference::Row;
using reference::silu;

/// Columns [begin, begin + count) of a row.
Row rowOf(const Tensor &tensor, uint64_t row, uint64_t begin, uint64_t count,
          uint64_t part = 0);
/// sum of x[i] * w[row, i].
double dotRow(const Row &x, const Tensor &w, uint64_t row, uint64_t part = 0);
/// Rounded to e4m3fn by groups of 128 and back: s = max(amax, 1e-4) / 448, with
/// the codes of runtime/base/Float.h (the kernels' tests have formulas of their
/// own for these).
Row quantizeDequantize(const Row &x, kernels::ScaleFormat format);
/// Nearest bf16, or f32.
double roundToAct(kernels::Act act, double value);

} // namespace hadal::bench
