// The scheduler's runner of a compiled model, of one rank.
#pragma once

#include <atomic>
#include <memory>

#include "runtime/engine/Runner.h"
#include "runtime/session/BatchRunner.h"

namespace hadal::engine {

class ModelRunner : public Runner {
public:
  /// On a |runner| that outlives it.
  ModelRunner(const Model &model, BatchRunner &runner, uint32_t maxRows);
  /// For |maxRows| rows (0: the artifact's max_batch_size);
  /// |options|.cachePages 0: enough for them at max_seq_len. H5005, H5006.
  /// Ranks go in lock step, which a scheduler of one of them cannot: a model of
  /// several is refused, H5005.
  static StatusOr<std::unique_ptr<ModelRunner>>
  create(Model &model, uint32_t maxRows, BatchOptions options);

  const RunnerLimits &limits() const override { return limits_; }
  Status run(Phase phase, size_t capacity, std::span<const CallRow> rows,
             const RowLogitsSink &sink) override;
  Status copyPage(int32_t to, int32_t from) override {
    return runner_.copyPage(to, from);
  }
  std::string lastCall() const override;

private:
  ModelRunner(const Model &model, std::unique_ptr<BatchRunner> runner,
              uint32_t maxRows)
      : ModelRunner(model, *runner, maxRows) {
    owned_ = std::move(runner);
  }

  const Model &model_;
  BatchRunner &runner_;
  std::unique_ptr<BatchRunner> owned_; // or null
  RunnerLimits limits_;
  std::array<std::vector<const BatchRunner::Body *>, 2> bodies_; // by phase
  std::atomic<unsigned> lastEntry_{~0u}; // in the artifact
};

} // namespace hadal::engine
