// The part of a tensor of the file that a rank holds.
#pragma once

#include <optional>

#include "runtime/weights/ParameterSpec.h"

namespace hadal {

/// In elements. Run i of the rank's |runs| equal runs of |run| elements starts
/// at element begin + i * pitch of the file's tensor.
struct TensorSlice {
  std::vector<uint64_t> fileShape;
  uint64_t begin = 0, runs = 1, run = 0, pitch = 0;

  bool isContiguous() const { return runs == 1 || run == pitch; }
  uint64_t elements() const { return runs * run; }
  /// Where element |i| of the rank's part is in the file's tensor.
  uint64_t inFile(uint64_t i) const {
    return begin + i / run * pitch + i % run;
  }
};

/// Of a tensor of which |spec|'s rank holds |rows| rows; nothing if a size
/// exceeds 64 bits.
std::optional<TensorSlice> sliceOf(const ParameterSpec &spec, uint64_t rows);

} // namespace hadal
