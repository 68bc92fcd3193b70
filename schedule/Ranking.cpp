#include "schedule/Ranking.h"

#include <random>
#include <tuple>

namespace hadal::schedule {

namespace {

/// Keeps |count| of those that no rule cut; the others are P12. Of those that
/// the model does not tell apart the first comes first, and its like only where
/// there is room: they are a step from it, where a tuner looks later.
void keepFirst(std::vector<RankedCandidate> &order, size_t count) {
  constexpr double kTold = 1.001;
  std::vector<size_t> first, like;
  double last = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i].pruned)
      continue;
    const auto &predicted = order[i].predicted;
    const bool isLike = predicted && predicted->seconds < last * kTold;
    (isLike ? like : first).push_back(i);
    if (predicted && !isLike)
      last = predicted->seconds;
  }
  first.insert(first.end(), like.begin(), like.end());
  for (size_t n = count; n < first.size(); ++n)
    order[first[n]].pruned = Prune::P12;
}

/// Lets |count| of those that the model cut escape.
void drawEscapes(std::vector<RankedCandidate> &order, size_t count,
                 uint64_t seed) {
  std::vector<size_t> cut;
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i].pruned)
      cut.push_back(i);
  // The engine's numbers are the standard's; a distribution's are not.
  std::mt19937_64 random(seed);
  for (size_t n = 0; n < count && !cut.empty(); ++n) {
    const size_t drawn = random() % cut.size();
    order[cut[drawn]].escaped = true;
    cut.erase(cut.begin() + static_cast<ptrdiff_t>(drawn));
  }
}

} // namespace

Ranking rankCandidates(const kernels::AnySpec &spec, Target target,
                       const Machine &machine, const Candidates &found,
                       const RankOptions &options) {
  auto price = [&](const Candidate &candidate) {
    return RankedCandidate{
        candidate, predict(spec, target, machine, candidate.words), {}, false};
  };
  Ranking ranking;
  ranking.fallback = price(found.all.front());

  using Key = std::tuple<double, unsigned, std::string>;
  std::vector<std::pair<Key, RankedCandidate>> keyed;
  for (size_t i = 1; i < found.all.size(); ++i) {
    RankedCandidate ranked = price(found.all[i]);
    Key key(ranked.predicted ? ranked.predicted->seconds : 0,
            ranked.candidate.choices, canonicalText(ranked.candidate.words));
    keyed.emplace_back(std::move(key), std::move(ranked));
  }
  std::sort(keyed.begin(), keyed.end(),
            [](const auto &a, const auto &b) { return a.first < b.first; });

  if (ranking.fallback.predicted)
    ranking.bestSeconds = ranking.fallback.predicted->seconds;
  for (const auto &[key, ranked] : keyed)
    if (ranked.predicted)
      ranking.bestSeconds =
          std::min(ranking.bestSeconds > 0 ? ranking.bestSeconds
                                           : ranked.predicted->seconds,
                   ranked.predicted->seconds);
  for (auto &[key, ranked] : keyed) {
    if (ranked.predicted &&
        ranked.predicted->seconds > options.slack * ranking.bestSeconds)
      ranked.pruned = Prune::P11;
    ranking.order.push_back(std::move(ranked));
  }
  keepFirst(ranking.order, options.topK);
  drawEscapes(ranking.order, options.escapes, options.seed);
  return ranking;
}

} // namespace hadal::schedule
