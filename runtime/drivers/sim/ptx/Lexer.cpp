#include "runtime/drivers/sim/ptx/Lexer.h"

#include <bit>
#include <charconv>
#include <cstdlib>
#include <string>

namespace hadal::sim {
namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isHex(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool isWordStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '$' || c == '%';
}
bool isWordPart(char c) { return isWordStart(c) || isDigit(c); }

} // namespace

void Lexer::skipBlanks() {
  while (position < text.size()) {
    char c = text[position];
    if (c == '\n') {
      ++line;
      ++position;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position;
    } else if (text.substr(position, 2) == "//") {
      while (position < text.size() && text[position] != '\n')
        ++position;
    } else if (text.substr(position, 2) == "/*") {
      size_t close = text.find("*/", position + 2);
      size_t stop = close == text.npos ? text.size() : close + 2;
      for (; position < stop; ++position)
        line += text[position] == '\n';
    } else {
      return;
    }
  }
}

void Lexer::skipLine() {
  unsigned start = current.line;
  while (current.kind != Token::end && current.line == start)
    advance();
}

void Lexer::lexNumber() {
  size_t start = position;
  std::string_view rest = text.substr(position);
  current.kind = Token::integer;
  auto radix = [&](unsigned base, size_t prefix, size_t most) {
    size_t used = prefix;
    uint64_t value = 0;
    while (used < rest.size() && used - prefix < most && isHex(rest[used])) {
      unsigned digit = isDigit(rest[used]) ? rest[used] - '0'
                                           : (rest[used] | 32) - 'a' + 10;
      if (digit >= base)
        break;
      value = value * base + digit;
      ++used;
    }
    current.value = value;
    position += used;
  };
  if (rest.size() > 1 && rest[0] == '0' && (rest[1] | 32) == 'x')
    radix(16, 2, 16);
  else if (rest.size() > 1 && rest[0] == '0' && (rest[1] | 32) == 'b')
    radix(2, 2, 64);
  else if (rest.size() > 1 && rest[0] == '0' && (rest[1] | 32) == 'f') {
    radix(16, 2, 8);
    current.kind = Token::floating;
  } else if (rest.size() > 1 && rest[0] == '0' && (rest[1] | 32) == 'd') {
    radix(16, 2, 16);
    current.kind = Token::floating;
    current.wide = true;
  } else {
    size_t used = 0;
    while (used < rest.size() && isDigit(rest[used]))
      ++used;
    if (used < rest.size() && rest[used] == '.' && used + 1 < rest.size() &&
        isDigit(rest[used + 1])) {
      ++used;
      while (used < rest.size() && isDigit(rest[used]))
        ++used;
      if (used < rest.size() && (rest[used] | 32) == 'e') {
        ++used;
        if (used < rest.size() && (rest[used] == '-' || rest[used] == '+'))
          ++used;
        while (used < rest.size() && isDigit(rest[used]))
          ++used;
      }
      current.kind = Token::floating;
      current.wide = true;
      current.value = std::bit_cast<uint64_t>(
          std::strtod(std::string(rest.substr(0, used)).c_str(), nullptr));
      position += used;
    } else if (used > 1 && rest[0] == '0') {
      radix(8, 1, 22);
    } else {
      std::from_chars(rest.data(), rest.data() + used, current.value);
      position += used;
    }
  }
  if (position < text.size() && text[position] == 'U')
    ++position;
  if (position < text.size() && isWordPart(text[position]))
    current.kind = Token::bad;
  current.text = text.substr(start, position - start);
}

void Lexer::advance() {
  skipBlanks();
  current = {};
  current.line = line;
  if (position >= text.size())
    return;
  size_t start = position;
  char c = text[position];
  bool dotted = c == '.' && position + 1 < text.size() &&
                isWordStart(text[position + 1]);
  if (isWordStart(c) || dotted) {
    current.kind = dotted ? Token::directive : Token::word;
    ++position;
    while (position < text.size()) {
      char p = text[position];
      if (isWordPart(p)) {
        ++position;
      } else if (text.substr(position, 2) == "::" &&
                 position + 2 < text.size() &&
                 isWordStart(text[position + 2])) {
        position += 2;
      } else if (p == '.' && !dotted && position + 1 < text.size() &&
                 isWordPart(text[position + 1])) {
        ++position;
      } else {
        break;
      }
    }
    current.text = text.substr(start, position - start);
  } else if (isDigit(c)) {
    lexNumber();
  } else if (c == '"') {
    size_t close = text.find('"', position + 1);
    if (close == text.npos)
      close = text.size() - 1;
    for (; position <= close; ++position)
      line += text[position] == '\n';
    current.kind = Token::string;
    current.text = text.substr(start, position - start);
  } else {
    static constexpr std::string_view known = "{}()[]<>,;:+-|!@=*";
    current.kind =
        known.find(c) == known.npos ? Token::bad : Token::punct;
    current.text = text.substr(start, 1);
    ++position;
  }
}

} // namespace hadal::sim
