#include "runtime/drivers/sim/semantics/WgmmaCompute.h"
#include "runtime/drivers/sim/semantics/Convert.h"
#include "runtime/drivers/sim/semantics/Vectorised.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

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

/// 8 elements at |from| (8 or 16 bytes).
[[gnu::always_inline]] inline void
decodeEight(WgmmaType type, const uint8_t *from, bool negate, float *out) {
  float values[8];
  uint16_t halves[8];
  uint8_t bytes[8];
  if (wgmmaElementBytes(type) == 2)
    std::memcpy(halves, from, sizeof halves);
  else
    std::memcpy(bytes, from, sizeof bytes);
  switch (type) {
  case WgmmaType::bf16:
    for (unsigned i = 0; i < 8; ++i)
      values[i] = std::bit_cast<float>(static_cast<uint32_t>(halves[i]) << 16);
    break;
  case WgmmaType::f16:
    for (unsigned i = 0; i < 8; ++i)
      values[i] = decodeHalf(halves[i]);
    break;
  case WgmmaType::e4m3:
    for (unsigned i = 0; i < 8; ++i)
      values[i] = decodeE4m3(bytes[i]);
    break;
  case WgmmaType::e5m2: // the high byte of an f16
    for (unsigned i = 0; i < 8; ++i)
      values[i] = decodeHalf(static_cast<uint32_t>(bytes[i]) << 8);
    break;
  }
  if (negate)
    for (unsigned i = 0; i < 8; ++i)
      values[i] = -values[i];
  std::memcpy(out, values, sizeof values);
}

using Chunk = Lanes<uint8_t, 16>;
using Chunk16 = Lanes<uint16_t, 8>;
using Chunk32 = Lanes<uint32_t, 4>;
using Chunk64 = Lanes<uint64_t, 2>;

/// The low (high) halves of two vectors, element by element in turn.
template <typename V>
[[gnu::always_inline]] inline void interleave(const Chunk &a, const Chunk &b,
                                              Chunk &low, Chunk &high) {
  if constexpr (sizeof(V) == sizeof(Chunk) &&
                std::is_same_v<V, Chunk>) {
    low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                  21, 6, 22, 7, 23);
    high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                   13, 29, 14, 30, 15, 31);
  } else if constexpr (std::is_same_v<V, Chunk16>) {
    low = (Chunk)__builtin_shufflevector((V)a, (V)b, 0, 8, 1, 9, 2, 10, 3, 11);
    high = (Chunk)__builtin_shufflevector((V)a, (V)b, 4, 12, 5, 13, 6, 14, 7,
                                          15);
  } else if constexpr (std::is_same_v<V, Chunk32>) {
    low = (Chunk)__builtin_shufflevector((V)a, (V)b, 0, 4, 1, 5);
    high = (Chunk)__builtin_shufflevector((V)a, (V)b, 2, 6, 3, 7);
  } else {
    low = (Chunk)__builtin_shufflevector((V)a, (V)b, 0, 2);
    high = (Chunk)__builtin_shufflevector((V)a, (V)b, 1, 3);
  }
}

/// Eight lines of 16 bytes, transposed: for each element of a line those of the
/// eight lines. First, Second, Third: steps by 1, 2, 4 elements.
template <typename First, typename Second, typename Third>
[[gnu::always_inline]] inline void transposeEight(const Chunk *lines,
                                                  Chunk *out) {
  Chunk pairs[8], fours[8];
  for (unsigned j = 0; j < 4; ++j)
    interleave<First>(lines[2 * j], lines[2 * j + 1], pairs[j], pairs[4 + j]);
  for (unsigned half = 0; half < 2; ++half)
    for (unsigned j = 0; j < 2; ++j)
      interleave<Second>(pairs[4 * half + 2 * j], pairs[4 * half + 2 * j + 1],
                         fours[4 * j + 2 * half], fours[4 * j + 2 * half + 1]);
  for (unsigned m = 0; m < 4; ++m)
    interleave<Third>(fours[m], fours[4 + m], out[2 * m], out[2 * m + 1]);
}

/// An operand in chunks: line i has |perLine| of them. Element j of a line goes
/// to i * across + j * along.
struct OperandLayout {
  WgmmaType type;
  bool negate;
  unsigned lines, perLine, along, across;
};

