#include "tools/hadal-predict/Prediction.h"

#include <algorithm>

#include "kernels/SpecText.h"
#include "runtime/device/GpuProgram.h"
#include "runtime/device/Program.h"
#include "runtime/schemas/EntryKinds.h"
#include "runtime/session/MemoryPlan.h"
#include "tools/common/ParameterBytes.h"
#include "tools/hadal-predict/LayerChain.h"

namespace hadal::predict {

namespace {

/// Orders of two chains grow with the factorials of their length.
constexpr size_t kMostStages = 6;

/// "dispatch" of "dispatch, layer 17" and of "dispatch, layers 17 and 18".
std::string labelOf(const comm::Operation &operation) {
  return operation.label.substr(0, operation.label.find(", layer"));
}

const char *axisName(schema::Axis axis) {
  switch (axis) {
  case schema::Axis::tp:
    return "tp";
  case schema::Axis::ep:
    return "ep";
  case schema::Axis::world:
    return "world";
  case schema::Axis::none:
    break;
  }
  return "none";
}

class Predictor {
public:
  Predictor(const Artifact &artifact, const cost::Cluster &cluster,
            const cost::KernelCosts &costs, const Options &options)
      : artifact(artifact), cluster(cluster), costs(costs), options(options) {}

  StatusOr<Prediction> run() {
    readMesh();
    HADAL_RETURN_IF_ERROR(parseSpecs());
    HADAL_RETURN_IF_ERROR(planMemory());
    for (const schema::Entry *entry : *artifact.root().entries())
      if (!artifact::isHead(entry->kind()))
        HADAL_RETURN_IF_ERROR(predictEntry(*entry));
    return std::move(result);
  }

  StatusOr<EntryPrediction> body(const schema::Entry &schemaEntry) {
    readMesh();
    HADAL_RETURN_IF_ERROR(parseSpecs());
    EntryPrediction entry;
    HADAL_RETURN_IF_ERROR(predictBody(schemaEntry, entry).status());
    entry.stepUs = entry.body.us;
    return entry;
  }

private:
  void readMesh() {
    if (const schema::Mesh *mesh = artifact.root().mesh()) {
      result.tp = mesh->tp();
      result.dp = mesh->dp();
      result.ep = mesh->ep();
      result.slots = mesh->slots();
      result.ranks = result.tp * result.dp;
    }
  }

  Status parseSpecs() {
    for (const schema::Kernel *kernel : *artifact.root().kernels()) {
      kernels::SpecText text;
      if (kernel->spec()) {
        text.kind = kernel->spec()->kind()->str();
        for (const schema::KeyValue *field : *kernel->spec()->fields())
          text.fields.emplace_back(field->key()->str(), field->value()->str());
      }
      kernels::ParsedSpec parsed = kernels::parseSpec(text);
      if (!parsed.spec && !costs.find(kernel->name()->str()))
        return error(4002,
                     "kernel '{}' of '{}' cannot be priced: {}; compile the "
                     "model with this version",
                     kernel->name()->string_view(), artifact.path(),
                     parsed.error);
      specs.push_back(std::move(parsed.spec));
    }
    return {};
  }

  Status planMemory() {
    const schema::Model &model = artifact.model();
    const uint64_t pages = cachePagesFor(model, 0);
    for (const schema::Parameter *parameter : *artifact.root().parameters())
      result.memory.weights +=
          static_cast<double>(parameterBytes(model, *parameter));
    for (const schema::State *state : *artifact.root().states()) {
      std::optional<uint64_t> bytes = stateBytes(model, *state, pages);
      if (!bytes)
        return error(5006, "a cache of {} pages exceeds 64 bits", pages);
      double &sum = state->kind() == schema::StateKind::paged_cache
                        ? result.memory.cache
                        : result.memory.states;
      sum += static_cast<double>(*bytes);
    }
    for (const schema::Entry *entry : *artifact.root().entries())
      result.memory.activations = std::max(
          result.memory.activations, static_cast<double>(entry->arena_bytes()));
    result.memory.exchange =
        static_cast<double>(artifact.root().exchange_bytes());
    // An image is code for the host, whose kernels have no workspace.
    if (artifact.root().images()->size() == 0) {
      HADAL_ASSIGN_OR_RETURN(WorkspaceLayout layout,
                             layoutWorkspace(artifact.root()));
      result.memory.workspace = static_cast<double>(layout.bytes);
    }
    return {};
  }

