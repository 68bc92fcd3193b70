#include "runtime/tokenizer/AddedTokenMatcher.h"

namespace hadal {

uint32_t AddedTokenMatcher::childOf(const Node &node, char byte) {
  for (const auto &[edge, child] : node.children)
    if (edge == byte)
      return child;
  return 0;
}

void AddedTokenMatcher::add(std::string_view token, int32_t id) {
  starts_[static_cast<uint8_t>(token.front())] = true;
  uint32_t node = 0;
  for (char byte : token) {
    uint32_t child = childOf(nodes_[node], byte);
    if (child == 0) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_[node].children.emplace_back(byte, child);
      nodes_.emplace_back();
    }
    node = child;
  }
  nodes_[node].id = id;
}

AddedTokenMatcher::Match AddedTokenMatcher::find(std::string_view text,
                                                 size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<uint8_t>(text[begin])])
      continue;
    Match longest;
    uint32_t node = 0;
    for (size_t at = begin; at < text.size(); ++at) {
      node = childOf(nodes_[node], text[at]);
      if (node == 0)
        break;
      if (int32_t id = nodes_[node].id; id >= 0)
        longest = {begin, at + 1, id};
    }
    if (longest.id >= 0)
      return longest;
  }
  return {text.size(), text.size(), -1};
}

} // namespace hadal
