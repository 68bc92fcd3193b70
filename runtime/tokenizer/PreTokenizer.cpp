#include "runtime/tokenizer/PreTokenizer.h"

#include <algorithm>
#include <iterator>

namespace hadal {

namespace {

using Kind = SplitRule::Kind;

/// As in tokenizer.json, with escaped line ends.
constexpr struct {
  std::string_view pattern;
  Kind kind;
} kPatterns[] = {
    {R"(\p{N}{1,3})", Kind::DigitGroups},
    {R"([\r\n])", Kind::LineEnd},
    {R"(\s+$)", Kind::TrailingSpace},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+)"
     R"(|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
     R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     Kind::Words},
};

/// Parses `[...]+` or `\s?[...]+` with literal characters and ranges of them.
std::optional<SplitRule> parseClassRun(std::string_view pattern) {
  SplitRule rule;
  rule.kind = Kind::ClassRun;
  if (pattern.starts_with("\\s?")) {
    rule.optionalSpace = true;
    pattern.remove_prefix(3);
  }
  if (pattern.size() < 4 || !pattern.starts_with('[') ||
      !pattern.ends_with("]+"))
    return std::nullopt;
  pattern = pattern.substr(1, pattern.size() - 3);
  // Characters with a meaning of their own in a class have no business here.
  auto takeLiteral = [&]() -> std::optional<uint32_t> {
    if (pattern.empty())
      return std::nullopt;
    Utf8Character c = decodeUtf8(pattern);
    if (c.state != Utf8Character::Valid ||
        (c.codePoint < 0x80 &&
         std::string_view("[]\\^&-").find(static_cast<char>(c.codePoint)) !=
             std::string_view::npos))
      return std::nullopt;
    pattern.remove_prefix(c.bytes);
    return c.codePoint;
  };
  while (!pattern.empty()) {
    std::optional<uint32_t> first = takeLiteral(), last = first;
    if (first && pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      last = takeLiteral();
    }
    if (!first || !last || *last < *first)
      return std::nullopt;
    rule.ranges.emplace_back(*first, *last);
  }
  std::sort(rule.ranges.begin(), rule.ranges.end());
  std::vector<SplitRule::Range> merged;
  for (const SplitRule::Range &range : rule.ranges) {
    if (!merged.empty() && range.first <= merged.back().second)
      merged.back().second = std::max(merged.back().second, range.second);
    else
      merged.push_back(range);
  }
  rule.ranges = std::move(merged);
  return rule;
}

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
bool contains(const std::vector<SplitRule::Range> &ranges, uint32_t c) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                [](uint32_t value, const SplitRule::Range &r) {
                                  return value < r.first;
                                });
  return after != ranges.begin() && c <= std::prev(after)->second;
}

/// Finds matches in the characters [begin, end) of |text|. Every find runs in
/// time linear in the characters it passes, so that a split is linear.
class Matcher {
public:
  explicit Matcher(const std::vector<Character> &text) : text_(text) {}

  /// The leftmost match at or after |from|; empty at |end| if there is none.
  Match find(const SplitRule &rule, size_t from, size_t end) const {
    if (rule.kind == Kind::TrailingSpace) {
      size_t begin = end;
      while (begin > from && isSpace(text_[begin - 1]))
        --begin;
      return {begin, end};
    }
    for (size_t at = from; at < end; ++at) {
      size_t matchEnd = matchAt(rule, at, end);
      if (matchEnd > at)
        return {at, matchEnd};
    }
    return {end, end};
  }

private:
  static bool isSpace(const Character &c) { return c.kind == CharClass::Space; }
  static bool isNumber(const Character &c) {
    return c.kind == CharClass::Number;
  }
  /// The reference takes the step Digits from a newer Unicode (17) than its
  /// regular expressions (16): these numbers were added in between.
  static bool isDigit(const Character &c) {
    return isNumber(c) || (c.codePoint >= 0x11DE0 && c.codePoint <= 0x11DE9) ||
           (c.codePoint >= 0x16FF4 && c.codePoint <= 0x16FF6);
  }

  /// The end of the match at |at|, or |at|.
  size_t matchAt(const SplitRule &rule, size_t at, size_t end) const {
    switch (rule.kind) {
    case Kind::DigitGroups:
      return skip(at, std::min(end, at + 3), isNumber);
    case Kind::Digit:
      return skip(at, at + 1, isDigit);
    case Kind::LineEnd:
      return isLineEnd(text_[at].codePoint) ? at + 1 : at;
    case Kind::ClassRun: {
      size_t from = at + (rule.optionalSpace && isSpace(text_[at]) &&
                          !contains(rule.ranges, text_[at].codePoint));
      size_t to = skip(from, end, [&](const Character &c) {
        return contains(rule.ranges, c.codePoint);
      });
      return to > from ? to : at;
    }
    case Kind::Words:
      return matchWord(at, end);
    case Kind::TrailingSpace:
      break;
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

std::optional<SplitRule> parseSplitRule(std::string_view pattern) {
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
    if (escaped == known.pattern) {
      SplitRule rule;
      rule.kind = known.kind;
      return rule;
    }
  return parseClassRun(escaped);
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
