// Creation of a session: memory, entries, rows and their pages.
#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "runtime/session/MemoryPlan.h"
#include "runtime/session/Session.h"

namespace hadal {

StatusOr<std::unique_ptr<Session>>
Session::create(Model &model, const SessionOptions &options) {
  std::unique_ptr<Session> session(new Session(model, options));
  HADAL_RETURN_IF_ERROR(session->initialize());
  return session;
}

Status Session::initialize() {
  const schema::Model &m = model_.description();
  if (options_.maxRows > m.max_batch_size())
    return error(5005,
                 "{} rows asked for, the artifact was compiled for at most {}; "
                 "compile with a larger --max-batch-size",
                 options_.maxRows, m.max_batch_size());
  if (!options_.maxRows)
    options_.maxRows = m.max_batch_size();
  pagesPerRow_ = artifact::pagesPerRow(m);
  if (!options_.cachePages)
    options_.cachePages = cachePagesFor(m, options_.maxRows);
  // The compiled views of the cache have this many pages.
  const uint64_t mostPages =
      std::min<uint64_t>(pagesPerRow_ * m.max_batch_size(),
                         std::numeric_limits<int32_t>::max());
  if (options_.cachePages > mostPages)
    return error(5005, "a cache of {} pages asked for, the artifact addresses "
                       "at most {}; ask for fewer",
                 options_.cachePages, mostPages);
  HADAL_ASSIGN_OR_RETURN(
      MemoryPlan plan, planSession(model_.driver(), model_.artifact(),
                                   options_.cachePages));
  HADAL_RETURN_IF_ERROR(
      checkMemory(model_.driver(), model_.artifact(), plan));
  rows_.resize(options_.maxRows);
  // Descending, so that page 0 is taken first.
  for (uint64_t page = options_.cachePages; page-- > 0;)
    freePages_.push_back(static_cast<int32_t>(page));
  HADAL_RETURN_IF_ERROR(allocateStates());
  HADAL_RETURN_IF_ERROR(createEndpoint());
  return prepareEntries();
}

Status Session::allocateStates() {
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
    HADAL_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                           DeviceBuffer::create(
                               driver, bytes, state->name()->string_view(),
                               use));
    states_.push_back(std::move(buffer));
  }
  return {};
}

Status Session::prepareEntries() {
  Driver &driver = model_.driver();
  const schema::Model &m = model_.description();
  const schema::Artifact &root = model_.artifact().root();
  const auto &entries = *root.entries();
  std::array<uint64_t, artifact::kNumInputs> inputBytes = {};
  uint64_t logitBytes = 0, arenaBytes = 0;
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
    for (unsigned in = 0; in < artifact::kNumInputs; ++in)
      inputBytes[in] = std::max(
          inputBytes[in],
          artifact::inputBytes(root, e, static_cast<schema::Input>(in)));
    logitBytes = std::max(
        logitBytes, artifact::outputBytes(m, e, schema::Output::logits));
    arenaBytes = std::max(arenaBytes, e.arena_bytes());
    if (e.kind() == schema::EntryKind::head)
      heads_.push_back({i, e.logit_rows()});
    else if (e.rung() == schema::Rung::expected ||
             !overflowing.contains(bucketOf(e)))
      (e.micro_batches() == 1 ? bodies_ : halved_)
          .push_back({i, phaseOf(e), e.tokens(), e.rows(),
                      e.max_queries_per_row(), std::nullopt, e.micro_batches(),
                      std::nullopt});
  }
  for (BodyEntry &body : bodies_)
    for (unsigned i = 0; i < halved_.size(); ++i)
      if (halved_[i].tokens == body.tokens && halved_[i].phase == body.phase)
        body.twin = i;
  for (const BodyEntry &body : bodies_)
    hasEntries_[static_cast<size_t>(body.phase)] = true;
  std::vector<BodyEntry *> all;
  for (auto *list : {&bodies_, &halved_})
    for (BodyEntry &body : *list)
      all.push_back(&body);
  for (BodyEntry *each : all) {
    BodyEntry &body = *each;
    if (entries.Get(body.index)->rung() == schema::Rung::expected)
      for (unsigned i = 0; i < entries.size(); ++i)
        if (entries.Get(i)->rung() == schema::Rung::worst &&
            bucketOf(*entries.Get(i)) == bucketOf(*entries.Get(body.index)))
          body.worst = i;
  }
  std::sort(bodies_.begin(), bodies_.end(),
            [](const BodyEntry &a, const BodyEntry &b) {
              return std::tie(a.tokens, a.rows, a.queries, a.index) <
                     std::tie(b.tokens, b.rows, b.queries, b.index);
            });
  std::sort(heads_.begin(), heads_.end(),
            [](const HeadEntry &a, const HeadEntry &b) {
              return std::tie(a.rows, a.index) < std::tie(b.rows, b.index);
            });

  Bindings bindings;
  bindings.parameters.assign(model_.parameters().begin(),
                             model_.parameters().end());
  for (const DeviceBuffer &state : states_)
    bindings.states.push_back(state.address());
  for (unsigned in = 0; in < artifact::kNumInputs; ++in) {
    HADAL_ASSIGN_OR_RETURN(
        inputs_[in],
        DeviceBuffer::create(driver, inputBytes[in],
                             schema::EnumNameInput(
                                 static_cast<schema::Input>(in))));
    bindings.inputs[in] = inputs_[in].address();
  }
  HADAL_ASSIGN_OR_RETURN(logits_, DeviceBuffer::create(driver, logitBytes,
                                                "logits"));
  bindings.outputs[0] = logits_.address();
  HADAL_ASSIGN_OR_RETURN(arena_, DeviceBuffer::create(driver, arenaBytes,
                                                "activations"));
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

StatusOr<uint32_t> Session::addRow() {
  for (uint32_t i = 0; i < rows_.size(); ++i)
    if (!rows_[i].live) {
      rows_[i].live = true;
      return i;
    }
  return error(5005, "all {} rows are in use; remove one first", rows_.size());
}

Status Session::truncateRow(uint32_t row, uint64_t length) {
  if (row >= rows_.size() || !rows_[row].live)
    return error(5005, "row {} does not live", row);
  Row &r = rows_[row];
  if (length > r.length)
    return error(5005, "row {} has {} tokens, it cannot be cut to {}", row,
                 r.length, length);
  r.length = length;
  while (r.pages.size() > pagesFor(length)) {
    freePages_.push_back(r.pages.back());
    r.pages.pop_back();
  }
  return {};
}

Status Session::removeRow(uint32_t row) {
  HADAL_RETURN_IF_ERROR(truncateRow(row, 0));
  rows_[row].live = false;
  return {};
}

uint64_t Session::length(uint32_t row) const {
  return row < rows_.size() && rows_[row].live ? rows_[row].length : 0;
}

uint64_t Session::pagesFor(uint64_t length) const {
  const uint64_t pageSize = model_.description().page_size();
  return (length + pageSize - 1) / pageSize;
}

Status Session::resetExpertLoad() {
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
