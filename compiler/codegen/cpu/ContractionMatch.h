// Finds the folds of a tile kernel that are contractions over memory.
#pragma once

#include "compiler/codegen/cpu/Forms.h"
#include "compiler/codegen/loops/TileToLoops.h"

namespace hadal::cpu {

/// The storage type of |type|, if forms read it.
std::optional<Elt> eltOf(mlir::Type type);
inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value v) {
  return llvm::cast<mlir::RankedTensorType>(v.getType()).getShape();
}
/// Whether |v| is computed before |op|.
bool isOutside(mlir::Value v, mlir::Operation *op);

/// One operand of a matched fold: a load of [rows, K] whose last index is the
/// fold's variable plus |column|.
struct ContractionOperand {
  tile::LoadOp load;
  ViewInfo view;
  Elt elt;
  mlir::Value column; // added to the fold's variable; null: nothing

  /// Scales of a row; of a view without any, blocks of K.
  int64_t rowScales() const;
  unsigned rowDim() const { return view.type.getRank() - 2; }
};

/// A fold that is nothing but contractions of one activation tile [m,K] with
/// one or more weights [n,K].
struct RowContraction {
  tile::FoldOp op;
  ContractionOperand x;
  std::vector<ContractionOperand> weights; // one per state
  int64_t m, n, k;
};

/// A fold of one activation row with a weight whose rows are K.
struct ColumnContraction {
  tile::FoldOp op;
  ViewInfo x, w;
  Elt xElt, wElt;
  mlir::Value xRow, xColumn; // where K begins in the activations
  mlir::Value wRow, wColumn; // the first element of the weight
  int64_t n, k;
  bool scaled;
};

/// Fill |out| if |op| is such a fold and return "", else say why it is none.
std::string matchRows(TileLowering &l, tile::FoldOp op, RowContraction &out);
std::string matchColumns(TileLowering &l, tile::KernelOp kernel,
                         tile::FoldOp op, ColumnContraction &out);

} // namespace hadal::cpu
