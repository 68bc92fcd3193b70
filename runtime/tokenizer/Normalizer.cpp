#include "runtime/tokenizer/Normalizer.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/tokenizer/Unicode.h"
#include "runtime/tokenizer/UnicodeTables.h"

namespace hadal {

namespace {

// Hangul syllables are composed by arithmetic (Unicode 16, section 3.12).
constexpr uint32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161,
                   kTails = 0x11A7, kNumLeads = 19, kNumVowels = 21,
                   kNumTails = 28, kNumSyllables = 11172;
/// Below it nothing decomposes and nothing combines.
constexpr uint32_t kFirstOfInterest = 0xC0;

struct Pair {
  uint32_t first, second; // second 0: a single character
};

struct Tables {
  std::unordered_map<uint32_t, Pair> decompositions;
  std::unordered_map<uint64_t, uint32_t> compositions;

  static uint64_t key(uint32_t first, uint32_t second) {
    return uint64_t{first} << 32 | second;
  }
  Tables() {
    for (size_t i = 0; i < std::size(kDecompositions); i += 3) {
      const uint32_t code = kDecompositions[i] >> 1;
      const Pair pair{kDecompositions[i + 1], kDecompositions[i + 2]};
      decompositions.emplace(code, pair);
      if (kDecompositions[i] & 1)
        compositions.emplace(key(pair.first, pair.second), code);
    }
  }
};
const Tables &tables() {
  static const Tables instance;
  return instance;
}

uint8_t combiningClass(uint32_t code) {
  auto after = std::upper_bound(std::begin(kCombiningRuns),
                                std::end(kCombiningRuns), code << 8 | 0xFF);
  return after == std::begin(kCombiningRuns)
             ? 0
             : static_cast<uint8_t>(*std::prev(after) & 0xFF);
}

void decompose(uint32_t code, std::vector<uint32_t> &out) {
  if (code >= kSyllables && code < kSyllables + kNumSyllables) {
    const uint32_t index = code - kSyllables;
    out.push_back(kLeads + index / (kNumVowels * kNumTails));
    out.push_back(kVowels + index / kNumTails % kNumVowels);
    if (index % kNumTails)
      out.push_back(kTails + index % kNumTails);
    return;
  }
  auto found = tables().decompositions.find(code);
  if (found == tables().decompositions.end()) {
    out.push_back(code);
    return;
  }
  // At most four deep.
  decompose(found->second.first, out);
  if (found->second.second)
    decompose(found->second.second, out);
}

/// The character that a pair is composed to, or 0.
uint32_t compose(uint32_t first, uint32_t second) {
  if (first >= kLeads && first < kLeads + kNumLeads && second >= kVowels &&
      second < kVowels + kNumVowels)
    return kSyllables +
           ((first - kLeads) * kNumVowels + (second - kVowels)) * kNumTails;
  if (first >= kSyllables && first < kSyllables + kNumSyllables &&
      (first - kSyllables) % kNumTails == 0 && second > kTails &&
      second < kTails + kNumTails)
    return first + (second - kTails);
  auto found = tables().compositions.find(Tables::key(first, second));
  return found == tables().compositions.end() ? 0 : found->second;
}

} // namespace

std::string normalizeNfc(std::string_view text) {
  std::vector<uint32_t> codes;
  bool isPlain = true;
  for (std::string_view rest = text; !rest.empty();) {
    Utf8Character c = decodeUtf8(rest);
    rest.remove_prefix(c.bytes);
    isPlain &= c.codePoint < kFirstOfInterest;
    decompose(c.codePoint, codes);
  }
  if (isPlain)
    return std::string(text);
  // Marks between two starters: by class, and those of one class in their
  // order.
  std::vector<std::pair<uint64_t, uint32_t>> marks;
  for (size_t at = 0; at < codes.size(); ++at) {
    marks.clear();
    size_t end = at;
    for (; end < codes.size(); ++end) {
      const uint64_t mark = combiningClass(codes[end]);
      if (!mark)
        break;
      marks.emplace_back(mark << 56 | end, codes[end]);
    }
    std::sort(marks.begin(), marks.end());
    for (size_t i = 0; i < marks.size(); ++i)
      codes[at + i] = marks[i].second;
    at = end;
  }
  std::vector<uint32_t> result;
  size_t starter = ~size_t{0};
  for (uint32_t code : codes) {
    const uint8_t here = combiningClass(code);
    if (starter != ~size_t{0}) {
      // Not blocked: beside the starter, or behind marks of lower classes.
      const bool isNext = result.size() == starter + 1;
      if (isNext || (here && combiningClass(result.back()) < here))
        if (uint32_t composed = compose(result[starter], code)) {
          result[starter] = composed;
          continue;
        }
    }
    if (!here)
      starter = result.size();
    result.push_back(code);
  }
  std::string out;
  for (uint32_t code : result)
    appendUtf8(out, code);
  return out;
}

} // namespace hadal
