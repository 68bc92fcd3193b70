#include "runtime/comm/RankSum.h"

#include <cstring>

#include "runtime/base/Float.h"

namespace hadal::comm {

namespace {

template <typename T> T load(const uint8_t *block, uint64_t i) {
  T value;
  std::memcpy(&value, block + i * sizeof(T), sizeof(T));
  return value;
}

} // namespace

void rankSum(uint8_t *out, std::span<const uint8_t *const> blocks,
             uint64_t bytes, DType dtype) {
  if (dtype == DType::f32) {
    for (uint64_t i = 0; i < bytes / sizeof(float); ++i) {
      float sum = load<float>(blocks[0], i);
      for (const uint8_t *block : blocks.subspan(1))
        sum += load<float>(block, i);
      std::memcpy(out + i * sizeof(float), &sum, sizeof(float));
    }
    return;
  }
  for (uint64_t i = 0; i < bytes / sizeof(uint16_t); ++i) {
    float sum = bf16ToF32(load<uint16_t>(blocks[0], i));
    for (const uint8_t *block : blocks.subspan(1))
      sum += bf16ToF32(load<uint16_t>(block, i));
    const uint16_t rounded = f32ToBf16(sum);
    std::memcpy(out + i * sizeof(rounded), &rounded, sizeof(rounded));
  }
}

} // namespace hadal::comm
