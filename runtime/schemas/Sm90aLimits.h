// Limits of compute capability 9.0 that compiler and runtime hold each other to.
#pragma once

#include <cstdint>

namespace hadal::sm90a {

/// Shared memory that a block can have, in bytes.
inline constexpr uint32_t kMaxSharedBytes = 232448;

} // namespace hadal::sm90a
