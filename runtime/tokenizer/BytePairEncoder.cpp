#include "runtime/tokenizer/BytePairEncoder.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace hadal {

namespace {

/// Up to this many bytes a scan for the best pair beats a queue.
constexpr size_t kShortWord = 32;

uint64_t pairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

} // namespace

BytePairEncoder::BytePairEncoder(const std::array<int32_t, 256> &byteIds,
                                 size_t expectedMerges)
    : byteIds_(byteIds),
      table_(std::bit_ceil(std::max<size_t>(2 * expectedMerges, 16))) {}

size_t BytePairEncoder::slotOf(uint64_t pair) const {
  size_t mask = table_.size() - 1;
  size_t slot = (pair * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (table_[slot].pair != pair && table_[slot].pair != kNoPair)
    slot = (slot + 1) & mask;
  return slot;
}

BytePairEncoder::Merge BytePairEncoder::find(int32_t left,
                                             int32_t right) const {
  return table_[slotOf(pairKey(left, right))];
}

void BytePairEncoder::addMerge(int32_t left, int32_t right, int32_t merged,
                               uint32_t rank) {
  if (2 * (++numMerges_) > table_.size()) {
    std::vector<Merge> old(2 * table_.size());
    old.swap(table_);
    for (const Merge &merge : old)
      if (merge.pair != kNoPair)
        table_[slotOf(merge.pair)] = merge;
  }
  uint64_t pair = pairKey(left, right);
  table_[slotOf(pair)] = {pair, rank, merged};
}

void BytePairEncoder::encode(std::string_view word,
                             std::vector<int32_t> &ids) const {
  if (word.size() == 1)
    ids.push_back(byteIds_[static_cast<uint8_t>(word[0])]);
  else if (word.size() <= kShortWord)
    encodeShort(word, ids);
  else
    encodeLong(word, ids);
}

void BytePairEncoder::encodeShort(std::string_view word,
                                  std::vector<int32_t> &ids) const {
  int32_t tokens[kShortWord];
  Merge merges[kShortWord]; // of token i with its right neighbour
  size_t count = word.size();
  for (size_t i = 0; i < count; ++i)
    tokens[i] = byteIds_[static_cast<uint8_t>(word[i])];
  for (size_t i = 0; i + 1 < count; ++i)
    merges[i] = find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank)
        best = i;
    if (merges[best].rank == kNoRank)
      break;
    tokens[best] = merges[best].merged;
    std::copy(tokens + best + 2, tokens + count, tokens + best + 1);
    std::copy(merges + best + 1, merges + count - 1, merges + best);
    --count;
    if (best + 1 < count)
      merges[best] = find(tokens[best], tokens[best + 1]);
    if (best > 0)
      merges[best - 1] = find(tokens[best - 1], tokens[best]);
  }
  ids.insert(ids.end(), tokens, tokens + count);
}

void BytePairEncoder::encodeLong(std::string_view word,
                                 std::vector<int32_t> &ids) const {
  constexpr size_t kEnd = ~size_t{0};
  struct Symbol {
    int32_t token; // -1: merged into its left neighbour
    size_t previous, next;
  };
  struct Candidate {
    uint32_t rank;
    size_t left;
    uint64_t pair; // stale if the symbols have changed since
    int32_t merged;
    bool operator>(const Candidate &other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::vector<Symbol> symbols(word.size());
  for (size_t i = 0; i < word.size(); ++i)
    symbols[i] = {byteIds_[static_cast<uint8_t>(word[i])],
                  i == 0 ? kEnd : i - 1, i + 1 == word.size() ? kEnd : i + 1};
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  auto consider = [&](size_t left) {
    if (left == kEnd || symbols[left].next == kEnd)
      return;
    Merge merge = find(symbols[left].token, symbols[symbols[left].next].token);
    if (merge.rank != kNoRank)
      queue.push({merge.rank, left, merge.pair, merge.merged});
  };
  for (size_t i = 0; i < word.size(); ++i)
    consider(i);
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbols[best.left];
    if (left.token < 0 || left.next == kEnd ||
        pairKey(left.token, symbols[left.next].token) != best.pair)
      continue;
    Symbol &right = symbols[left.next];
    left.token = best.merged;
    left.next = right.next;
    right.token = -1;
    if (left.next != kEnd)
      symbols[left.next].previous = best.left;
    consider(best.left);
    consider(left.previous);
  }
  for (size_t i = 0; i != kEnd; i = symbols[i].next)
    ids.push_back(symbols[i].token);
}

} // namespace hadal
