// Sets of Unicode code points: what a regular expression's classes mean.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal {

/// A set of code points as ascending, disjoint ranges. contains() is a bit of a
/// table for the Basic Multilingual Plane and a binary search beyond it.
class CodePointSet {
public:
  /// First and last code point.
  using Range = std::pair<uint32_t, uint32_t>;

  CodePointSet() = default;
  CodePointSet(std::initializer_list<Range> ranges);

  /// A general category by its short name ("Lu") or the first letter of several
  /// ("L"); nullopt for any other name.
  static std::optional<CodePointSet> category(std::string_view name);
  /// The script Han.
  static CodePointSet han();
  /// White_Space.
  static CodePointSet space();
  /// What `\w` matches: letters, marks, decimal and letter numbers, connector
  /// punctuation, and the symbols that are alphabetic.
  static CodePointSet word();

  void add(Range range);
  void add(const CodePointSet &other);
  CodePointSet complement() const;
  CodePointSet intersection(const CodePointSet &other) const;

  bool contains(uint32_t codePoint) const {
    if (codePoint < kPlane && !bits_.empty())
      return bits_[codePoint / 64] >> (codePoint % 64) & 1;
    return search(codePoint);
  }
  /// Builds the table of contains(); to be called when the set is complete.
  void buildTable();

  const std::vector<Range> &ranges() const { return ranges_; }
  bool operator==(const CodePointSet &other) const {
    return ranges_ == other.ranges_;
  }

private:
  static constexpr uint32_t kPlane = 0x10000;
  bool search(uint32_t codePoint) const;

  std::vector<Range> ranges_;
  std::vector<uint64_t> bits_; // empty until buildTable()
};

} // namespace hadal
