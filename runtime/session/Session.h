// Rows of tokens that grow step by step over a paged latent cache.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/comm/QueueStream.h"
#include "runtime/session/LockStep.h"
#include "runtime/session/Model.h"
#include "runtime/session/Phase.h"

namespace hadal {

/// One run of an entry, while the executable profiles.
struct EntryRun {
  unsigned entry; ///< index in the artifact
  std::chrono::steady_clock::time_point begin, end;
  /// Empty where the device cannot tell; valid during the call.
  std::span<const CommandSpan> timeline;
};

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

enum class LogitsWanted : uint8_t { None, Last, All };

/// New tokens of one row.
struct StepRow {
  uint32_t row;
  std::span<const int32_t> tokens;
  LogitsWanted logits = LogitsWanted::Last;
  /// Of all of them. Prompt tokens run in the prefill entries, however few they
  /// are; those of Decode in the decode entries, one of a row in a call.
  Phase phase = Phase::Prompt;
};

/// What has been done since the session was created.
struct SessionCounters {
  uint64_t bodyCalls = 0; // of decode and prefill entries
  uint64_t headCalls = 0;
  uint64_t tokens = 0;
  // Of several ranks.
  uint64_t expectedCalls = 0; // of body calls: of an entry that may overflow
  uint64_t replayedCalls = 0; // of these: overflowed on some rank, run again
  /// What this rank's part of them wanted of a capacity at most.
  ExchangeDemand replayedDemand;
  uint64_t idleCalls = 0;   // of body calls: without rows of this rank
  uint64_t halvedCalls = 0; // of body calls: as two micro-batches
};

/// One session at a time may run on a model: sessions share the threads and
/// scratch of the executable. Not thread-safe.
///
/// Of a model with a group of ranks, each rank has a session with rows of its
/// own, and all make every call together: a rank that steps waits for the
/// others until they step as well or finish(). A call takes the smallest entry
/// that holds what each of them asks; a rank without rows of its own runs it on
/// nothing. A call that overflows the expected capacity is run again on the
/// entry that holds everything, before anything of it is used. Where the artifact
/// has an entry of two micro-batches and every rank has rows for both or none, the
/// call is that. The error of one
/// rank ends the steps of all with its code, and the session with them.
class Session {
public:
  /// H5005 for options out of range, H5006 where memory lacks.
  static StatusOr<std::unique_ptr<Session>>
  create(Model &model, const SessionOptions &options = {});
  ~Session();

  const SessionOptions &options() const { return options_; }

  /// Adds an empty row and returns its number. H5005 if maxRows rows live.
  StatusOr<uint32_t> addRow();
  /// Frees the row and its pages. H5005 for a row that does not live.
  Status removeRow(uint32_t row);
  /// Drops the tokens of |row| from position |length| on. H5005.
  Status truncateRow(uint32_t row, uint64_t length);
  /// Tokens of a living row; 0 otherwise.
  uint64_t length(uint32_t row) const;
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
  /// page). H5008 names the row whose logits are not finite; after it and after
  /// H5016 the rows' lengths say how far they got.
  Status step(std::span<const StepRow> rows, const LogitsSink &sink);

  /// Of several ranks: takes part in the others' calls until all have called
  /// it. Errors as of step(), of any rank. Nothing for one rank.
  Status finish();
  /// Of several ranks: ends the steps of all ranks with |status|, unless the
  /// session has failed already. For errors outside of step().
  void fail(const Status &status);

  /// Tokens routed to each expert since the last reset, by MoE layer; the name
  /// is that of the layer ("3").
  struct ExpertLoad {
    std::string layer;
    std::vector<uint64_t> tokens;
  };
  /// Summed over all ranks, which call it together.
  StatusOr<std::vector<ExpertLoad>> expertLoad() const;
  Status resetExpertLoad();

  const SessionCounters &counters() const { return counters_; }
  /// Bytes of device memory by use, for reports.
  uint64_t arenaBytes() const { return arena_.bytes(); }
  uint64_t cacheBytes() const { return cacheBytes_; }

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
  struct BodyEntry {
    unsigned index;
    Phase phase;
    uint32_t tokens, rows, queries;
    /// Index of the entry that holds what overflows this one.
    std::optional<unsigned> worst;
    /// Each with half of the tokens and rows.
    uint32_t microBatches = 1;
    /// The number in `halved_` of the entry that does the same with two.
    std::optional<unsigned> twin;
  };
  /// The pending rows of a call, by micro-batch.
  using Parts = std::array<std::span<Pending>, 2>;
  struct HeadEntry {
    unsigned index;
    uint32_t rows;
  };
  /// A token of the last call whose logits are wanted.
  struct WantedLogits {
    size_t index;
    uint64_t position;
    int32_t token; // row of the hidden state
  };

