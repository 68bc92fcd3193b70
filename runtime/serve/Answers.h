// The JSON that clients get.
#pragma once

#include <nlohmann/json.hpp>

#include "runtime/chat/AnswerParser.h"
#include "runtime/engine/Ticket.h"
#include "runtime/serve/Body.h"
#include "runtime/serve/Http.h"

namespace hadal::serve {

/// As text: bytes that are no UTF-8 become U+FFFD.
std::string dump(const nlohmann::ordered_json &json);

/// OpenAI's error object; |code| is the H code, 0: none. type follows from
/// |status|.
HttpResponse errorResponse(unsigned status, int code,
                           const std::string &message,
                           const std::string &param = "");
/// The same for an error of ours; |draining|: the engine takes no more.
HttpResponse errorResponse(const Status &status, bool draining,
                           const std::string &param = "");

/// What all answers to one completion share.
struct AnswerHead {
  bool chat = false;
  std::string id; ///< "cmpl-" or "chatcmpl-" and that of the request
  int64_t created = 0;
  std::string model;
  bool returnTokenIds = false;
  /// Of a chat: how its answer is written.
  chat::AnswerFormat format;
  bool startsInReasoning = false;

  /// The text has parts: reasoning, calls of tools.
  bool readsParts() const {
    return format.hasReasoning || format.tools != chat::ToolFormat::None;
  }
};

/// A choice as the client sees it: of the answer, or of one chunk of it.
struct ChoiceText {
  uint32_t index = 0;
  std::string text;
  engine::Delta delta; ///< all but the text
  std::string reasoning;
  std::vector<chat::ToolCall> calls;
  uint32_t firstCall = 0; ///< number of calls.front() in the whole answer
  /// Of /v1/completions with echo: characters of the answer before this.
  uint64_t textOffset = 0;
  bool wantsLogprobs = false;
};

/// The whole answer.
nlohmann::ordered_json wholeAnswer(const AnswerHead &head,
                                   const std::vector<ChoiceText> &choices,
                                   const engine::Usage &usage);

/// The chunk of |choice|; |first|: of a chat it begins with the role.
nlohmann::ordered_json chunk(const AnswerHead &head, const ChoiceText &choice);
/// The first chunk of a choice of a chat.
nlohmann::ordered_json roleChunk(const AnswerHead &head, uint32_t index);
/// The chunk without choices that include_usage asks for.
nlohmann::ordered_json usageChunk(const AnswerHead &head,
                                  const engine::Usage &usage);

/// An event of a stream.
std::string event(const nlohmann::ordered_json &json);

/// Characters of UTF-8 |text|.
uint64_t countCharacters(std::string_view text);

} // namespace hadal::serve
