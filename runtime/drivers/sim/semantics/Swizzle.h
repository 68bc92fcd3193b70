// The shared-memory swizzle of TMA and wgmma (PTX ISA, "swizzling modes"):
// 16-byte chunks move inside a line of 128, 64 or 32 bytes.
#pragma once

#include <cstdint>

namespace hadal::sim {

/// Number of address bits that take part: 0 (none) .. 3 (128-byte lines).
enum class Swizzle : uint8_t { none = 0, b32 = 1, b64 = 2, b128 = 3 };

/// The line length in bytes; 0 for none.
constexpr uint32_t swizzleSpan(Swizzle mode) {
  return mode == Swizzle::none ? 0 : 16u << static_cast<unsigned>(mode);
}

/// The physical address of logical address |x|: bits 7.. are XORed into bits
/// 4.. of the absolute shared-memory address.
constexpr uint64_t swizzleAddress(uint64_t x, Swizzle mode) {
  uint64_t mask = (1ull << static_cast<unsigned>(mode)) - 1;
  return x ^ (((x >> 7) & mask) << 4);
}

} // namespace hadal::sim
