// Chooses the next token of a row from its logits. The choice depends on the
// logits, the parameters and the row's step alone: not on batch, bucket,
// threads or target.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal {

struct SamplingParameters {
  float temperature = 0; // 0: greedy
  float topP = 1;        // (0, 1]
  uint64_t seed = 0;
  uint64_t topK = 0; // 0: all tokens
};

/// H5005 naming the parameter, its value and the allowed range.
Status validateSampling(const SamplingParameters &parameters);

/// Philox4x32-10 (Salmon et al., SC11): four random words of a counter.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

/// The uniform of step |step| of a row: the upper 24 bits of the first word of
/// Philox with key |seed| and counter (step, 0), in [0, 1).
float samplingUniform(uint64_t seed, uint64_t step);

/// One row at a time; keeps its work space between calls.
class Sampler {
public:
  /// The next token. Greedy: the largest logit, the lowest id among equals.
  /// Otherwise softmax(logits / temperature) in f32, tokens by descending
  /// probability then ascending id, the first topK of them, the shortest prefix
  /// whose sum reaches topP of theirs, inverse CDF over it. H5008 if a logit is
  /// not finite, H5005 for parameters out of range or no logits.
  StatusOr<int32_t> sample(std::span<const float> logits,
                           const SamplingParameters &parameters, uint64_t step);

private:
  struct Candidate {
    float probability;
    int32_t id;
  };
  std::vector<Candidate> candidates_;
};

} // namespace hadal
