// A vector clock over agents numbered from 0; absent entries are 0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::sim {

class VectorClock {
public:
  uint32_t operator[](size_t agent) const {
    return agent < clocks_.size() ? clocks_[agent] : 0;
  }
  void set(size_t agent, uint32_t clock) {
    if (agent >= clocks_.size())
      clocks_.resize(agent + 1, 0);
    clocks_[agent] = clock;
  }
  /// Everything that either knows.
  void join(const VectorClock &other) {
    if (other.clocks_.size() > clocks_.size())
      clocks_.resize(other.clocks_.size(), 0);
    for (size_t i = 0; i < other.clocks_.size(); ++i)
      clocks_[i] = std::max(clocks_[i], other.clocks_[i]);
  }
  /// Only what both know.
  void meet(const VectorClock &other) {
    for (size_t i = 0; i < clocks_.size(); ++i)
      clocks_[i] = std::min(clocks_[i], other[i]);
  }
  void clear() { clocks_.clear(); }
  size_t size() const { return clocks_.size(); }

private:
  std::vector<uint32_t> clocks_;
};

} // namespace hadal::sim
