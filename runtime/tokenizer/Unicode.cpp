#include "runtime/tokenizer/Unicode.h"

namespace hadal {

Utf8Character decodeUtf8(std::string_view text) {
  Utf8Character result;
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(0);
  result.bytes = 1;
  if (lead < 0x80) {
    result.codePoint = lead;
    result.state = Utf8Character::Valid;
    return result;
  }
  size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                  : lead >= 0xE0 && lead <= 0xEF ? 3
                  : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                 : 0;
  if (length == 0)
    return result;
  // The second byte's range shuts out overlong forms, surrogates and values
  // beyond U+10FFFF (Unicode 16, table 3-7).
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t codePoint = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) {
      result.state = Utf8Character::Incomplete;
      return result;
    }
    if (byte(i) < low || byte(i) > high)
      return result;
    low = 0x80;
    high = 0xBF;
    codePoint = codePoint << 6 | (byte(i) & 0x3F);
    result.bytes = static_cast<uint8_t>(i + 1);
  }
  result.codePoint = codePoint;
  result.state = Utf8Character::Valid;
  return result;
}

void appendUtf8(std::string &text, uint32_t codePoint) {
  if (codePoint < 0x80) {
    text += static_cast<char>(codePoint);
    return;
  }
  int continuation = codePoint < 0x800 ? 1 : codePoint < 0x10000 ? 2 : 3;
  uint8_t lead = static_cast<uint8_t>(0xFF00 >> (continuation + 1));
  text += static_cast<char>(lead | codePoint >> (6 * continuation));
  while (continuation-- > 0)
    text +=
        static_cast<char>(0x80 | ((codePoint >> (6 * continuation)) & 0x3F));
}

} // namespace hadal
