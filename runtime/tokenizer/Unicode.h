// UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hadal {

/// What decodeUtf8 found at the front of a text.
struct Utf8Character {
  uint32_t codePoint = 0;
  /// Bytes of the character; of a malformed one, of its longest valid prefix,
  /// at least 1 (the unit that U+FFFD replaces).
  uint8_t bytes = 0;
  enum : uint8_t {
    Valid,
    Invalid,
    Incomplete, // valid so far, but the text ends inside the character
  } state = Invalid;
};

/// Reads the first character of |text|, which is not empty. Overlong forms,
/// surrogates and values above U+10FFFF are malformed.
Utf8Character decodeUtf8(std::string_view text);

void appendUtf8(std::string &text, uint32_t codePoint);

/// U+FFFD in UTF-8.
inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

} // namespace hadal
