// How the next token of a request is chosen: the parameters of the chain that
// Sampler.h applies.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::engine {

/// Names and meaning as in vLLM. The stages act in the order of the members.
struct SamplingParameters {
  /// (id, value): added to the logit of the id.
  std::vector<std::pair<int32_t, float>> logitBias;
  /// (0, 2]: a positive logit of a token of the prompt or the output is divided
  /// by it, a negative one multiplied.
  float repetitionPenalty = 1;
  /// Subtracted from the logit of each token of the output; [-2, 2].
  float presencePenalty = 0;
  /// The same, times how often it is there; [-2, 2].
  float frequencyPenalty = 0;
  /// Tokens to generate before one that ends the request may be chosen.
  uint64_t minTokens = 0;
  float temperature = 0; ///< 0: greedy, and what follows has no effect
  uint64_t topK = 0;     ///< the most probable tokens; 0: all
  float topP = 1;        ///< (0, 1]: the shortest prefix that reaches it
  float minP = 0;        ///< [0, 1]: of the largest probability
};

/// H5005 naming the parameter, its value and the allowed range; |vocabulary|
/// bounds the ids of logitBias.
Status validateSampling(const SamplingParameters &parameters,
                        uint64_t vocabulary);

} // namespace hadal::engine
