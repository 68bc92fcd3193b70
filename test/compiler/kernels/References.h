// The kernels' functions in plain double loops, written from model-spec 2 and
// 3, independent of their tile form.
#pragma once

#include <vector>

#include "KernelTestSupport.h"

namespace hadal::kernels::test {

using Row = std::vector<double>;

/// The values of one row of |buffer|, columns [begin, end).
Row rowOf(const Buffer &buffer, int64_t row, int64_t begin, int64_t end);

/// x / sqrt(mean(x^2) + eps) * w.
Row rmsNorm(const Row &x, const Row &w, double eps);
/// y[2i] = x[2i] cos - x[2i+1] sin, y[2i+1] = x[2i] sin + x[2i+1] cos.
Row rope(const Row &x, const Row &cosSin);
double silu(double x);
double sigmoid(double x);

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

/// softmax(scores) . values over the visible keys.
Row attend(const Row &scores, const std::vector<Row> &values);

struct Routing {
  std::vector<int> ids;
  Row weights;
};
/// Model-spec 2.11.
Routing route(const Row &logits, const Row &bias, const GateTopkSpec &spec);

} // namespace hadal::kernels::test
