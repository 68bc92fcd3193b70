#include "runtime/drivers/sim/semantics/WgmmaCompute.h"
#include "runtime/drivers/sim/semantics/Convert.h"
#include "runtime/drivers/sim/semantics/Vectorised.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace hadal::sim {
namespace {

/// Exact decodings by shifting the fields into an f32 and rescaling: the
/// multiplication by a power of two normalises subnormals.
inline float decodeHalf(uint32_t bits) {
  uint32_t magnitude = bits & 0x7fff;
  float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  if (magnitude >= 0x7c00)
    value = std::bit_cast<float>(magnitude == 0x7c00 ? 0x7f800000u
                                                     : 0x7fffffffu);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) |
                              (bits & 0x8000) << 16);
}

inline float decodeE4m3(uint32_t bits) {
  uint32_t magnitude = bits & 0x7f;
  float value = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
  if (magnitude == 0x7f)
    value = std::bit_cast<float>(0x7fffffffu);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) |
                              (bits & 0x80) << 24);
}

/// The 8 or 16 elements of a 16-byte chunk.
void decodeChunk(WgmmaType type, const uint8_t *bytes, bool negate,
                 float *out) {
  uint16_t halves[8];
  std::memcpy(halves, bytes, sizeof(halves));
  unsigned count = 16 / wgmmaElementBytes(type);
  switch (type) {
  case WgmmaType::bf16:
    for (unsigned i = 0; i < 8; ++i)
      out[i] = std::bit_cast<float>(static_cast<uint32_t>(halves[i]) << 16);
    break;
  case WgmmaType::f16:
    for (unsigned i = 0; i < 8; ++i)
      out[i] = decodeHalf(halves[i]);
    break;
  case WgmmaType::e4m3:
    for (unsigned i = 0; i < 16; ++i)
      out[i] = decodeE4m3(bytes[i]);
    break;
  case WgmmaType::e5m2: // the high byte of an f16
    for (unsigned i = 0; i < 16; ++i)
      out[i] = decodeHalf(static_cast<uint32_t>(bytes[i]) << 8);
    break;
  }
  if (negate)
    for (unsigned i = 0; i < count; ++i)
      out[i] = -out[i];
}

/// Reads an operand chunk by chunk into |tile|, where element (mn, k) goes to
/// mn * mnStride + k * kStride.
Status gatherShared(WgmmaType type, bool mnMajor, bool negate,
                    const MatrixDescriptor &descriptor, unsigned mnCount,
                    const uint8_t *shared, uint32_t windowBase,
                    size_t sharedBytes, unsigned mnStride, unsigned kStride,
                    float *tile) {
  const unsigned elements = 16 / wgmmaElementBytes(type);
  const unsigned chunksPerLine = mnMajor ? mnCount / elements : 2;
  const unsigned along = mnMajor ? mnStride : kStride;
  const unsigned across = mnMajor ? kStride : mnStride;
  unsigned index = 0;
  Status status;
  forEachOperandChunk(
      descriptor, type, mnMajor, mnCount, [&](uint32_t address) {
        uint32_t offset = address - windowBase;
        if (address < windowBase || offset + 16ull > sharedBytes) {
          if (status.ok())
            status = error(5014,
                           "wgmma: operand byte at shared address {:#x} is "
                           "outside the CTA's {} bytes at {:#x}",
                           address, sharedBytes, windowBase);
          return;
        }
        float values[16];
        decodeChunk(type, shared + offset, negate, values);
        float *out = tile + (index / chunksPerLine) * across +
                     (index % chunksPerLine) * elements * along;
        for (unsigned i = 0; i < elements; ++i)
          out[i * along] = values[i];
        ++index;
      });
  return status;
}

} // namespace

Status gatherSharedA(const WgmmaShape &shape, const MatrixDescriptor &a,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile) {
  return gatherShared(shape.a, shape.transA, shape.negateA, a, 64, shared,
                      windowBase, sharedBytes, shape.k(), 1, tile);
}

Status gatherSharedB(const WgmmaShape &shape, const MatrixDescriptor &b,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile) {
  return gatherShared(shape.b, shape.transB, shape.negateB, b, shape.n, shared,
                      windowBase, sharedBytes, 1, shape.n, tile);
}

