#include "tools/hadal-bench/kernels/Reference.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/Float.h"

namespace hadal::bench {

Row rowOf(const Tensor &tensor, uint64_t row, uint64_t begin, uint64_t count,
          uint64_t part) {
  Row values(count);
  for (uint64_t c = 0; c < count; ++c)
    values[c] = tensor.at(row, begin + c, part);
  return values;
}

double dotRow(const Row &x, const Tensor &w, uint64_t row, uint64_t part) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    sum += x[i] * w.at(row, i, part);
  return sum;
}

Row quantizeDequantize(const Row &x, kernels::ScaleFormat format) {
  Row y(x.size());
  for (size_t begin = 0; begin < x.size(); begin += 128) {
    const size_t end = std::min(begin + 128, x.size());
    float amax = 1e-4f;
    for (size_t i = begin; i < end; ++i)
      amax = std::max(amax, std::fabs(static_cast<float>(x[i])));
    float scale = amax / 448.0f;
    if (format == kernels::ScaleFormat::ue8m0)
      scale = e8m0ToF32(f32ToE8m0Ceil(scale));
    for (size_t i = begin; i < end; ++i)
      y[i] = static_cast<double>(
                 e4m3ToF32(f32ToE4m3(static_cast<float>(x[i]) / scale))) *
             scale;
  }
  return y;
}

double roundToAct(kernels::Act act, double value) {
  const float f = static_cast<float>(value);
  return act == kernels::Act::bf16 ? bf16ToF32(f32ToBf16(f)) : f;
}

} // namespace hadal::bench
