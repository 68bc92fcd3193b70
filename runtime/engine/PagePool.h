// The pages of the latent cache: which are free, and how many hold each other.
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

namespace hadal::engine {

class PagePool {
public:
  explicit PagePool(uint64_t pages) : references_(pages) {
    // Descending, so that page 0 is taken first.
    for (uint64_t page = pages; page-- > 0;)
      free_.push_back(static_cast<int32_t>(page));
  }

  uint64_t pages() const { return references_.size(); }
  uint64_t free() const { return free_.size(); }

  /// A free page, which there must be, with one holder.
  int32_t take() {
    assert(!free_.empty());
    const int32_t page = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(page)] = 1;
    return page;
  }
  /// One more holder of |page|, which is not free.
  void share(int32_t page) {
    assert(references(page));
    ++references_[static_cast<size_t>(page)];
  }
  /// One holder less; the last one frees it.
  void release(int32_t page) {
    assert(references(page));
    if (!--references_[static_cast<size_t>(page)])
      free_.push_back(page);
  }
  uint32_t references(int32_t page) const {
    return references_[static_cast<size_t>(page)];
  }

private:
  std::vector<uint32_t> references_; // by page
  std::vector<int32_t> free_;        // taken from the back
};

} // namespace hadal::engine
