// Cuts text into the words that BPE works on: for the pre-tokenizers of
// DeepSeek-V3 (and V2). Each supported regular expression
// of tokenizer.json has a hand-written matcher with the same matches: they need
// a look-ahead, which engines without backtracking lack, and run on text from
// outside, where an engine with backtracking could be made slow.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tokenizer/Unicode.h"

namespace hadal {

/// One step with behavior Isolated: matches and what lies between them become
/// pieces of their own.
struct SplitRule {
  enum class Kind : uint8_t {
    DigitGroups,   // \p{N}{1,3}
    Digit,         // the step Digits with individual_digits
    LineEnd,       // [\r\n]
    TrailingSpace, // \s+$
    ClassRun,      // [ranges]+, or \s?[ranges]+ with optionalSpace
    Words,         // the long alternation of DeepSeek-V3
  };
  /// First and last code point.
  using Range = std::pair<uint32_t, uint32_t>;

  Kind kind = Kind::Words;
  bool optionalSpace = false;
  std::vector<Range> ranges; // ascending and disjoint

  bool operator==(const SplitRule &) const = default;
};

/// The rule of a regular expression, or nullopt if there is no matcher for it.
/// Escaped and literal line ends are the same.
std::optional<SplitRule> parseSplitRule(std::string_view pattern);

class PreTokenizer {
public:
  explicit PreTokenizer(std::vector<SplitRule> rules = {})
      : rules_(std::move(rules)) {}

  /// Calls |emit| with each piece of |text|, which is valid UTF-8, in order.
  /// Each rule cuts the pieces of the rule before; it sees nothing outside its
  /// piece.
  void split(std::string_view text,
             const std::function<void(std::string_view)> &emit) const;

private:
  std::vector<SplitRule> rules_;
};

} // namespace hadal
