#include "runtime/session/MemoryPlan.h"

#include <algorithm>
#include <limits>

#include "runtime/base/Checked.h"
#include "runtime/base/Progress.h"
#include "runtime/device/GpuProgram.h"
#include "runtime/session/Model.h"
#include "runtime/upload/DeviceWeights.h"

namespace hadal {

uint64_t cachePagesFor(const schema::Model &model, uint32_t rows) {
  return artifact::pagesPerRow(model) * (rows ? rows : model.max_batch_size());
}

Status completeCapacity(const schema::Model &model, uint32_t &rows,
                        uint64_t &pages) {
  if (rows > model.max_batch_size())
    return error(5005,
                 "{} rows asked for, the artifact was compiled for at most {}; "
                 "compile with a larger --max-batch-size",
                 rows, model.max_batch_size());
  if (!rows)
    rows = model.max_batch_size();
  if (!pages)
    pages = cachePagesFor(model, rows);
  // The compiled views of the cache have this many pages.
  const uint64_t mostPages =
      std::min<uint64_t>(artifact::pagesPerRow(model) * model.max_batch_size(),
                         std::numeric_limits<int32_t>::max());
  if (pages > mostPages)
    return error(5005, "a cache of {} pages asked for, the artifact addresses "
                       "at most {}; ask for fewer",
                 pages, mostPages);
  return {};
}

std::optional<uint64_t> stateBytes(const schema::Model &model,
                                   const schema::State &state, uint64_t pages) {
  if (state.kind() != schema::StateKind::paged_cache)
    return state.bytes();
  const uint64_t row =
      state.row_pitch()
          ? state.row_pitch()
          : state.row_elements() * artifact::dtypeBytes(state.dtype());
  std::optional<uint64_t> tokens = checkedMul(pages, model.page_size());
  return tokens ? checkedMul(*tokens, row) : std::nullopt;
}

StatusOr<MemoryPlan> planSession(const Driver &driver, const Artifact &artifact,
                                 uint64_t cachePages) {
  const schema::Model &m = artifact.model();
  MemoryPlan plan;
  for (const schema::State *state : *artifact.root().states()) {
    std::optional<uint64_t> bytes = stateBytes(m, *state, cachePages);
    uint64_t &sum = state->kind() == schema::StateKind::paged_cache
                        ? plan.cache
                        : plan.states;
    std::optional<uint64_t> total =
        bytes ? checkedAdd(sum, driver.footprint(*bytes)) : bytes;
    if (!total || *total >> 60)
      return error(5006,
                   "a cache of {} pages does not fit in memory; use "
                   "fewer rows",
                   cachePages);
    sum = *total;
  }
  for (unsigned in = 0; in < artifact::kNumInputs; ++in) {
    uint64_t most = 0;
    for (const schema::Entry *e : *artifact.root().entries())
      most = std::max(most,
                      artifact::inputBytes(artifact.root(), *e,
                                           static_cast<schema::Input>(in)));
    plan.io += driver.footprint(most);
  }
  uint64_t logits = 0;
  for (const schema::Entry *e : *artifact.root().entries()) {
    logits =
        std::max(logits, artifact::outputBytes(m, *e, schema::Output::logits));
    plan.activations = std::max(plan.activations, e->arena_bytes());
  }
  plan.io += driver.footprint(logits);
  plan.activations = driver.footprint(plan.activations);
  plan.overhead = driver.overhead();
  return plan;
}

StatusOr<MemoryPlan> planModel(const Driver &driver, const Artifact &artifact,
                               uint64_t cachePages) {
  HADAL_ASSIGN_OR_RETURN(MemoryPlan plan,
                         planSession(driver, artifact, cachePages));
  HADAL_ASSIGN_OR_RETURN(
      plan.weights, deviceWeightBytes(driver, parameterSpecs(artifact.root())));
  HADAL_ASSIGN_OR_RETURN(WorkspaceLayout layout,
                         layoutWorkspace(artifact.root()));
  plan.workspace = driver.footprint(layout.bytes);
  if (plan.weights >> 60 || plan.workspace >> 60)
    return error(5006,
                 "artifact '{}' needs more than 2^60 bytes of device "
                 "memory",
                 artifact.path());
  return plan;
}

Status checkMemory(Driver &driver, const Artifact &artifact,
                   const MemoryPlan &plan) {
  if (driver.sharesHostMemory())
    return {};
  HADAL_ASSIGN_OR_RETURN(DeviceMemory memory, driver.memory());
  if (plan.total() <= memory.freeBytes)
    return {};
  std::string weights =
      plan.weights ? fmt::format("weights {}, ", formatBytes(plan.weights))
                   : "";
  return error(5006,
               "'{}' needs {} of device memory ({}cache {}, activations {}, "
               "workspace {}, other {}); {} has {} of {} free; use fewer rows, "
               "or compile with a smaller --max-seq-len or --max-batch-size",
               artifact.path(), formatBytes(plan.total()), weights,
               formatBytes(plan.cache), formatBytes(plan.activations),
               formatBytes(plan.workspace), formatBytes(plan.states + plan.io + plan.overhead),
               driver.description(), formatBytes(memory.freeBytes),
               formatBytes(memory.totalBytes));
}

} // namespace hadal
