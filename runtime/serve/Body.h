// The bodies of requests to the OpenAI-compatible endpoints.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/base/Json.h"
#include "runtime/engine/Request.h"

namespace hadal::serve {

/// What is not usable: |param| is the field, as OpenAI's errors name it.
struct BodyError {
  Status status; ///< H5028: field, value, range
  std::string param;
};

/// What the fields may be, and are where a client leaves them out.
struct BodyLimits {
  engine::SamplingParameters defaults; ///< temperature, topK, topP of the model
  uint64_t vocabulary = 0;
  uint32_t maxChoices = 16; ///< n: at most the rows of the engine
};

/// A prompt as text or ids.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

/// What both kinds of completion have. null is as absent; a field that is not
/// known is ignored and listed.
struct CompletionBody {
  std::string model; ///< empty: not given
  /// All but the prompt.
  engine::Request request;
  bool stream = false;
  bool includeUsage = false;  ///< stream_options
  bool returnTokenIds = false;
  // /v1/completions
  std::vector<Prompt> prompts; ///< 1 to 64
  bool echo = false;
  // /v1/chat/completions
  // Their members are in the order in which they came, as templates print them;
  // null where absent.
  OrderedJson messages, tools, templateVariables;
  bool toolsAllowed = true; ///< tool_choice is not "none"
  bool addGenerationPrompt = true;
  bool continueFinalMessage = false;

  std::vector<std::string> unknown;
};

/// Parses |text| as the body of /v1/completions, or of /v1/chat/completions
/// where |chat|. Integers are whole and within 64 bits, numbers finite.
std::variant<CompletionBody, BodyError>
parseCompletion(std::string_view text, bool chat, const BodyLimits &limits);

/// The body of /tokenize: {"prompt": "...", "add_special_tokens": bool}.
struct TokenizeBody {
  std::string prompt;
  std::optional<bool> addSpecialTokens;
};
std::variant<TokenizeBody, BodyError> parseTokenize(std::string_view text);

/// The body of /detokenize: {"tokens": [...]}.
std::variant<std::vector<int32_t>, BodyError>
parseDetokenize(std::string_view text, uint64_t vocabulary);

} // namespace hadal::serve
