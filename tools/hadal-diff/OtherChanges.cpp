// Options, memory and weights: rows of hadal-inspect, by name.
#include "tools/hadal-diff/Differences.h"

#include "tools/hadal-inspect/Sections.h"
#include <algorithm>
#include <map>

namespace hadal::diff {

using namespace schema;

void compareOptions(const hadal::Artifact &a, const hadal::Artifact &b,
                    Changes &changes) {
  Json mine = inspect::provenance(a), theirs = inspect::provenance(b);
  changes.compareFields("options", "compiler", mine, theirs,
                        {"options", "remarks"});
  changes.compareFields("options", "option", mine["options"],
                        theirs["options"]);
  // Remarks are a list of sentences, some of them several times.
  std::multiset<std::string> before, after;
  for (const Json &remark : mine["remarks"])
    before.insert(remark.get<std::string>());
  for (const Json &remark : theirs["remarks"])
    after.insert(remark.get<std::string>());
  for (const std::string &remark : before)
    if (before.count(remark) > after.count(remark))
      changes.add({"options", "remark", "'" + remark + "'", "", std::nullopt});
  for (const std::string &remark : after)
    if (after.count(remark) > before.count(remark))
      changes.add({"options", "remark", "'" + remark + "'", std::nullopt, ""});
  // What other sections have, and what is of the file.
  changes.compareFields(
      "options", "model", inspect::overview(a), inspect::overview(b),
      {"file", "file_bytes", "target", "images", "image_digests", "kernels",
       "parameters", "mesh", "functions", "entries"});
}

void compareMemory(const hadal::Artifact &a, const hadal::Artifact &b,
                   Changes &changes) {
  Json mine = inspect::memory(a), theirs = inspect::memory(b);
  changes.compareFields("memory", "bytes", mine, theirs, {"arenas"});
  auto arenas = [](const Json &memory) {
    Json object = Json::object();
    for (const Json &row : memory["arenas"])
      object[row["entry"].get<std::string>()] = row["arena_bytes"];
    return object;
  };
  changes.compareFields("memory", "arena of", arenas(mine), arenas(theirs));
  auto states = [](const hadal::Artifact &artifact) {
    Json rows = Json::array();
    for (const State *state : *artifact.root().states())
      rows.push_back({{"name", state->name()->str()},
                      {"kind", EnumNameStateKind(state->kind())},
                      {"dtype", artifact::dtypeName(state->dtype())},
                      {"row_elements", state->row_elements()},
                      {"bytes", state->bytes()},
                      {"row_pitch", state->row_pitch()}});
    return rows;
  };
  changes.compareRows("memory", "state", states(a), states(b));
}

void compareWeights(const hadal::Artifact &a, const hadal::Artifact &b,
                    Changes &changes) {
  Json mine = inspect::weights(a), theirs = inspect::weights(b);
  changes.compareRows("weights", "parameter", mine["parameters"],
                      theirs["parameters"]);
}

} // namespace hadal::diff
