// Tensor maps (CUtensorMap): the constraints of cuTensorMapEncodeTiled, an
// encoding of the simulator's own into the 128 opaque bytes, and the walk of a
// box over global memory that cp.async.bulk.tensor does.
#pragma once

#include "runtime/base/Status.h"
#include "runtime/drivers/sim/semantics/Swizzle.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace hadal::sim {

/// Element types, numbered as CUtensorMapDataType. FP8 tensors use u8.
enum class TensorMapType : uint8_t {
  u8 = 0,
  u16 = 1,
  u32 = 2,
  s32 = 3,
  u64 = 4,
  s64 = 5,
  f16 = 6,
  f32 = 7,
  f64 = 8,
  bf16 = 9,
};

/// Bytes of one element.
constexpr unsigned tensorMapElementBytes(TensorMapType type) {
  switch (type) {
  case TensorMapType::u8:
    return 1;
  case TensorMapType::u16:
  case TensorMapType::f16:
  case TensorMapType::bf16:
    return 2;
  case TensorMapType::u32:
  case TensorMapType::s32:
  case TensorMapType::f32:
    return 4;
  case TensorMapType::u64:
  case TensorMapType::s64:
  case TensorMapType::f64:
    return 8;
  }
  return 0;
}

/// A tiled tensor; dimension 0 is the innermost one.
struct TensorMapDesc {
  TensorMapType type = TensorMapType::u8;
  unsigned rank = 2;
  /// Device address, a multiple of 16.
  uint64_t address = 0;
  /// Extents in elements, 1..2^32.
  std::array<uint64_t, 5> dims{1, 1, 1, 1, 1};
  /// Bytes between neighbours along dimension i + 1: a multiple of 16, below
  /// 2^40. Elements of dimension 0 are contiguous.
  std::array<uint64_t, 4> strides{};
  /// Elements, 1..256 each; the inner row is a multiple of 16 bytes and no
  /// longer than the swizzle's span.
  std::array<uint32_t, 5> box{1, 1, 1, 1, 1};
  /// 1..8; that of dimension 0 is ignored.
  std::array<uint32_t, 5> elementStrides{1, 1, 1, 1, 1};
  Swizzle swizzle = Swizzle::none;
  /// Elements outside read as NaN instead of zero (float types only).
  bool nanFill = false;

  unsigned elementBytes() const { return tensorMapElementBytes(type); }
  /// Elements of the box along |dimension| after its element stride.
  uint32_t boxCount(unsigned dimension) const {
    uint32_t stride = dimension == 0 ? 1 : elementStrides[dimension];
    return (box[dimension] + stride - 1) / stride;
  }
  /// Bytes of a whole box, which is what an mbarrier is credited with.
  uint64_t boxBytes() const;
};

using TensorMapBytes = std::array<uint8_t, 128>;

/// Checks every constraint of cuTensorMapEncodeTiled and encodes. H5022 names
/// the field, what it must be and what it is.
StatusOr<TensorMapBytes> encodeTensorMap(const TensorMapDesc &desc);

/// The tensor of 128 bytes that encodeTensorMap wrote; anything else is
/// refused (H5022).
StatusOr<TensorMapDesc> decodeTensorMap(std::span<const uint8_t> bytes);

/// One row (innermost run) of a box: |count| elements from box position |lin|
/// (bytes from the box's start, before the swizzle), of which
/// [first, first + valid) lie inside the tensor, starting at |global|.
struct BoxRow {
  uint64_t lin;
  uint64_t global;
  uint32_t count;
  uint32_t first;
  uint32_t valid;
};

/// Calls |fn| for every row of the box at |coords| (elements, any value).
template <typename Fn>
void forEachBoxRow(const TensorMapDesc &map, std::span<const int32_t> coords,
                   Fn fn) {
  const int64_t elementBytes = map.elementBytes();
  uint32_t counts[5], index[5] = {};
  for (unsigned d = 0; d < 5; ++d)
    counts[d] = d < map.rank ? map.boxCount(d) : 1;
  const int64_t start = coords[0];
  const int64_t inner = counts[0];
  const int64_t first = std::clamp<int64_t>(-start, 0, inner);
  const int64_t last = std::clamp<int64_t>(
      static_cast<int64_t>(map.dims[0]) - start, first, inner);
  uint64_t lin = 0;
  while (true) {
    bool inside = last > first;
    uint64_t global = map.address;
    for (unsigned d = 1; d < map.rank; ++d) {
      int64_t x = int64_t{coords[d]} +
                  int64_t{index[d]} * int64_t{map.elementStrides[d]};
      inside = inside && x >= 0 && x < static_cast<int64_t>(map.dims[d]);
      global += static_cast<uint64_t>(x) * map.strides[d - 1];
    }
    global += static_cast<uint64_t>((start + first) * elementBytes);
    fn(BoxRow{lin, global, counts[0],
              inside ? static_cast<uint32_t>(first) : 0u,
              inside ? static_cast<uint32_t>(last - first) : 0u});
    lin += static_cast<uint64_t>(inner * elementBytes);
    unsigned d = 1;
    while (d < map.rank && ++index[d] == counts[d])
      index[d++] = 0;
    if (d >= map.rank)
      return;
  }
}

} // namespace hadal::sim
