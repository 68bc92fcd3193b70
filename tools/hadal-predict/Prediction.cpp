#include "tools/hadal-predict/Prediction.h"

#include <algorithm>

#include "cost/Routing.h"
#include "kernels/KernelWork.h"
#include "kernels/SpecText.h"
#include "runtime/device/GpuProgram.h"
#include "runtime/device/Program.h"
#include "runtime/session/MemoryPlan.h"
#include "tools/common/ParameterBytes.h"
#include "tools/hadal-predict/LayerChain.h"

namespace hadal::predict {

namespace {

constexpr int kCode = 5023;
/// Orders of two chains grow with the factorials of their length.
constexpr size_t kMostStages = 6;

/// "dispatch" of "dispatch, layer 17".
std::string labelOf(const comm::Operation &operation) {
  return operation.label.substr(0, operation.label.find(", layer "));
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
    if (const schema::Mesh *mesh = artifact.root().mesh()) {
      result.tp = mesh->tp();
      result.dp = mesh->dp();
      result.ep = mesh->ep();
      result.slots = mesh->slots();
      result.ranks = result.tp * result.dp;
    }
    HADAL_RETURN_IF_ERROR(parseSpecs());
    HADAL_RETURN_IF_ERROR(planMemory());
    for (const schema::Entry *entry : *artifact.root().entries())
      if (entry->kind() != schema::EntryKind::head)
        HADAL_RETURN_IF_ERROR(predictEntry(*entry));
    return std::move(result);
  }

private:
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

  /// What a full step of |entry| holds.
  kernels::StepBatch batchOf(const schema::Entry &entry) const {
    const schema::Model &model = artifact.model();
    kernels::StepBatch batch;
    const bool decode = entry.kind() == schema::EntryKind::decode;
    batch.tokens = entry.tokens();
    batch.slice = (entry.tokens() + result.tp - 1) / result.tp;
    batch.logitRows = entry.rows();
    const double queries = std::max(entry.max_queries_per_row(), 1u);
    batch.sequences =
        decode ? entry.rows() : std::max(1.0, batch.tokens / queries);
    const double inCache = options.context
                               ? static_cast<double>(options.context)
                               : static_cast<double>(model.max_seq_len()) / 2;
    batch.context = decode ? inCache : batch.tokens / batch.sequences;
    const double topk = model.num_experts_per_token();
    batch.sentRows =
        batch.slice * cost::distinctRanks({result.ep, result.slots,
                                           model.num_experts_per_token()});
    batch.pairs = batch.slice * topk * imbalanceOf(batch);
    return batch;
  }

  double imbalanceOf(const kernels::StepBatch &batch) const {
    if (options.imbalance > 0)
      return options.imbalance;
    if (cluster.imbalance > 0)
      return cluster.imbalance;
    return cost::uniformImbalance(result.ep, batch.slice,
                                  artifact.model().num_experts_per_token());
  }

  /// How much longer products take on what a collective leaves of the chip,
  /// when another micro-batch communicates.
  double multiprocessorShare() const {
    unsigned held = 0;
    for (const auto &[name, link] : cluster.links)
      held = std::max(held, name == "tp" ? 0 : link.multiprocessors);
    return static_cast<double>(std::max(cluster.multiprocessors, 1u)) /
           (std::max(cluster.multiprocessors, 1u) - held);
  }

  /// One launch of |kernel|; |share|: of the chip, for its products.
  StatusOr<double> launchUs(uint32_t kernel, const kernels::StepBatch &batch,
                            EntryPrediction &entry, double share) const {
    ++entry.launches;
    const std::string name =
        artifact.root().kernels()->Get(kernel)->name()->str();
    const std::optional<kernels::AnySpec> &spec = specs[kernel];
    if (const cost::KernelCost *measured = costs.find(name)) {
      ++entry.measured;
      // Measurements are of even routing.
      const bool product =
          spec && std::holds_alternative<kernels::GemmSpec>(*spec);
      return measured->us(batch.tokens) * (product ? share : 1) *
             (spec && kernels::isOfExperts(*spec) ? entry.imbalance : 1);
    }
    const cost::Roofline &roofline = cluster.roofline;
    if (roofline.memoryBytesPerUs <= 0)
      return error(
          kCode,
          "kernel '{}' has no measurement, and '{}' no \"roofline\" to "
          "price it by; give --costs with all kernels",
          name, cluster.name);
    const kernels::LaunchWork work = kernels::workOf(*spec, batch);
    return std::max(
        {work.bytes / roofline.memoryBytesPerUs,
         work.flops / (work.fp8 ? roofline.fp8PerUs : roofline.bf16PerUs),
         roofline.floorUs});
  }

  StatusOr<cost::Collective> price(const hadal::Collective &collective,
                                   const kernels::StepBatch &batch,
                                   EntryPrediction &entry) {
    const schema::Communicator &communicator =
        *artifact.root().communicators()->Get(collective.communicator);
    const comm::Operation &operation = collective.operation;
    const std::string label = labelOf(operation);
    const cost::Link *link = cluster.find(label, axisName(communicator.axis()));
    if (!link)
      return error(kCode,
                   "'{}' has no link \"{}\" or \"{}\", which a collective of "
                   "'{}' needs",
                   cluster.name, label, axisName(communicator.axis()),
                   artifact.path());
    const double ranks = communicator.size();
    double bytes = 0, needed = 0;
    for (const comm::Part &part : operation.parts) {
      const double block =
          static_cast<double>(part.rows) * static_cast<double>(part.rowBytes);
      switch (operation.kind) {
      case comm::Kind::allGather:
      case comm::Kind::reduceScatter:
        bytes += (ranks - 1) * block;
        needed += (ranks - 1) * block;
        break;
      case comm::Kind::allReduce:
        bytes += 2 * (ranks - 1) / ranks * block;
        needed += 2 * (ranks - 1) / ranks * block;
        break;
      case comm::Kind::allToAll: {
        const double meant = meantRows(part, operation, batch);
        needed += meant * static_cast<double>(part.rowBytes);
        bytes += movedRows(*link, part, operation, batch, ranks) *
                 static_cast<double>(part.rowBytes);
        break;
      }
      }
    }
    Exchange &exchange = entry.exchanges[label];
    ++exchange.operations;
    exchange.bytes += bytes;
    exchange.neededBytes += needed;
    const bool routed = operation.kind == comm::Kind::allToAll;
    cost::Collective priced = cost::collectiveOf(
        *link, label, communicator.size(), bytes, routed ? entry.imbalance : 1);
    exchange.us += priced.us();
    return priced;
  }

