// Which tokens a choice has in its prompt and its output: what penalties look
// at.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

namespace hadal::engine {

class TokenCounts {
public:
  struct Count {
    bool inPrompt = false;
    uint32_t inOutput = 0;
  };

  void addPrompt(std::span<const int32_t> ids) {
    for (int32_t id : ids)
      counts_[id].inPrompt = true;
  }
  void addOutput(int32_t id) { ++counts_[id].inOutput; }
  /// Takes one of |id| off again, which has been added: of a token that was
  /// drafted.
  void removeOutput(int32_t id) { --counts_[id].inOutput; }

  /// By id, in no order; some may have neither any more.
  const std::unordered_map<int32_t, Count> &counts() const { return counts_; }

private:
  std::unordered_map<int32_t, Count> counts_;
};

} // namespace hadal::engine
