// Serves requests of one model: a thread that ticks the scheduler, and what
// other threads may ask of it.
#pragma once

#include <functional>
#include <memory>

#include "runtime/engine/Scheduler.h"
#include "runtime/session/Model.h"
#include "runtime/tokenizer/Tokenizer.h"

namespace hadal::engine {

struct EngineOptions : SchedulerOptions {
  /// Pages of the cache; 0: enough for maxRows rows of max_seq_len tokens.
  uint64_t cachePages = 0;
  /// Runs a call of every size first (WarmUp.h) and is told of each.
  std::function<void(size_t call, size_t calls)> warmUp;
};

/// What an engine is at.
struct Tick {
  /// How long the tick has taken so far that is under way; 0: none is.
  std::chrono::steady_clock::duration age{0};
  std::string call; ///< of the model: the last one, "decode_4"
};

/// All members but the destructor may be called from any thread.
class Engine {
public:
  /// |model|, of one rank, and |tokenizer| outlive the engine; without a
  /// tokenizer there is no text, and no request with stop strings. Errors as of
  /// ModelRunner::create. HADAL_CHECK_SCHEDULER=1 in the environment sets
  /// checkInvariants.
  static StatusOr<std::unique_ptr<Engine>>
  create(Model &model, const Tokenizer *tokenizer,
         const EngineOptions &options = {});
  /// On any runner.
  static std::unique_ptr<Engine> create(std::unique_ptr<Runner> runner,
                                        const Tokenizer *tokenizer,
                                        const SchedulerOptions &options);
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

  virtual Tick tick() const = 0;
  /// As of the end of the last tick.
  virtual Statistics statistics() const = 0;
  virtual const RunnerLimits &limits() const = 0;
};

} // namespace hadal::engine
