// Rows of tokens that grow step by step over a paged latent cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/session/BatchRunner.h"
#include "runtime/session/Phase.h"

namespace hadal {

struct SessionOptions {
  /// Rows that live at once; 0: the artifact's max_batch_size, which is the
  /// upper limit.
  uint32_t maxRows = 0;
  /// Pages of the cache; 0: enough for maxRows rows of max_seq_len tokens; at
  /// most enough for max_batch_size rows.
  /// Memory is committed when a page is first written.
  uint64_t cachePages = 0;
  /// Tokens of one row that one call processes at most; 0: what the buckets
  /// hold.
  uint32_t prefillChunk = 0;
  /// Of several ranks: whether two micro-batches are used where the artifact has
  /// an entry for them; if one rank does not want them, none has them.
  bool microBatches = true;
  /// Checked between calls; when it becomes true, step() returns H5016.
  const std::atomic<bool> *interrupt = nullptr;
  /// Told after each call of a step how many of its tokens are done.
  std::function<void(uint64_t done, uint64_t total)> progress;
  /// Told of each run of an entry that succeeded, before its results are used.
  std::function<void(const EntryRun &)> onRun;
  /// Of several ranks: how collectives take place, and how long a rank waits for
  /// the others, in a collective and between calls.
  comm::StreamOptions collectives;
  /// Of several ranks: proves the result of every collective
  /// (CheckedCommunicator.h), before each call that the rank's placement tables
  /// are those that were loaded, and after it that the ranks of a tp group have
  /// equal logits. To look for faults: it takes time.
  bool checkCollectives = false;
};

/// New tokens of one row.
struct StepRow {
  uint32_t row;
  std::span<const int32_t> tokens;
  LogitsWanted logits = LogitsWanted::Last;
  /// Of all of them. Prompt tokens run in the prefill entries, however few they
  /// are; those of Decode in the decode entries, one of a row in a call.
  Phase phase = Phase::Prompt;
};

/// One session at a time may run on a model: sessions share the threads and
/// scratch of the executable. Not thread-safe.
///
/// Of a model with a group of ranks, each rank has a session with rows of its
/// own, and all make every call together: a rank that steps waits for the
/// others until they step as well or finish(). A call takes the smallest entry
/// that holds what each of them asks; a rank without rows of its own runs it on
/// nothing. Where the artifact has an entry of two micro-batches and every rank
/// has rows for both or none, the
/// call is that. The error of one
/// rank ends the steps of all with its code, and the session with them.
class Session {
public:
  /// H5005 for options out of range, H5006 where memory lacks.
  static StatusOr<std::unique_ptr<Session>>
  create(Model &model, const SessionOptions &options = {});

  const SessionOptions &options() const { return options_; }

  /// Adds an empty row and returns its number. H5005 if maxRows rows live.
  StatusOr<uint32_t> addRow();
  /// Frees the row and its pages. H5005 for a row that does not live.
  Status removeRow(uint32_t row);
  /// Drops the tokens of |row| from position |length| on. H5005.
  Status truncateRow(uint32_t row, uint64_t length);
  /// Tokens of a living row; 0 otherwise.
  uint64_t length(uint32_t row) const;
  /// Rows that live.
  uint32_t rows() const;
  uint64_t freePages() const { return freePages_.size(); }

  /// Receives the logits after one position: |index| of the row in the step's
  /// list, |position| in the row, and vocab_size values, valid during the call.
  using LogitsSink = std::function<Status(size_t index, uint64_t position,
                                          std::span<const float> logits)>;

  /// Appends tokens to rows, in as few calls as the buckets allow, and hands
  /// the wanted logits to |sink|: positions of a row in ascending order. A call
  /// has rows of one phase: first come all calls of decode rows.
  /// Everything is checked before anything runs, and then nothing has changed:
  /// H5005 (a row that does not live or is named twice, no tokens, an id
  /// outside the vocabulary, more than max_seq_len tokens), H5013 (no free
  /// page). H5008 names a row whose logits are not finite, after all others have
  /// been handed out; then and after H5016 the rows' lengths say how far they
  /// got.
  Status step(std::span<const StepRow> rows, const LogitsSink &sink);

