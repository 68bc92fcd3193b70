#include "runtime/drivers/sim/semantics/WgmmaLayout.h"

namespace hadal::sim {

StatusOr<MatrixDescriptor> decodeMatrixDescriptor(uint64_t bits,
                                                  WgmmaType type,
                                                  bool mnMajor) {
  constexpr uint64_t reserved = 3ull << 14 | 3ull << 30 | 7ull << 46 |
                                0x3ffull << 52;
  if (bits & reserved)
    return error(5014,
                 "wgmma: matrix descriptor {:#018x} has bits set that must be "
                 "zero ({:#018x}); build it from the fields of the PTX ISA",
                 bits, bits & reserved);
  unsigned base = static_cast<unsigned>(bits >> 49 & 7);
  if (base != 0)
    return error(5014,
                 "wgmma: matrix descriptor {:#018x} has base offset {}; "
                 "expected 0: the effect of another is not published, align "
                 "the tile to its swizzle pattern",
                 bits, base);
  if (mnMajor && wgmmaElementBytes(type) == 1)
    return error(5014, "wgmma: 8-bit operands are K-major only, but the "
                       "operand is MN-major");
  // The field counts the modes from the widest: 1 is 128 bytes.
  constexpr Swizzle modes[] = {Swizzle::none, Swizzle::b128, Swizzle::b64,
                               Swizzle::b32};
  MatrixDescriptor result;
  result.start = static_cast<uint32_t>(bits & 0x3fff) << 4;
  result.leadingOffset = static_cast<uint32_t>(bits >> 16 & 0x3fff) << 4;
  result.strideOffset = static_cast<uint32_t>(bits >> 32 & 0x3fff) << 4;
  result.swizzle = modes[bits >> 62];
  // With base offset 0 the pattern starts on its natural boundary, so the
  // line of the start inside the pattern is line 0.
  uint32_t pattern = swizzleSpan(result.swizzle) * 8;
  if (pattern && (result.start & (pattern - 1)) >= 128)
    return error(5014,
                 "wgmma: matrix descriptor {:#018x} starts at {:#x}, inside a "
                 "{}-byte swizzle pattern with base offset 0; expected a start "
                 "in the first 128 bytes of a pattern, align the tile to {}",
                 bits, result.start, pattern, pattern);
  return result;
}

/// Offset before the swizzle of byte |kb| of row |mn|, K contiguous.
static uint32_t kMajorOffset(const MatrixDescriptor &d, unsigned mn,
                             unsigned kb) {
  if (d.swizzle == Swizzle::none)
    return (mn & 7) * 16 + (mn >> 3) * d.strideOffset +
           (kb >> 4) * d.leadingOffset + (kb & 15);
  return (mn & 7) * swizzleSpan(d.swizzle) + (mn >> 3) * d.strideOffset + kb;
}

/// Offset before the swizzle of 2-byte element (mn, k), MN contiguous.
static uint32_t mnMajorOffset(const MatrixDescriptor &d, unsigned mn,
                              unsigned k) {
  if (d.swizzle == Swizzle::none) // the two offsets trade places
    return 2 * (mn & 7) + (mn >> 3) * d.strideOffset + (k & 7) * 16 +
           (k >> 3) * d.leadingOffset;
  uint32_t span = swizzleSpan(d.swizzle), perLine = span / 2;
  return 2 * (mn % perLine) + (mn / perLine) * d.leadingOffset +
         (k & 7) * span + (k >> 3) * d.strideOffset;
}

uint32_t operandAddress(const MatrixDescriptor &descriptor, WgmmaType type,
                        bool mnMajor, unsigned mn, unsigned k) {
  uint32_t offset =
      mnMajor ? mnMajorOffset(descriptor, mn, k)
              : kMajorOffset(descriptor, mn, k * wgmmaElementBytes(type));
  return static_cast<uint32_t>(
      swizzleAddress(descriptor.start + offset, descriptor.swizzle));
}

} // namespace hadal::sim
