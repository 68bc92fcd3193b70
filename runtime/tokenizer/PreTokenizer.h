// Cuts text into the words that BPE works on. Each supported regular expression
// of tokenizer.json has a hand-written matcher with the same matches: they need
// a look-ahead, which engines without backtracking lack, and run on text from
// outside, where an engine with backtracking could be made slow.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/Unicode.h"

namespace hadal {

/// One `Split` step with behavior Isolated: matches and what lies between them
/// become pieces of their own.
enum class SplitRule : uint8_t {
  DigitGroups, // \p{N}{1,3}
  CjkRuns,     // [一-龥぀-ゟ゠-ヿ]+
  Words,       // the long alternation of DeepSeek-V3
};

/// The rule of a regular expression, or nullopt. Escaped and literal line ends
/// are the same.
std::optional<SplitRule> findSplitRule(std::string_view pattern);

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
