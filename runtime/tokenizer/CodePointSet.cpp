#include "runtime/tokenizer/CodePointSet.h"

#include <algorithm>
#include <iterator>

#include "runtime/tokenizer/UnicodeTables.h"

namespace hadal {

namespace {

constexpr uint32_t kLast = 0x10FFFF;

} // namespace

CodePointSet::CodePointSet(std::initializer_list<Range> ranges) {
  for (Range range : ranges)
    add(range);
}

std::optional<CodePointSet> CodePointSet::category(std::string_view name) {
  CodePointSet set;
  bool known = false;
  for (uint32_t c = 0; c < std::size(kCategoryNames); ++c) {
    if (std::string_view(kCategoryNames[c]).substr(0, name.size()) != name ||
        name.empty())
      continue;
    known = true;
    for (size_t i = 0; i < std::size(kUnicodeRuns); ++i) {
      if ((kUnicodeRuns[i] & 31) != c)
        continue;
      uint32_t end = i + 1 < std::size(kUnicodeRuns) ? kUnicodeRuns[i + 1] >> 5
                                                     : kLast + 1;
      set.ranges_.emplace_back(kUnicodeRuns[i] >> 5, end - 1);
    }
  }
  if (!known)
    return std::nullopt;
  // Runs of the categories of one letter interleave.
  std::sort(set.ranges_.begin(), set.ranges_.end());
  CodePointSet merged;
  for (Range range : set.ranges_) {
    if (!merged.ranges_.empty() &&
        merged.ranges_.back().second + 1 == range.first)
      merged.ranges_.back().second = range.second;
    else
      merged.ranges_.push_back(range);
  }
  return merged;
}

CodePointSet CodePointSet::han() {
  // Scripts.txt of Unicode 16.
  return {{0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},
          {0x3005, 0x3005},   {0x3007, 0x3007},   {0x3021, 0x3029},
          {0x3038, 0x303B},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
          {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
          {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739},
          {0x2B740, 0x2B81D}, {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0},
          {0x2EBF0, 0x2EE5D}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A},
          {0x31350, 0x323AF}};
}

CodePointSet CodePointSet::space() {
  return {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},
          {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
          {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
          {0x3000, 0x3000}};
}

CodePointSet CodePointSet::word() {
  // Circled and squared letters are alphabetic symbols.
  CodePointSet set = {{0x24B6, 0x24E9},
                      {0x1F130, 0x1F149},
                      {0x1F150, 0x1F169},
                      {0x1F170, 0x1F189}};
  for (const char *name : {"L", "M", "Nd", "Nl", "Pc"})
    set.add(*category(name));
  return set;
}

void CodePointSet::add(Range range) {
  // The first range that ends at or after the one before |range|.
  auto from = std::lower_bound(
      ranges_.begin(), ranges_.end(), range.first,
      [](const Range &r, uint32_t first) { return r.second + 1 < first; });
  auto to = from;
  for (; to != ranges_.end() && to->first <= range.second + 1; ++to) {
    range.first = std::min(range.first, to->first);
    range.second = std::max(range.second, to->second);
  }
  ranges_.insert(ranges_.erase(from, to), range);
}

void CodePointSet::add(const CodePointSet &other) {
  for (Range range : other.ranges_)
    add(range);
}

CodePointSet CodePointSet::complement() const {
  CodePointSet result;
  uint32_t next = 0;
  for (Range range : ranges_) {
    if (next < range.first)
      result.ranges_.emplace_back(next, range.first - 1);
    next = range.second + 1;
  }
  if (next <= kLast)
    result.ranges_.emplace_back(next, kLast);
  return result;
}

CodePointSet CodePointSet::intersection(const CodePointSet &other) const {
  CodePointSet result = complement();
  result.add(other.complement());
  return result.complement();
}

void CodePointSet::buildTable() {
  bits_.assign(kPlane / 64, 0);
  for (Range range : ranges_)
    for (uint32_t c = range.first; c <= range.second && c < kPlane; ++c)
      bits_[c / 64] |= uint64_t{1} << (c % 64);
}

bool CodePointSet::search(uint32_t codePoint) const {
  auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), codePoint,
      [](uint32_t value, const Range &range) { return value < range.first; });
  return after != ranges_.begin() && codePoint <= std::prev(after)->second;
}

} // namespace hadal
