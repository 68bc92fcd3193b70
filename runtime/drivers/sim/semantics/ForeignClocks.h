// What an agent knows of agents outside its cluster: few entries, copied often,
// so they are shared and never change.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace hadal::sim {

/// Clocks of agents of a whole launch, absent ones 0; empty at no cost.
class ForeignClocks {
public:
  using Entry = std::pair<uint32_t, uint32_t>; ///< agent, clock

  ForeignClocks() = default;
  /// |entries| are sorted by agent, each agent once.
  explicit ForeignClocks(std::vector<Entry> sorted) {
    if (!sorted.empty())
      entries_ = std::make_shared<const std::vector<Entry>>(std::move(sorted));
  }

  uint32_t operator[](uint32_t agent) const {
    if (!entries_)
      return 0;
    auto found = std::lower_bound(entries_->begin(), entries_->end(),
                                  Entry(agent, 0));
    return found != entries_->end() && found->first == agent ? found->second
                                                             : 0;
  }
  void join(const ForeignClocks &other) {
    if (!other.entries_ || entries_ == other.entries_)
      return;
    if (!entries_) {
      entries_ = other.entries_;
      return;
    }
    std::vector<Entry> all;
    all.reserve(entries_->size() + other.entries_->size());
    auto a = entries_->begin(), b = other.entries_->begin();
    while (a != entries_->end() || b != other.entries_->end()) {
      if (b == other.entries_->end() ||
          (a != entries_->end() && a->first < b->first)) {
        all.push_back(*a++);
      } else if (a == entries_->end() || b->first < a->first) {
        all.push_back(*b++);
      } else {
        all.emplace_back(a->first, std::max(a->second, b->second));
        ++a, ++b;
      }
    }
    *this = ForeignClocks(std::move(all));
  }
  void meet(const ForeignClocks &other) {
    if (entries_ == other.entries_)
      return;
    std::vector<Entry> common;
    for (const Entry &entry : entries())
      if (uint32_t clock = other[entry.first])
        common.emplace_back(entry.first, std::min(entry.second, clock));
    *this = ForeignClocks(std::move(common));
  }
  void clear() { entries_.reset(); }
  const std::vector<Entry> &entries() const {
    static const std::vector<Entry> none;
    return entries_ ? *entries_ : none;
  }

private:
  std::shared_ptr<const std::vector<Entry>> entries_;
};

} // namespace hadal::sim
