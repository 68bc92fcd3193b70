// The bytes of a parameter as they lie in a device's own memory, by the upload
// steps of docs/artifact.md: join, dequantise or round, pad rows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/weights/ParameterSpec.h"

namespace hadal {

/// How the rows of a parameter lie on the device.
struct DeviceLayout {
  uint64_t rows = 0;     // of the last extent, all parts and tensors together
  uint64_t columns = 0;  // the last extent
  uint64_t rowBytes = 0; // of one row, in the parameter's dtype
  uint64_t pitch = 0;    // bytes from one row to the next
  uint64_t bytes = 0;    // of all of it
};

/// Of |spec|; nothing if a size exceeds 64 bits.
std::optional<DeviceLayout> deviceLayout(const ParameterSpec &spec);

/// A run of rows whose source is contiguous on the host.
struct SourceRows {
  const uint8_t *data = nullptr;
  uint64_t rows = 0;
  /// Dequantise: the block scales of these rows, f32 row-major, the first of
  /// them that of row 0.
  const float *scales = nullptr;
  /// Round: the rows are float32, the parameter is bf16.
  bool isFloat = false;
};

/// Produces any byte range of a parameter's device image.
class DeviceImage {
public:
  /// |spec|'s layout over |sources|, which together have its rows. With scales
  /// the sources hold FP8 codes, else elements of the parameter's dtype unless
  /// they say that they are float32.
  DeviceImage(const ParameterSpec &spec, const DeviceLayout &layout,
              std::vector<SourceRows> sources);

  /// Writes bytes [begin, end) of the image to |to|; gaps are zero. Fastest for
  /// ascending ranges.
  void fill(uint8_t *to, uint64_t begin, uint64_t end) const;

private:
  uint16_t bf16At(const SourceRows &source, uint64_t row,
                  uint64_t column) const;
  void fillRow(uint8_t *to, const SourceRows &source, uint64_t row,
               uint64_t begin, uint64_t end) const;

  DeviceLayout layout;
  uint32_t scaleBlockRows, scaleBlockCols;
  uint64_t scaleColumns = 0; // scales in a row of scales
  std::vector<SourceRows> sources;
  std::vector<uint64_t> firstRows; // of each source
};

} // namespace hadal
