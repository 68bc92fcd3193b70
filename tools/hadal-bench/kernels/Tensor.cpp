#include "tools/hadal-bench/kernels/Tensor.h"

#include <cmath>
#include <cstring>

#include "runtime/base/Float.h"

namespace hadal::bench {

double Random::normal() {
  const double u = 1.0 - uniform(), v = uniform();
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
}

Tensor::Tensor(DType dtype, uint64_t rows, uint64_t cols, uint64_t blockRows,
               uint64_t parts)
    : dtype(dtype), parts(parts), rows(rows), cols(cols), blockRows(blockRows) {
  data.resize(parts * rows * rowBytes());
  scales.resize(parts * scaleRows() * scaleCols());
}

double Tensor::at(uint64_t row, uint64_t col, uint64_t part) const {
  const uint64_t index = (part * rows + row) * cols + col;
  const uint8_t *at = data.data() + index * dtypeSize(dtype);
  auto read = [&]<typename T>(T value) {
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  switch (dtype) {
  case DType::f32:
    return read(float{});
  case DType::bf16:
    return bf16ToF32(read(uint16_t{}));
  case DType::f8e4m3fn:
    return static_cast<double>(e4m3ToF32(*at)) *
           (blockRows ? scale(row, col, part) : 1.0f);
  case DType::i32:
    return read(int32_t{});
  case DType::i64:
    return static_cast<double>(read(int64_t{}));
  default:
    return *at;
  }
}

void Tensor::set(uint64_t row, uint64_t col, double value, uint64_t part) {
  const uint64_t index = (part * rows + row) * cols + col;
  uint8_t *at = data.data() + index * dtypeSize(dtype);
  auto write = [&](auto stored) { std::memcpy(at, &stored, sizeof(stored)); };
  switch (dtype) {
  case DType::f32:
    return write(static_cast<float>(value));
  case DType::bf16:
    return write(f32ToBf16(static_cast<float>(value)));
  case DType::f8e4m3fn:
    return write(f32ToE4m3(static_cast<float>(value)));
  case DType::i32:
    return write(static_cast<int32_t>(value));
  case DType::i64:
    return write(static_cast<int64_t>(value));
  default:
    return write(static_cast<uint8_t>(value));
  }
}

float Tensor::scale(uint64_t row, uint64_t col, uint64_t part) const {
  return scales[(part * scaleRows() + row / blockRows) * scaleCols() +
                col / 128];
}

void Tensor::fill(Random &random) {
  // Whole words at a time; the bits that must not vary are masked.
  auto words = [&](uint64_t mask, uint64_t constant) {
    size_t i = 0;
    for (; i + 8 <= data.size(); i += 8) {
      const uint64_t word = (random.bits() & mask) | constant;
      std::memcpy(data.data() + i, &word, 8);
    }
    const uint64_t word = (random.bits() & mask) | constant;
    std::memcpy(data.data() + i, &word, data.size() - i);
  };
  if (dtype == DType::f8e4m3fn)
    words(0xBFBFBFBFBFBFBFBFull, 0);
  else if (dtype == DType::bf16)
    words(0x81FF81FF81FF81FFull, 0x3C003C003C003C00ull);
  else if (dtype == DType::f32)
    words(0x81FFFFFF81FFFFFFull, 0x3C0000003C000000ull);
  for (float &s : scales)
    s = static_cast<float>((0.5 + random.uniform()) / 64);
}

} // namespace hadal::bench
