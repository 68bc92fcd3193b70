#include "runtime/chat/Lexer.h"

#include <algorithm>
#include <array>

#include "runtime/chat/Text.h"
#include "runtime/tokenizer/Unicode.h"

namespace hadal::chat {

namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Every line ends in "\n", and the last end of line is dropped.
std::string normalizeLines(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n')
      continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

class Lexer {
public:
  explicit Lexer(std::string_view source) : text_(normalizeLines(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size())
      readData();
    add(Token::End, at_, "");
    return std::move(tokens_);
  }

private:
  [[noreturn]] void fail(size_t at, std::string message) {
    throw SyntaxError{positionOf(at), std::move(message)};
  }

  Position positionOf(size_t at) {
    // Asked in ascending order but for errors.
    if (at < counted_)
      counted_ = 0, position_ = {};
    for (; counted_ < at; ++counted_) {
      if (text_[counted_] == '\n')
        ++position_.line, position_.column = 1;
      else if ((static_cast<uint8_t>(text_[counted_]) & 0xC0) != 0x80)
        ++position_.column;
    }
    return position_;
  }

  void add(Token::Kind kind, size_t at, std::string text) {
    tokens_.push_back({kind, std::move(text), positionOf(at)});
  }
  bool follows(std::string_view what, size_t at) const {
    return std::string_view(text_).substr(at, what.size()) == what;
  }
  size_t skipSpace(size_t at) const {
    while (at < text_.size()) {
      const Utf8Character c = decodeUtf8(std::string_view(text_).substr(at));
      if (!isSpace(c.codePoint))
        break;
      at += c.bytes;
    }
    return at;
  }

  /// Adds text_[begin, end), which stands before a tag with |sign|.
  void addData(size_t begin, size_t end, char sign, bool isVariable) {
    std::string_view data = std::string_view(text_).substr(begin, end - begin);
    std::string kept;
    if (sign == '-') {
      kept = strip(Text(data, true), false, true).bytes();
    } else {
      kept = data;
      const size_t line = data.rfind('\n') + 1; // 0 if there is none
      const bool starts = line > 0 || begin == 0 || text_[begin - 1] == '\n';
      if (sign != '+' && !isVariable && starts &&
          skipSpace(begin + line) >= end)
        kept.resize(line);
    }
    if (!kept.empty())
      add(Token::Data, begin, std::move(kept));
  }

  /// Text up to the next tag, and the tag.
  void readData() {
    const size_t begin = at_;
    size_t tag = begin;
    for (;; ++tag) {
      tag = text_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= text_.size()) {
        add(Token::Data, begin, text_.substr(begin));
        at_ = text_.size();
        return;
      }
      const char next = text_[tag + 1];
      if (next == '{' || next == '%' || next == '#')
        break;
    }
    const char kind = text_[tag + 1];
    at_ = tag + 2;
    char sign = 0;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+'))
      sign = text_[at_];
    addData(begin, tag, sign, kind == '{');
    // In an expression `+` may also be a sign, but jinja2 takes it too.
    if (sign)
      ++at_;
    if (kind == '#')
      return readComment(tag);
    if (kind == '%' && isRawTag("raw", at_))
      return readRaw(tag);
    add(kind == '%' ? Token::BlockBegin : Token::VariableBegin, tag, "");
    readTag(kind == '%', tag);
  }

  void readComment(size_t tag) {
    const size_t end = text_.find("#}", at_);
    if (end == std::string::npos)
      fail(tag, "the comment has no end '#}'");
    endTag(end + 2, end > at_ ? text_[end - 1] : 0, true);
  }

  /// Goes behind the end of a tag, whose sign is |sign|.
  void endTag(size_t behind, char sign, bool trims) {
    at_ = behind;
    if (sign == '-')
      at_ = skipSpace(at_);
    else if (sign != '+' && trims && at_ < text_.size() && text_[at_] == '\n')
      ++at_;
  }

  /// Whether `raw %}` or `endraw %}` stands at |at|; sets where it ends.
  bool isRawTag(std::string_view word, size_t at) {
    at = skipSpace(at);
    if (!follows(word, at))
      return false;
    at = skipSpace(at + word.size());
    rawSign_ = 0;
    if (follows("-%}", at) || (word == "endraw" && follows("+%}", at)))
      rawSign_ = text_[at++];
    rawEnd_ = at + 2;
    return follows("%}", at);
  }

  void readRaw(size_t tag) {
    endTag(rawEnd_, rawSign_, false);
    for (size_t end = at_;; ++end) {
      end = text_.find("{%", end);
      if (end == std::string::npos)
        fail(tag, "the raw block has no end '{% endraw %}'");
      size_t inside = end + 2;
      char sign = 0;
      if (inside < text_.size() &&
          (text_[inside] == '-' || text_[inside] == '+'))
        sign = text_[inside++];
      if (!isRawTag("endraw", inside))
        continue;
      addData(at_, end, sign, false);
      return endTag(rawEnd_, rawSign_, true);
    }
  }

  void readTag(bool isBlock, size_t tag) {
    const std::string_view close = isBlock ? "%}" : "}}";
    std::string open; // closing brackets that are awaited
    for (;;) {
      at_ = skipSpace(at_);
      if (at_ >= text_.size())
        fail(tag, fmt::format("the tag has no end '{}'", close));
      if (open.empty()) {
        const bool isSigned =
            text_[at_] == '-' || (isBlock && text_[at_] == '+');
        if (follows(close, at_) || (isSigned && follows(close, at_ + 1))) {
          add(isBlock ? Token::BlockEnd : Token::VariableEnd, at_, "");
          return endTag(at_ + 2 + isSigned, isSigned ? text_[at_] : 0, isBlock);
        }
      }
      readToken(open);
    }
  }

  void readToken(std::string &open) {
    const char c = text_[at_];
    if (isDigit(c))
      return readNumber();
    if (isNameStart(c)) {
      size_t end = at_;
      while (end < text_.size() &&
             (isNameStart(text_[end]) || isDigit(text_[end])))
        ++end;
      add(Token::Name, at_, text_.substr(at_, end - at_));
      at_ = end;
      return;
    }
    if (c == '\'' || c == '"')
      return readString(c);
    static constexpr std::array<std::string_view, 26> kOperators = {
        "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view each : kOperators) {
      if (!follows(each, at_))
        continue;
      if (each == "(" || each == "[" || each == "{")
        open += each == "(" ? ')' : each == "[" ? ']' : '}';
      if (each == ")" || each == "]" || each == "}") {
        if (open.empty() || open.back() != each[0])
          fail(at_, fmt::format("unexpected '{}'", each));
        open.pop_back();
      }
      add(Token::Operator, at_, std::string(each));
      at_ += each.size();
      return;
    }
    const Utf8Character character =
        decodeUtf8(std::string_view(text_).substr(at_));
    fail(at_, fmt::format("the character '{}' has no meaning here",
                          text_.substr(at_, character.bytes)));
  }

  /// Digits, single `_` between them.
  size_t digits(size_t at, auto isOne) const {
    size_t end = at;
    while (end < text_.size() &&
           (isOne(text_[end]) ||
            (text_[end] == '_' && end > at && end + 1 < text_.size() &&
             isOne(text_[end + 1]))))
      ++end;
    return end;
  }

  void readNumber() {
    const size_t begin = at_;
    Token::Kind kind = Token::Integer;
    if (text_[at_] == '0' && at_ + 1 < text_.size() &&
        std::string_view("xXoObB").find(text_[at_ + 1]) !=
            std::string_view::npos)
      fail(begin, "numbers of another base than 10 are not supported");
    at_ = digits(at_, isDigit);
    if (at_ + 1 < text_.size() && text_[at_] == '.' &&
        isDigit(text_[at_ + 1])) {
      kind = Token::Float;
      at_ = digits(at_ + 1, isDigit);
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      size_t power = at_ + 1;
      if (power < text_.size() && (text_[power] == '-' || text_[power] == '+'))
        ++power;
      if (power < text_.size() && isDigit(text_[power])) {
        kind = Token::Float;
        at_ = digits(power, isDigit);
      }
    }
    std::string number = text_.substr(begin, at_ - begin);
    std::erase(number, '_');
    if (kind == Token::Integer && number.size() > 1 && number[0] == '0' &&
        number.find_first_not_of('0') != std::string::npos)
      fail(begin, fmt::format("the number '{}' begins with 0", number));
    add(kind, begin, std::move(number));
  }

  void readString(char quote) {
    const size_t begin = at_++;
    std::string value;
    for (;; ++at_) {
      if (at_ >= text_.size())
        fail(begin, "the string has no end");
      if (text_[at_] == quote)
        break;
      if (text_[at_] != '\\')
        value += text_[at_];
      else if (++at_ < text_.size())
        readEscape(value);
    }
    ++at_;
    add(Token::String, begin, std::move(value));
  }

  /// Behind a backslash; stays at the last character of the escape.
  void readEscape(std::string &value) {
    const char c = text_[at_];
    static constexpr std::string_view kSimple =
        "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    for (size_t i = 0; i < kSimple.size(); i += 2)
      if (kSimple[i] == c) {
        value += kSimple[i + 1];
        return;
      }
    if (c == '\n')
      return;
    uint32_t codePoint = 0;
    if (c >= '0' && c <= '7') {
      size_t end = at_;
      for (; end < text_.size() && end < at_ + 3 && text_[end] >= '0' &&
             text_[end] <= '7';
           ++end)
        codePoint = codePoint * 8 + static_cast<uint32_t>(text_[end] - '0');
      at_ = end - 1;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      for (size_t i = 1; i <= count; ++i) {
        const char digit = at_ + i < text_.size() ? text_[at_ + i] : ' ';
        const size_t digitValue = std::string_view("0123456789abcdef")
                                      .find(static_cast<char>(digit | 0x20));
        if (digitValue == std::string_view::npos || digit < '0')
          fail(at_,
               fmt::format("'\\{}' wants {} hexadecimal digits", c, count));
        codePoint = codePoint * 16 + static_cast<uint32_t>(digitValue);
      }
      at_ += count;
    } else if (c == 'N') {
      fail(at_, "'\\N{...}' is not supported; write the character itself");
    } else {
      value += '\\';
      value += c;
      return;
    }
    if (codePoint > 0x10FFFF || (codePoint >= 0xD800 && codePoint < 0xE000))
      fail(at_, "the escape names no character");
    appendUtf8(value, codePoint);
  }

  std::string text_;
  size_t at_ = 0, counted_ = 0, rawEnd_ = 0;
  char rawSign_ = 0;
  Position position_;
  std::vector<Token> tokens_;
};

} // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

} // namespace hadal::chat
