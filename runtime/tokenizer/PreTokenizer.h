// Cuts text into the words that BPE works on, by the steps of tokenizer.json's
// pre_tokenizer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/SplitRegex.h"

namespace hadal {

/// One step: what becomes of the matches of an expression and of what lies
/// between them.
struct SplitStep {
  enum class Behavior : uint8_t {
    Isolated,           // each is a piece of its own
    Removed,            // matches vanish
    MergedWithPrevious, // a match ends the piece before it
    MergedWithNext,     // a match begins the piece after it
    Contiguous,         // matches beside each other are one piece
  };

  SplitRegex regex;
  Behavior behavior = Behavior::Isolated;
  /// What lies between the matches counts as a match, and the other way round.
  bool invert = false;
};

/// The step ByteLevel, which is the last: a space may be put before each piece
/// that does not begin with one, and the result be cut once more.
struct ByteLevelStep {
  bool addPrefixSpace = false;
  std::optional<SplitRegex> regex;
};

class PreTokenizer {
public:
  explicit PreTokenizer(std::vector<SplitStep> steps = {},
                        ByteLevelStep last = {})
      : steps_(std::move(steps)), last_(std::move(last)) {}

  /// Calls |emit| with each piece of |text|, which is valid UTF-8, in order.
  /// Each step cuts the pieces of the step before; it sees nothing outside its
  /// piece.
  void split(std::string_view text,
             const std::function<void(std::string_view)> &emit) const;

private:
  std::vector<SplitStep> steps_;
  ByteLevelStep last_;
};

} // namespace hadal
