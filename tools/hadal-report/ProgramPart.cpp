// Functions, entries, and the launches of each entry with their costs.
#include <algorithm>
#include <cmath>

#include "runtime/device/Program.h"
#include "tools/hadal-inspect/Sections.h"
#include "tools/hadal-predict/ChipCluster.h"
#include "tools/hadal-predict/Prediction.h"
#include "tools/hadal-report/Inputs.h"

namespace hadal::report {

using namespace schema;

namespace {

/// The commands of |function| as columns.
Json functionJson(const schema::Artifact &root, const Function &function,
                  const Json &inspected, const Json &parameterNames) {
  Json commands = {{"text", Json::array()},    {"op", Json::array()},
                   {"kernel", Json::array()},  {"members", Json::array()},
                   {"weights", Json::array()}, {"arena", Json::array()},
                   {"callee", Json::array()}};
  for (unsigned i = 0; i < function.commands()->size(); ++i) {
    const Command &command = *function.commands()->Get(i);
    const Json &one = inspected["commands"][i];
    const bool launch = command.kind() == CommandKind::launch;
    const bool call = command.kind() == CommandKind::call ||
                      command.kind() == CommandKind::repeat;
    commands["text"].push_back(one["text"]);
    commands["op"].push_back(one.value("op", Json()));
    commands["members"].push_back(one.value("members", Json::array()));
    commands["kernel"].push_back(launch ? Json(command.kernel()) : Json());
    commands["callee"].push_back(call ? Json(command.callee()) : Json());
    Json weights = Json::array(), arena = Json::array();
    auto use = [&](const Arg &arg) {
      if (arg.kind() == ArgKind::arena)
        arena.push_back(arg.value());
      if (arg.kind() == ArgKind::parameter)
        weights.push_back(parameterNames[arg.index()]);
    };
    for (const Arg *arg : *command.args())
      use(*arg);
    if (command.parts())
      for (const Part *part : *command.parts()) {
        use(*part->send());
        use(*part->receive());
      }
    commands["weights"].push_back(std::move(weights));
    commands["arena"].push_back(std::move(arena));
  }
  return {{"name", function.name()->str()}, {"commands", std::move(commands)}};
}

/// The launches and collectives of an entry, unrolled in the order of
/// flatten(): columns of function, command, layer (-1: of none).
class Unroller {
public:
  explicit Unroller(const schema::Artifact &root) : root(root) {
    for (const State *state : *root.states())
      names.push_back(state->name()->str());
  }

  Json run(uint32_t function) {
    std::vector<uint32_t> states(names.size());
    for (uint32_t i = 0; i < states.size(); ++i)
      states[i] = i;
    columns = {{"function", Json::array()},
               {"command", Json::array()},
               {"layer", Json::array()}};
    isLaunch.clear();
    isCounted.clear();
    walk(function, states, -1);
    return std::move(columns);
  }

  /// Of each row whether it is a launch; of each command of the rank's program
  /// (records and waits too) the row, or -1.
  std::vector<bool> isLaunch;
  std::vector<int64_t> isCounted;

private:
  void walk(uint32_t index, const std::vector<uint32_t> &states, int layer) {
    const Function &function = *root.functions()->Get(index);
    for (uint32_t i = 0; i < function.commands()->size(); ++i) {
      const Command &command = *function.commands()->Get(i);
      switch (command.kind()) {
      case CommandKind::record:
      case CommandKind::wait:
        isCounted.push_back(-1);
        break;
      case CommandKind::launch:
      case CommandKind::collective:
        isCounted.push_back(static_cast<int64_t>(isLaunch.size()));
        isLaunch.push_back(command.kind() == CommandKind::launch);
        columns["function"].push_back(index);
        columns["command"].push_back(i);
        columns["layer"].push_back(layer);
        break;
      case CommandKind::call:
      case CommandKind::repeat: {
        const uint32_t count =
            command.kind() == CommandKind::repeat ? command.count() : 1;
        const size_t share = command.states()->size() / count;
        for (uint32_t k = 0; k < count; ++k) {
          std::vector<uint32_t> own;
          for (size_t s = 0; s < share; ++s)
            own.push_back(states[command.states()->Get(
                static_cast<uint32_t>(k * share + s))]);
          walk(command.callee(), own, layerOf(own, layer));
        }
        break;
      }
      }
    }
  }

  /// The number of the cache that a call binds, "kv.17".
  int layerOf(const std::vector<uint32_t> &states, int outer) const {
    for (uint32_t state : states)
      if (names[state].starts_with("kv."))
        return std::atoi(names[state].c_str() + 3);
    return outer;
  }

