// Messages between a person and a model, and the answers to them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/chat/AnswerParser.h"
#include "runtime/chat/ChatTemplate.h"
#include "runtime/engine/Sampler.h"
#include "runtime/session/Session.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal {

struct ConversationOptions {
  engine::SamplingParameters sampling;
  uint64_t seed = 1;
  /// Of an answer.
  uint64_t maxTokens = 64;
  uint32_t prefillChunk = 0;
  bool ignoreEos = false;
  std::string system; // empty: none
};

class Conversation {
public:
  enum class End : uint8_t { Stop, Length, Context, Interrupt };
  using Write = std::function<Status(std::string_view text)>;

  /// |chatTemplate| null: texts are put one behind the other, as they are.
  static StatusOr<std::unique_ptr<Conversation>>
  create(Model &model, const Tokenizer &tokenizer,
         const chat::ChatTemplate *chatTemplate, ConversationOptions options);

  ConversationOptions options;

  /// Without messages, but for the system text.
  void clear();
  void say(const std::string &text);
  /// Takes the last answer back; false where there is none.
  bool takeBack();

  /// Answers the last message, character by character to |write|. An interrupt
  /// (InterruptScope) ends it, and what is written stays. After an error the
  /// last message is gone. The beginning that the tokens share with what was
  /// computed before as a prompt is not computed again; answers are, so that an
  /// answer does not depend on how the conversation came about.
  StatusOr<End> answer(const Write &write);

  /// Tokens of the conversation as it would be put to the model.
  StatusOr<uint64_t> countTokens() const;
  uint64_t maxTokens() const { return model_.description().max_seq_len(); }
  /// Prompt tokens of the last answer, and how many were not computed again.
  uint64_t promptTokens() const { return promptTokens_; }
  uint64_t reusedTokens() const { return reusedTokens_; }

  const OrderedJson &messages() const { return messages_; }
  /// H5005 for what are no messages.
  Status setMessages(OrderedJson messages);

private:
  Conversation(Model &model, const Tokenizer &tokenizer,
               const chat::ChatTemplate *chatTemplate,
               ConversationOptions options)
      : options(std::move(options)), model_(model), tokenizer_(tokenizer),
        template_(chatTemplate) {}
  StatusOr<std::vector<TextPiece>> render() const;
  StatusOr<std::vector<int32_t>> encode(std::span<const TextPiece> text) const;
  StatusOr<End> generate(const std::vector<int32_t> &prompt, const Write &write,
                         std::string &text);
  Status step(std::span<const int32_t> tokens, Phase phase);
  bool ends(int32_t token) const;

  Model &model_;
  const Tokenizer &tokenizer_;
  const chat::ChatTemplate *template_;
  std::unique_ptr<Session> session_;
  uint32_t row_ = 0;
  std::vector<int32_t> cached_; // the row's tokens that came as a prompt
  std::vector<float> logits_;   // after the last token
  engine::Sampler sampler_;
  uint32_t attempt_ = 0; // of the answer: draws other random numbers
  uint64_t promptTokens_ = 0, reusedTokens_ = 0;
  OrderedJson messages_ = OrderedJson::array();
};

} // namespace hadal
