// Generates text from prompts: prefill, then batched decode of rows that end
// independently.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/engine/Sampler.h"
#include "runtime/session/Session.h"

namespace hadal {

struct GenerateRequest {
  std::vector<int32_t> prompt;
  engine::SamplingParameters sampling;
  uint64_t seed = 0;
  /// Tokens to generate at most.
  uint64_t maxTokens = 64;
  /// Ids that end the row, beside Model::eosTokenIds().
  std::vector<int32_t> stopTokens;
  /// Go on after either.
  bool ignoreEos = false;
};

/// Why a row ended: an end-of-sequence token, maxTokens, or max_seq_len.
enum class FinishReason : uint8_t { None, Eos, Length, Context };

struct GenerateStatistics {
  uint64_t promptTokens = 0;
  uint64_t generatedTokens = 0;
  double prefillSeconds = 0;
  double decodeSeconds = 0;
};

/// Told of every token: |request| is the index in the list, |token| the id
/// (also of the end-of-sequence token), |reason| is not None with the last one
/// of a request.
using TokenSink =
    std::function<Status(size_t request, int32_t token, FinishReason reason)>;

/// Runs all |requests|, as many at once as the session has rows, the next one
/// as soon as a row ends. What a request generates does not depend on the
/// others, up to the rounding of kernels of other buckets. Errors are those of
/// Session::step and engine::Sampler; an empty prompt or one of more than max_seq_len
/// tokens is H5005 before anything runs.
StatusOr<GenerateStatistics> generate(Session &session, const Model &model,
                                      std::span<const GenerateRequest> requests,
                                      const TokenSink &sink);

} // namespace hadal
