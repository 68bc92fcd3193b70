#include "passes/Overlap/LayerStages.h"

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/SpecAttr.h"
#include "mlir/IR/SymbolTable.h"

using namespace mlir;

namespace hadal {

static bool isAttention(exec::LaunchOp launch, SymbolTable &symbols) {
  auto kernel = symbols.lookup<tile::KernelOp>(launch.getKernel());
  if (!kernel || !kernel.getSpecAttr())
    return false;
  const std::string kind = kernels::toText(kernel.getSpecAttr()).kind;
  return kind == "mla_decode" || kind == "mla_prefill";
}

std::optional<LayerStages> findLayerStages(exec::FuncOp layer,
                                           std::string &why) {
  SymbolTable symbols(layer->getParentOfType<ModuleOp>());
  LayerStages stages(1);
  stages.back().name = "project";
  // The collective of each event that says that it is done.
  DenseMap<int64_t, exec::CollectiveOp> doneBy;
  llvm::StringSet<> labels;
  exec::CollectiveOp last;
  bool attends = false;
  for (Operation &op : layer.getBodyBlock()) {
    if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
      if (!attends && labels.empty() && isAttention(launch, symbols)) {
        attends = true;
        if (!stages.back().launches.empty())
          stages.emplace_back();
        stages.back().name = "attend";
      }
      stages.back().launches.push_back(launch);
    } else if (auto collective = dyn_cast<exec::CollectiveOp>(op)) {
      if (!labels.insert(collective.getLabel()).second) {
        why = ("it has two collectives '" + collective.getLabel() + "'").str();
        return std::nullopt;
      }
      stages.back().starts = last = collective;
      stages.emplace_back();
      stages.back().name = collective.getLabel() == "dispatch"
                               ? "shared"
                               : ("beside_" + collective.getLabel()).str();
    } else if (auto record = dyn_cast<exec::RecordOp>(op)) {
      if (record.getStream() == exec::kCollectiveStream)
        doneBy[record.getEvent()] = last;
    } else if (auto wait = dyn_cast<exec::WaitOp>(op)) {
      auto done = doneBy.find(wait.getEvent());
      if (wait.getStream() != exec::kLaunchStream || done == doneBy.end())
        continue;
      // Nothing beside it: one stage starts it, the next awaits it. One that
      // awaits another collective stays: nothing else says so.
      if (stages.back().launches.empty() && !stages.back().starts &&
          stages.back().awaits.empty())
        stages.pop_back();
      stages.emplace_back();
      stages.back().awaits = done->second.getLabel().str();
      stages.back().name = "after_" + stages.back().awaits;
    } else if (isa<exec::CallOp, exec::RepeatOp>(op)) {
      why = "it calls another function";
      return std::nullopt;
    }
  }
  if (labels.empty()) {
    why = "it has no collective";
    return std::nullopt;
  }
  if (stages.back().starts) {
    why = "its last collective is not awaited";
    return std::nullopt;
  }
  return stages;
}

} // namespace hadal
