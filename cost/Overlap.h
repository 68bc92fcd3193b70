// Whether a layer that waits for collectives is better run as two
// micro-batches, one computing while the other communicates, and in which
// order. What the compiler's overlap pass decides by, and what the predictor
// replays.
#pragma once

#include <optional>

#include "cost/EventModel.h"

namespace hadal::cost {

/// A part of a layer that runs without interruption.
struct Stage {
  std::string name; ///< "attend"
  double us = 0;    ///< of its kernels, without gaps
  unsigned launches = 0;
  /// The collective that it needs, or empty, by label.
  std::string awaits;
  /// The collective that starts when it ends. Awaited by one stage of the
  /// chain.
  std::optional<Collective> starts;
};

/// The stages of one layer in the order of their dependences; the first of the
/// next layer follows the last. Begins where a layer is to be cut.
using Chain = std::vector<Stage>;

/// H2004 if a collective of |chain| is awaited by no stage or by two, or a
/// stage awaits one that none starts.
Status checkChain(const Chain &chain);

/// One layer as one micro-batch: a collective is awaited before the stage that
/// needs it. Nothing is in flight at the end.
StatusOr<Timeline> runPlain(const Chain &chain, const Machine &machine);

/// An order of the stages of two micro-batches in the body of a loop over
/// layers. Chain 0 begins with its first stage, chain 1 |lag| stages earlier,
/// that is in the layer before.
struct Interleaving {
  unsigned lag = 0;
  std::vector<unsigned> order; ///< 0 or 1: whose next stage it is

  /// "lag 2: experts.0 project.1 ...".
  std::string toString(const Chain &chain) const;
};

/// The commands of such a body. A collective starts when its stage ends and is
/// awaited before the stage that needs it, at the latest at the body's end, so
/// that nothing is in flight there; one that the last stage of a chain starts
/// begins with the next body instead.
std::vector<Command> bodyOf(const Chain &half,
                            const Interleaving &interleaving);

struct OverlapPlan {
  Interleaving interleaving;
  Timeline timeline; ///< of a body: one layer of both micro-batches
};

/// The best of all orders with all lags: of equals the smallest lag, then the
/// first order. |half| is the chain of one micro-batch.
StatusOr<OverlapPlan> searchOverlap(const Chain &half, const Machine &machine);

enum class OverlapMode { automatic, on, off };

struct OverlapDecision {
  bool kept = false;
  /// |mode| is on, though the model predicts no gain: a warning.
  bool forced = false;
  double beforeUs = 0, afterUs = 0;
  double exposedBeforeUs = 0, exposedAfterUs = 0;
  std::map<std::string, double> exposedBefore, exposedAfter; ///< by label
  OverlapPlan plan;
  /// "it pays", or why not.
  std::string reason;
  /// "decode_256: two micro-batches: 2003 -> 1370 us a layer, exposed 916 -> 35
  /// us: kept".
  std::string text;
};

/// Two micro-batches must take this much less of one's time.
inline constexpr double kLeastGain = 0.05;

/// Decides for the bucket |name|: |whole| is a layer of all its rows, |half| of
/// half of them. Two micro-batches are kept if the predicted time falls by at
/// least kLeastGain and |fits| (their memory).
StatusOr<OverlapDecision>
decideOverlap(const std::string &name, const Chain &whole, const Chain &half,
              const Machine &machine, bool fits = true,
              OverlapMode mode = OverlapMode::automatic);

} // namespace hadal::cost
