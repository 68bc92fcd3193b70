// Kernel arguments in host memory, in the storage format of the kernel, read and
// written as double. References work on these values and know nothing of tiles.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/DType.h"

namespace hadal::bench {

/// Deterministic random numbers, fast enough for gigabytes (xorshift64*).
class Random {
public:
  explicit Random(uint64_t seed) : state(seed * 2 + 1) {}
  uint64_t bits() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Dull;
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Standard normal (Box-Muller).
  double normal();
  int64_t below(int64_t limit) {
    return static_cast<int64_t>(uniform() * static_cast<double>(limit));
  }

private:
  uint64_t state;
};

/// [parts, rows, cols]; e4m3fn carries f32 scales of blocks blockRows x 128. A
/// stack has a part per expert, anything else one.
struct Tensor {
  DType dtype = DType::none;
  uint64_t parts = 1, rows = 0, cols = 0;
  uint64_t blockRows = 0; // 0: no scales
  /// How the CPU reaches it: a table of parts (a stack of experts), or of blocks
  /// of so many rows (segments); neither: one pointer.
  bool stack = false;
  uint64_t segmentRows = 0;
  std::vector<uint8_t> data;
  std::vector<float> scales;

  Tensor() = default;
  Tensor(DType dtype, uint64_t rows, uint64_t cols, uint64_t blockRows = 0,
         uint64_t parts = 1);

  uint64_t rowBytes() const { return cols * dtypeSize(dtype); }
  uint64_t scaleRows() const {
    return blockRows ? (rows + blockRows - 1) / blockRows : 0;
  }
  uint64_t scaleCols() const { return blockRows ? (cols + 127) / 128 : 0; }
  /// Codes and scales.
  uint64_t bytes() const { return data.size() + scales.size() * 4; }

  /// The value, of e4m3fn times its scale.
  double at(uint64_t row, uint64_t col, uint64_t part = 0) const;
  void set(uint64_t row, uint64_t col, double value, uint64_t part = 0);
  float scale(uint64_t row, uint64_t col, uint64_t part = 0) const;

  /// Random values: bf16 and f32 of magnitude 2^-7 .. 2^-3, e4m3fn of any code
  /// below 2 in magnitude with scales near 1/64.
  void fill(Random &random);
};

} // namespace hadal::bench
