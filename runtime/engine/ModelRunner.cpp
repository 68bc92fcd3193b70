#include "runtime/engine/ModelRunner.h"

#include "runtime/session/MemoryPlan.h"

namespace hadal::engine {

ModelRunner::ModelRunner(const Model &model, BatchRunner &runner,
                         uint32_t maxRows)
    : model_(model), runner_(runner) {
  const schema::Model &m = model.description();
  limits_.vocabSize = m.vocab_size();
  limits_.mediaToken = m.media_token_id();
  limits_.maxSeqLen = m.max_seq_len();
  limits_.pageSize = m.page_size();
  limits_.pages = runner.options().cachePages;
  limits_.maxRows = maxRows;
  limits_.eosTokens.assign(model.eosTokenIds().begin(),
                           model.eosTokenIds().end());
  for (Phase phase : {Phase::Prompt, Phase::Decode})
    for (const BatchRunner::Body &body : runner.bodies())
      if (runner.serves(body, phase)) {
        (phase == Phase::Prompt ? limits_.prompt : limits_.decode)
            .push_back({body.tokens, body.rows, body.queries});
        bodies_[static_cast<size_t>(phase)].push_back(&body);
      }
}

StatusOr<std::unique_ptr<ModelRunner>>
ModelRunner::create(Model &model, uint32_t maxRows, BatchOptions options) {
  if (model.group())
    return error(5005, "the model was loaded by several ranks; the scheduler "
                       "serves one");
  HADAL_RETURN_IF_ERROR(
      completeCapacity(model.description(), maxRows, options.cachePages));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<BatchRunner> runner,
                         BatchRunner::create(model, options));
  return std::unique_ptr<ModelRunner>(
      new ModelRunner(model, std::move(runner), maxRows));
}

Status ModelRunner::run(Phase phase, size_t capacity,
                        std::span<const CallRow> rows,
                        const RowLogitsSink &sink) {
  const BatchRunner::Body &body = *bodies_[static_cast<size_t>(phase)][capacity];
  lastEntry_ = body.index;
  return runner_.run(body, {rows, {}}, sink);
}

std::string ModelRunner::lastCall() const {
  const unsigned entry = lastEntry_;
  return entry == ~0u ? ""
                      : model_.artifact().root().entries()->Get(entry)
                            ->name()->str();
}

} // namespace hadal::engine
