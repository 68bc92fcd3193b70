// The chat template of a checkpoint, and messages in the form that it takes.
#pragma once

#include <optional>
#include <span>

#include "runtime/chat/Template.h"

namespace hadal::chat {

/// Templates of a checkpoint with the special tokens that they write.
class ChatTemplate {
public:
  /// |file|, where it is given; else chat_template.jinja of |directory|, else
  /// `chat_template` of tokenizer_config.json: a string, or a list of
  /// {name, template} with "default" and maybe "tool_use". H5025 where there is
  /// none or it cannot be used, H5009 for a malformed tokenizer_config.json.
  static StatusOr<ChatTemplate>
  load(const std::string &directory,
       const std::optional<std::string> &file = std::nullopt);

  /// |input| with `specialTokens` as the checkpoint says; its messages in the
  /// form of normalizeMessages(). The text holds the BOS token, if the template
  /// writes one: Tokenizer::encode of pieces adds none. H5026.
  StatusOr<std::vector<TextPiece>> render(RenderInput input) const;

  /// Of the template that renders with or without tools.
  const std::string &source(bool withTools) const {
    return (withTools && withTools_ ? *withTools_ : *plain_).source();
  }

private:
  std::optional<Template> plain_, withTools_;
  std::map<std::string, std::string> specialTokens_;
};

/// Checks |messages| of a request and gives them the form that templates know:
/// the text parts of a content become one string, line by line, and `reasoning`
/// becomes `reasoning_content`. H5005 names the message and its member.
StatusOr<OrderedJson> normalizeMessages(OrderedJson messages);

/// The text of all pieces.
std::string textOf(std::span<const TextPiece> pieces);

} // namespace hadal::chat
