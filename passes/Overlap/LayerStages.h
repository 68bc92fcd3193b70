// A layer's commands as the stages that two micro-batches interleave.
#pragma once
#include "dialects/Exec/IR/Exec.h"
#include "llvm/ADT/StringSet.h"

namespace hadal {

/// What a layer computes between two waits.
struct LayerStage {
  std::string name; ///< "attend"
  llvm::SmallVector<exec::LaunchOp> launches;
  /// Label of the collective that it needs, or "".
  std::string awaits;
  /// The collective that starts when it ends, or null.
  exec::CollectiveOp starts;
};
using LayerStages = llvm::SmallVector<LayerStage>;

/// The stages of |layer| in order: "project", "attend" from the attention up to
/// the start of the exchange, "shared" beside it, "after_dispatch",
/// "after_return"; what is computed beside another collective than the dispatch
/// is "beside_<label>". Stages without a command are left out. |why| says what
/// is in the way where there are none: no collective, or two of one label.
std::optional<LayerStages> findLayerStages(exec::FuncOp layer,
                                           std::string &why);

} // namespace hadal
