#include "runtime/engine/ModelRunner.h"

#include "runtime/session/MemoryPlan.h"

namespace hadal::engine {

StatusOr<std::unique_ptr<ModelRunner>>
ModelRunner::create(Model &model, uint32_t maxRows, BatchOptions options) {
  if (model.group())
    return error(5005, "the model was loaded by several ranks; the scheduler "
                       "serves one");
  const schema::Model &m = model.description();
  HADAL_RETURN_IF_ERROR(completeCapacity(m, maxRows, options.cachePages));
  auto result = std::make_unique<ModelRunner>();
  HADAL_ASSIGN_OR_RETURN(result->runner_, BatchRunner::create(model, options));
  RunnerLimits &limits = result->limits_;
  limits.vocabSize = m.vocab_size();
  limits.maxSeqLen = m.max_seq_len();
  limits.pageSize = m.page_size();
  limits.pages = options.cachePages;
  limits.maxRows = maxRows;
  limits.eosTokens.assign(model.eosTokenIds().begin(),
                          model.eosTokenIds().end());
  for (Phase phase : {Phase::Prompt, Phase::Decode})
    for (const BatchRunner::Body &body : result->runner_->bodies())
      if (result->runner_->serves(body, phase)) {
        (phase == Phase::Prompt ? limits.prompt : limits.decode)
            .push_back({body.tokens, body.rows, body.queries});
        result->bodies_[static_cast<size_t>(phase)].push_back(&body);
      }
  return result;
}

Status ModelRunner::run(Phase phase, size_t capacity,
                        std::span<const CallRow> rows,
                        const RowLogitsSink &sink) {
  return runner_->run(*bodies_[static_cast<size_t>(phase)][capacity],
                      {rows, {}}, sink);
}

} // namespace hadal::engine