void loadOperandRegister(const WgmmaShape &shape, unsigned warp, unsigned reg,
                         const uint32_t *lanes, float *tile) {
  const unsigned bits = wgmmaElementBytes(shape.a) * 8, parts = 32 / bits;
  for (unsigned lane = 0; lane < 32; ++lane) {
    uint32_t word = lanes[lane];
    for (unsigned part = 0; part < parts; ++part) {
      auto [row, k] =
          registerOperandElement(shape.a, 32 * warp + lane, reg, part);
      float value = 0;
      switch (shape.a) {
      case WgmmaType::bf16:
        value = std::bit_cast<float>(word << 16);
        break;
      case WgmmaType::f16:
        value = decodeHalf(word & 0xffff);
        break;
      case WgmmaType::e4m3:
        value = decodeE4m3(word & 0xff);
        break;
      case WgmmaType::e5m2:
        value = decodeHalf((word & 0xff) << 8);
        break;
      }
      tile[row * shape.k() + k] = shape.negateA ? -value : value;
      word >>= bits;
    }
  }
}

void loadAccumulatorRegister(const WgmmaShape &shape, unsigned warp,
                             unsigned reg, const uint32_t *lanes,
                             float *tile) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!shape.f16Result) {
      auto [row, column] = accumulatorElement(32 * warp + lane, reg);
      tile[row * shape.n + column] = std::bit_cast<float>(lanes[lane]);
      continue;
    }
    for (unsigned half = 0; half < 2; ++half) {
      auto [row, column] =
          accumulatorElement(32 * warp + lane, 2 * reg + half);
      tile[row * shape.n + column] =
          decodeHalf(lanes[lane] >> 16 * half & 0xffff);
    }
  }
}

void storeAccumulatorRegister(const WgmmaShape &shape, unsigned warp,
                              unsigned reg, const float *tile,
                              uint32_t *lanes) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!shape.f16Result) {
      auto [row, column] = accumulatorElement(32 * warp + lane, reg);
      lanes[lane] = std::bit_cast<uint32_t>(tile[row * shape.n + column]);
      continue;
    }
    uint32_t word = 0;
    for (unsigned half = 0; half < 2; ++half) {
      auto [row, column] =
          accumulatorElement(32 * warp + lane, 2 * reg + half);
      word |= uint32_t{cvtF16F32(tile[row * shape.n + column])} << 16 * half;
    }
    lanes[lane] = word;
  }
}

namespace {

/// 4 rows by |Columns| columns at a time. Products of two 8- or 16-bit floats
/// are exact in f32, so a fused and an unfused multiply-add give the same bits.
template <unsigned Columns>
[[gnu::always_inline]] inline void
exactBlock(const float *a, const float *b, unsigned n, unsigned k, float *d) {
  using V = Lanes<float, Columns>;
  for (unsigned row = 0; row < 64; row += 4) {
    V acc[4];
    for (unsigned r = 0; r < 4; ++r)
      acc[r] = loadLanes<V>(d + (row + r) * n);
    for (unsigned kk = 0; kk < k; ++kk) {
      V line = loadLanes<V>(b + kk * n);
      for (unsigned r = 0; r < 4; ++r)
        acc[r] += a[(row + r) * k + kk] * line;
    }
    for (unsigned r = 0; r < 4; ++r)
      std::memcpy(d + (row + r) * n, &acc[r], sizeof(V));
  }
}

[[gnu::always_inline]] inline void exactBody(const float *a, const float *b,
                                             unsigned n, unsigned k,
                                             float *d) {
  unsigned column = 0;
  for (; column + 32 <= n; column += 32)
    exactBlock<32>(a, b + column, n, k, d + column);
  for (; column < n; column += 8)
    exactBlock<8>(a, b + column, n, k, d + column);
}

} // namespace

namespace detail {
HADAL_SIM_VECTORISED(computeExact,
                     (const float *a, const float *b, unsigned n, unsigned k,
                      float *d),
                     (a, b, n, k, d), exactBody)
} // namespace detail

void wgmmaCompute(const WgmmaShape &shape, WgmmaModel model, const float *a,
                  const float *b, bool accumulate, float *d) {
  const size_t count = size_t{64} * shape.n;
  if (!accumulate)
    std::memset(d, 0, count * sizeof(float));
  if (model == WgmmaModel::hopper13) {
    detail::computeHopper(shape, a, b, d);
    return;
  }
  detail::computeExact(a, b, shape.n, shape.k(), d);
  const float canonical = std::bit_cast<float>(0x7fffffffu);
  for (size_t i = 0; i < count; ++i)
    d[i] = d[i] == d[i] ? d[i] : canonical;
  if (shape.f16Result)
    for (size_t i = 0; i < count; ++i)
      d[i] = decodeFloat(cvtF16F32(d[i]), FloatFormat::f16);
}

} // namespace hadal::sim
