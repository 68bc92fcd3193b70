// The results of a request on their way from the engine's thread to whoever
// reads them: one slot a choice, in which what nobody has taken is put
// together. A slow reader gets fewer and larger deltas, and memory is bounded
// by the answer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>

#include "runtime/engine/Request.h"

namespace hadal::engine {

using Clock = std::chrono::steady_clock;

/// Stop: an end-of-sequence or stop token, or a stop string. Length: maxTokens,
/// or the context is full. Error: the request cannot go on. Abort: cancelled,
/// or cut off by drain() or a time limit.
enum class FinishReason : uint8_t { None, Stop, Length, Error, Abort };

/// "stop", "length", "error", "abort"; "" for None.
const char *finishReasonName(FinishReason reason);

struct TokenLogprob {
  int32_t id = 0;
  /// Of the softmax of the logits as the model gives them, before any stage of
  /// the chain.
  float logprob = 0;
  /// The token's own bytes, which may be a part of a character.
  std::string bytes;
};

/// Of one position.
struct PositionLogprobs {
  TokenLogprob token;
  /// The most probable first, lower ids first among equals.
  std::vector<TokenLogprob> top;
};

/// What a choice has got since the last one was taken.
struct Delta {
  /// Whole characters, without what may still become a stop string.
  std::string text;
  /// All ids, those that end the choice included; their text may come later.
  std::vector<int32_t> ids;
  /// If asked for: of the tokens whose text, or whose lack of one, is decided;
  /// all of them in the end, except behind the start of a stop string.
  std::vector<PositionLogprobs> logprobs;
  /// Of choice 0: the prompt's tokens from the second on, in its first delta.
  std::vector<PositionLogprobs> promptLogprobs;
  /// Not None: nothing follows.
  FinishReason finish = FinishReason::None;
  /// With Stop: the id or the string that ended it, neither for the model's own
  /// end-of-sequence ids.
  std::variant<std::monostate, int32_t, std::string> stop;
  /// With Length: the context was full before maxTokens.
  bool contextFull = false;
  /// With Error: why. With Abort: H5016, or H5024 for a time limit in the
  /// queue.
  Status status;

  bool empty() const {
    return text.empty() && ids.empty() && logprobs.empty() &&
           promptLogprobs.empty() && finish == FinishReason::None;
  }
  /// Puts |next|, which follows, behind this.
  void append(Delta next);
};

struct Usage {
  uint64_t promptTokens = 0;
  uint64_t cachedTokens = 0;    ///< of them, from the prefix cache
  uint64_t generatedTokens = 0; ///< of all choices, through the stop
};

/// When what happened to a request; equal to time_point() where it has not.
struct RequestTimes {
  Clock::time_point arrival;
  Clock::time_point admitted;   ///< first given rows
  Clock::time_point firstToken; ///< of any choice
  Clock::time_point end;        ///< of the last choice
};

/// Shared by the engine and the reader. All members may be called from any
/// thread.
class Ticket {
public:
  /// |notify| is called on the engine's thread, once, when after a tick a slot
  /// holds something and no call has been made since the last take(): it must
  /// be quick and not call the engine.
  Ticket(uint64_t id, Request request, uint64_t seed,
         std::function<void()> notify);

  uint64_t id() const { return id_; }
  const Request &request() const { return request_; }
  uint64_t seed() const { return seed_; }

  /// Takes what choice |choice| has; empty if there is nothing new.
  Delta take(uint32_t choice);
  /// All choices have ended. Their last deltas may still wait.
  bool ended() const;
  /// Complete once ended().
  Usage usage() const;
  RequestTimes times() const;

  // For the engine.

  /// Adds to the slot of |choice|.
  void put(uint32_t choice, Delta delta);
  void update(const Usage &usage, const RequestTimes &times);
  /// Calls notify if it is due.
  void notifyReader();

private:
  const uint64_t id_;
  const Request request_;
  const uint64_t seed_;
  const std::function<void()> notify_;
  mutable std::mutex mutex_; // guards what follows
  std::vector<Delta> slots_;
  uint32_t ended_ = 0;
  bool pending_ = false;  // a slot has been filled since notify
  bool notified_ = false; // and nothing was taken since then
  Usage usage_;
  RequestTimes times_;
};

} // namespace hadal::engine
