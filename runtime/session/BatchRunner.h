// Calls of a model's entries: inputs, the body, the head, over rows whose pages
// the caller manages.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/comm/QueueStream.h"
#include "runtime/session/Call.h"
#include "runtime/session/LockStep.h"
#include "runtime/session/Model.h"

namespace hadal {

/// One run of an entry, while the executable profiles.
struct EntryRun {
  unsigned entry; ///< index in the artifact
  std::chrono::steady_clock::time_point begin, end;
  /// Empty where the device cannot tell; valid during the call.
  std::span<const CommandSpan> timeline;
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

/// As of SessionOptions.
struct BatchOptions {
  uint64_t cachePages = 0;
  std::function<void(const EntryRun &)> onRun;
  comm::StreamOptions collectives;
  bool checkCollectives = false;
};

/// Owns the device's memory of a run: the latent cache, inputs, logits,
/// activations. Sessions and the engine's scheduler are its users; one at a
/// time may run on a model. Not thread-safe.
///
/// Of several ranks, all make every call together, having agreed on it
/// (LockStep.h). A call that overflows the expected capacity is run again on
/// the entry that holds everything, before anything of it is used.
class BatchRunner {
public:
  /// An entry that computes tokens.
  struct Body {
    unsigned index; ///< in the artifact
    Phase phase;
    uint32_t tokens, rows, queries;
    /// Index of the entry that holds what overflows this one.
    std::optional<unsigned> worst;
    /// Each with half of the tokens and rows.
    uint32_t microBatches = 1;
    /// The number in halved() of the entry that does the same with two.
    std::optional<unsigned> twin;
  };

  /// H5006 where memory lacks.
  static StatusOr<std::unique_ptr<BatchRunner>>
  create(Model &model, const BatchOptions &options);
  ~BatchRunner();

  const BatchOptions &options() const { return options_; }
  /// By tokens, then rows; one of each bucket.
  std::span<const Body> bodies() const { return bodies_; }
  /// Those of two micro-batches.
  std::span<const Body> halved() const { return halved_; }
  /// Whether |body| is for tokens of |phase|; where no entry is, all are.
  bool serves(const Body &body, Phase phase) const {
    return body.phase == phase || !hasEntries_[static_cast<size_t>(phase)];
  }

  /// The rows of a call by micro-batch.
  using Parts = std::array<std::span<const CallRow>, 2>;
  /// Runs |body| on |parts|, which it holds, and the heads that the wanted
  /// logits take. Rows count through both parts; the positions of one come in
  /// ascending order. What |parts| refer to may change from then on. A row
  /// whose logits are not finite does not touch the others: the sink is told.
  /// An error is of the device or of other ranks, and nothing of the call
  /// counts.
  Status run(const Body &body, const Parts &parts, const RowLogitsSink &sink);

  /// Makes page |to| of every paged cache equal to page |from|.
  Status copyPage(int32_t to, int32_t from);

  // Of several ranks.

  bool hasRanks() const { return lockStep_.has_value(); }
  /// LockStep::agreeOnCall; |hash| is joined with that of all logits so far, if
  /// these are checked. An error ends the run.
  StatusOr<std::optional<StepDemand>> agreeOnCall(const StepDemand &mine,
                                                  bool finished, uint64_t hash);
  /// Not ok: what has ended every further call.
  const Status &failure() const { return failure_; }
  /// Sends all ranks home where one fails on its own, at the agreement that
  /// they come to next. Returns |status|.
  Status leave(Status status);

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
  struct HeadEntry {
    unsigned index;
    uint32_t rows;
  };
  /// A token of the last call whose logits are wanted.
  struct WantedLogits {
    size_t row;
    uint64_t position;
    int32_t token; // row of the hidden state
  };

  BatchRunner(Model &model, const BatchOptions &options)
      : model_(model), options_(options) {}
  Status initialize();
  Status allocateStates();
  void listEntries();
  Status prepareEntries();
  Status createEndpoint();
  /// The same of what a rank does between an agreement and the collectives that
  /// follow: the others may wait in these, which no agreement reaches.
  Status quit(Status status);
  /// Runs |body| on the inputs, again where it overflows.
  Status runEntry(const Body &body);
  Status runPrepared(unsigned index);
  /// What the calls since the last takeDemand() wanted of a capacity.
  StatusOr<ExchangeDemand> readDemand();
  StatusOr<ExchangeDemand> takeDemand();
  void hashLogits(std::span<const float> logits);
  /// H6006 if a placement table is not what was loaded.
  Status checkTables();
  Status saveExpertLoad();
  Status restoreExpertLoad();
  /// The sizes of a call of |capacity| tokens: what the host writes of them.
  void setSizes(uint32_t capacity, int32_t tokens, int32_t rows,
                int32_t logitRows, size_t at = 0);
  /// Elements of |bytes| from a micro-batch's part of an input to the next's.
  size_t strideOf(schema::Input input, const Body &body, size_t bytes) const;
  /// Writes what micro-batch |part| of |body| has to the staging of inputs; its
  /// first row is number |first| of the call. Returns the tokens.
  int32_t stage(const Body &body, uint32_t part, std::span<const CallRow> rows,
                size_t first);
  Status writeBodyInputs();
  Status runHead(const Body &body, std::array<int32_t, 2> tokensAndRows,
                 const RowLogitsSink &sink);
  template <typename T>
  Status writeInput(schema::Input input, const std::vector<T> &values);

  Model &model_;
  const BatchOptions options_;
  uint64_t pagesPerRow_ = 0;
  uint64_t cacheBytes_ = 0;
  std::vector<DeviceBuffer> states_;
  std::array<DeviceBuffer, artifact::kNumInputs> inputs_;
  DeviceBuffer logits_, arena_;
  std::vector<std::unique_ptr<PreparedEntry>> entries_; // by artifact index
  std::vector<Body> bodies_, halved_;
  std::array<bool, 2> hasEntries_ = {}; // by phase
  std::vector<HeadEntry> heads_;        // by rows

  // Staging of inputs, reused so that a decode call allocates nothing.
  std::vector<int32_t> tokens_, positions_, qStart_, kvLen_, pageTable_,
      logitRows_, sizes_;
  std::vector<int64_t> slots_;
  std::vector<float> hostLogits_;
  std::vector<uint8_t> page_;
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
