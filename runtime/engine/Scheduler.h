// Decides which tokens of which requests are computed next, and where their
// latents lie. Single-threaded and without a clock or a model of its own: what
// comes out is a function of the calls it gets.
#pragma once

#include <memory>
#include <optional>

#include "runtime/engine/ChoiceOutput.h"
#include "runtime/engine/PrefixCache.h"
#include "runtime/engine/Runner.h"
#include "runtime/engine/Sampler.h"
#include "runtime/engine/Statistics.h"

namespace hadal::engine {

struct SchedulerOptions {
  /// Choices that run at once; 0: as many as the runner has rows, which is the
  /// upper limit.
  uint32_t maxRows = 0;
  /// Requests that wait at most, beside those for which rows are free.
  uint32_t maxQueue = 256;
  /// Of a request without maxTokens.
  uint64_t defaultMaxTokens = 2048;
  /// Tokens of one prompt per call; 0: what a call holds.
  uint32_t prefillChunk = 0;
  /// How long decoding rows may wait for a prompt's call beside them: the
  /// largest size whose measured time is within it is taken, the smallest at
  /// least.
  std::chrono::milliseconds maxInterTokenLatency{250};
  /// How long a request waits for its first row, and how long it takes in all;
  /// 0: without limit.
  std::chrono::milliseconds queueTimeout{0}, requestTimeout{0};
  /// Rows of one Request::key while requests of others wait; 0: without limit.
  uint32_t maxRowsPerKey = 0;
  /// Keep the pages of prompts for others with the same beginning.
  bool prefixCache = true;
  /// Check all invariants after each tick: a violation is a failure, H5014.
  bool checkInvariants = false;
  /// May be null. It outlives the scheduler.
  Observer *observer = nullptr;
  /// Called before readers are notified of what has changed; may be empty.
  std::function<void()> beforeNotify;
};

class Scheduler {
public:
  /// |runner|, |tokenizer| (null: no text, and no stop strings) and |time|
  /// outlive the scheduler.
  Scheduler(Runner &runner, const Tokenizer *tokenizer,
            const SchedulerOptions &options, const TimeSource &time);
  ~Scheduler();

  const SchedulerOptions &options() const { return options_; }

  /// H5005 or H5013 where |request| can never run, naming the field, its value
  /// and the range. May be called from any thread.
  Status validate(const Request &request) const;
  /// A ticket for |request|, which has passed validate(). From any thread.
  static std::shared_ptr<Ticket> makeTicket(Request request,
                                            std::function<void()> notify);
  /// Queues |ticket|: H5024 where the queue is full, or the failure that ended
  /// everything.
  Status submit(std::shared_ptr<Ticket> ticket);
  /// Ends the request of the ticket |id| with Abort and |reason|, if it has not
  /// ended.
  void cancel(uint64_t id, const Status &reason);
  /// Ends those that wait and have never run (|all|: and all others) so.
  void abort(const Status &reason, bool all);

  /// One round: admits what there is room for, then one more token of every row
  /// that has its prompt, then one call for prompts. False if there was nothing
  /// to do.
  bool tick();

  Statistics statistics() const;
  /// Whether there are no requests left.
  bool idle() const { return waiting_.empty() && running_.empty(); }
  /// Recycled pages, holders, tokens and queues as they must be between two
  /// ticks; H5014.
  Status checkInvariants() const;

private:
  /// One row: a continuation of the request's prompt.
  struct Choice {
    explicit Choice(uint32_t child, ChoiceOutput output)
        : child(child), output(std::move(output)) {}
    bool ended() const { return output.finish() != FinishReason::None; }

