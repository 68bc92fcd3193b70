#include "runtime/drivers/sim/semantics/TensorMap.h"

#include <cstring>

#include "runtime/schemas/Sm90aLimits.h"

namespace hadal::sim {
namespace {

/// The layout of the 128 bytes; a map is recognised by magic and checksum.
struct Encoded {
  uint64_t magic;
  uint64_t address;
  uint64_t dimsMinusOne[2]; // low two of five; the rest follow as 32 bits
  uint32_t moreDims[3];
  uint32_t box[5];
  uint64_t strides[4];
  uint8_t type;
  uint8_t rank;
  uint8_t swizzle;
  uint8_t nanFill;
  uint8_t elementStrides[5];
  uint8_t zero[3];
  uint32_t checksum;
};
static_assert(sizeof(Encoded) <= 128);

constexpr uint64_t magic = 0x50414d5254'4c4448ull;

/// FNV-1a over the bytes before the checksum.
uint32_t checksumOf(const Encoded &encoded) {
  uint32_t hash = 2166136261u;
  const auto *bytes = reinterpret_cast<const uint8_t *>(&encoded);
  for (size_t i = 0; i < offsetof(Encoded, checksum); ++i)
    hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

bool isFloatType(TensorMapType type) {
  return type == TensorMapType::f16 || type == TensorMapType::f32 ||
         type == TensorMapType::f64 || type == TensorMapType::bf16;
}

template <typename... Args>
Status refuse(fmt::format_string<Args...> format, Args &&...args) {
  return Status(5022,
                "tensor map: " + fmt::format(format,
                                             std::forward<Args>(args)...));
}

Status check(const TensorMapDesc &desc) {
  if (tensorMapElementBytes(desc.type) == 0)
    return refuse("element type {} does not exist on sm_90a",
                  static_cast<unsigned>(desc.type));
  if (desc.rank < 1 || desc.rank > 5)
    return refuse("rank must be 1..5, found {}", desc.rank);
  if (desc.address % 16)
    return refuse("the global address must be a multiple of 16, found {:#x}",
                  desc.address);
  for (unsigned d = 0; d < desc.rank; ++d) {
    if (desc.dims[d] < 1 || desc.dims[d] > 1ull << 32)
      return refuse("dimension {} must be 1..2^32, found {}", d, desc.dims[d]);
    if (desc.box[d] < 1 || desc.box[d] > 256)
      return refuse("box dimension {} must be 1..256, found {}", d,
                    desc.box[d]);
    if (desc.elementStrides[d] < 1 || desc.elementStrides[d] > 8)
      return refuse("element stride {} must be 1..8, found {}", d,
                    desc.elementStrides[d]);
  }
  for (unsigned d = 0; d + 1 < desc.rank; ++d) {
    if (desc.strides[d] % 16)
      return refuse("the stride of dimension {} must be a multiple of 16 "
                    "bytes, found {}",
                    d + 1, desc.strides[d]);
    if (desc.strides[d] >= 1ull << 40)
      return refuse("the stride of dimension {} must be below 2^40 bytes, "
                    "found {}",
                    d + 1, desc.strides[d]);
  }
  uint64_t inner = uint64_t{desc.box[0]} * desc.elementBytes();
  if (inner % 16)
    return refuse("the inner box row must be a multiple of 16 bytes, found {}",
                  inner);
  if (static_cast<unsigned>(desc.swizzle) > 3)
    return refuse("swizzle mode {} does not exist on sm_90a",
                  static_cast<unsigned>(desc.swizzle));
  if (desc.swizzle != Swizzle::none && inner > swizzleSpan(desc.swizzle))
    return refuse("the inner box row must not exceed the {}-byte swizzle span, "
                  "found {} bytes",
                  swizzleSpan(desc.swizzle), inner);
  // The row pitch in shared memory is not documented for a shorter row.
  if (desc.swizzle != Swizzle::none && inner < swizzleSpan(desc.swizzle))
    return refuse("the simulator needs an inner box row of the whole {}-byte "
                  "swizzle span, found {} bytes",
                  swizzleSpan(desc.swizzle), inner);
  if (desc.boxBytes() > sm90a::kMaxSharedBytes)
    return refuse("the box must fit shared memory ({} bytes), found {}",
                  sm90a::kMaxSharedBytes, desc.boxBytes());
  if (desc.nanFill && !isFloatType(desc.type))
    return refuse("the NaN fill needs a floating-point element type");
  return {};
}

} // namespace

uint64_t TensorMapDesc::boxBytes() const {
  uint64_t bytes = elementBytes();
  for (unsigned d = 0; d < rank; ++d)
    bytes *= boxCount(d);
  return bytes;
}

StatusOr<TensorMapBytes> encodeTensorMap(const TensorMapDesc &desc) {
  HADAL_RETURN_IF_ERROR(check(desc));
  Encoded encoded{};
  encoded.magic = magic;
  encoded.address = desc.address;
  for (unsigned d = 0; d < 5; ++d) {
    uint64_t extent = d < desc.rank ? desc.dims[d] - 1 : 0;
    if (d < 2)
      encoded.dimsMinusOne[d] = extent;
    else
      encoded.moreDims[d - 2] = static_cast<uint32_t>(extent);
    encoded.box[d] = d < desc.rank ? desc.box[d] : 1;
    encoded.elementStrides[d] =
        static_cast<uint8_t>(d < desc.rank ? desc.elementStrides[d] : 1);
    if (d + 1 < desc.rank)
      encoded.strides[d] = desc.strides[d];
  }
  encoded.type = static_cast<uint8_t>(desc.type);
  encoded.rank = static_cast<uint8_t>(desc.rank);
  encoded.swizzle = static_cast<uint8_t>(desc.swizzle);
  encoded.nanFill = desc.nanFill;
  encoded.checksum = checksumOf(encoded);
  TensorMapBytes bytes{};
  std::memcpy(bytes.data(), &encoded, sizeof(encoded));
  return bytes;
}

StatusOr<TensorMapDesc> decodeTensorMap(std::span<const uint8_t> bytes) {
  Encoded encoded;
  if (bytes.size() != 128)
    return refuse("a tensor map has 128 bytes, found {}", bytes.size());
  std::memcpy(&encoded, bytes.data(), sizeof(encoded));
  if (encoded.magic != magic || encoded.checksum != checksumOf(encoded))
    return refuse("these 128 bytes are not a tensor map; the kernel's "
                  "parameter must come from encodeTensorMap");
  TensorMapDesc desc;
  desc.type = static_cast<TensorMapType>(encoded.type);
  desc.rank = encoded.rank;
  desc.address = encoded.address;
  for (unsigned d = 0; d < 5; ++d) {
    desc.dims[d] =
        (d < 2 ? encoded.dimsMinusOne[d] : encoded.moreDims[d - 2]) + 1ull;
    desc.box[d] = encoded.box[d];
    desc.elementStrides[d] = encoded.elementStrides[d];
    if (d < 4)
      desc.strides[d] = encoded.strides[d];
  }
  desc.swizzle = static_cast<Swizzle>(encoded.swizzle);
  desc.nanFill = encoded.nanFill;
  HADAL_RETURN_IF_ERROR(check(desc));
  return desc;
}

} // namespace hadal::sim
