// The prompt of a chat, from the messages of a request.
#pragma once

#include "runtime/chat/AnswerParser.h"
#include "runtime/chat/ChatTemplate.h"
#include "runtime/serve/Body.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal::serve {

struct ChatPrompt {
  std::vector<int32_t> ids;
  /// How the answer is to be read.
  chat::AnswerFormat format;
  bool startsInReasoning = false;
};

struct ChatOptions {
  /// In place of what the template's markers tell.
  std::optional<chat::ToolFormat> toolFormat;
  /// The spelling of a control token in a message becomes the token, as in
  /// transformers; whoever writes messages can then write turns of others.
  bool trustUserTokens = false;
};

/// H5005, H5026 for messages that the template does not take, H5028 for a final
/// message that cannot be continued.
StatusOr<ChatPrompt> renderChat(const CompletionBody &body,
                                const chat::ChatTemplate &chatTemplate,
                                const Tokenizer &tokenizer,
                                const ChatOptions &options = {});

} // namespace hadal::serve
