// Matches contractions in a tile kernel and lowers them to dot forms.
#pragma once

#include <set>
#include <vector>

#include "compiler/codegen/cpu/Forms.h"
#include "compiler/codegen/loops/TileToLoops.h"

namespace hadal::cpu {

/// The hooks of one kernel's lowering to loops, and what they found.
///
/// Taken over are: a tile.fold whose body only loads and multiplies
/// (activations [M,K] with weight rows [N,K] straight from memory), and
/// tile.dot and tile.dot_scaled whose operands are in tile buffers. Everything
/// else keeps its loops, so a kernel that matches nothing is still right.
class ContractionLowering {
public:
  explicit ContractionLowering(tile::KernelOp kernel) : kernel(kernel) {}

  TileLoweringHooks hooks();
  /// The forms that the lowered kernel calls.
  const std::set<FormKey> &forms() const { return used; }
  /// What each contraction became, in program order: "gemv", "rows", "panel",
  /// "dot".
  const std::vector<std::string> &choices() const { return chosen; }

private:
  using Value = mlir::Value;
  struct Operand; // of a matched fold
  struct Fold;

  mlir::LogicalResult lower(TileLowering &l, mlir::Operation *op,
                            bool &handled);
  bool match(TileLowering &l, tile::FoldOp op, Fold &fold);
  /// A fold of one row against a weight whose rows are K; lowers it if it is.
  bool lowerColumns(TileLowering &l, tile::FoldOp op);
  void emit(TileLowering &l, Fold &fold);
  void emitRows(TileLowering &l, Fold &fold, Value count);
  void emitPanel(TileLowering &l, Fold &fold, Value count);
  void forEachRun(TileLowering &l, const Operand &w, int64_t n,
                  llvm::function_ref<void(Value, Value, Value, Value, Value)>);
  /// The rows of the tile whose results are stored, or null: unknown.
  Value storedRows(TileLowering &l, tile::FoldOp op);
  /// Whether the kernel stores nothing to the memory of |view|.
  bool isReadOnly(Value view);
  bool lowerDot(TileLowering &l, tile::DotOp op);
  bool lowerDotScaled(TileLowering &l, tile::DotScaledOp op);
  void call(TileLowering &l, const FormKey &key, mlir::ValueRange args);

  tile::KernelOp kernel;
  std::set<FormKey> used;
  std::vector<std::string> chosen;
};

} // namespace hadal::cpu
