// Lowers the contractions of a tile kernel to dot forms, as its schedule says.
#pragma once

#include <set>

#include "compiler/codegen/cpu/ContractionMatch.h"
#include "compiler/codegen/cpu/ContractionSchedule.h"

namespace hadal::cpu {

/// The hooks of one kernel's lowering to loops, and the forms that it calls.
///
/// The form takes over every contraction of the kernel: the folds whose bodies
/// only load and multiply (activations [M,K] with weight rows [N,K] straight
/// from memory, or one activation row with a weight [K,N]), or, as `dot`,
/// tile.dot and tile.dot_scaled of tiles in buffers. One that it cannot take
/// over is an error (H3008) at the kernel. Everything else keeps its loops.
class ContractionLowering {
public:
  ContractionLowering(tile::KernelOp kernel,
                      const ContractionSchedule &schedule)
      : kernel(kernel), schedule(schedule) {}

  TileLoweringHooks hooks();
  /// The forms that the lowered kernel calls.
  const std::set<FormKey> &forms() const { return used; }
  /// Whether an error says that the form cannot take over a contraction.
  bool refused() const { return hasRefused; }

private:
  using Value = mlir::Value;

  mlir::LogicalResult lower(TileLowering &l, mlir::Operation *op,
                            bool &handled);
  mlir::LogicalResult refuse(const llvm::Twine &reason);
  mlir::LogicalResult lowerFold(TileLowering &l, tile::FoldOp op);
  /// Rows of the fold's tile that exist and are wanted.
  Value wantedRows(TileLowering &l, const RowContraction &fold);
  void emitRows(TileLowering &l, const RowContraction &fold, Value count);
  void emitPanel(TileLowering &l, const RowContraction &fold, Value count);
  void emitColumns(TileLowering &l, const ColumnContraction &fold);
  void forEachRun(TileLowering &l, const ContractionOperand &w, int64_t n,
                  llvm::function_ref<void(Value, Value, Value, Value, Value)>);
  /// The rows of the tile whose results are stored, or null: unknown.
  Value storedRows(TileLowering &l, tile::FoldOp op);
  /// Whether the kernel stores nothing to the memory of |view|.
  bool isReadOnly(Value view);
  mlir::LogicalResult lowerDot(TileLowering &l, tile::DotOp op);
  mlir::LogicalResult lowerDotScaled(TileLowering &l, tile::DotScaledOp op);
  FormKey key(FormKind kind, Elt x, Elt w, int m = 0) const {
    return FormKey(kind, x, w, schedule.tuning, m);
  }
  void call(TileLowering &l, const FormKey &key, mlir::ValueRange args);

  tile::KernelOp kernel;
  ContractionSchedule schedule;
  std::set<FormKey> used;
  bool hasRefused = false;
};

} // namespace hadal::cpu
