// Regular expressions of pre-tokenizers, with the meaning that the reference
// library's engine (Oniguruma) gives them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/tokenizer/CodePointSet.h"

namespace hadal {

/// A compiled expression. Alternatives are tried in order and repeats are
/// greedy, lazy or possessive, as written. Supported: literals, classes with
/// ranges, categories (\p{L}), \p{Han}, \s \d \w and their complements, nested classes
/// and `&&`, `.`, `^ $ \A \z`, groups, (?i:...) of ASCII, `|`, `? * + {n,m}`,
/// and look-ahead of one character. A lookbehind, a reference, anything else is
/// refused by name, as is a pattern that matches the empty text.
class SplitRegex {
public:
  /// H5009: what is not supported or malformed, and at which byte.
  static StatusOr<SplitRegex> compile(std::string_view pattern);
  /// Matches exactly |text|, which is UTF-8 and not empty.
  static SplitRegex literal(std::string_view text);
  /// Matches one character of |set|, or with |run| as many as follow.
  static SplitRegex ofSet(CodePointSet set, bool run);

private:
  friend class SplitRegexCompiler;
  friend class SplitMatcher;

  struct Instruction {
    enum Op : uint8_t {
      Set,       // one character of sets[a]
      Jump,      // to a
      Split,     // to a, or if that fails to b; c numbers the splits
      Run,       // as many of sets[a] as there are, at least b, at most c
      LineStart, // ^
      LineEnd,   // $
      TextStart, // \A
      TextEnd,   // \z
      Ahead,     // a character of sets[a] follows
      NotAhead,  // none of sets[a] follows
      Match,
    } op = Match;
    uint32_t a = 0, b = 0, c = 0;
  };

  std::vector<Instruction> program_;
  std::vector<CodePointSet> sets_;
  uint32_t numSplits_ = 0;
};

/// Finds matches of |regex| in one text. Backtracks, but tries no (instruction,
/// position) that failed before: a whole search for all matches takes time and
/// memory proportional to the text times the program, whatever they are.
class SplitMatcher {
public:
  /// A range of characters; empty: no match.
  struct Match {
    size_t begin = 0, end = 0;
  };

  explicit SplitMatcher(const SplitRegex &regex) : regex_(regex) {}

  /// Begins with another text, the whole of what the expression sees; it must
  /// outlive the searches.
  void reset(std::span<const uint32_t> text);
  /// The leftmost match at or after |from|, which may not decrease from call to
  /// call of one text.
  Match find(size_t from);

private:
  bool matchAt(size_t begin, size_t &end);

  struct Branch {
    uint32_t instruction;
    size_t position;
  };
  const SplitRegex &regex_;
  std::span<const uint32_t> text_;
  std::vector<uint64_t> failed_; // a bit per position and split
  std::vector<Branch> stack_;
};

} // namespace hadal
