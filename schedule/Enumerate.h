// What a tuner may try of a kernel, from the table of its words.
//
// The walk is depth-first over the words in the order in which they resolve. A
// value that breaks a rule ends its branch: the branch is counted under the
// rule's code, once, since what would follow it depends on it. So every
// candidate, a complete schedule or a branch that was cut, has one code or is
// listed.
#pragma once

#include <set>

#include "schedule/Space.h"

namespace hadal::schedule {

/// A complete schedule, as resolve makes it.
struct Candidate {
  Words words;
  /// Against the default: the same bits, or sums in another order.
  Bits bits = Bits::same;
  /// Words that say something else than their rules do behind the words before
  /// them; 0 of the default.
  unsigned choices = 0;
  bool operator==(const Candidate &) const = default;
};

/// The branches that one rule cut.
struct PruneCount {
  uint64_t count = 0;
  std::string word;    ///< of the first that was cut
  Value value;         ///< what it said
  std::string numbers; ///< by which it broke the rule
};

struct EnumerateOptions {
  /// Only candidates whose bits are the default's; others are P17.
  bool sameBits = false;
  /// Words that keep what their rules say, such as those of images that this
  /// machine does not run.
  std::set<std::string, std::less<>> fixed;
};

struct Candidates {
  /// The default first; then in the order of the walk, each once.
  std::vector<Candidate> all;
  std::map<Prune, PruneCount> pruned;

  /// Listed and cut ones.
  uint64_t total() const {
    uint64_t n = all.size();
    for (const auto &[code, cut] : pruned)
      n += cut.count;
    return n;
  }
};

/// All that the tuner tries of |spec|: each word's `tries`, as far as they are
/// legal and worth it. The same arguments give the same list.
Candidates enumerateCandidates(const kernels::AnySpec &spec, Target target,
                               const nvptx::Chip *chip,
                               const EnumerateOptions &options = {});

/// The schedules one legal step from |words|, up and down each word; words
/// behind it follow as their rules say where they do not stay legal. Words that
/// enumerateCandidates leaves alone are among them. Each once, without |words|.
std::vector<Candidate> neighboursOf(const kernels::AnySpec &spec, Target target,
                                    const nvptx::Chip *chip, const Words &words,
                                    const EnumerateOptions &options = {});

/// Whether a kernel of |spec| with |words| gives the bits of one with |other|;
/// both complete.
Bits bitsBetween(const kernels::AnySpec &spec, Target target,
                 const Words &words, const Words &other);

/// "bm=64 bn=128 form=panel", in the order of the words' names: what two runs
/// agree on.
std::string canonicalText(const Words &words);

} // namespace hadal::schedule
