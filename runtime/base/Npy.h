// Writes float32 matrices in NumPy's .npy format (version 1.0).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/OutputFile.h"

namespace hadal {

/// A float32 C-order [rows, columns] file, written row by row; the file appears
/// at commit() with the number of rows appended until then.
class NpyWriter {
public:
  static StatusOr<NpyWriter> create(const std::string &path, uint64_t columns);

  /// Appends whole rows: |values| holds a multiple of columns elements.
  Status append(std::span<const float> values);
  Status commit();
  uint64_t rows() const { return rows_; }

private:
  OutputFile file_;
  uint64_t columns_ = 0, rows_ = 0;
};

} // namespace hadal
