#include "tools/hadal-run/Conversation.h"

#include <algorithm>

#include "runtime/base/Interrupt.h"

namespace hadal {

StatusOr<std::unique_ptr<Conversation>>
Conversation::create(Model &model, const Tokenizer &tokenizer,
                     const chat::ChatTemplate *chatTemplate,
                     ConversationOptions options) {
  std::unique_ptr<Conversation> result(
      new Conversation(model, tokenizer, chatTemplate, std::move(options)));
  SessionOptions sessionOptions;
  sessionOptions.maxRows = 1;
  sessionOptions.prefillChunk = result->options.prefillChunk;
  sessionOptions.interrupt = &InterruptScope::flag();
  HADAL_ASSIGN_OR_RETURN(result->session_,
                         Session::create(model, sessionOptions));
  HADAL_ASSIGN_OR_RETURN(result->row_, result->session_->addRow());
  result->clear();
  return result;
}

void Conversation::clear() {
  messages_ = OrderedJson::array();
  attempt_ = 0;
  if (!options.system.empty())
    messages_.push_back({{"role", "system"}, {"content", options.system}});
}

void Conversation::say(const std::string &text) {
  attempt_ = 0;
  messages_.push_back({{"role", "user"}, {"content", text}});
}

bool Conversation::takeBack() {
  if (messages_.empty() || messages_.back()["role"] != "assistant")
    return false;
  messages_.erase(messages_.size() - 1);
  ++attempt_;
  return true;
}

Status Conversation::setMessages(OrderedJson messages) {
  HADAL_ASSIGN_OR_RETURN(messages_,
                         chat::normalizeMessages(std::move(messages)));
  attempt_ = 0;
  return {};
}

StatusOr<std::vector<TextPiece>> Conversation::render() const {
  if (template_) {
    chat::RenderInput input;
    input.messages = messages_;
    return template_->render(std::move(input));
  }
  std::vector<TextPiece> pieces;
  for (const OrderedJson &message : messages_)
    if (message["content"].is_string())
      pieces.push_back({message["content"].get<std::string>(), false});
  return pieces;
}

/// A template writes the BOS token itself.
StatusOr<std::vector<int32_t>>
Conversation::encode(std::span<const TextPiece> text) const {
  EncodeOptions encoding{AddedTokens::All, std::nullopt};
  if (template_)
    encoding.addBos = false;
  return tokenizer_.encode(text, encoding);
}

StatusOr<uint64_t> Conversation::countTokens() const {
  HADAL_ASSIGN_OR_RETURN(std::vector<TextPiece> text, render());
  HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> ids, encode(text));
  return static_cast<uint64_t>(ids.size());
}

bool Conversation::ends(int32_t token) const {
  const auto &ids = model_.eosTokenIds();
  return !options.ignoreEos &&
         std::find(ids.begin(), ids.end(), token) != ids.end();
}

Status Conversation::step(std::span<const int32_t> tokens, Phase phase) {
  const StepRow row = {row_, tokens, LogitsWanted::Last, phase};
  return session_->step(
      {&row, 1},
      [&](size_t, uint64_t, std::span<const float> logits) -> Status {
        logits_.assign(logits.begin(), logits.end());
        return {};
      });
}

StatusOr<Conversation::End> Conversation::answer(const Write &write) {
  const auto run = [&]() -> StatusOr<End> {
    HADAL_ASSIGN_OR_RETURN(std::vector<TextPiece> pieces, render());
    HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, encode(pieces));
    if (prompt.empty())
      return error(5005, "the conversation has no tokens; write some text");
    if (prompt.size() >= maxTokens())
      return error(5005,
                   "the conversation has {} tokens, and the model was compiled "
                   "for {}; begin anew by /clear",
                   prompt.size(), maxTokens());
    std::string text;
    HADAL_ASSIGN_OR_RETURN(End end, generate(prompt, write, text));
    OrderedJson message = {{"role", "assistant"}, {"content", text}};
    if (template_) {
      // The words of the tool formats are a server's; here they are text.
      chat::AnswerFormat format =
          chat::formatOf(template_->source(/*withTools=*/false));
      format.tools = chat::ToolFormat::None;
      chat::AnswerParser parser(format, chat::endsInReasoning(pieces));
      chat::AnswerDelta all = parser.push(text), rest = parser.finish();
      message["content"] = all.content + rest.content;
      if (std::string reasoning = all.reasoning + rest.reasoning;
          !reasoning.empty())
        message["reasoning_content"] = reasoning;
    }
    messages_.push_back(std::move(message));
    return end;
  };
  StatusOr<End> end = run();
  if (!end.ok() && !messages_.empty() && messages_.back()["role"] == "user")
    messages_.erase(messages_.size() - 1);
  return end;
}

StatusOr<Conversation::End>
Conversation::generate(const std::vector<int32_t> &prompt, const Write &write,
                       std::string &text) {
  // The last token is computed in any case: its logits are wanted.
  const auto differs = std::mismatch(prompt.begin(), prompt.end() - 1,
                                     cached_.begin(), cached_.end())
                           .first;
  reusedTokens_ = static_cast<uint64_t>(differs - prompt.begin());
  promptTokens_ = prompt.size();
  HADAL_RETURN_IF_ERROR(session_->truncateRow(row_, reusedTokens_));
  Status status = step(std::span(prompt).subspan(reusedTokens_), Phase::Prompt);
  cached_.assign(prompt.begin(), prompt.begin() + static_cast<ptrdiff_t>(
                                                      session_->length(row_)));
  if (status.code() == 5016)
    return End::Interrupt;
  HADAL_RETURN_IF_ERROR(status);

  IncrementalDecoder decoder(tokenizer_, /*skipSpecial=*/true);
  const auto tell = [&](const std::string &part) -> Status {
    text += part;
    return part.empty() ? Status() : write(part);
  };
  engine::TokenCounts *none = nullptr;
  End end = End::Length;
  for (uint64_t n = 0; n < options.maxTokens; ++n) {
    HADAL_ASSIGN_OR_RETURN(
        int32_t token,
        sampler_.sample(logits_, options.sampling, engine::Past{none, {}},
                        engine::Draw{options.seed, n, attempt_}));
    if (ends(token)) {
      end = End::Stop;
      break;
    }
    HADAL_RETURN_IF_ERROR(tell(decoder.push(token)));
    if (session_->length(row_) + 1 >= maxTokens()) {
      end = End::Context;
      break;
    }
    if (n + 1 == options.maxTokens)
      break;
    status = step({&token, 1}, Phase::Decode);
    if (status.code() == 5016 || InterruptScope::flag()) {
      end = End::Interrupt;
      break;
    }
    HADAL_RETURN_IF_ERROR(status);
  }
  HADAL_RETURN_IF_ERROR(tell(decoder.finish()));
  return end;
}

} // namespace hadal
