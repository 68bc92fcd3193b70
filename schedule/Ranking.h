// Which of a kernel's candidates are measured: the first by the model, and a
// few of those that it would leave out.
#pragma once

#include "schedule/Enumerate.h"
#include "schedule/Price.h"

namespace hadal::schedule {

struct RankOptions {
  double slack = 1.5; ///< P11: beyond this times the best predicted
  /// P12: beyond so many, the default not counted. Of several that the model
  /// does not tell apart one comes first.
  size_t topK = 12;
  /// Of those that P11 and P12 cut, drawn with |seed| and measured all the
  /// same: the only way to learn that the model is wrong.
  size_t escapes = 2;
  uint64_t seed = 1;
};

struct RankedCandidate {
  Candidate candidate;
  std::optional<cost::Prediction> predicted; ///< none: no model
  /// By the model; of one that escaped too.
  std::optional<Prune> pruned;
  bool escaped = false;

  bool isMeasured() const { return !pruned || escaped; }
};

struct Ranking {
  RankedCandidate fallback; ///< the default: always measured, never ranked
  /// All others: by predicted time, then by the fewest choices, then by
  /// canonicalText. Without a model by the latter two.
  std::vector<RankedCandidate> order;
  double bestSeconds = 0; ///< of the default and all others; 0 without a model
};

/// Ranks |found|, the candidates of |spec|. The same arguments give the same
/// ranking.
Ranking rankCandidates(const kernels::AnySpec &spec, Target target,
                       const Machine &machine, const Candidates &found,
                       const RankOptions &options = {});

} // namespace hadal::schedule
