#include "runtime/tune/Select.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <tuple>

namespace hadal::tune {

namespace {

/// As compare; an error of |arm| goes to |failure| and leaves the verdict open.
StatusOr<Verdict> decide(Timer &timer, size_t arm, double effect,
                         std::vector<double> &blocks, Status &failure) {
  blocks.clear();
  Verdict verdict = Verdict::Open;
  while (verdict == Verdict::Open && blocks.size() < kMaxBlocks) {
    StatusOr<std::vector<StatusOr<double>>> block = runBlock(timer, {&arm, 1});
    if (!block.ok())
      return block.status();
    if (!block->front().ok()) {
      failure = block->front().status();
      return Verdict::Open;
    }
    blocks.push_back(*block->front());
    verdict = signTest(blocks, effect);
  }
  return verdict;
}

class Selector {
public:
  Selector(Timer &timer, const SelectOptions &options)
      : timer(timer), options(options), least(std::log1p(options.effect)) {}

  StatusOr<Selection> run(std::vector<Candidate> candidates,
                          const Neighbours &neighbours) {
    add(std::move(candidates));
    std::vector<double> self;
    StatusOr<Verdict> check = compare(timer, 0, options.effect, self);
    if (!check.ok())
      return check.status();
    if (*check == Verdict::Faster || *check == Verdict::Slower) {
      selection.refused = true;
      return std::move(selection);
    }
    if (Status status = screen(0); !status.ok())
      return status;
    if (std::vector<size_t> best = ranked(); neighbours && !best.empty()) {
      const size_t first = selection.outcomes.size();
      add(neighbours(selection.outcomes[best.front()].candidate));
      if (Status status = screen(first); !status.ok())
        return status;
    }
    if (Status status = confirm(); !status.ok())
      return status;
    return std::move(selection);
  }

private:
  void add(std::vector<Candidate> candidates) {
    for (Candidate &candidate : candidates)
      selection.outcomes.push_back({std::move(candidate), End::M02, {}});
    blocks.resize(selection.outcomes.size());
    out.resize(selection.outcomes.size());
  }

  /// Measures the candidates from |first| on, then the best of all again.
  Status screen(size_t first) {
    std::vector<size_t> all;
    for (size_t i = first; i < blocks.size(); ++i)
      all.push_back(i);
    if (Status status = measure(all, options.screenBlocks); !status.ok())
      return status;
    // Too few blocks for a test: only what is clearly slower is out.
    for (size_t i : all)
      if (!out[i] && selection.outcomes[i].gain.median < -2 * least) {
        out[i] = true;
        selection.outcomes[i].end = End::M01;
      }
    std::vector<size_t> best = ranked();
    best.resize(std::min<size_t>(best.size(), options.finalists));
    return measure(best, options.halveBlocks);
  }

  Status measure(std::vector<size_t> those, unsigned count) {
    for (unsigned n = 0; n < count; ++n) {
      std::erase_if(those, [&](size_t i) { return out[i]; });
      if (those.empty())
        return {};
      std::vector<size_t> arms;
      for (size_t i : those)
        arms.push_back(selection.outcomes[i].candidate.arm);
      StatusOr<std::vector<StatusOr<double>>> block = runBlock(timer, arms);
      if (!block.ok())
        return block.status();
      for (size_t i = 0; i < those.size(); ++i)
        if ((*block)[i].ok())
          blocks[those[i]].push_back(*(*block)[i]);
        else
          fail(those[i], (*block)[i].status());
    }
    for (size_t i : those)
      if (!out[i])
        selection.outcomes[i].gain = estimate(blocks[i]);
    return {};
  }

  void fail(size_t i, Status failure) {
    out[i] = true;
    selection.outcomes[i].end = End::R01;
    selection.outcomes[i].failure = std::move(failure);
    selection.outcomes[i].gain = {};
  }

  /// Those still in, the best first. Medians within the minimum effect of the
  /// best are equal: resources and text order them, so that two runs agree.
  std::vector<size_t> ranked() const {
    std::vector<size_t> order;
    double best = -INFINITY;
    for (size_t i = 0; i < out.size(); ++i)
      if (!out[i]) {
        order.push_back(i);
        best = std::max(best, selection.outcomes[i].gain.median);
      }
    auto rank = [&](size_t i) {
      const Outcome &o = selection.outcomes[i];
      const bool tie = o.gain.median >= best - least;
      return std::tuple(!tie, tie ? 0.0 : -o.gain.median, o.candidate.resources,
                        std::string_view(o.candidate.schedule));
    };
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return rank(a) < rank(b); });
    return order;
  }

  Status confirm() {
    unsigned tried = 0;
    for (size_t i : ranked()) {
      Outcome &outcome = selection.outcomes[i];
      if (outcome.gain.median <= least)
        continue;
      if (tried == options.confirmations)
        return {};
      if (Status status = timer.renew(options.seed + ++tried); !status.ok())
        return status;
      std::vector<double> fresh;
      Status failure;
      StatusOr<Verdict> verdict =
          decide(timer, outcome.candidate.arm, options.effect, fresh, failure);
      if (!verdict.ok())
        return verdict.status();
      if (!failure.ok()) {
        fail(i, std::move(failure));
        continue;
      }
      outcome.gain = estimate(fresh);
      switch (*verdict) {
      case Verdict::Faster:
        outcome.end = End::W;
        selection.winner = i;
        return {};
      case Verdict::Slower:
        outcome.end = End::M01;
        break;
      case Verdict::NoGain:
        outcome.end = End::M03;
        break;
      case Verdict::Open: // within noise
        break;
      }
    }
    return {};
  }

  Timer &timer;
  const SelectOptions &options;
  const double least; ///< ln(1 + effect)
  Selection selection;
  std::vector<std::vector<double>> blocks; ///< of the screening, by outcome
  std::vector<bool> out;                   ///< by outcome
};

} // namespace

StatusOr<Verdict> compare(Timer &timer, size_t arm, double effect,
                          std::vector<double> &blocks) {
  Status failure;
  StatusOr<Verdict> verdict = decide(timer, arm, effect, blocks, failure);
  if (verdict.ok() && !failure.ok())
    return failure;
  return verdict;
}

StatusOr<Selection> select(Timer &timer, std::vector<Candidate> candidates,
                           const SelectOptions &options,
                           const Neighbours &neighbours) {
  return Selector(timer, options).run(std::move(candidates), neighbours);
}

} // namespace hadal::tune
