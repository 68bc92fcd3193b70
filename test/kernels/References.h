// The kernels' functions in plain double loops, written from model-spec 2 and
// 3, independent of their tile form: Rows.h, and what works on buffers.
#pragma once

#include <vector>

#include "KernelTestSupport.h"
#include "tools/hadal-bench/kernels/Rows.h"

namespace hadal::kernels::test {

using reference::attend;
using reference::rmsNorm;
using reference::rope;
using reference::route;
using reference::Routing;
using reference::Row;
using reference::sigmoid;
using reference::silu;

/// The values of one row of |buffer|, columns [begin, end).
Row rowOf(const Buffer &buffer, int64_t row, int64_t begin, int64_t end);

/// One group of a row: scale and codes (model-spec 3.4), in f32 like the
/// kernels.
struct QuantizedGroup {
  float scale;
  std::vector<uint8_t> codes;
};
QuantizedGroup quantizeGroup(const Row &x, ScaleFormat format);
/// code * scale of every element, groups of 128.
Row quantizeDequantize(const Row &x, ScaleFormat format);

/// sum_k x[k] w[row, k].
double dotRow(const Row &x, const Buffer &w, int64_t row);

/// (cos, sin) per pair, f32: row p, columns 2i and 2i+1, from frequencies
/// theta^(-2i/width) (model-spec 2.7; the angle is formed in f32).
Buffer cosSinTable(int64_t positions, int64_t width, double theta = 10000.0);
/// The same with explicit frequencies.
Buffer cosSinTable(int64_t positions, const std::vector<float> &frequencies);

} // namespace hadal::kernels::test
