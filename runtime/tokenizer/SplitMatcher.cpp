#include <algorithm>

#include "runtime/tokenizer/SplitRegex.h"

namespace hadal {

void SplitMatcher::reset(std::span<const uint32_t> text) {
  text_ = text;
  failed_.assign(((text.size() + 1) * regex_.numSplits_ + 63) / 64, 0);
}

SplitMatcher::Match SplitMatcher::find(size_t from) {
  for (size_t begin = from; begin < text_.size(); ++begin)
    if (size_t end = begin; matchAt(begin, end))
      return {begin, end};
  return {text_.size(), text_.size()};
}

/// A split that is reached again has failed before: what is above its second
/// branch on the stack was pushed while its first was tried, and that cannot
/// come back to it at the same position, since no repeat has an empty body.
bool SplitMatcher::matchAt(size_t begin, size_t &end) {
  using Instruction = SplitRegex::Instruction;
  const auto contains = [&](uint32_t set, size_t position) {
    return position < text_.size() &&
           regex_.sets_[set].contains(text_[position]);
  };
  stack_.clear();
  stack_.push_back({0, begin});
  while (!stack_.empty()) {
    auto [at, position] = stack_.back();
    stack_.pop_back();
    for (bool alive = true; alive;) {
      const Instruction &i = regex_.program_[at++];
      switch (i.op) {
      case Instruction::Set:
        alive = contains(i.a, position);
        ++position;
        break;
      case Instruction::Jump:
        at = i.a;
        break;
      case Instruction::Split: {
        size_t bit = position * regex_.numSplits_ + i.c;
        uint64_t &word = failed_[bit / 64];
        const uint64_t mask = uint64_t{1} << (bit % 64);
        alive = !(word & mask);
        word |= mask;
        if (alive)
          stack_.push_back({i.b, position});
        at = i.a;
        break;
      }
      case Instruction::Run: {
        size_t last = std::min<size_t>(text_.size(), position + i.c);
        size_t first = position;
        while (position < last && contains(i.a, position))
          ++position;
        alive = position - first >= i.b;
        break;
      }
      case Instruction::LineStart:
        alive = position == 0 || text_[position - 1] == '\n';
        break;
      case Instruction::LineEnd:
        alive = position == text_.size() || text_[position] == '\n';
        break;
      case Instruction::TextStart:
        alive = position == 0;
        break;
      case Instruction::TextEnd:
        alive = position == text_.size();
        break;
      case Instruction::Ahead:
        alive = contains(i.a, position);
        break;
      case Instruction::NotAhead:
        alive = !contains(i.a, position);
        break;
      case Instruction::Match:
        // The splits on the way to the match have not failed, and those at its
        // end are the only ones that a later search can reach.
        for (uint32_t s = 0; s < regex_.numSplits_; ++s) {
          size_t bit = position * regex_.numSplits_ + s;
          failed_[bit / 64] &= ~(uint64_t{1} << (bit % 64));
        }
        end = position;
        return true;
      }
    }
  }
  return false;
}

} // namespace hadal
