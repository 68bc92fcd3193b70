// Rows of tokens that grow step by step over a paged latent cache.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/session/Model.h"

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
  /// Checked between calls; when it becomes true, step() returns H5016.
  const std::atomic<bool> *interrupt = nullptr;
  /// Told after each call of a step how many of its tokens are done.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

enum class LogitsWanted : uint8_t { None, Last, All };

/// New tokens of one row.
struct StepRow {
  uint32_t row;
  std::span<const int32_t> tokens;
  LogitsWanted logits = LogitsWanted::Last;
};

/// What has been done since the session was created.
struct SessionCounters {
  uint64_t bodyCalls = 0; // of decode and prefill entries
  uint64_t headCalls = 0;
  uint64_t tokens = 0;
};

/// One session at a time may run on a model: sessions share the threads and
/// scratch of the executable. Not thread-safe.
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
  uint64_t freePages() const { return freePages_.size(); }

  /// Receives the logits after one position: |index| of the row in the step's
  /// list, |position| in the row, and vocab_size values, valid during the call.
  using LogitsSink = std::function<Status(size_t index, uint64_t position,
                                          std::span<const float> logits)>;

  /// Appends tokens to rows, in as few calls as the buckets allow, and hands
  /// the wanted logits to |sink|: positions of a row in ascending order.
  /// Everything is checked before anything runs, and then nothing has changed:
  /// H5005 (a row that does not live or is named twice, no tokens, an id
  /// outside the vocabulary, more than max_seq_len tokens), H5013 (no free
  /// page). H5008 names the row whose logits are not finite; after it and after
  /// H5016 the rows' lengths say how far they got.
  Status step(std::span<const StepRow> rows, const LogitsSink &sink);

  /// Tokens routed to each expert since the last reset, by MoE layer; the name
  /// is that of the layer ("3").
  struct ExpertLoad {
    std::string layer;
    std::vector<int32_t> tokens;
  };
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
    uint32_t tokens, rows, queries;
  };
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
  /// Chooses the next call's entry and its tokens per row.
  const BodyEntry &plan(std::span<const StepRow> rows,
                        std::vector<Pending> &pending, size_t &used) const;
  /// The sizes of a call: what the host writes of them.
  void setSizes(int32_t tokens, int32_t rows, int32_t logitRows);
  Status runBody(const BodyEntry &entry, std::span<const StepRow> rows,
                 std::span<Pending> pending, std::vector<WantedLogits> &wanted);
  Status runHead(std::span<const StepRow> rows,
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
  std::vector<BodyEntry> bodies_; // by tokens, then rows
  std::vector<HeadEntry> heads_;  // by rows

  // Staging of inputs, reused so that a decode step allocates nothing.
  std::vector<int32_t> tokens_, positions_, qStart_, kvLen_, pageTable_,
      logitRows_, sizes_;
  std::vector<int64_t> slots_;
  std::vector<float> hostLogits_;
  std::vector<Pending> pending_;
  std::vector<WantedLogits> wanted_;
  SessionCounters counters_;
};

} // namespace hadal
