// The order in which the stages of two micro-batches take turns, as text that a
// dump shows and a reader may edit: "shared.0", "project.1", ...
#pragma once
#include "passes/Overlap/LayerStages.h"

namespace hadal {

inline constexpr unsigned kMicroBatches = 2;

/// The body of a loop over layers. Micro-batch b begins with stage first[b] of
/// one layer and ends with the stage before it of the next.
struct Interleaving {
  /// A stage, by its number in the layer, of a micro-batch.
  struct Turn {
    unsigned stage, batch;
  };
  llvm::SmallVector<Turn> turns;
  std::array<unsigned, kMicroBatches> first = {};
};

/// Reads |words|, which name each of |stages| once for each micro-batch, each
/// micro-batch's in the order of the layer from any of them on. Says what is
/// wrong in |why|.
std::optional<Interleaving> parseInterleaving(mlir::ArrayAttr words,
                                              llvm::ArrayRef<LayerStage> stages,
                                              std::string &why);

/// An order that serves without a prediction: one computes its experts while
/// the other attends, dispatches travel beside the shared expert and the
/// projections.
mlir::ArrayAttr defaultInterleaving(mlir::MLIRContext *context,
                                    llvm::ArrayRef<LayerStage> stages);

} // namespace hadal
