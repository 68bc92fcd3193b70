// Overflow-checked 64-bit arithmetic for sizes that come from a file.
#pragma once

#include <cstdint>
#include <optional>

namespace hadal {

inline std::optional<uint64_t> checkedAdd(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_add_overflow(a, b, &r))
    return std::nullopt;
  return r;
}

inline std::optional<uint64_t> checkedMul(uint64_t a, uint64_t b) {
  uint64_t r;
  if (__builtin_mul_overflow(a, b, &r))
    return std::nullopt;
  return r;
}

/// Rounds |a| up to a multiple of |align|, a power of two.
inline std::optional<uint64_t> checkedAlignUp(uint64_t a, uint64_t align) {
  std::optional<uint64_t> r = checkedAdd(a, align - 1);
  if (r)
    *r &= ~(align - 1);
  return r;
}

} // namespace hadal
