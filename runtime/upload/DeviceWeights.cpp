#include "runtime/upload/DeviceWeights.h"

#include <algorithm>

#include "runtime/base/Checked.h"
#include "runtime/base/Progress.h"
#include "runtime/upload/DeviceImage.h"

namespace hadal {

namespace {

uint64_t ceilDivide(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/// The spec of the codes of |spec|, as the file has them.
ParameterSpec codesOf(const ParameterSpec &spec) {
  ParameterSpec codes = spec;
  codes.dtype = DType::f8e4m3fn;
  codes.fileDtypes = {DType::f8e4m3fn};
  codes.place = Placement::map;
  return codes;
}

/// The spec of the block scales of |spec|.
ParameterSpec scalesOf(const ParameterSpec &spec) {
  ParameterSpec scales;
  scales.name = spec.name + ".scales";
  scales.kind = spec.kind;
  scales.place = Placement::copy;
  scales.dtype = DType::f32;
  scales.fileDtypes = spec.scaleDtypes;
  scales.parts = spec.scaleParts;
  scales.count = spec.count;
  scales.slice = spec.slice;
  scales.members = spec.members;
  for (uint64_t rows : spec.rows)
    scales.rows.push_back(ceilDivide(rows, spec.scaleBlockRows));
  scales.inner = {ceilDivide(spec.inner.back(), spec.scaleBlockCols)};
  scales.segmentRows = 1;
  scales.isScale = true;
  return scales;
}

bool isDequantised(const ParameterSpec &spec) {
  return !spec.scaleParts.empty();
}

/// True for bf16 that the file has as float32 only.
bool isRounded(const ParameterSpec &spec) {
  return spec.dtype == DType::bf16 && spec.place == Placement::copy &&
         spec.fileDtypes == std::vector{DType::f32};
}

/// The spec of the float32 of |spec|, as the file has it.
ParameterSpec floatsOf(const ParameterSpec &spec) {
  ParameterSpec floats = spec;
  floats.dtype = DType::f32;
  floats.place = Placement::map;
  return floats;
}

/// The start of each part (of a stack, of each tensor) of parameter |index|:
/// segments are cut into blocks of segmentRows rows.
std::vector<const uint8_t *> partStarts(const WeightStore &host, size_t index,
                                        const ParameterSpec &spec) {
  std::span<const uint8_t *const> blocks = host.blocks(index);
  std::vector<const uint8_t *> starts;
  if (spec.kind != ParameterKind::segments) {
    starts.assign(blocks.begin(), blocks.end());
    return starts;
  }
  size_t block = 0;
  for (uint64_t rows : spec.rows) {
    starts.push_back(rows ? blocks[block] : nullptr);
    block += ceilDivide(rows, spec.segmentRows);
  }
  return starts;
}

/// The host rows behind parameter |index|; |scaleIndex|: where its scales are.
std::vector<SourceRows> sourcesOf(const WeightStore &host, size_t index,
                                  size_t scaleIndex, const ParameterSpec &spec,
                                  const DeviceLayout &layout) {
  std::vector<const uint8_t *> starts = partStarts(host, index, spec);
  std::vector<SourceRows> sources;
  // Rows of the last extent for each leading row.
  uint64_t inside = 1;
  for (size_t i = 0; i + 1 < spec.inner.size(); ++i)
    inside *= spec.inner[i];
  for (size_t i = 0; i < starts.size(); ++i) {
    const uint64_t rows = spec.kind == ParameterKind::generated ? layout.rows
                          : spec.kind == ParameterKind::stack
                              ? spec.rows[0] * inside
                              : spec.rows[i] * inside;
    if (rows)
      sources.push_back({starts[i], rows, nullptr, isRounded(spec)});
  }
  if (!isDequantised(spec))
    return sources;
  std::vector<const uint8_t *> scales =
      partStarts(host, scaleIndex, scalesOf(spec));
  size_t next = 0;
  for (size_t i = 0; i < starts.size(); ++i)
    if (spec.kind == ParameterKind::stack || spec.rows[i])
      sources[next++].scales = reinterpret_cast<const float *>(scales[i]);
  return sources;
}

} // namespace

std::vector<ParameterSpec> hostSpecs(std::span<const ParameterSpec> specs) {
  std::vector<ParameterSpec> result(specs.begin(), specs.end());
  for (size_t i = 0; i < specs.size(); ++i)
    if (isDequantised(specs[i])) {
      result[i] = codesOf(specs[i]);
      result.push_back(scalesOf(specs[i]));
    } else if (isRounded(specs[i])) {
      result[i] = floatsOf(specs[i]);
    }
  return result;
}

StatusOr<uint64_t> deviceWeightBytes(const Driver &driver,
                                     std::span<const ParameterSpec> specs) {
  std::optional<uint64_t> total = 0;
  for (const ParameterSpec &spec : specs) {
    std::optional<DeviceLayout> layout = deviceLayout(spec);
    total = layout ? checkedAdd(*total, driver.footprint(layout->bytes))
                   : std::nullopt;
    if (!total)
      return error(5006, "parameter {}: its size on the device exceeds 64 bits",
                   spec.name);
  }
  return *total;
}

StatusOr<DeviceWeights>
DeviceWeights::upload(Driver &driver, const WeightStore &host,
                      std::span<const ParameterSpec> specs, bool quiet,
                      const std::atomic<bool> *interrupt) {
  uint64_t total = 0;
  for (const ParameterSpec &spec : specs) {
    std::optional<DeviceLayout> layout = deviceLayout(spec);
    if (!layout)
      return error(5006, "parameter {}: its size on the device exceeds 64 bits",
                   spec.name);
    total += layout->bytes;
  }
  DeviceWeights weights;
  if (const auto rounded = std::count_if(specs.begin(), specs.end(), isRounded);
      rounded && !quiet)
    fmt::print(stderr,
               "float32 matrices are rounded to bf16: {} of {} parameters\n",
               rounded, specs.size());
  Progress progress("uploading weights", total, Progress::Unit::Bytes,
                    quiet ? nullptr : stderr);
  size_t scaleIndex = specs.size();
  for (size_t i = 0; i < specs.size(); ++i) {
    const ParameterSpec &spec = specs[i];
    if (interrupt && *interrupt)
      return error(5016, "interrupted after {} of {} of the weights were "
                         "uploaded",
                   formatBytes(weights.bytes_), formatBytes(total));
    // Has a value, as above.
    const DeviceLayout layout = *deviceLayout(spec);
    HADAL_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::create(driver, layout.bytes, spec.name));
    DeviceImage image(spec, layout,
                      sourcesOf(host, i, scaleIndex, spec, layout));
    scaleIndex += isDequantised(spec);
    HADAL_RETURN_IF_ERROR(
        driver.upload(buffer.address(), layout.bytes,
                      [&](uint8_t *staging, uint64_t begin, uint64_t end) {
                        image.fill(staging, begin, end);
                        progress.advance(end - begin);
                      }));
    weights.bytes_ += layout.bytes;
    weights.buffers_.push_back(std::move(buffer));
  }
  progress.finish();
  return weights;
}

} // namespace hadal
