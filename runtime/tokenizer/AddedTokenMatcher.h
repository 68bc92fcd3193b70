// Finds added tokens (control tokens) in text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal {

/// A trie over the bytes of the tokens. The work per position is bounded by the
/// longest token.
class AddedTokenMatcher {
public:
  struct Match {
    size_t begin = 0, end = 0;
    int32_t id = -1; // -1: none
  };

  void add(std::string_view token, int32_t id);

  /// The leftmost, then longest token at or after |from|.
  Match find(std::string_view text, size_t from) const;

private:
  struct Node {
    int32_t id = -1;
    std::vector<std::pair<char, uint32_t>> children;
  };
  /// The index of a child, or 0 (the root is nobody's child).
  static uint32_t childOf(const Node &node, char byte);

  std::vector<Node> nodes_ = {Node()};
  std::array<bool, 256> starts_ = {}; // bytes that begin a token
};

} // namespace hadal
