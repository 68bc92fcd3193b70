// Tokens of PTX text.
#pragma once

#include <cstdint>
#include <string_view>

namespace hadal::sim {

struct Token {
  enum Kind : uint8_t {
    end,
    word,      ///< identifiers and opcodes with their modifiers: "add.s32"
    directive, ///< ".reg", with the dot
    integer,   ///< value
    floating,  ///< value = bits; `wide` for 0d and decimal literals
    string,
    punct, ///< one character
    bad,   ///< a character that PTX does not have
  } kind = end;
  bool wide = false;
  unsigned line = 0;
  uint64_t value = 0;
  std::string_view text;

  bool is(char c) const { return kind == punct && text[0] == c; }
  bool is(std::string_view t) const {
    return (kind == word || kind == directive) && text == t;
  }
};

class Lexer {
public:
  explicit Lexer(std::string_view text) : text(text) { advance(); }

  const Token &peek() const { return current; }
  Token next() {
    Token token = current;
    advance();
    return token;
  }
  /// Skips the rest of the line on which the current token stands.
  void skipLine();

private:
  void advance();
  void skipBlanks();
  void lexNumber();

  std::string_view text;
  size_t position = 0;
  unsigned line = 1;
  Token current;
};

} // namespace hadal::sim
