// Ends a stream of text at the first of some strings, and lets nothing out that
// may yet be part of one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::engine {

/// The match is the one that ends first, the longest of those that end at one
/// byte. However a text is cut into pieces, what comes out is the same.
class StopMatcher {
public:
  /// |strings|: none empty.
  explicit StopMatcher(std::span<const std::string> strings);

  struct Result {
    /// What may go out: all but the longest suffix that begins a string. With a
    /// match all before it.
    std::string text;
    /// The string found: its number. Nothing may follow.
    std::optional<size_t> match;
  };
  /// |armed|: else strings that end in |piece| are passed over, while those
  /// that begin in it still count.
  Result push(std::string_view piece, bool armed = true);
  /// What is held back, at the end of the text.
  std::string finish();

private:
  struct Pattern {
    std::string text;
    /// Of each prefix, the longest proper one that is also its suffix (Knuth,
    /// Morris, Pratt).
    std::vector<uint32_t> border;
    uint32_t matched = 0;
  };
  std::vector<Pattern> patterns_;
  std::string held_;
};

} // namespace hadal::engine
