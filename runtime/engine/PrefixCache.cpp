#include "runtime/engine/PrefixCache.h"

#include <algorithm>

#include "runtime/base/Hash.h"

namespace hadal::engine {

uint64_t PrefixCache::hash(const Node *parent, std::span<const int32_t> ids) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(ids.data());
  return xxh3(std::span(bytes, ids.size_bytes())) * 31 +
         reinterpret_cast<uintptr_t>(parent);
}

PrefixCache::Node *PrefixCache::find(Node *parent,
                                     std::span<const int32_t> ids) const {
  auto [it, end] = nodes_.equal_range(hash(parent, ids));
  for (; it != end; ++it)
    if (it->second->parent == parent &&
        std::ranges::equal(it->second->ids, ids))
      return it->second.get();
  return nullptr;
}

PrefixCache::Node *PrefixCache::root(const std::string &salt) {
  std::unique_ptr<Node> &root = roots_[salt];
  if (!root) {
    root = std::make_unique<Node>();
    root->salt = salt;
  }
  return root.get();
}

void PrefixCache::dropRoot(Node *root) {
  if (!root->children)
    roots_.erase(std::string(root->salt));
}

void PrefixCache::settle(Node *node) {
  const bool unheld = pool_.references(node->page) == 1;
  if (unheld && !node->children)
    leaves_.insert({node->lastUse, node});
  else
    leaves_.erase({node->lastUse, node});
}

void PrefixCache::hold(Node *node) {
  unheld_ -= pool_.references(node->page) == 1;
  pool_.share(node->page);
  settle(node);
}

PrefixCache::Chain PrefixCache::match(const std::string &salt,
                                      std::span<const int32_t> ids) {
  Chain chain;
  const auto it = roots_.find(salt);
  if (it == roots_.end())
    return chain;
  Node *parent = it->second.get();
  for (; ids.size() >= pageSize_; ids = ids.subspan(pageSize_)) {
    Node *node = find(parent, ids.first(pageSize_));
    if (!node)
      break;
    hold(node);
    chain.push_back(node);
    parent = node;
  }
  return chain;
}

void PrefixCache::publish(const std::string &salt, Chain &chain,
                          std::span<const int32_t> ids, int32_t page) {
  Node *parent = chain.empty() ? root(salt) : chain.back();
  if (Node *node = find(parent, ids)) {
    pool_.release(page);
    hold(node);
    chain.push_back(node);
    return;
  }
  auto node = std::make_unique<Node>();
  node->parent = parent;
  node->ids.assign(ids.begin(), ids.end());
  node->page = page;
  node->lastUse = ++uses_;
  pool_.share(page); // the cache beside the caller
  ++parent->children;
  chain.push_back(node.get());
  nodes_.emplace(hash(parent, ids), std::move(node));
}

void PrefixCache::release(Chain &chain) {
  for (; !chain.empty(); chain.pop_back()) {
    Node *node = chain.back();
    pool_.release(node->page);
    unheld_ += pool_.references(node->page) == 1;
    // Held nodes are not in leaves_, whose order this is.
    if (pool_.references(node->page) == 1)
      node->lastUse = ++uses_;
    settle(node);
  }
}

bool PrefixCache::evict() {
  if (leaves_.empty())
    return false;
  Node *node = leaves_.begin()->second;
  leaves_.erase(leaves_.begin());
  Node *parent = node->parent;
  pool_.release(node->page);
  --unheld_;
  auto [it, end] = nodes_.equal_range(hash(parent, node->ids));
  while (it->second.get() != node)
    ++it;
  nodes_.erase(it);
  --parent->children;
  if (parent->parent)
    settle(parent);
  else
    dropRoot(parent);
  return true;
}

Status PrefixCache::check(std::span<const uint32_t> holders) const {
  uint64_t unheld = 0, leaves = 0;
  std::vector<uint8_t> seen(pool_.pages());
  for (const auto &[hash, node] : nodes_) {
    const auto page = static_cast<size_t>(node->page);
    if (std::exchange(seen[page], 1))
      return error(5014, "page {} is in the prefix cache twice", page);
    if (pool_.references(node->page) != holders[page] + 1)
      return error(5014,
                   "cached page {} has {} references, expected the cache and "
                   "{} holders",
                   page, pool_.references(node->page), holders[page]);
    unheld += !holders[page];
    leaves += !holders[page] && !node->children;
    if (!holders[page] && !node->children &&
        !leaves_.contains({node->lastUse, node.get()}))
      return error(5014, "page {} is not listed for eviction", page);
    if (holders[page] && node->parent->parent &&
        !holders[static_cast<size_t>(node->parent->page)])
      return error(5014, "page {} is held without the one before it", page);
  }
  if (unheld != unheld_ || leaves != leaves_.size())
    return error(
        5014,
        "the prefix cache counts {} unheld pages and {} leaves, it has "
        "{} and {}",
        unheld_, leaves_.size(), unheld, leaves);
  return {};
}

} // namespace hadal::engine
