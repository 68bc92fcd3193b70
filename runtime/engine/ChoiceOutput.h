// From sampled tokens of one choice to what its reader gets: the one place that
// decides where a choice ends.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "runtime/engine/StopMatcher.h"
#include "runtime/engine/Ticket.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal::engine {

/// What ends choices beside what their request says.
struct OutputLimits {
  std::span<const int32_t> eosTokens; ///< of the model; ascending
  uint64_t maxTokens = 0;             ///< of this choice
  uint64_t maxSeqLen = 0;
};

class ChoiceOutput {
public:
  /// |request|, |tokenizer| and what |limits| refer to outlive this. Without a
  /// tokenizer there is no text.
  ChoiceOutput(const Request &request, const Tokenizer *tokenizer,
               const OutputLimits &limits);

  /// Takes the next token, in this order: end-of-sequence and stop tokens; its
  /// text and stop strings; maxTokens; the context. Several tokens of one step
  /// come one by one: those behind the one that ends the choice are never
  /// pushed. Returns the reason if it ends. |logprobs|: where the request wants
  /// them.
  FinishReason push(int32_t token, std::optional<PositionLogprobs> logprobs);
  /// Ends the choice from outside: Error or Abort, with its |status|, or Length
  /// (|full|: because no token has room any more). What was held back goes out.
  /// Nothing if it has ended.
  void end(FinishReason reason, Status status, bool full = false);

  /// What there is for the reader since the last call.
  Delta take() { return std::exchange(delta_, {}); }
  const Delta &pending() const { return delta_; }

  FinishReason finish() const { return finish_; }
  /// Tokens so far, through the one that ended the choice.
  uint64_t generated() const { return generated_; }

private:
  /// A token whose logprobs wait until its text has gone out.
  struct Waiting {
    PositionLogprobs logprobs;
    uint64_t begin; ///< bytes of text before it
    uint64_t end;   ///< bytes of text that decide it
  };

  bool endsAt(int32_t token);
  /// Lets |text| through the stop matcher; true if it holds a stop string.
  bool emit(std::string_view text);
  void release(uint64_t decided);
  FinishReason finishAs(FinishReason reason);

  const Request &request_;
  const Tokenizer *tokenizer_;
  const OutputLimits limits_;
  std::optional<IncrementalDecoder> decoder_;
  StopMatcher matcher_;
  Delta delta_;
  FinishReason finish_ = FinishReason::None;
  uint64_t generated_ = 0;
  uint64_t decoded_ = 0;  // bytes that the decoder has given
  uint64_t released_ = 0; // of them, out of the matcher
  std::deque<Waiting> waiting_;
};

} // namespace hadal::engine