  /// What a full step of |entry| costs, of each of its micro-batches. |beside|:
  /// the other one communicates meanwhile.
  StepCost costOf(const schema::Entry &entry, bool beside) const {
    const schema::Model &model = artifact.model();
    const double parts = entry.micro_batches();
    StepShape shape;
    shape.decode = isGenerated(entry.kind());
    shape.tokens =
        (options.tokens > 0 ? options.tokens : entry.tokens()) / parts;
    shape.rows = entry.rows() / parts;
    shape.queries = entry.max_queries_per_row();
    shape.tp = result.tp;
    shape.ep = result.ep;
    shape.slots = result.slots;
    shape.topk = model.num_experts_per_token();
    shape.context = options.context
                        ? static_cast<double>(options.context)
                        : static_cast<double>(model.max_seq_len()) / 2;
    shape.imbalance = options.imbalance;
    return StepCost(shape, cluster, costs, beside);
  }

  /// One launch of |kernel|.
  StatusOr<double> launchUs(uint32_t kernel, const StepCost &step,
                            EntryPrediction &entry) const {
    ++entry.launches;
    HADAL_ASSIGN_OR_RETURN(
        const PricedLaunch priced,
        step.launch(artifact.root().kernels()->Get(kernel)->name()->str(),
                    specs[kernel] ? &*specs[kernel] : nullptr));
    entry.measured += priced.bound == LaunchBound::measured;
    entry.launchCosts.push_back({kernel, priced.us, priced.bound, priced.work});
    return priced.us;
  }

  static ExchangeKind kindOf(comm::Kind kind) {
    switch (kind) {
    case comm::Kind::allGather:
      return ExchangeKind::allGather;
    case comm::Kind::reduceScatter:
      return ExchangeKind::reduceScatter;
    case comm::Kind::allReduce:
      return ExchangeKind::allReduce;
    case comm::Kind::allToAll:
      break;
    }
    return ExchangeKind::allToAll;
  }

  StatusOr<cost::Collective> price(const hadal::Collective &collective,
                                   const StepCost &step,
                                   EntryPrediction &entry) {
    const schema::Communicator &communicator =
        *artifact.root().communicators()->Get(collective.communicator);
    const comm::Operation &operation = collective.operation;
    ExchangeWork work;
    work.kind = kindOf(operation.kind);
    work.label = labelOf(operation);
    work.axis = axisName(communicator.axis());
    work.ranks = communicator.size();
    for (const comm::Part &part : operation.parts)
      work.parts.push_back({static_cast<double>(part.rows),
                            static_cast<double>(part.rowBytes),
                            part.countColumn});
    StatusOr<PricedExchange> priced = step.price(work);
    if (!priced.ok())
      return error(priced.status().code(), "{} of '{}'",
                   priced.status().message(), artifact.path());
    Exchange &exchange = entry.exchanges[work.label];
    ++exchange.operations;
    exchange.bytes += priced->bytes;
    exchange.neededBytes += priced->neededBytes;
    exchange.us += priced->cost.us();
    return priced->cost;
  }

