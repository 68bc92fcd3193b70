#include "runtime/weights/WeightValues.h"

#include <cmath>
#include <cstring>

#include "runtime/base/Float.h"
#include "runtime/checkpoint/CheckpointIndex.h"

namespace hadal {

DType schemaDType(SafetensorsDType dtype) {
  switch (dtype) {
  case SafetensorsDType::F32:
    return DType::f32;
  case SafetensorsDType::BF16:
    return DType::bf16;
  case SafetensorsDType::F8E4M3:
    return DType::f8e4m3fn;
  case SafetensorsDType::F8E8M0:
    return DType::f8e8m0fnu;
  case SafetensorsDType::I32:
    return DType::i32;
  case SafetensorsDType::I64:
    return DType::i64;
  case SafetensorsDType::U8:
    return DType::u8;
  default:
    return DType::none;
  }
}

bool isFloat(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 ||
         dtype == DType::f8e4m3fn || dtype == DType::f8e8m0fnu;
}

float loadAsF32(const uint8_t *data, DType dtype, uint64_t i) {
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, data + 4 * i, 4);
    return value;
  }
  if (dtype == DType::bf16) {
    uint16_t bits;
    std::memcpy(&bits, data + 2 * i, 2);
    return bf16ToF32(bits);
  }
  if (dtype == DType::f8e4m3fn)
    return e4m3ToF32(data[i]);
  return e8m0ToF32(data[i]);
}

/// The number of leading elements, in whole runs, none of which has all bits of
/// |mask|: in the exponent, those of an infinity or NaN. One unit of |mask| more
/// carries such an element into the bit above, the sign's; and, add and or are
/// vector code on any machine.
template <typename Bits>
static uint64_t countRuns(const uint8_t *data, uint64_t elements, Bits mask) {
  constexpr uint64_t kRun = 1024;
  const Bits unit = static_cast<Bits>(mask & -mask);
  const Bits carry = static_cast<Bits>(mask + unit);
  uint64_t i = 0;
  for (; i + kRun <= elements; i += kRun) {
    Bits run[kRun], seen = 0;
    std::memcpy(run, data + i * sizeof(Bits), sizeof(run));
    for (Bits bits : run)
      seen |= static_cast<Bits>((bits & mask) + unit);
    if (seen & carry)
      break;
  }
  return i;
}

uint64_t countUsable(const uint8_t *data, DType dtype, uint64_t elements,
                     bool isScale) {
  uint64_t i = 0;
  if (!isScale && dtype == DType::bf16)
    i = countRuns<uint16_t>(data, elements, 0x7f80);
  else if (!isScale && dtype == DType::f32)
    i = countRuns<uint32_t>(data, elements, 0x7f800000);
  else if (!isScale && dtype == DType::f8e4m3fn)
    i = countRuns<uint8_t>(data, elements, 0x7f);
  for (; i < elements; ++i) {
    float value = loadAsF32(data, dtype, i);
    if (!std::isfinite(value) || (isScale && value < 0))
      break;
  }
  return i;
}

StatusOr<std::string> findNonFinite(const std::string &directory,
                                    std::span<const ParameterSpec> specs) {
  HADAL_ASSIGN_OR_RETURN(CheckpointIndex index,
                         CheckpointIndex::open(directory));
  auto describe = [&](const std::string &name) -> StatusOr<std::string> {
    HADAL_ASSIGN_OR_RETURN(CheckpointIndex::Entry at, index.find(name));
    DType dtype = schemaDType(at.tensor->dtype);
    if (!isFloat(dtype))
      return std::string();
    const uint8_t *data = at.file->data(*at.tensor).data();
    uint64_t elements = at.tensor->bytes / dtypeSize(dtype);
    uint64_t i = countUsable(data, dtype, elements, /*isScale=*/false);
    return i == elements ? std::string()
                         : fmt::format("'{}': tensor {} holds {} at element {}",
                                       at.file->path(), name,
                                       loadAsF32(data, dtype, i), i);
  };
  for (const ParameterSpec &spec : specs) {
    if (spec.kind == ParameterKind::generated)
      continue;
    std::vector<std::string> names = spec.scaleParts;
    for (std::string &name : partNames(spec, spec.parts))
      names.push_back(std::move(name));
    for (const std::string &name : names) {
      HADAL_ASSIGN_OR_RETURN(std::string text, describe(name));
      if (!text.empty())
        return text;
    }
  }
  return std::string();
}

} // namespace hadal
