#include "tools/hadal-bench/DeviceArguments.h"

#include <algorithm>
#include <cstring>

namespace hadal::bench {

uint64_t rowPitch(const Driver &driver, const Tensor &tensor) {
  const bool padded = !driver.sharesHostMemory() &&
                      (tensor.dtype == DType::bf16 ||
                       tensor.dtype == DType::f8e4m3fn);
  return padded ? (tensor.rowBytes() + 15) / 16 * 16 : tensor.rowBytes();
}

StatusOr<DeviceArguments>
DeviceArguments::create(Driver &driver, Arguments &arguments) {
  DeviceArguments result;
  result.driver = &driver;
  result.source = &arguments;
  for (const auto &[name, tensor] : arguments)
    HADAL_RETURN_IF_ERROR(result.add(name, tensor));
  return result;
}

/// Bytes [begin, end) of |tensor| with rows of |pitch| bytes, zeros between.
static void copyPitched(const Tensor &tensor, uint64_t pitch, uint8_t *to,
                        uint64_t begin, uint64_t end) {
  std::memset(to, 0, end - begin);
  const uint64_t rowBytes = tensor.rowBytes();
  for (uint64_t row = begin / pitch; row * pitch < end; ++row) {
    const uint64_t first = std::max(begin, row * pitch),
                   last = std::min(end, row * pitch + rowBytes);
    if (first < last)
      std::memcpy(to + (first - begin),
                  tensor.data.data() + row * rowBytes + (first - row * pitch),
                  last - first);
  }
}

StatusOr<uint64_t>
DeviceArguments::copyOf(std::string_view name, uint64_t bytes,
                        const Driver::FillFunction &fill) {
  HADAL_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                         DeviceBuffer::create(*driver, bytes, name));
  HADAL_RETURN_IF_ERROR(driver->upload(buffer.address(), bytes, fill));
  buffers.push_back(std::move(buffer));
  return buffers.back().address();
}

StatusOr<uint64_t>
DeviceArguments::table(const std::vector<uint64_t> &pointers) {
  HADAL_ASSIGN_OR_RETURN(
      DeviceBuffer buffer,
      DeviceBuffer::create(*driver, pointers.size() * 8, "pointer table"));
  HADAL_RETURN_IF_ERROR(
      driver->write(buffer.address(), pointers.data(), pointers.size() * 8));
  buffers.push_back(std::move(buffer));
  return buffers.back().address();
}

Status DeviceArguments::add(const std::string &name, const Tensor &tensor) {
  Place place;
  const uint64_t pitch = rowPitch(*driver, tensor),
                 rows = tensor.parts * tensor.rows;
  if (driver->sharesHostMemory()) {
    // Used where they are: experts of gigabytes are not held twice.
    place.dataBlock = reinterpret_cast<uint64_t>(tensor.data.data());
    place.scaleBlock = reinterpret_cast<uint64_t>(tensor.scales.data());
  } else {
    HADAL_ASSIGN_OR_RETURN(
        place.dataBlock,
        copyOf(name, rows * pitch,
               [&](uint8_t *to, uint64_t begin, uint64_t end) {
                 copyPitched(tensor, pitch, to, begin, end);
               }));
    const auto *scales = reinterpret_cast<const uint8_t *>(tensor.scales.data());
    HADAL_ASSIGN_OR_RETURN(
        place.scaleBlock,
        copyOf(name + ".scale", tensor.scales.size() * 4,
               [&](uint8_t *to, uint64_t begin, uint64_t end) {
                 std::memcpy(to, scales + begin, end - begin);
               }));
  }
  place.data = place.dataBlock;
  place.scale = place.scaleBlock;
  if (driver->sharesHostMemory() && (tensor.stack || tensor.segmentRows)) {
    const uint64_t step = tensor.stack ? tensor.rows : tensor.segmentRows;
    std::vector<uint64_t> rowsAt, scalesAt;
    for (uint64_t r = 0; r < rows; r += step) {
      rowsAt.push_back(place.dataBlock + r * pitch);
      const uint64_t scaleRow =
          tensor.stack ? r / tensor.rows * tensor.scaleRows()
          : tensor.blockRows ? r / tensor.blockRows
                             : 0;
      scalesAt.push_back(place.scaleBlock +
                         scaleRow * tensor.scaleCols() * 4);
    }
    HADAL_ASSIGN_OR_RETURN(place.data, table(rowsAt));
    if (tensor.blockRows) {
      HADAL_ASSIGN_OR_RETURN(place.scale, table(scalesAt));
    }
  }
  places.emplace(name, place);
  return {};
}

std::optional<uint64_t> DeviceArguments::slot(std::string_view name) const {
  constexpr std::string_view kScale = ".scale";
  const bool scale = name.ends_with(kScale);
  if (scale)
    name.remove_suffix(kScale.size());
  auto at = places.find(name);
  if (at == places.end())
    return std::nullopt;
  return scale ? at->second.scale : at->second.data;
}

StatusOr<Tensor> DeviceArguments::read(std::string_view name) const {
  const Place &place = places.find(name)->second;
  Tensor tensor = source->find(name)->second;
  const uint64_t pitch = rowPitch(*driver, tensor),
                 rows = tensor.parts * tensor.rows;
  std::vector<uint8_t> padded(rows * pitch);
  HADAL_RETURN_IF_ERROR(
      driver->read(padded.data(), place.dataBlock, padded.size()));
  for (uint64_t r = 0; r < rows; ++r)
    std::memcpy(tensor.data.data() + r * tensor.rowBytes(),
                padded.data() + r * pitch, tensor.rowBytes());
  HADAL_RETURN_IF_ERROR(driver->read(tensor.scales.data(), place.scaleBlock,
                                     tensor.scales.size() * 4));
  return tensor;
}

} // namespace hadal::bench
