#include "runtime/tokenizer/ByteLevel.h"

#include <array>

#include "runtime/tokenizer/Unicode.h"

namespace hadal {

namespace {

struct Alphabet {
  std::array<uint32_t, 256> character;
  std::array<int16_t, 512> byte; // -1: not in the alphabet

  Alphabet() {
    byte.fill(-1);
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; ++b) {
      bool printable =
          (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[b] = printable ? b : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet &alphabet() {
  static const Alphabet instance;
  return instance;
}

} // namespace

uint32_t byteLevelCharacter(uint8_t byte) { return alphabet().character[byte]; }

std::optional<std::string> byteLevelBytes(std::string_view spelling) {
  std::string bytes;
  while (!spelling.empty()) {
    Utf8Character character = decodeUtf8(spelling);
    if (character.state != Utf8Character::Valid ||
        character.codePoint >= alphabet().byte.size() ||
        alphabet().byte[character.codePoint] < 0)
      return std::nullopt;
    bytes += static_cast<char>(alphabet().byte[character.codePoint]);
    spelling.remove_prefix(character.bytes);
  }
  return bytes;
}

} // namespace hadal
