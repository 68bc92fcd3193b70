#include "tools/common/MemoryReport.h"

#include "runtime/base/Progress.h"
#include "runtime/session/MemoryPlan.h"
#include "tools/common/ParameterBytes.h"

namespace hadal::cli {

Status describeMemory(Driver &driver, const Artifact &artifact, uint32_t rows,
                      uint64_t pages, std::string &text) {
  const schema::Model &model = artifact.model();
  HADAL_RETURN_IF_ERROR(completeCapacity(model, rows, pages));
  HADAL_ASSIGN_OR_RETURN(MemoryPlan plan, planModel(driver, artifact, pages));
  const bool mapped = driver.sharesHostMemory();
  if (mapped) {
    plan.weights = 0;
    for (const schema::Parameter *p : *artifact.root().parameters())
      plan.weights += parameterBytes(model, *p);
  }
  HADAL_ASSIGN_OR_RETURN(const DeviceMemory memory, driver.memory());
  const schema::Mesh *mesh = artifact.root().mesh();
  const uint64_t ranks = mesh ? uint64_t{mesh->tp()} * mesh->dp() : 1;
  // Ranks as threads or processes of one machine share its memory, a GPU is
  // one rank's.
  const uint64_t here = mapped ? ranks : 1;

  text = fmt::format("{} on {}: {} rows of at most {} tokens, {} pages of {} "
                     "tokens{}\n",
                     artifact.path(), driver.description(), rows,
                     model.max_seq_len(), pages, model.page_size(),
                     ranks > 1 ? fmt::format("; each of {} ranks", ranks) : "");
  const std::pair<const char *, uint64_t> uses[] = {
      {"weights", plan.weights},      {"cache", plan.cache},
      {"other states", plan.states},  {"activations", plan.activations},
      {"workspace", plan.workspace},  {"inputs and logits", plan.io},
      {"driver", plan.overhead},      {"total", plan.total()},
      {"available", memory.freeBytes}};
  for (const auto &[use, bytes] : uses)
    text += fmt::format(
        "  {:<18}{:>12}{}\n", use, formatBytes(bytes),
        use == uses[0].first && mapped ? "  mapped from the checkpoint" : "");
  if (plan.total() <= memory.freeBytes / here)
    return {};
  const bool runs =
      mapped && plan.total() - plan.weights <= memory.freeBytes / here;
  return error(
      5006,
      "'{}' needs {}{}, {} are available{}; use fewer rows or pages, or "
      "compile with a smaller --max-seq-len",
      artifact.path(), formatBytes(plan.total()),
      here > 1 ? fmt::format(" for each of {} ranks", here) : "",
      formatBytes(memory.freeBytes),
      runs ? ": it would run, and read weights from disk again and again" : "");
}

Status reportMemory(const LoadFlags &load, uint32_t rows, uint64_t pages) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(load.artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(load.device, artifact));
  std::string text;
  Status fits = describeMemory(*driver, artifact, rows, pages, text);
  HADAL_RETURN_IF_ERROR(writeStdout(text));
  return fits;
}

} // namespace hadal::cli