  /// An all_to_all whose parts are counted by their second column carries a row
  /// for each pair; others one for each token and rank.
  static bool carriesPairs(const comm::Operation &operation) {
    return std::any_of(
        operation.parts.begin(), operation.parts.end(),
        [](const comm::Part &part) { return part.countColumn == 1; });
  }
  /// Parts of one row a rank carry counts, whatever the rows are.
  static bool isOfRows(const comm::Part &part) { return part.rows > 1; }

  /// Rows of |part| that a rank sends and that mean something.
  double meantRows(const comm::Part &part, const comm::Operation &operation,
                   const kernels::StepBatch &batch) const {
    if (!isOfRows(part))
      return static_cast<double>(part.rows) * result.ep;
    return carriesPairs(operation)
               ? batch.slice * artifact.model().num_experts_per_token()
               : batch.sentRows;
  }

  /// Rows of |part| that travel over |link|.
  double movedRows(const cost::Link &link, const comm::Part &part,
                   const comm::Operation &operation,
                   const kernels::StepBatch &batch, double ranks) const {
    const double capacity = static_cast<double>(part.rows) * ranks;
    if (!isOfRows(part))
      return capacity;
    switch (link.moves) {
    case cost::Moves::capacity:
      return capacity;
    case cost::Moves::rows:
      return meantRows(part, operation, batch);
    case cost::Moves::pairs:
      return batch.slice * artifact.model().num_experts_per_token();
    case cost::Moves::copies:
      return batch.slice * link.copies;
    }
    return capacity;
  }

  /// |schemaEntry|'s unrolled commands with their costs.
  StatusOr<std::vector<PricedCommand>>
  commandsOf(const schema::Entry &schemaEntry, const kernels::StepBatch &batch,
             EntryPrediction &entry, double share = 1) {
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
              price(list.collectives[next->index], batch, entry));
          commands.push_back(
              {cost::Command::communicate(std::move(collective))});
          break;
        }
        }
      if (position == list.launches.size())
        break;
      const uint32_t kernel = list.launches[position].kernel;
      HADAL_ASSIGN_OR_RETURN(double us, launchUs(kernel, batch, entry, share));
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
      if (entry->kind() == whole.kind() &&
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
    const schema::Entry *half = halfOf(whole);
    std::optional<cost::Chain> wholeChain = findLayerChain(priced);
    if (!half || !wholeChain || wholeChain->size() > kMostStages)
      return {};
    EntryPrediction unused;
    const kernels::StepBatch batch = batchOf(*half);
    unused.imbalance = imbalanceOf(batch);
    HADAL_ASSIGN_OR_RETURN(
        std::vector<PricedCommand> halfCommands,
        commandsOf(*half, batch, unused, multiprocessorShare()));
    std::optional<cost::Chain> halfChain = findLayerChain(halfCommands);
    HADAL_ASSIGN_OR_RETURN(entry.overlap,
                           cost::decideOverlap(entry.name, *wholeChain,
                                               *halfChain, cluster.machine));
    return {};
  }

  /// The smallest head for |rows| rows, else the largest.
  const schema::Entry *headFor(uint32_t rows) const {
    const schema::Entry *best = nullptr;
    for (const schema::Entry *entry : *artifact.root().entries()) {
      if (entry->kind() != schema::EntryKind::head)
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

  Status predictEntry(const schema::Entry &schemaEntry) {
    EntryPrediction entry;
    entry.name = schemaEntry.name()->str();
    entry.decode = schemaEntry.kind() == schema::EntryKind::decode;
    entry.worst = schemaEntry.rung() == schema::Rung::worst;
    kernels::StepBatch batch = batchOf(schemaEntry);
    entry.imbalance = imbalanceOf(batch);
    HADAL_ASSIGN_OR_RETURN(std::vector<PricedCommand> commands,
                           commandsOf(schemaEntry, batch, entry));
    HADAL_ASSIGN_OR_RETURN(entry.body, simulate(commands));
    HADAL_RETURN_IF_ERROR(decideOverlap(schemaEntry, commands, entry));
    for (const auto &[label, us] : entry.body.exposedByLabel)
      entry.exchanges[label].exposedUs = us;
    const uint32_t logitRows = schemaEntry.rows();
    if (const schema::Entry *head = headFor(logitRows)) {
      batch.logitRows = std::min(logitRows, head->logit_rows());
      HADAL_ASSIGN_OR_RETURN(std::vector<PricedCommand> headCommands,
                             commandsOf(*head, batch, entry));
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

StatusOr<Prediction> predict(const Artifact &artifact,
                             const cost::Cluster &cluster,
                             const cost::KernelCosts &costs,
                             const Options &options) {
  return Predictor(artifact, cluster, costs, options).run();
}

} // namespace hadal::predict
