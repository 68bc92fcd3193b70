// The pages of finished prompts, kept for prompts that begin alike: a tree in
// which a path from a root spells the tokens of a prefix, a page a node.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>

#include "runtime/base/Status.h"
#include "runtime/engine/PagePool.h"

namespace hadal::engine {

/// The cache itself is one holder of each page in it. A page with its number
/// here is never written again. Nodes are found by a hash and then compared by
/// their ids, so that no collision can hand out another prompt's page.
class PrefixCache {
public:
  PrefixCache(PagePool &pool, uint64_t pageSize)
      : pool_(pool), pageSize_(pageSize) {}
  PrefixCache(const PrefixCache &) = delete;

  struct Node {
    Node *parent;             ///< null: a root, which has no page
    std::vector<int32_t> ids; ///< of the page
    int32_t page = -1;
    uint32_t children = 0;
    uint64_t lastUse = 0;
    std::string salt; ///< of a root
  };
  using Chain = std::vector<Node *>;

  /// The pages at the beginning of |ids| that are there under |salt|. Each has
  /// one more holder.
  Chain match(const std::string &salt, std::span<const int32_t> ids);
  /// Puts |page|, which is full, finished and held by the caller, behind
  /// |chain| with its |ids|. Where an equal one is there already the caller's
  /// is released and that one held instead. The node goes to the end of
  /// |chain|.
  void publish(const std::string &salt, Chain &chain,
               std::span<const int32_t> ids, int32_t page);
  /// One holder less of each, the last one first, so that it is the first to be
  /// evicted; |chain| is empty then.
  void release(Chain &chain);
  /// Frees the page that nobody holds and that was used least recently; false
  /// if there is none.
  bool evict();

  /// Pages that nobody holds: all of them can be evicted, one after the other.
  uint64_t unheld() const { return unheld_; }
  uint64_t pages() const { return nodes_.size(); }

  /// H5014 if a page's holders are not the cache and |holders|, by page.
  Status check(std::span<const uint32_t> holders) const;

private:
  using Key = std::pair<uint64_t, Node *>; // last use: the first is evicted
  Node *find(Node *parent, std::span<const int32_t> ids) const;
  static uint64_t hash(const Node *parent, std::span<const int32_t> ids);
  Node *root(const std::string &salt);
  void hold(Node *node);
  /// Keeps leaves_ up to date.
  void settle(Node *node);
  void dropRoot(Node *root);

  PagePool &pool_;
  const uint64_t pageSize_;
  std::map<std::string, std::unique_ptr<Node>> roots_;
  std::unordered_multimap<uint64_t, std::unique_ptr<Node>> nodes_; // by hash
  std::set<Key> leaves_; // unheld and without children
  uint64_t unheld_ = 0;
  uint64_t uses_ = 0;
};

} // namespace hadal::engine
