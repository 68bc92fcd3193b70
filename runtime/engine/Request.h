// What a client asks of the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine/Sampling.h"

namespace hadal::engine {

/// Of a Request, at most.
inline constexpr size_t kMostStopStrings = 16;
inline constexpr size_t kMostStopBytes = 256; ///< of one stop string
inline constexpr uint32_t kMostLogprobs = 20; ///< of a position

struct Request {
  /// Token ids, at least one; taken as they are, without a BOS token.
  std::vector<int32_t> prompt;
  SamplingParameters sampling;
  /// Of the random choice. Absent: the engine draws one and says it
  /// (Ticket::seed()), so that any answer can be had again.
  std::optional<uint64_t> seed;
  /// Continuations of the prompt, `n`: choice c differs by its random numbers
  /// alone. At most as many as there are rows.
  uint32_t choices = 1;
  /// Tokens of a choice at most; absent: EngineOptions::defaultMaxTokens. 0:
  /// the prompt alone is computed, for promptLogprobs.
  std::optional<uint64_t> maxTokens;
  /// Ids that end a choice, beside those of the model.
  std::vector<int32_t> stopTokens;
  /// UTF-8 texts that end a choice, at most kMostStopStrings of 1 to
  /// kMostStopBytes bytes. They need a tokenizer.
  std::vector<std::string> stopStrings;
  /// Whether a stop string, or the text of a stop token, stays in the text.
  bool includeStop = false;
  /// Go on after the model's end-of-sequence ids; stopTokens still end.
  bool ignoreEos = false;
  /// Leave special tokens out of the text.
  bool skipSpecial = true;
  /// Give the logprob of each token, and of so many of the most probable ones
  /// (0: none, at most kMostLogprobs). Absent: no logprobs.
  std::optional<uint32_t> logprobs;
  /// The same of the prompt's tokens, from its second on (`echo`); needs
  /// logprobs, and takes nothing from the prefix cache.
  bool promptLogprobs = false;
  /// Lower first, as in vLLM; equal ones by arrival.
  int32_t priority = 0;
  /// Prompts share cached prefixes only under equal salts.
  std::string cacheSalt;
  /// Name of the API key, for the limit of rows per key; empty: no key.
  std::string key;
};

} // namespace hadal::engine
