#include "tools/hadal-inspect/Sections.h"
#include "tools/hadal-report/Inputs.h"

namespace hadal::report {

using namespace schema;

/// Objects with equal members as columns: {"name": [...], "bytes": [...]}.
static Json toColumns(const Json &rows) {
  Json columns = Json::object();
  for (const Json &row : rows)
    for (const auto &[key, value] : row.items())
      columns[key].push_back(value);
  return columns;
}

static Status addKernels(Report &report, const hadal::Artifact &artifact) {
  Json rows = inspect::kernels(artifact);
  for (unsigned k = 0; k < rows.size(); ++k) {
    const Kernel &kernel = *artifact.root().kernels()->Get(k);
    Json &row = rows[k];
    row["words"] = Json::array();
    if (kernel.words())
      for (const ScheduleWord *word : *kernel.words())
        row["words"].push_back({word->word()->str(), word->value()->str(),
                                EnumNameScheduleOrigin(word->origin())});
    row["code"] = Json::object();
    if (kernel.code() && artifact.hasCode(k, "ptx")) {
      HADAL_ASSIGN_OR_RETURN(std::string text, artifact.code(k, "ptx"));
      row["code"]["ptx"] = report.addBlob(std::move(text));
    }
  }
  report.data["kernels"] = std::move(rows);
  return {};
}

Status addArtifact(Report &report, const hadal::Artifact &artifact) {
  report.data["artifact"] = inspect::overview(artifact);
  // The page goes to others: no path of this machine is in it.
  report.data["artifact"].erase("file");
  report.data["artifact"].erase("entries");
  report.data["provenance"] = inspect::provenance(artifact);
  report.data["memory"] = inspect::memory(artifact);
  Json weights = inspect::weights(artifact);
  weights["parameters"] = toColumns(weights["parameters"]);
  report.data["weights"] = std::move(weights);
  report.data["states"] = Json::array();
  for (const State *state : *artifact.root().states())
    report.data["states"].push_back({{"name", state->name()->str()},
                                     {"kind", EnumNameStateKind(state->kind())},
                                     {"row_elements", state->row_elements()},
                                     {"bytes", state->bytes()}});
  return addKernels(report, artifact);
}

} // namespace hadal::report
