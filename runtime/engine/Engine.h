// Serves requests of one model: a thread that ticks the scheduler, and what
// other threads may ask of it.
#pragma once

#include <functional>
#include <memory>

#include "runtime/engine/Statistics.h"
#include "runtime/session/Model.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal::engine {

struct EngineOptions {
  /// Choices that run at once; 0: the artifact's max_batch_size, which is the
  /// upper limit.
  uint32_t maxRows = 0;
  /// Pages of the cache; 0: enough for maxRows rows of max_seq_len tokens.
  uint64_t cachePages = 0;
  /// Requests that wait at most.
  uint32_t maxQueue = 256;
  /// Of a request without maxTokens.
  uint64_t defaultMaxTokens = 2048;
  /// Tokens of a prompt per call; 0: what the buckets hold.
  uint32_t prefillChunk = 0;
  /// How long decoding rows may wait for a prompt's call beside them: the
  /// largest prompt bucket within it is taken, the smallest at least.
  std::chrono::milliseconds maxInterTokenLatency{250};
  /// How long a request waits for its first row, and how long it takes in all;
  /// 0: without limit.
  std::chrono::milliseconds queueTimeout{0}, requestTimeout{0};
  /// Rows of one Request::key while others wait; 0: without limit.
  uint32_t maxRowsPerKey = 0;
  /// Keep the pages of prompts for others with the same beginning.
  bool prefixCache = true;
  /// May be null. It outlives the engine.
  Observer *observer = nullptr;
};

/// All members but the destructor may be called from any thread.
class Engine {
public:
  /// |model|, of one rank, and |tokenizer| outlive the engine; without a
  /// tokenizer there is no text, and no request with stop strings. Errors as of
  /// Session::create.
  static StatusOr<std::unique_ptr<Engine>>
  create(Model &model, const Tokenizer *tokenizer,
         const EngineOptions &options = {});
  /// Aborts what still runs.
  virtual ~Engine() = default;

  /// Queues |request|. H5005 where it can never run, naming the field, its
  /// value and the range; H5024 where the queue is full, or the engine drains;
  /// after a failed call the error of that call. |notify|: as of Ticket.
  virtual StatusOr<std::shared_ptr<Ticket>>
  submit(Request request, std::function<void()> notify) = 0;

  /// Ends |ticket| before the next call with Abort and |reason|, which is an
  /// error; nothing if it has ended.
  virtual void cancel(const Ticket &ticket, Status reason) = 0;

  /// Takes no more requests, ends those that wait with Abort, and lets the
  /// running ones go on for |timeout|; then these end with Abort as well.
  /// Returns at once; drained() tells when nothing runs any more.
  virtual void drain(std::chrono::milliseconds timeout) = 0;
  virtual bool drained() const = 0;

  virtual Statistics statistics() const = 0;
};

} // namespace hadal::engine