  /// |schemaEntry|'s unrolled commands with their costs.
  StatusOr<std::vector<PricedCommand>>
  commandsOf(const schema::Entry &schemaEntry, const StepCost &step,
             EntryPrediction &entry) {
    Bindings bindings;
    bindings.parameters.resize(artifact.root().parameters()->size());
    bindings.states.resize(artifact.root().states()->size());
    const LaunchList list = flatten(artifact.root(), schemaEntry, bindings);
    std::vector<PricedCommand> commands;
    auto next = list.commands.begin();
    for (uint32_t position = 0; position <= list.launches.size(); ++position) {
      for (; next != list.commands.end() && next->position == position; ++next)
        switch (next->kind) {
        case RankCommand::Kind::record:
          commands.push_back(
              {cost::Command::record(next->index, next->stream)});
          break;
        case RankCommand::Kind::wait:
          commands.push_back({cost::Command::wait(next->index, next->stream)});
          break;
        case RankCommand::Kind::start: {
          HADAL_ASSIGN_OR_RETURN(
              cost::Collective collective,
              price(list.collectives[next->index], step, entry));
          commands.push_back(
              {cost::Command::communicate(std::move(collective))});
          break;
        }
        }
      if (position == list.launches.size())
        break;
      const uint32_t kernel = list.launches[position].kernel;
      HADAL_ASSIGN_OR_RETURN(double us, launchUs(kernel, step, entry));
      commands.push_back({cost::Command::launch(us),
                          specs[kernel] ? &*specs[kernel] : nullptr});
    }
    return commands;
  }

  StatusOr<cost::Timeline>
  simulate(const std::vector<PricedCommand> &priced) const {
    std::vector<cost::Command> commands;
    for (const PricedCommand &one : priced)
      commands.push_back(one.command);
    return cost::simulate(commands, cluster.machine);
  }

  /// The bucket of half the size of |whole|, of the same rung where it has
  /// both.
  const schema::Entry *halfOf(const schema::Entry &whole) const {
    const schema::Entry *best = nullptr;
    for (const schema::Entry *entry : *artifact.root().entries())
      if (entry->kind() == whole.kind() && entry->micro_batches() == 1 &&
          (!isGenerated(whole.kind()) ||
           entry->max_queries_per_row() == whole.max_queries_per_row()) &&
          entry->tokens() * 2 == whole.tokens() &&
          (!best || entry->rung() == whole.rung()))
        best = entry;
    return best;
  }

  /// Whether two micro-batches would pay for |whole|, whose commands |priced|
  /// are.
  Status decideOverlap(const schema::Entry &whole,
                       const std::vector<PricedCommand> &priced,
                       EntryPrediction &entry) {
    if (whole.micro_batches() > 1)
      return {};
    const schema::Entry *half = halfOf(whole);
    std::optional<cost::Chain> wholeChain = findLayerChain(priced);
    if (!half || !wholeChain || wholeChain->size() > kMostStages)
      return {};
    EntryPrediction unused;
    HADAL_ASSIGN_OR_RETURN(
        std::vector<PricedCommand> halfCommands,
        commandsOf(*half, costOf(*half, /*beside=*/true), unused));
    std::optional<cost::Chain> halfChain = findLayerChain(halfCommands);
    HADAL_ASSIGN_OR_RETURN(entry.overlap,
                           cost::decideOverlap(entry.name, *wholeChain,
                                               *halfChain, cluster.machine));
    return {};
  }

  /// Whether the tokens of entries of |kind| were generated, not a prompt's.
  static bool isGenerated(schema::EntryKind kind) {
    return kind == schema::EntryKind::decode ||
           kind == schema::EntryKind::draft ||
           kind == schema::EntryKind::draft_next;
  }

  /// The logits that are wanted of a full call of |entry|: one of a row, or
  /// those of all drafts that it verifies.
  static uint32_t logitRowsOf(const schema::Entry &entry) {
    return entry.kind() == schema::EntryKind::decode ? entry.tokens()
                                                     : entry.rows();
  }

  /// The smallest entry of |kind|, a head, for |rows| rows, else the largest.
  const schema::Entry *headFor(schema::EntryKind kind, uint32_t rows) const {
    const schema::Entry *best = nullptr;
    for (const schema::Entry *entry : *artifact.root().entries()) {
      if (entry->kind() != kind)
        continue;
      const bool fits = entry->logit_rows() >= rows;
      const bool bestFits = best && best->logit_rows() >= rows;
      if (!best ||
          (fits && (!bestFits || entry->logit_rows() < best->logit_rows())) ||
          (!fits && !bestFits && entry->logit_rows() > best->logit_rows()))
        best = entry;
    }
    return best;
  }

