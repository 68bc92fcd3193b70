#include "passes/Overlap/LayerCost.h"

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/SpecAttr.h"
#include "mlir/IR/SymbolTable.h"

using namespace mlir;

namespace hadal {

exec::FuncOp findExchangingLayer(exec::EntryOp entry, LayerStages &stages,
                                 std::string &why) {
  auto module = entry->getParentOfType<ModuleOp>();
  exec::FuncOp found;
  int64_t most = 0;
  for (Operation &op : entry.getBodyBlock()) {
    auto callee = op.getAttrOfType<FlatSymbolRefAttr>("callee");
    if (!callee)
      continue;
    auto layer = module.lookupSymbol<exec::FuncOp>(callee.getValue());
    auto repeat = dyn_cast<exec::RepeatOp>(op);
    const int64_t count = repeat ? repeat.getCount() : 1;
    if (!layer || count <= most)
      continue;
    std::string reason;
    if (std::optional<LayerStages> its = findLayerStages(layer, reason)) {
      stages = std::move(*its);
      found = layer;
      most = count;
    } else if (!layer.getOps<exec::CollectiveOp>().empty()) {
      why = ("'" + layer.getSymName() + "': " + reason).str();
    }
  }
  if (!found && why.empty())
    why = "no layer has a collective";
  return found;
}

static predict::StepShape shapeOf(exec::EntryOp entry) {
  auto module = entry->getParentOfType<ModuleOp>();
  auto model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
  auto number = [&](StringRef key) -> double {
    auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : 0;
  };
  exec::MeshAttr mesh = exec::getMesh(module);
  const double parts = entry.getMicroBatches();
  predict::StepShape shape;
  shape.decode = entry.getKind() == exec::EntryKind::Decode;
  shape.tokens = *entry.getTokens() / parts;
  shape.rows = *entry.getRows() / parts;
  shape.queries = *entry.getQueries();
  shape.tp = mesh.getTp();
  shape.ep = mesh.getEp();
  shape.slots = mesh.getSlots();
  shape.topk = number("num_experts_per_token");
  // As the predictor assumes: half of the longest.
  shape.context = number("max_seq_len") / 2;
  return shape;
}

static predict::ExchangeWork workOf(exec::CollectiveOp op,
                                    exec::CommunicatorOp communicator) {
  predict::ExchangeWork work;
  switch (op.getKind()) {
  case exec::CollectiveKind::AllGather:
    work.kind = predict::ExchangeKind::allGather;
    break;
  case exec::CollectiveKind::ReduceScatter:
    work.kind = predict::ExchangeKind::reduceScatter;
    break;
  case exec::CollectiveKind::AllReduce:
    work.kind = predict::ExchangeKind::allReduce;
    break;
  case exec::CollectiveKind::AllToAll:
    work.kind = predict::ExchangeKind::allToAll;
    break;
  }
  work.label = op.getLabel().str();
  work.axis = exec::stringifyAxis(communicator.getAxis()).str();
  work.ranks = communicator.getSize();
  for (unsigned i = 0; i < op.getNumParts(); ++i) {
    exec::CollectivePart part = op.getPart(i);
    work.parts.push_back({static_cast<double>(part.rows),
                          static_cast<double>(part.rowBytes),
                          static_cast<int>(part.countColumn)});
  }
  return work;
}

StatusOr<cost::Chain> priceLayer(exec::EntryOp entry,
                                 ArrayRef<LayerStage> stages,
                                 const cost::Cluster &cluster, bool beside) {
  SymbolTable symbols(entry->getParentOfType<ModuleOp>());
  const cost::KernelCosts unmeasured;
  const predict::StepCost step(shapeOf(entry), cluster, unmeasured, beside);
  cost::Chain chain;
  for (const LayerStage &stage : stages) {
    cost::Stage &priced = chain.emplace_back();
    priced.name = stage.name;
    priced.awaits = stage.awaits;
    priced.launches = stage.launches.size();
    for (exec::LaunchOp launch : stage.launches) {
      auto kernel = symbols.lookup<tile::KernelOp>(launch.getKernel());
      std::optional<kernels::AnySpec> spec;
      if (kernel.getSpecAttr())
        if (FailureOr<kernels::AnySpec> read = kernels::readSpec(kernel);
            succeeded(read))
          spec = *read;
      HADAL_ASSIGN_OR_RETURN(
          predict::PricedLaunch one,
          step.launch(launch.getKernel().str(), spec ? &*spec : nullptr));
      priced.us += one.us;
    }
    if (exec::CollectiveOp starts = stage.starts) {
      HADAL_ASSIGN_OR_RETURN(
          predict::PricedExchange exchange,
          step.price(workOf(starts, symbols.lookup<exec::CommunicatorOp>(
                                        starts.getCommunicator()))));
      priced.starts = exchange.cost;
    }
  }
  auto first = llvm::find_if(
      chain, [](const cost::Stage &stage) { return stage.starts.has_value(); });
  std::rotate(chain.begin(), std::next(first), chain.end());
  return chain;
}

} // namespace hadal
