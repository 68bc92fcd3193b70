// The functions that run a layer of two micro-batches in turns.
#pragma once
#include "passes/Overlap/Interleaving.h"
#include "passes/Overlap/MicroBatchRefs.h"

namespace hadal {

/// Of one layer with collectives: what it is now, and where its micro-batches
/// begin.
struct WovenLayer {
  exec::FuncOp layer; ///< of one micro-batch
  LayerStages stages;
  Interleaving interleaving;
  /// By argument: it is the state of hidden rows; every iteration gets the
  /// same.
  llvm::SmallVector<bool> isHidden, isShared;
  /// By buffer and micro-batch: the name under which it is carried from the
  /// stages of a layer that come with the layer before to the others.
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, std::string> carried;

  /// Whether |stage|'s collective starts with the next body, its micro-batch
  /// ending there.
  bool isDeferred(unsigned stage, unsigned batch) const {
    return stage + 1 == interleaving.first[batch];
  }
  /// Sets `carried`, with names of which |taken| has none.
  void findCarried(llvm::StringSet<> &taken);
};

/// Which of two consecutive layers a command belongs to: the body of layer i
/// ends with the first stages of layer i + 1.
enum class Relative : unsigned { current, next };

/// A function that runs stages of two consecutive layers, and what a caller
/// gives it.
struct WovenFunction {
  exec::FuncOp function;
  struct Argument {
    unsigned number; ///< of the layer's function
    Relative layer;
  };
  llvm::SmallVector<Argument> parameters, states;
};

/// Runs the stages of the current layer, of the next, or of both.
WovenFunction weaveLayer(const WovenLayer &woven, llvm::StringRef name,
                         bool hasCurrent, bool hasNext,
                         const MicroBatchOffsets &offsets);

} // namespace hadal
