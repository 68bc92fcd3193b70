// Chooses the next token of a choice from its logits. What comes out depends on
// the logits, the parameters, the choice's past and its random stream alone:
// not on batch, bucket, threads or other requests.
#pragma once

#include <span>
#include <vector>

#include "runtime/engine/Sampling.h"
#include "runtime/engine/TokenCounts.h"

namespace hadal::engine {

/// Names the random numbers of one choice of a token.
struct Draw {
  uint64_t seed = 0;
  /// Tokens that the choice has generated so far.
  uint64_t step = 0;
  /// Which of the request's choices: 0 to n - 1.
  uint32_t child = 0;
};

/// What of a choice the chain looks at beside the logits.
struct Past {
  /// For the penalties; may be null where none is set.
  const TokenCounts *counts = nullptr;
  /// The ids that minTokens keeps back.
  std::span<const int32_t> endTokens;
};

/// A standard exponential variate for token |id|: -ln((w + 1/2) / 2^32), where
/// w is word id mod 4 of Philox with key |seed| and counter (step lo, step hi,
/// id / 4, child).
double exponential(const Draw &draw, int32_t id);

/// One row at a time; keeps its work space between calls.
class Sampler {
public:
  /// The next token by the stages of SamplingParameters in their order, all in
  /// double. minTokens takes its ids out unless nothing would be left. Greedy:
  /// the largest value, the lowest id among equals. Otherwise, of the tokens
  /// that the filters keep, the one that wins the race of exponentials: the
  /// largest ln p - ln exponential(draw, id), which has distribution p, and the
  /// lowest id among equals. A choice changes only as far as p changes, so that
  /// two models with nearly the same p and the same draw mostly agree
  /// (coupling; Daliri, Musco, Suresh, arXiv 2408.07978). H5008 if a logit is
  /// not finite, H5005 for no logits. |parameters| have passed
  /// validateSampling.
  StatusOr<int32_t> sample(std::span<const float> logits,
                           const SamplingParameters &parameters,
                           const Past &past, const Draw &draw);

private:
  struct Candidate {
    double z; // ln p up to a constant; of the most probable one 0
    int32_t id;
  };
  static bool isMoreProbable(const Candidate &a, const Candidate &b) {
    return a.z > b.z || (a.z == b.z && a.id < b.id);
  }
  /// The logits behind the stages before temperature, in values_.
  void adjust(std::span<const float> logits,
              const SamplingParameters &parameters, const Past &past);
  void keepBack(std::span<const int32_t> ids);
  void filter(const SamplingParameters &parameters);
  void keepNucleus(float topP, bool sorted);
  int32_t race(const Draw &draw) const;

  std::vector<double> values_;
  std::vector<Candidate> candidates_;
};

/// ln of softmax(logits) at |id|; the sum is taken in double in the order of
/// ids.
class LogSoftmax {
public:
  explicit LogSoftmax(std::span<const float> logits);
  double operator[](int32_t id) const;
  /// The |count| most probable ids, lower ones first among equals.
  std::vector<int32_t> top(size_t count) const;

private:
  std::span<const float> logits_;
  double normalizer_; // ln of the sum of all exponentials
};

} // namespace hadal::engine
