#include "runtime/engine/StopMatcher.h"

#include <algorithm>
#include <utility>

namespace hadal::engine {

StopMatcher::StopMatcher(std::span<const std::string> strings) {
  for (const std::string &text : strings) {
    Pattern p;
    p.text = text;
    p.border.resize(text.size() + 1);
    uint32_t border = 0;
    for (size_t i = 1; i < text.size(); ++i) {
      while (border && text[i] != text[border])
        border = p.border[border];
      border += text[i] == text[border];
      p.border[i + 1] = border;
    }
    patterns_.push_back(std::move(p));
  }
}

StopMatcher::Result StopMatcher::push(std::string_view piece, bool armed) {
  if (patterns_.empty())
    return {std::string(piece), std::nullopt};
  Result result;
  for (char c : piece) {
    held_ += c;
    std::optional<size_t> match;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      Pattern &p = patterns_[i];
      while (p.matched && p.text[p.matched] != c)
        p.matched = p.border[p.matched];
      p.matched += p.text[p.matched] == c;
      if (p.matched < p.text.size())
        continue;
      if (!match || p.text.size() > patterns_[*match].text.size())
        match = i;
      // As long as it is whole there is no next byte to compare.
      p.matched = p.border[p.matched];
    }
    if (match && armed) {
      held_.resize(held_.size() - patterns_[*match].text.size());
      result.text += std::exchange(held_, {});
      result.match = match;
      return result;
    }
    uint32_t longest = 0;
    for (const Pattern &p : patterns_)
      longest = std::max(longest, p.matched);
    result.text.append(held_, 0, held_.size() - longest);
    held_.erase(0, held_.size() - longest);
  }
  return result;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

} // namespace hadal::engine
