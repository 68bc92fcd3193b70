// The checksum of artifacts.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hadal {

/// XXH3-64 with seed 0: detects accidents, not attacks.
uint64_t xxh3(std::span<const uint8_t> bytes);
uint64_t xxh3(std::string_view bytes);

} // namespace hadal
