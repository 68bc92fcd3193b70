// What the scheduler asks of a model: calls of one phase over rows whose pages
// it is told. An interface, so that the scheduler is tested without a model.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/session/Call.h"

namespace hadal::engine {

/// What one call holds at most.
struct CallCapacity {
  uint32_t tokens = 0, rows = 0;
  uint32_t queries = 0; ///< tokens of one row
};

/// Fixed while a runner lives.
struct RunnerLimits {
  uint64_t vocabSize = 0;
  int32_t mediaToken = -1; ///< stands for an image in a prompt; -1: none
  uint64_t maxSeqLen = 0;
  uint64_t pageSize = 0; ///< tokens
  uint64_t pages = 0;
  uint32_t maxRows = 0;
  /// Sizes of calls by phase, ascending by tokens, then rows; none empty.
  std::vector<CallCapacity> prompt, decode;
  std::vector<int32_t> eosTokens; ///< ascending

  const std::vector<CallCapacity> &of(Phase phase) const {
    return phase == Phase::Prompt ? prompt : decode;
  }
  uint64_t pagesFor(uint64_t tokens) const {
    return (tokens + pageSize - 1) / pageSize;
  }
};

class Runner {
public:
  virtual ~Runner() = default;
  virtual const RunnerLimits &limits() const = 0;
  /// One call of |phase| of the size limits().of(phase)[|capacity|], which
  /// holds |rows|; the positions of a row are handed out in ascending order. An
  /// error says that nothing of the call counts, and that no later one will
  /// work. What |rows| refer to may change from a row's first logits on.
  virtual Status run(Phase phase, size_t capacity,
                     std::span<const CallRow> rows,
                     const RowLogitsSink &sink) = 0;
  /// Makes page |to| equal to page |from| in all caches. Errors as of run().
  virtual Status copyPage(int32_t to, int32_t from) = 0;
  /// The call that runs now or ran last, for messages; from any thread.
  virtual std::string lastCall() const { return ""; }
};

/// The time, an interface for tests.
class TimeSource {
public:
  virtual ~TimeSource() = default;
  virtual std::chrono::steady_clock::time_point now() const {
    return std::chrono::steady_clock::now();
  }
};

} // namespace hadal::engine
