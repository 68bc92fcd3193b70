#include "References.h"

#include <algorithm>

namespace hadal::kernels::test {

Row rowOf(const Buffer &buffer, int64_t row, int64_t begin, int64_t end) {
  Row values;
  for (int64_t c = begin; c < end; ++c)
    values.push_back(buffer.at(row, c));
  return values;
}

QuantizedGroup quantizeGroup(const Row &x, ScaleFormat format) {
  float amax = 1e-4f;
  for (double value : x)
    amax = std::max(amax, static_cast<float>(std::fabs(value)));
  float scale = amax / 448.0f;
  if (format == ScaleFormat::ue8m0) {
    int exponent;
    float mantissa = std::frexp(scale, &exponent);
    scale = std::ldexp(1.0f, mantissa == 0.5f ? exponent - 1 : exponent);
  }
  QuantizedGroup group{scale, {}};
  for (double value : x)
    group.codes.push_back(
        encodeE4m3(static_cast<float>(value) / scale));
  return group;
}

Row quantizeDequantize(const Row &x, ScaleFormat format) {
  Row y;
  for (size_t begin = 0; begin < x.size(); begin += 128) {
    size_t end = std::min(begin + 128, x.size());
    QuantizedGroup group =
        quantizeGroup(Row(x.begin() + begin, x.begin() + end), format);
    for (uint8_t code : group.codes)
      y.push_back(decodeE4m3(code) * static_cast<double>(group.scale));
  }
  return y;
}

double dotRow(const Row &x, const Buffer &w, int64_t row) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    sum += x[i] * w.at(row, i);
  return sum;
}

Buffer cosSinTable(int64_t positions, const std::vector<float> &frequencies) {
  int64_t pairs = frequencies.size();
  Buffer table(Format::f32, positions, 2 * pairs);
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < pairs; ++i) {
      float angle = static_cast<float>(p) * frequencies[i];
      table.set(p, 2 * i, std::cos(static_cast<double>(angle)));
      table.set(p, 2 * i + 1, std::sin(static_cast<double>(angle)));
    }
  return table;
}

Buffer cosSinTable(int64_t positions, int64_t width, double theta) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < width / 2; ++i)
    frequencies.push_back(
        static_cast<float>(std::pow(theta, -2.0 * i / width)));
  return cosSinTable(positions, frequencies);
}

} // namespace hadal::kernels::test