[[gnu::always_inline]] inline void
decodeBody(const OperandLayout &layout, const uint32_t *chunks,
           const uint8_t *shared, float *tile) {
  const unsigned bytes = wgmmaElementBytes(layout.type);
  const unsigned elements = 16 / bytes;
  if (layout.along != 1 && layout.across == 1 && layout.lines % 8 == 0) {
    for (unsigned line = 0; line < layout.lines; line += 8)
      for (unsigned c = 0; c < layout.perLine; ++c) {
        Chunk lines[8], out[8];
        for (unsigned i = 0; i < 8; ++i)
          std::memcpy(&lines[i],
                      shared + chunks[(line + i) * layout.perLine + c], 16);
        if (bytes == 1)
          transposeEight<Chunk, Chunk16, Chunk32>(lines, out);
        else
          transposeEight<Chunk16, Chunk32, Chunk64>(lines, out);
        for (unsigned e = 0; e < elements; ++e)
          decodeEight(layout.type,
                      reinterpret_cast<const uint8_t *>(out) + e * 8 * bytes,
                      layout.negate,
                      tile + line + size_t{c * elements + e} * layout.along);
      }
    return;
  }
  for (unsigned line = 0; line < layout.lines; ++line)
    for (unsigned c = 0; c < layout.perLine; ++c)
      for (unsigned e = 0; e < elements; e += 8) {
        float values[8];
        decodeEight(layout.type,
                    shared + chunks[line * layout.perLine + c] + e * bytes,
                    layout.negate, values);
        float *out = tile + size_t{line} * layout.across +
                     size_t{c * elements + e} * layout.along;
        for (unsigned i = 0; i < 8; ++i)
          out[i * layout.along] = values[i];
      }
}

} // namespace

namespace detail {
HADAL_SIM_VECTORISED(decodeOperand,
                     (const OperandLayout &layout, const uint32_t *chunks,
                      const uint8_t *shared, float *tile),
                     (layout, chunks, shared, tile), decodeBody)
} // namespace detail

namespace {

Status gatherChunks(const OperandLayout &layout,
                    std::span<const uint32_t> chunks, const uint8_t *shared,
                    uint32_t windowBase, size_t sharedBytes, float *tile) {
  static thread_local std::vector<uint32_t> offsets;
  offsets.resize(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    offsets[i] = chunks[i] - windowBase;
    if (chunks[i] < windowBase || offsets[i] + 16ull > sharedBytes)
      return error(5014,
                   "wgmma: operand byte at shared address {:#x} is "
                   "outside the CTA's {} bytes at {:#x}",
                   chunks[i], sharedBytes, windowBase);
  }
  detail::decodeOperand(layout, offsets.data(), shared, tile);
  return {};
}

} // namespace

std::vector<uint32_t> operandChunks(const MatrixDescriptor &descriptor,
                                    WgmmaType type, bool mnMajor,
                                    unsigned mnCount) {
  std::vector<uint32_t> chunks;
  chunks.reserve(2 * mnCount);
  forEachOperandChunk(descriptor, type, mnMajor, mnCount,
                      [&](uint32_t address) { chunks.push_back(address); });
  return chunks;
}

Status gatherA(const WgmmaShape &shape, std::span<const uint32_t> chunks,
               const uint8_t *shared, uint32_t windowBase, size_t sharedBytes,
               float *tile) {
  const unsigned k = shape.k();
  OperandLayout layout{shape.a, shape.negateA, 64, 2, 1, k};
  if (shape.transA)
    layout = {shape.a, shape.negateA, k, 64 * wgmmaElementBytes(shape.a) / 16,
              k, 1};
  return gatherChunks(layout, chunks, shared, windowBase, sharedBytes, tile);
}

Status gatherB(const WgmmaShape &shape, std::span<const uint32_t> chunks,
               const uint8_t *shared, uint32_t windowBase, size_t sharedBytes,
               float *tile) {
  const unsigned k = shape.k(), n = shape.n;
  OperandLayout layout{shape.b, shape.negateB, n, 2, n, 1};
  if (shape.transB)
    layout = {shape.b, shape.negateB, k, n * wgmmaElementBytes(shape.b) / 16,
              1, n};
  return gatherChunks(layout, chunks, shared, windowBase, sharedBytes, tile);
}

Status gatherSharedA(const WgmmaShape &shape, const MatrixDescriptor &a,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile) {
  return gatherA(shape, operandChunks(a, shape.a, shape.transA, 64), shared,
                 windowBase, sharedBytes, tile);
}

Status gatherSharedB(const WgmmaShape &shape, const MatrixDescriptor &b,
                     const uint8_t *shared, uint32_t windowBase,
                     size_t sharedBytes, float *tile) {
  return gatherB(shape, operandChunks(b, shape.b, shape.transB, shape.n),
                 shared, windowBase, sharedBytes, tile);
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
