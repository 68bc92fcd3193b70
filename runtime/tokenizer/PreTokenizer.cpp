#include "runtime/tokenizer/PreTokenizer.h"

#include <algorithm>
#include <iterator>

namespace hadal {

namespace {

/// As in tokenizer.json, with escaped line ends.
constexpr struct {
  std::string_view pattern;
  SplitRule rule;
} kPatterns[] = {
    {R"(\p{N}{1,3})", SplitRule::DigitGroups},
    {"[一-龥぀-ゟ゠-ヿ]+", SplitRule::CjkRuns},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
     R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
     R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::Words},
};

/// One character of the text.
struct Character {
  uint32_t codePoint;
  CharClass kind;
  size_t offset; // in bytes
};

/// A range of characters.
struct Match {
  size_t begin, end;
};

bool isAsciiLetter(uint32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
bool isAsciiPunctuation(uint32_t c) {
  return c >= 0x21 && c <= 0x7E && !isAsciiLetter(c) && !(c >= '0' && c <= '9');
}
bool isLineEnd(uint32_t c) { return c == '\r' || c == '\n'; }
bool isCjk(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

/// Finds matches in the characters [begin, end) of |text|. Every find runs in
/// time linear in the characters it passes, so that a split is linear.
class Matcher {
public:
  explicit Matcher(const std::vector<Character> &text) : text_(text) {}

  /// The leftmost match at or after |from|; empty at |end| if there is none.
  Match find(SplitRule rule, size_t from, size_t end) const {
    for (size_t at = from; at < end; ++at) {
      size_t matchEnd = matchAt(rule, at, end);
      if (matchEnd > at)
        return {at, matchEnd};
    }
    return {end, end};
  }

private:
  size_t matchAt(SplitRule rule, size_t at, size_t end) const {
    switch (rule) {
    case SplitRule::DigitGroups:
      return skip(at, std::min(end, at + 3), [](const Character &c) {
        return c.kind == CharClass::Number;
      });
    case SplitRule::CjkRuns:
      return skip(at, end,
                  [](const Character &c) { return isCjk(c.codePoint); });
    case SplitRule::Words:
      return matchWord(at, end);
    }
    return at;
  }

  /// The end of the match of the long alternation at |at|, or |at|. The first
  /// alternative that matches wins.
  size_t matchWord(size_t at, size_t end) const {
    const Character &first = text_[at];
    // [!"#$...~][A-Za-z]+
    if (isAsciiPunctuation(first.codePoint)) {
      size_t to = skip(at + 1, end, [](const Character &c) {
        return isAsciiLetter(c.codePoint);
      });
      if (to > at + 1)
        return to;
    }
    // [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ : a mark is taken by either half,
    // with the same end.
    auto isLetterOrMark = [](const Character &c) {
      return c.kind == CharClass::Letter || c.kind == CharClass::Mark;
    };
    auto isPunctuationOrSymbol = [](const Character &c) {
      return c.kind == CharClass::Punctuation || c.kind == CharClass::Symbol;
    };
    if (isLetterOrMark(first))
      return skip(at + 1, end, isLetterOrMark);
    if (!isLineEnd(first.codePoint) && !isPunctuationOrSymbol(first)) {
      size_t to = skip(at + 1, end, isLetterOrMark);
      if (to > at + 1)
        return to;
    }
    // ?[\p{P}\p{S}]+[\r\n]* with an optional space before.
    size_t from = first.codePoint == ' ' ? at + 1 : at;
    size_t to = skip(from, end, isPunctuationOrSymbol);
    if (to > from)
      return skip(to, end,
                  [](const Character &c) { return isLineEnd(c.codePoint); });
    if (first.kind != CharClass::Space)
      return at;
    // \s*[\r\n]+ : through the last line end of the run of white space.
    size_t runEnd = skip(
        at, end, [](const Character &c) { return c.kind == CharClass::Space; });
    for (size_t i = runEnd; i > at; --i)
      if (isLineEnd(text_[i - 1].codePoint))
        return i;
    // \s+(?!\S) : leaves the last space to the word after it; \s+ takes a
    // single one.
    return runEnd < end && runEnd > at + 1 ? runEnd - 1 : runEnd;
  }

  template <typename Predicate>
  size_t skip(size_t at, size_t end, Predicate predicate) const {
    while (at < end && predicate(text_[at]))
      ++at;
    return at;
  }

  const std::vector<Character> &text_;
};

} // namespace

std::optional<SplitRule> findSplitRule(std::string_view pattern) {
  std::string escaped;
  for (char c : pattern) {
    if (c == '\r')
      escaped += "\\r";
    else if (c == '\n')
      escaped += "\\n";
    else
      escaped += c;
  }
  for (const auto &known : kPatterns)
    if (escaped == known.pattern)
      return known.rule;
  return std::nullopt;
}

void PreTokenizer::split(
    std::string_view text,
    const std::function<void(std::string_view)> &emit) const {
  std::vector<Character> characters;
  characters.reserve(text.size() + 1);
  for (size_t offset = 0; offset < text.size();) {
    Utf8Character c = decodeUtf8(text.substr(offset));
    characters.push_back({c.codePoint, charClass(c.codePoint), offset});
    offset += c.bytes;
  }
  size_t count = characters.size();
  characters.push_back({0, CharClass::Other, text.size()});

  Matcher matcher(characters);
  // Depth-first over the rules, so that pieces come out in order; one level
  // per rule.
  auto cut = [&](auto &self, size_t rule, size_t begin, size_t end) -> void {
    if (begin == end)
      return;
    if (rule == rules_.size()) {
      size_t from = characters[begin].offset;
      emit(text.substr(from, characters[end].offset - from));
      return;
    }
    while (begin < end) {
      Match match = matcher.find(rules_[rule], begin, end);
      self(self, rule + 1, begin, match.begin);
      self(self, rule + 1, match.begin, match.end);
      begin = match.end;
    }
  };
  cut(cut, 0, 0, count);
}

} // namespace hadal