  Session(Model &model, const SessionOptions &options)
      : model_(model), options_(options) {}
  Status initialize();
  Status allocateStates();
  Status prepareEntries();
  Status checkStep(std::span<const StepRow> rows) const;
  void reservePages(Row &row, uint64_t length);
  uint64_t pagesFor(uint64_t length) const;
  Status runStep(std::span<const StepRow> rows, const LogitsSink &sink);
  /// Whether |entry| is for tokens of |phase|; where no entry is, all are.
  bool serves(const BodyEntry &entry, Phase phase) const {
    return entry.phase == phase || !hasEntries_[static_cast<size_t>(phase)];
  }
  /// What the pending rows, of one phase, ask of the next call; sets what each
  /// takes of it.
  StepDemand demandOf(std::span<const StepRow> rows,
                      std::span<Pending> pending) const;
  const BodyEntry *smallest(const StepDemand &demand) const;
  /// The smallest entry that holds |demand|, or the largest one.
  const BodyEntry &choose(const StepDemand &demand) const;
  /// Gives the pending rows in order what |entry| has room for; |used|: how many
  /// of them have a place in it. Returns what they ask, but for the phase.
  StepDemand fill(const BodyEntry &entry, std::span<Pending> pending,
                  size_t &used) const;
  /// The next call's entry, its rows and the tokens of each; of several ranks by
  /// agreement.
  StatusOr<const BodyEntry *> plan(std::span<const StepRow> rows,
                                   std::span<Pending> pending, Parts &parts);
  /// Says in |demand| whether and how |pending| can be cut in two.
  void describeHalves(std::span<const Pending> pending,
                      StepDemand &demand) const;
  /// |entry|, or its twin of two micro-batches where every rank that has rows
  /// has some for each.
  const BodyEntry &halve(const BodyEntry &entry,
                         const StepDemand &agreed) const;
  /// Gives each micro-batch of |entry| its rows: all where they fit, cut as
  /// describeHalves says, else as many as it has room for.
  Parts divide(const BodyEntry &entry, const StepDemand &agreed,
               std::span<Pending> pending) const;
  /// Sends all ranks home where one fails on its own, at the agreement that
  /// they come to next.
  Status leave(Status status);
  /// The same of what a rank does between an agreement and the collectives that
  /// follow: the others may wait in these, which no agreement reaches.
  Status quit(Status status);
  /// Runs |entry| on the inputs, again where it overflows.
  Status runEntry(const BodyEntry &entry);
  Status runPrepared(unsigned index);
  /// What the calls since the last takeDemand() wanted of a capacity.
  StatusOr<ExchangeDemand> readDemand();
  StatusOr<ExchangeDemand> takeDemand();
  void hashLogits(std::span<const float> logits);
  /// H6006 if a placement table is not what was loaded.
  Status checkTables();
  Status saveExpertLoad();
  Status restoreExpertLoad();
  Status createEndpoint();
  /// The sizes of a call of |capacity| tokens: what the host writes of them.
  void setSizes(uint32_t capacity, int32_t tokens, int32_t rows,
                int32_t logitRows, size_t at = 0);
  /// Elements of |bytes| from a micro-batch's part of an input to the next's.
  size_t strideOf(schema::Input input, const BodyEntry &entry,
                  size_t bytes) const;
  /// Writes what micro-batch |part| of |entry| has, |rows| and their |pending|
  /// tokens, to the staging of inputs; returns the tokens.
  int32_t stage(const BodyEntry &entry, uint32_t part,
                std::span<const StepRow> rows, std::span<Pending> pending,
                std::vector<WantedLogits> &wanted);
  Status runBody(const BodyEntry &entry, std::span<const StepRow> rows,
                 const Parts &parts, std::vector<WantedLogits> &wanted,
                 int32_t &tokens);
  Status writeBodyInputs();
  Status runHead(const BodyEntry &body, std::span<const StepRow> rows,
                 std::span<const WantedLogits> wanted,
                 std::array<int32_t, 2> tokensAndRows, const LogitsSink &sink);
  template <typename T>
  Status writeInput(schema::Input input, const std::vector<T> &values);

  Model &model_;
  SessionOptions options_;
  uint64_t pagesPerRow_ = 0;
  uint64_t cacheBytes_ = 0;
  std::vector<Row> rows_;
  std::vector<int32_t> freePages_; // taken from the back

  std::vector<DeviceBuffer> states_;
  std::array<DeviceBuffer, artifact::kNumInputs> inputs_;
  DeviceBuffer logits_, arena_;
  std::vector<std::unique_ptr<PreparedEntry>> entries_; // by artifact index
  std::vector<BodyEntry> bodies_; // by tokens, then rows; one of each bucket
  std::vector<BodyEntry> halved_; // of two micro-batches
  std::array<bool, 2> hasEntries_ = {}; // by phase
  std::vector<HeadEntry> heads_;  // by rows

  // Staging of inputs, reused so that a decode step allocates nothing.
  std::vector<int32_t> tokens_, positions_, qStart_, kvLen_, pageTable_,
      logitRows_, sizes_;
  std::vector<int64_t> slots_;
  std::vector<float> hostLogits_;
  std::vector<Pending> pending_;
  std::vector<WantedLogits> wanted_;
  SessionCounters counters_;

  // Of several ranks.
  std::optional<LockStep> lockStep_;
  /// The entry whose calls alone are in the state of what was wanted.
  std::optional<unsigned> demandOf_;
  /// All that there are, those that others wrap included.
  std::vector<std::unique_ptr<comm::Communicator>> communicators_;
  /// The loads before the call that may have to be run again, one after the
  /// other.
  std::vector<uint8_t> savedLoad_;
  /// Of all logits so far, if collectives are checked.
  uint64_t logitsHash_ = 0;
  comm::Endpoint endpoint_; // refers to some of them and to the stream
  Status failure_;          // ends every further call
  /// Uses the communicators and the buffers: destroyed first.
  std::unique_ptr<comm::CommStream> stream_;
};

} // namespace hadal