  /// Of several ranks: takes part in the others' calls until all have called
  /// it. Errors as of step(), of any rank. Nothing for one rank.
  Status finish();
  /// Of several ranks: ends the steps of all ranks with |status|, unless the
  /// session has failed already. For errors outside of step().
  void fail(const Status &status) { (void)runner_->leave(status); }

  using ExpertLoad = BatchRunner::ExpertLoad;
  StatusOr<std::vector<ExpertLoad>> expertLoad() const {
    return runner_->expertLoad();
  }
  Status resetExpertLoad() { return runner_->resetExpertLoad(); }

  /// Below the rows; for others that manage pages, while there are no rows.
  BatchRunner &runner() { return *runner_; }
  const SessionCounters &counters() const { return runner_->counters(); }
  /// Bytes of device memory by use, for reports.
  uint64_t arenaBytes() const { return runner_->arenaBytes(); }
  uint64_t cacheBytes() const { return runner_->cacheBytes(); }

private:
  struct Row {
    bool live = false;
    uint64_t length = 0;
    std::vector<int32_t> pages;
  };
  /// A row of a step with what of it has been done.
  struct Pending {
    size_t index;
    uint64_t done = 0;
    uint32_t take = 0; // in the next call
  };
  using Body = BatchRunner::Body;
  /// The pending rows of a call, by micro-batch.
  using Parts = std::array<std::span<Pending>, 2>;
  Session(Model &model, const SessionOptions &options)
      : model_(model), options_(options) {}
  Status initialize();
  Status checkStep(std::span<const StepRow> rows) const;
  void reservePages(Row &row, uint64_t length);
  uint64_t pagesFor(uint64_t length) const;
  Status runStep(std::span<const StepRow> rows, const LogitsSink &sink);
  /// What the pending rows, of one phase, ask of the next call; sets what each
  /// takes of it.
  StepDemand demandOf(std::span<const StepRow> rows,
                      std::span<Pending> pending) const;
  const Body *smallest(const StepDemand &demand) const;
  /// The smallest entry that holds |demand|, or the largest one.
  const Body &choose(const StepDemand &demand) const;
  /// Gives the pending rows in order what |entry| has room for; |used|: how many
  /// of them have a place in it. Returns what they ask, but for the phase.
  StepDemand fill(const Body &entry, std::span<Pending> pending,
                  size_t &used) const;
  /// The next call's entry, its rows and the tokens of each; of several ranks by
  /// agreement.
  StatusOr<const Body *> plan(std::span<const StepRow> rows,
                                   std::span<Pending> pending, Parts &parts);
  /// Says in |demand| whether and how |pending| can be cut in two.
  void describeHalves(std::span<const Pending> pending,
                      StepDemand &demand) const;
  /// |entry|, or its twin of two micro-batches where every rank that has rows
  /// has some for each.
  const Body &halve(const Body &entry,
                         const StepDemand &agreed) const;
  /// Gives each micro-batch of |entry| its rows: all where they fit, cut as
  /// describeHalves says, else as many as it has room for.
  Parts divide(const Body &entry, const StepDemand &agreed,
               std::span<Pending> pending) const;
  /// Runs |body| on |parts| and advances its rows.
  Status call(const Body &body, std::span<const StepRow> rows,
              const Parts &parts, const LogitsSink &sink);

  Model &model_;
  SessionOptions options_;
  std::unique_ptr<BatchRunner> runner_;
  std::vector<Row> rows_;
  std::vector<int32_t> freePages_; // taken from the back

  // Reused, so that a decode step allocates nothing.
  std::vector<Pending> pending_;
  std::vector<CallRow> callRows_;
  /// Of the step: the first row whose logits are not finite.
  Status badRow_;
};

} // namespace hadal
