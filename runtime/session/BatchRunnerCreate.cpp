// Creation of a runner: memory, entries.
#include <algorithm>
#include <set>
#include <tuple>

#include "runtime/artifact/Verify.h"
#include "runtime/session/BatchRunner.h"
#include "runtime/session/MemoryPlan.h"

namespace hadal {

StatusOr<std::unique_ptr<BatchRunner>>
BatchRunner::create(Model &model, const BatchOptions &options) {
  std::unique_ptr<BatchRunner> runner(new BatchRunner(model, options));
  HADAL_RETURN_IF_ERROR(runner->initialize());
  return runner;
}

Status BatchRunner::initialize() {
  pagesPerRow_ = artifact::pagesPerRow(model_.description());
  HADAL_ASSIGN_OR_RETURN(
      MemoryPlan plan,
      planSession(model_.driver(), model_.artifact(), options_.cachePages));
  HADAL_RETURN_IF_ERROR(checkMemory(model_.driver(), model_.artifact(), plan));
  HADAL_RETURN_IF_ERROR(allocateStates());
  HADAL_RETURN_IF_ERROR(createEndpoint());
  listEntries();
  return prepareEntries();
}

Status BatchRunner::allocateStates() {
  Driver &driver = model_.driver();
  const schema::Model &m = model_.description();
  for (const schema::State *state : *model_.artifact().root().states()) {
    // Has a value: planSession has computed it.
    const uint64_t bytes = *stateBytes(m, *state, options_.cachePages);
    MemoryUse use = MemoryUse::Dense;
    if (state->kind() == schema::StateKind::paged_cache) {
      use = MemoryUse::Sparse;
      cacheBytes_ += bytes;
    }
    HADAL_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::create(driver, bytes, state->name()->string_view(), use));
    states_.push_back(std::move(buffer));
  }
  return {};
}

void BatchRunner::listEntries() {
  const auto &entries = *model_.artifact().root().entries();
  // Buckets whose first entry may overflow; the other one is not chosen.
  auto bucketOf = [](const schema::Entry &e) {
    return std::tuple(e.kind(), e.micro_batches(), e.tokens(), e.rows(),
                      e.max_queries_per_row());
  };
  auto phaseOf = [](const schema::Entry &e) {
    return e.kind() == schema::EntryKind::decode ? Phase::Decode
                                                 : Phase::Prompt;
  };
  std::set<decltype(bucketOf(*entries.Get(0)))> overflowing;
  for (const schema::Entry *e : entries)
    if (e->rung() == schema::Rung::expected)
      overflowing.insert(bucketOf(*e));
  for (unsigned i = 0; i < entries.size(); ++i) {
    const schema::Entry &e = *entries.Get(i);
    if (e.kind() == schema::EntryKind::head)
      heads_.push_back({i, e.logit_rows()});
    else if (!artifact::isBody(e.kind()))
      continue;
    else if (e.rung() == schema::Rung::expected ||
             !overflowing.contains(bucketOf(e)))
      (e.micro_batches() == 1 ? bodies_ : halved_)
          .push_back({i, phaseOf(e), e.tokens(), e.rows(),
                      e.max_queries_per_row(), std::nullopt, e.micro_batches(),
                      std::nullopt});
  }
  for (Body &body : bodies_)
    for (unsigned i = 0; i < halved_.size(); ++i)
      if (halved_[i].tokens == body.tokens && halved_[i].phase == body.phase)
        body.twin = i;
  for (const Body &body : bodies_)
    hasEntries_[static_cast<size_t>(body.phase)] = true;
  std::vector<Body *> all;
  for (auto *list : {&bodies_, &halved_})
    for (Body &body : *list)
      all.push_back(&body);
  for (Body *each : all) {
    Body &body = *each;
    if (entries.Get(body.index)->rung() == schema::Rung::expected)
      for (unsigned i = 0; i < entries.size(); ++i)
        if (entries.Get(i)->rung() == schema::Rung::worst &&
            bucketOf(*entries.Get(i)) == bucketOf(*entries.Get(body.index)))
          body.worst = i;
  }
  std::sort(bodies_.begin(), bodies_.end(), [](const Body &a, const Body &b) {
    return std::tie(a.tokens, a.rows, a.queries, a.index) <
           std::tie(b.tokens, b.rows, b.queries, b.index);
  });
  std::sort(heads_.begin(), heads_.end(),
            [](const HeadEntry &a, const HeadEntry &b) {
              return std::tie(a.rows, a.index) < std::tie(b.rows, b.index);
            });
}

Status BatchRunner::prepareEntries() {
  Driver &driver = model_.driver();
  const schema::Model &m = model_.description();
  const schema::Artifact &root = model_.artifact().root();
  const auto &entries = *root.entries();
  std::array<uint64_t, artifact::kNumInputs> inputBytes = {};
  uint64_t logitBytes = 0, arenaBytes = 0;
  for (const schema::Entry *e : entries) {
    for (unsigned in = 0; in < artifact::kNumInputs; ++in)
      inputBytes[in] = std::max(
          inputBytes[in],
          artifact::inputBytes(root, *e, static_cast<schema::Input>(in)));
    logitBytes = std::max(logitBytes,
                          artifact::outputBytes(m, *e, schema::Output::logits));
    arenaBytes = std::max(arenaBytes, e->arena_bytes());
  }
  Bindings bindings;
  bindings.parameters.assign(model_.parameters().begin(),
                             model_.parameters().end());
  for (const DeviceBuffer &state : states_)
    bindings.states.push_back(state.address());
  for (unsigned in = 0; in < artifact::kNumInputs; ++in) {
    HADAL_ASSIGN_OR_RETURN(
        inputs_[in], DeviceBuffer::create(driver, inputBytes[in],
                                          schema::EnumNameInput(
                                              static_cast<schema::Input>(in))));
    bindings.inputs[in] = inputs_[in].address();
  }
  HADAL_ASSIGN_OR_RETURN(logits_,
                         DeviceBuffer::create(driver, logitBytes, "logits"));
  bindings.outputs[0] = logits_.address();
  HADAL_ASSIGN_OR_RETURN(
      arena_, DeviceBuffer::create(driver, arenaBytes, "activations"));
  bindings.arena = arena_.address();
  for (const auto &communicator : communicators_)
    if (!communicator->capabilities().hostOrdered)
      HADAL_RETURN_IF_ERROR(communicator->registerMemory(
          arena_.address(), root.exchange_bytes()));
  for (unsigned i = 0; i < entries.size(); ++i) {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> entry,
                           model_.executable().prepare(
                               i, bindings, lockStep_ ? &endpoint_ : nullptr));
    entries_.push_back(std::move(entry));
  }
  return {};
}

Status BatchRunner::resetExpertLoad() {
  const auto &states = *model_.artifact().root().states();
  for (unsigned i = 0; i < states.size(); ++i) {
    if (!states.Get(i)->name()->string_view().starts_with("expert_load."))
      continue;
    std::vector<uint8_t> zeros(states_[i].bytes());
    HADAL_RETURN_IF_ERROR(model_.driver().write(states_[i].address(),
                                                zeros.data(), zeros.size()));
  }
  return {};
}

} // namespace hadal