  const schema::Artifact &root;
  std::vector<std::string> names;
  Json columns;
};

Json entryJson(const Entry &e) {
  return {{"name", e.name()->str()},
          {"kind", EnumNameEntryKind(e.kind())},
          {"tokens", e.tokens()},
          {"rows", e.rows()},
          {"logit_rows", e.logit_rows()},
          {"attention", e.attention()->str()},
          {"arena_bytes", e.arena_bytes()},
          {"rung", EnumNameRung(e.rung())},
          {"micro_batches", e.micro_batches()},
          {"function", e.function()}};
}

/// Microseconds rounded to what a page shows of them.
double rounded(double us) { return std::round(us * 1000) / 1000; }

/// The costs of |rows|: begin, time, what bounds it, FLOP, bytes.
void addCosts(Json &rows, Json &entry, const Unroller &unrolled,
              const predict::EntryPrediction &prediction) {
  const size_t size = unrolled.isLaunch.size();
  std::vector<Json> begin(size), us(size), bound(size), flops(size),
      bytes(size);
  for (const cost::Span &span : prediction.body.spans)
    if (const int64_t row = unrolled.isCounted[span.command]; row >= 0) {
      begin[row] = rounded(span.beginUs);
      us[row] = rounded(span.endUs - span.beginUs);
    }
  auto cost = prediction.launchCosts.begin();
  for (size_t row = 0; row < size; ++row)
    if (unrolled.isLaunch[row]) {
      us[row] = rounded(cost->us);
      bound[row] = predict::boundName(cost->bound);
      flops[row] = std::round(cost->work.flops);
      bytes[row] = std::round(cost->work.bytes);
      ++cost;
    }
  rows["begin_us"] = begin;
  rows["us"] = us;
  rows["bound"] = bound;
  rows["flops"] = flops;
  rows["bytes"] = bytes;
  entry["step_us"] = rounded(prediction.stepUs);
  entry["body_us"] = rounded(prediction.body.us);
  entry["exposed_us"] = rounded(prediction.body.exposedUs);
  entry["bound"] = std::string(prediction.body.bound());
}

/// What the artifact costs, or why nobody knows.
StatusOr<std::optional<predict::Prediction>>
predictArtifact(Report &report, const hadal::Artifact &artifact,
                const std::optional<cost::Cluster> &given) {
  std::optional<cost::Cluster> cluster = given;
  if (!cluster && !artifact.root().mesh())
    cluster = predict::chipCluster(artifact);
  if (!cluster) {
    report.data["missing"]["cost"] =
        "hadal-report ... --cluster models/clusters/h100-nccl.json";
    return std::optional<predict::Prediction>();
  }
  report.data["cost"] = {{"name", cluster->name},
                         {"kind", given ? "predicted" : "floor"}};
  HADAL_ASSIGN_OR_RETURN(predict::Prediction prediction,
                         predict::predict(artifact, *cluster, {}, {}));
  return std::optional(std::move(prediction));
}

} // namespace

Status addProgram(Report &report, const hadal::Artifact &artifact,
                  const std::optional<cost::Cluster> &cluster) {
  const schema::Artifact &root = artifact.root();
  Json program = inspect::program(artifact);
  Json entryParameters = Json::array();
  for (const Parameter *parameter : *root.parameters())
    entryParameters.push_back(parameter->name()->str());
  report.data["functions"] = Json::array();
  for (const Function *function : *root.functions()) {
    Json names = Json::array();
    if (function->arg_names())
      for (const flatbuffers::String *name : *function->arg_names())
        names.push_back(name->str());
    const bool isEntry = std::any_of(
        root.entries()->begin(), root.entries()->end(),
        [&](const Entry *entry) {
          return root.functions()->Get(entry->function()) == function;
        });
    for (size_t i = names.size(); i < function->num_parameters(); ++i)
      names.push_back(isEntry ? entryParameters[i]
                              : Json(fmt::format("param[{}]", i)));
    report.data["functions"].push_back(functionJson(
        root, *function, program["functions"][function->name()->str()], names));
  }
  HADAL_ASSIGN_OR_RETURN(std::optional<predict::Prediction> prediction,
                         predictArtifact(report, artifact, cluster));
  Unroller unroller(root);
  report.data["entries"] = Json::array();
  for (const Entry *entry : *root.entries()) {
    Json one = entryJson(*entry), rows = unroller.run(entry->function());
    if (prediction)
      for (const predict::EntryPrediction &predicted : prediction->entries)
        if (predicted.name == entry->name()->str())
          addCosts(rows, one, unroller, predicted);
    one["launches"] = report.addBlob(rows.dump());
    report.data["entries"].push_back(std::move(one));
  }
  return {};
}

} // namespace hadal::report
