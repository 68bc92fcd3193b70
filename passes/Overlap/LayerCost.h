// A layer of an entry as a chain of stages with their costs, which the search
// over the orders of two micro-batches takes.
#pragma once
#include "cost/Overlap.h"
#include "passes/Overlap/LayerStages.h"
#include "passes/Overlap/StepCost.h"

namespace hadal {

/// The layer with collectives that |entry| runs most often; null, and |why|, if
/// it has none that consists of stages.
exec::FuncOp findExchangingLayer(exec::EntryOp entry, LayerStages &stages,
                                 std::string &why);

/// |stages| of |entry| with what |cluster| makes of them, from the stage on
/// that runs beside the first exchange. |beside|: the other micro-batch
/// communicates meanwhile.
StatusOr<cost::Chain> priceLayer(exec::EntryOp entry,
                                 llvm::ArrayRef<LayerStage> stages,
                                 const cost::Cluster &cluster, bool beside);

} // namespace hadal
