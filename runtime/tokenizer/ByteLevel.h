// The byte alphabet of GPT-2: tokenizer.json spells a token with one printable
// character per byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hadal {

/// The character that stands for |byte|: itself where it is printable in
/// Latin-1, else the next of U+0100...
uint32_t byteLevelCharacter(uint8_t byte);

/// The bytes that |spelling| stands for; nullopt if it is no UTF-8 or has a
/// character outside the alphabet.
std::optional<std::string> byteLevelBytes(std::string_view spelling);

} // namespace hadal
