// Byte-pair merging of one word.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hadal {

/// Merges adjacent tokens, the pair of lowest rank first and the leftmost of
/// equal ones, until no pair of the table is left. O(n log n) in the length of
/// the word, whatever it holds.
class BytePairEncoder {
public:
  BytePairEncoder() = default;

  /// |byteIds|: the token of each byte. |expectedMerges| sizes the table.
  BytePairEncoder(const std::array<int32_t, 256> &byteIds,
                  size_t expectedMerges);

  /// Adds a merge; a pair given twice takes its last |rank|, which is below
  /// 2^32 - 1. Pairs that make the same token may have the same.
  void addMerge(int32_t left, int32_t right, int32_t merged, uint32_t rank);

  /// Appends the tokens of |word| to |ids|.
  void encode(std::string_view word, std::vector<int32_t> &ids) const;

private:
  struct Merge {
    uint64_t pair = kNoPair;
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr uint32_t kNoRank = ~uint32_t{0};

  size_t slotOf(uint64_t pair) const;
  /// The merge of two tokens, with kNoRank if there is none.
  Merge find(int32_t left, int32_t right) const;
  void encodeShort(std::string_view word, std::vector<int32_t> &ids) const;
  void encodeLong(std::string_view word, std::vector<int32_t> &ids) const;

  std::array<int32_t, 256> byteIds_ = {};
  std::vector<Merge> table_; // open addressing; a power of two, half empty
  size_t numMerges_ = 0;
};

} // namespace hadal