    const uint32_t child;
    ChoiceOutput output;
    TokenCounts counts; // if a penalty is set
    std::vector<int32_t> generated;
    uint64_t length = 0;   // tokens whose latents are in pages
    uint64_t reserved = 0; // tokens that pages have room for; >= length
    /// Those of the prefix cache first: |chain|. Before the prompt is done, all
    /// but the first choice lack the prompt's full pages.
    std::vector<int32_t> pages;
    PrefixCache::Chain chain;
    Clock::time_point lastToken;
  };
  struct Entry {
    explicit Entry(std::shared_ptr<Ticket> ticket)
        : ticket(std::move(ticket)) {}
    const Request &request() const { return ticket->request(); }
    uint64_t promptSize() const { return request().prompt.size(); }
    /// Order of age: the last one is preempted first.
    std::pair<int32_t, uint64_t> age() const {
      return {request().priority, arrival};
    }

    std::shared_ptr<Ticket> ticket;
    uint64_t arrival = 0;
    uint64_t maxTokens = 0;
    std::vector<int32_t> endTokens; // that minTokens keeps back
    std::vector<std::unique_ptr<Choice>> choices;
    Choice *owner = nullptr; // computes the prompt: the first that lives
    bool forked = false;     // the prompt's latents are there, for all choices
    bool sampled = false;    // the first tokens have been drawn
    bool preempted = false;  // since it last ran
    uint32_t preemptions = 0;
    Usage usage;
    RequestTimes times;
    std::vector<PositionLogprobs> promptLogprobs;
  };
  using Entries = std::vector<std::unique_ptr<Entry>>; // by age()
  struct Row {
    Entry *entry;
    Choice *choice;
    uint32_t take = 0; // tokens of the next call
  };

  // Scheduler.cpp: queues and ends.
  void expire();
  void admit();
  bool admitOne(Entry &entry);
  bool exceedsKey(const Entry &entry) const;
  bool awaitsPrefix(const Entry &entry) const;
  void endEntry(Entry &entry, FinishReason reason, const Status &status);
  void retire();
  void fail(const Status &status);
  void deliver(Entry &entry, Choice &choice);
  uint32_t rowsOf(const Entry &entry) const;
  uint32_t liveRows() const;

  // SchedulerPages.cpp: who holds which page.
  bool takePages(Entry &entry);
  int32_t takePage();
  bool reserve(size_t index);
  void preempt(size_t index);
  void releasePages(Choice &choice);
  void publish(Entry &entry);
  Status fork(Entry &entry);

  // SchedulerCalls.cpp: calls of the runner and what they bring.
  bool decode();
  bool prompt();
  void fillPrompt(std::vector<Row> &rows, const CallCapacity &capacity) const;
  size_t promptCapacity() const;
  size_t decodeCapacity(size_t rows) const;
  size_t smallestPrompt(std::span<const Row> rows) const;
  double predicted(Phase phase, size_t capacity) const;
  CallRow callRow(const Row &row) const;
  Status finishPrompt(Entry &entry);
  Status call(Phase phase, size_t capacity, std::span<const Row> rows);
  void take(const Row &row, const RowLogits &logits);
  void takePromptLogprobs(Entry &entry, const RowLogits &logits);
  void sample(Entry &entry, Choice &choice, std::span<const float> logits);
  PositionLogprobs logprobsOf(const Request &request,
                              std::span<const float> logits, int32_t id) const;

  // SchedulerCheck.cpp
  Status checkCall(std::span<const CallRow> rows) const;
  Status checkEntry(const Entry &entry, std::vector<uint32_t> &holders) const;

  Runner &runner_;
  const RunnerLimits &limits_;
  const Tokenizer *const tokenizer_;
  SchedulerOptions options_;
  const TimeSource &time_;
  PagePool pool_;
  PrefixCache cache_;
  Sampler sampler_;
  Entries waiting_, running_;
  std::vector<Row> rows_;                        // of a phase
  std::vector<CallRow> callRows_;                // of a call
  std::vector<std::shared_ptr<Ticket>> touched_; // in this tick
  std::array<std::vector<double>, 2> seconds_; // by phase and size; 0: unknown
  Clock::time_point now_;
  uint64_t arrivals_ = 0;
  bool besideDecode_ = false; // rows have been decoded in this tick
  Statistics statistics_;
  Status failure_;
};

} // namespace hadal::engine
