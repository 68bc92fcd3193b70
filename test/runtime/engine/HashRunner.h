// A model whose logits are a hash of the tokens that it finds in the slots it
// is told to read: a wrong page, a stale slot, a lost token or a token computed
// in the other phase changes the text.
#pragma once

#include "runtime/engine/Runner.h"

namespace hadal::engine {

/// One slot as the hash sees it; 0: nothing was written.
inline uint32_t slotValue(int32_t token, Phase phase) {
  return 2 * static_cast<uint32_t>(token) + 1 +
         (phase == Phase::Decode ? 0x10000 : 0);
}

inline uint64_t hashSlot(uint64_t hash, uint32_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

/// What the model says after the slots with |hash|.
inline void hashLogits(uint64_t hash, std::span<float> logits) {
  for (float &logit : logits) {
    hash = hashSlot(hash, 77);
    logit = static_cast<float>(hash >> 44) * 0x1p-18f; // [0, 4)
  }
}

/// The text goes wrong there, if a world has such faults.
inline bool isFault(uint64_t hash) { return hash % 61 == 0; }

class HashRunner : public Runner, public TimeSource {
public:
  explicit HashRunner(RunnerLimits limits)
      : limits_(std::move(limits)), slots_(limits_.pages * limits_.pageSize),
        logits_(limits_.vocabSize) {}

  bool faults = false;
  /// The number of the call that fails; 0: none.
  uint64_t failingCall = 0;
  std::chrono::steady_clock::duration callTime = std::chrono::milliseconds(10);

  // What it has seen.
  uint64_t calls = 0, copies = 0, promptTokens = 0, decodeTokens = 0;
  uint64_t rowsThatKeep = 0; ///< without writing
  uint64_t faultsSeen = 0;
  std::string misuse; ///< a call that no model would take

  const RunnerLimits &limits() const override { return limits_; }
  std::chrono::steady_clock::time_point now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::hours(1)) +
           elapsed_;
  }
  void pass(std::chrono::steady_clock::duration time) { elapsed_ += time; }

  Status run(Phase phase, size_t capacity, std::span<const CallRow> rows,
             const RowLogitsSink &sink) override {
    elapsed_ += callTime;
    if (++calls == failingCall)
      return error(5017, "the call that fails");
    checkCapacity(limits_.of(phase).at(capacity), rows);
    // All latents of a call are written before any is read.
    for (const CallRow &row : rows)
      for (size_t i = 0; i < row.tokens.size(); ++i)
        if (row.writes)
          slot(row, row.position + i) = slotValue(row.tokens[i], phase);
    for (size_t r = 0; r < rows.size(); ++r) {
      const CallRow row = rows[r];
      const size_t count = row.tokens.size();
      rowsThatKeep += !row.writes;
      (phase == Phase::Prompt ? promptTokens : decodeTokens) += count;
      uint64_t hash = 1;
      for (uint64_t p = 0; p < row.position + count; ++p) {
        hash = hashSlot(hash, slot(row, p));
        if (p < row.position || row.logits == LogitsWanted::None ||
            (row.logits == LogitsWanted::Last && p + 1 < row.position + count))
          continue;
        hashLogits(hash, logits_);
        const bool bad = faults && isFault(hash);
        faultsSeen += bad;
        sink({r, p, logits_, !bad});
      }
    }
    return {};
  }

  Status copyPage(int32_t to, int32_t from) override {
    ++copies;
    for (uint64_t i = 0; i < limits_.pageSize; ++i)
      slots_[static_cast<size_t>(to) * limits_.pageSize + i] =
          slots_[static_cast<size_t>(from) * limits_.pageSize + i];
    return {};
  }

private:
  uint32_t &slot(const CallRow &row, uint64_t position) {
    const auto page =
        static_cast<size_t>(row.pages[position / limits_.pageSize]);
    return slots_.at(page * limits_.pageSize + position % limits_.pageSize);
  }

  void checkCapacity(const CallCapacity &size, std::span<const CallRow> rows) {
    uint64_t tokens = 0;
    for (const CallRow &row : rows) {
      tokens += row.tokens.size();
      if (row.tokens.empty() || row.tokens.size() > size.queries)
        misuse = fmt::format("{} tokens of a row, room for {}",
                             row.tokens.size(), size.queries);
      if (row.position + row.tokens.size() > limits_.maxSeqLen)
        misuse = "a row beyond max-seq-len";
    }
    if (rows.empty() || rows.size() > size.rows || tokens > size.tokens)
      misuse = fmt::format("{} rows of {} tokens, room for {} of {}",
                           rows.size(), tokens, size.rows, size.tokens);
  }

  const RunnerLimits limits_;
  std::vector<uint32_t> slots_;
  std::vector<float> logits_;
  std::chrono::steady_clock::duration elapsed_{0};
};

} // namespace hadal::engine
