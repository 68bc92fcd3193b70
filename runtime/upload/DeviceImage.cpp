#include "runtime/upload/DeviceImage.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/base/Checked.h"
#include "runtime/base/Float.h"

namespace hadal {

std::optional<DeviceLayout> deviceLayout(const ParameterSpec &spec) {
  DeviceLayout layout;
  if (spec.generator == Generator::placementTable) {
    const uint64_t row = spec.tableColumns * sizeof(int32_t);
    const uint64_t bytes = spec.table.size() * sizeof(int32_t);
    return DeviceLayout{row ? bytes / row : 0, spec.tableColumns, row, row,
                        bytes};
  }
  if (spec.kind == ParameterKind::generated) {
    std::optional<uint64_t> row = checkedMul(spec.invFreq.size(), 8);
    std::optional<uint64_t> bytes =
        row ? checkedMul(*row, spec.positions) : std::nullopt;
    if (!bytes)
      return std::nullopt;
    return DeviceLayout{spec.positions, 2 * spec.invFreq.size(), *row, *row,
                        *bytes};
  }
  std::optional<uint64_t> rows = 0;
  for (uint64_t part : spec.rows)
    rows = rows ? checkedAdd(*rows, part) : rows;
  if (spec.kind == ParameterKind::stack)
    rows = rows ? checkedMul(*rows, spec.count) : rows;
  // A vector is one row for each part; its length is the leading extent.
  layout.columns = 1;
  for (size_t i = 0; i < spec.inner.size(); ++i)
    if (i + 1 < spec.inner.size())
      rows = rows ? checkedMul(*rows, spec.inner[i]) : rows;
    else
      layout.columns = spec.inner[i];
  std::optional<uint64_t> rowBytes =
      checkedMul(layout.columns, dtypeSize(spec.dtype));
  if (!rows || !rowBytes)
    return std::nullopt;
  layout.rows = *rows;
  layout.rowBytes = *rowBytes;
  layout.pitch = std::max(spec.rowPitch, layout.rowBytes);
  std::optional<uint64_t> bytes = checkedMul(layout.rows, layout.pitch);
  if (!bytes)
    return std::nullopt;
  layout.bytes = *bytes;
  return layout;
}

DeviceImage::DeviceImage(const ParameterSpec &spec, const DeviceLayout &layout,
                         std::vector<SourceRows> sources)
    : layout(layout), scaleBlockRows(spec.scaleBlockRows),
      scaleBlockCols(spec.scaleBlockCols), sources(std::move(sources)) {
  if (scaleBlockCols)
    scaleColumns = (layout.columns + scaleBlockCols - 1) / scaleBlockCols;
  uint64_t row = 0;
  for (const SourceRows &source : this->sources) {
    firstRows.push_back(row);
    row += source.rows;
  }
}

/// An element of a row that is converted.
inline uint16_t DeviceImage::bf16At(const SourceRows &source, uint64_t row,
                                    uint64_t column) const {
  const uint64_t element = row * layout.columns + column;
  if (source.isFloat) {
    float value;
    std::memcpy(&value, source.data + element * sizeof(value), sizeof(value));
    return f32ToBf16(value);
  }
  static const std::array<float, 256> codes = [] {
    std::array<float, 256> table;
    for (unsigned code = 0; code < 256; ++code)
      table[code] = e4m3ToF32(static_cast<uint8_t>(code));
    return table;
  }();
  const float *scales = source.scales + row / scaleBlockRows * scaleColumns;
  return f32ToBf16(codes[source.data[element]] *
                   scales[column / scaleBlockCols]);
}

/// Bytes [begin, end) of row |row| of |source|, both at most rowBytes.
void DeviceImage::fillRow(uint8_t *to, const SourceRows &source, uint64_t row,
                          uint64_t begin, uint64_t end) const {
  if (!source.scales && !source.isFloat) {
    std::memcpy(to, source.data + row * layout.rowBytes + begin, end - begin);
    return;
  }
  // A range may begin or end inside an element of two bytes.
  for (uint64_t at = begin; at < end;) {
    const uint16_t bits = bf16At(source, row, at / 2);
    const uint64_t inside = at % 2, count = std::min(2 - inside, end - at);
    std::memcpy(to, reinterpret_cast<const uint8_t *>(&bits) + inside, count);
    to += count;
    at += count;
  }
}

void DeviceImage::fill(uint8_t *to, uint64_t begin, uint64_t end) const {
  if (begin >= end)
    return;
  const bool dense = layout.pitch == layout.rowBytes;
  size_t s =
      static_cast<size_t>(std::upper_bound(firstRows.begin(), firstRows.end(),
                                           begin / layout.pitch) -
                          firstRows.begin() - 1);
  while (begin < end) {
    while (s + 1 < sources.size() &&
           firstRows[s] + sources[s].rows <= begin / layout.pitch)
      ++s;
    const SourceRows &source = sources[s];
    if (dense && !source.scales && !source.isFloat) {
      // Everything that is left of this source at once.
      const uint64_t first = firstRows[s] * layout.pitch;
      const uint64_t stop = std::min(end, first + source.rows * layout.pitch);
      std::memcpy(to, source.data + (begin - first), stop - begin);
      to += stop - begin;
      begin = stop;
      continue;
    }
    const uint64_t row = begin / layout.pitch, inside = begin % layout.pitch;
    const uint64_t stop = std::min(layout.pitch, inside + (end - begin));
    uint64_t filled = inside;
    if (inside < layout.rowBytes) {
      filled = std::min(stop, layout.rowBytes);
      fillRow(to, source, row - firstRows[s], inside, filled);
    }
    std::memset(to + (filled - inside), 0, stop - filled);
    to += stop - inside;
    begin += stop - inside;
  }
}

} // namespace hadal