  /// Sets what |entry| says of the body; its commands.
  StatusOr<std::vector<PricedCommand>>
  predictBody(const schema::Entry &schemaEntry, EntryPrediction &entry) {
    entry.name = schemaEntry.name()->str();
    entry.decode = isGenerated(schemaEntry.kind());
    entry.worst = schemaEntry.rung() == schema::Rung::worst;
    const StepCost step =
        costOf(schemaEntry, /*beside=*/schemaEntry.micro_batches() > 1);
    entry.imbalance = step.imbalance();
    HADAL_ASSIGN_OR_RETURN(std::vector<PricedCommand> commands,
                           commandsOf(schemaEntry, step, entry));
    HADAL_ASSIGN_OR_RETURN(entry.body, simulate(commands));
    for (const auto &[label, us] : entry.body.exposedByLabel)
      entry.exchanges[label].exposedUs = us;
    return commands;
  }

  Status predictEntry(const schema::Entry &schemaEntry) {
    EntryPrediction entry;
    HADAL_ASSIGN_OR_RETURN(const std::vector<PricedCommand> commands,
                           predictBody(schemaEntry, entry));
    HADAL_RETURN_IF_ERROR(decideOverlap(schemaEntry, commands, entry));
    StepCost step = costOf(schemaEntry, /*beside=*/false);
    const uint32_t logitRows = logitRowsOf(schemaEntry);
    const schema::EntryKind headKind = artifact::isDraft(schemaEntry.kind())
                                            ? schema::EntryKind::draft_head
                                            : schema::EntryKind::head;
    if (const schema::Entry *head = headFor(headKind, logitRows)) {
      step.setLogitRows(std::min(logitRows, head->logit_rows()));
      HADAL_ASSIGN_OR_RETURN(std::vector<PricedCommand> headCommands,
                             commandsOf(*head, step, entry));
      HADAL_ASSIGN_OR_RETURN(cost::Timeline timeline, simulate(headCommands));
      entry.headUs = timeline.us;
      for (const auto &[label, us] : timeline.exposedByLabel)
        entry.exchanges[label].exposedUs += us;
    }
    entry.tokens = entry.decode ? schemaEntry.rows() : schemaEntry.tokens();
    entry.stepUs = entry.body.us + entry.headUs + cluster.outsideUs;
    entry.tokensPerSecondOfRank =
        entry.tokens / result.tp / (entry.stepUs * 1e-6);
    entry.tokensPerSecondOfNode = entry.tokensPerSecondOfRank *
                                  std::min(cluster.ranksPerNode, result.ranks);
    result.entries.push_back(std::move(entry));
    return {};
  }

  const Artifact &artifact;
  const cost::Cluster &cluster;
  const cost::KernelCosts &costs;
  const Options &options;
  std::vector<std::optional<kernels::AnySpec>> specs; ///< by kernel
  Prediction result;
};

} // namespace

const char *boundName(LaunchCost::Bound bound) {
  switch (bound) {
  case LaunchCost::Bound::memory:
    return "memory";
  case LaunchCost::Bound::compute:
    return "compute";
  case LaunchCost::Bound::floor:
    return "floor";
  case LaunchCost::Bound::measured:
    return "measured";
  }
  return "?";
}

StatusOr<Prediction> predict(const Artifact &artifact,
                             const cost::Cluster &cluster,
                             const cost::KernelCosts &costs,
                             const Options &options) {
  return Predictor(artifact, cluster, costs, options).run();
}

StatusOr<EntryPrediction> predictBody(const Artifact &artifact,
                                      const cost::Cluster &cluster,
                                      const cost::KernelCosts &costs,
                                      const Options &options,
                                      const schema::Entry &entry) {
  return Predictor(artifact, cluster, costs, options).body(entry);
}

} // namespace hadal::predict
