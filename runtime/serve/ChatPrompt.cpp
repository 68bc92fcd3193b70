#include "runtime/serve/ChatPrompt.h"

namespace hadal::serve {

namespace {

constexpr const char *kSpace = " \t\r\n\f\v";

/// Cuts |pieces| behind the last message's content, so that the answer goes on
/// with it: what a template puts behind a message ends its turn. Templates may
/// trim the content, so it is looked for without its spaces.
Status cutBehindFinalMessage(const OrderedJson &messages,
                             std::vector<TextPiece> &pieces) {
  const OrderedJson &last = messages.back();
  const auto content = last.find("content");
  std::string text;
  if (content != last.end() && content->is_string())
    text = content->get<std::string>();
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos)
    return error(5028, "continue_final_message is true, but the last message "
                       "has no text to go on with");
  const std::string trimmed =
      text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
  const std::string rendered = chat::textOf(pieces);
  const size_t at = rendered.rfind(trimmed);
  if (at == rendered.npos)
    return error(5028, "continue_final_message is true, but the template does "
                       "not print the last message as it is");
  size_t left = at + trimmed.size();
  const std::string trailing = text.substr(begin + trimmed.size());
  if (rendered.compare(left, trailing.size(), trailing) == 0)
    left += trailing.size();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].text.size() >= left) {
      pieces[i].text.resize(left);
      pieces.resize(i + 1);
      break;
    }
    left -= pieces[i].text.size();
  }
  return {};
}

} // namespace

StatusOr<ChatPrompt> renderChat(const CompletionBody &body,
                                const chat::ChatTemplate &chatTemplate,
                                const Tokenizer &tokenizer,
                                const ChatOptions &options) {
  chat::RenderInput input;
  HADAL_ASSIGN_OR_RETURN(input.messages,
                         chat::normalizeMessages(body.messages));
  input.tools = body.tools;
  input.variables = body.templateVariables;
  input.addGenerationPrompt = body.addGenerationPrompt;
  const OrderedJson messages = input.messages;
  HADAL_ASSIGN_OR_RETURN(std::vector<TextPiece> pieces,
                         chatTemplate.render(std::move(input)));
  if (body.continueFinalMessage)
    HADAL_RETURN_IF_ERROR(cutBehindFinalMessage(messages, pieces));
  if (options.trustUserTokens)
    for (TextPiece &piece : pieces)
      piece.trusted = true;

  ChatPrompt prompt;
  const bool withTools = !body.tools.is_null();
  prompt.format = chat::formatOf(chatTemplate.source(withTools));
  if (options.toolFormat)
    prompt.format.tools = *options.toolFormat;
  if (!withTools)
    prompt.format.tools = chat::ToolFormat::None;
  prompt.startsInReasoning =
      prompt.format.hasReasoning && chat::endsInReasoning(pieces);
  HADAL_ASSIGN_OR_RETURN(prompt.ids, tokenizer.encode(pieces));
  return prompt;
}

} // namespace hadal::serve
