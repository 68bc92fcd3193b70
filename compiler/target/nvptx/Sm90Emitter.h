// Lowers one tile.kernel to one sm_90a kernel function, with a fixed schedule:
// one CTA per work item, one or two warpgroups that all copy (cp.async into a
// two-stage ring) and multiply (wgmma). The operands of dots go through shared
// memory, everything else lives in registers. What this lowering cannot place is
// refused by name; it never computes a dot in any other way.
#pragma once

#include "compiler/target/nvptx/PtxBuilder.h"
#include "compiler/target/nvptx/Values.h"

namespace hadal::nvptx {

class Sm90Emitter {
public:
  explicit Sm90Emitter(tile::KernelOp kernel);

  /// Appends the function to |builder|'s insertion point. On failure an error
  /// has been reported at the op that has no lowering.
  mlir::LogicalResult emit(mlir::OpBuilder &builder);

  /// Dynamic shared memory of the kernel in bytes, after emit.
  int64_t sharedBytes() const { return sharedTop; }
  int64_t threads() const { return 128 * warpgroups; }

  /// Shared memory of one CTA on sm_90.
  static constexpr int64_t maxSharedBytes = 232448;

private:
  using Value = mlir::Value;

  // Sm90Emitter.cpp: structure.
  mlir::LogicalResult planOperands();
  void emitPrologue(mlir::LLVM::LLVMFuncOp func);
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitFold(tile::FoldOp fold);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  /// A uniform scalar (index as i64); ops not emitted yet are cloned.
  Value scalar(Value value);
  Value scalar(Value value, llvm::DenseMap<Value, Value> &local);

  // Sm90Memory.cpp: views, copies, stores.
  mlir::LogicalResult emitView(mlir::Operation *op);
  mlir::LogicalResult emitLoad(tile::LoadOp load);
  mlir::LogicalResult emitStore(tile::StoreOp store);
  /// i64 address of the first element of |row| (within [0, extent)).
  Value rowAddress(const ViewRef &view, llvm::ArrayRef<Value> leading,
                   Value row);
  Value scaleAddress(const ViewRef &view, llvm::ArrayRef<Value> leading,
                     Value row, Value col);
  /// Starts the copy of a tile into shared memory at |base| (i32).
  void copyTile(tile::LoadOp load, llvm::ArrayRef<Value> indices, Value base);
  int64_t allocateShared(int64_t bytes);

  // Sm90Dots.cpp: contractions.
  mlir::LogicalResult emitDot(tile::DotOp dot);
  mlir::LogicalResult emitDotScaled(tile::DotScaledOp dot);
  /// One product over |k| elements; returns with the accumulator complete.
  mlir::LogicalResult multiply(mlir::Operation *op, const TileValue &a,
                               const TileValue &b, bool transposeB, int64_t k,
                               llvm::SmallVectorImpl<Value> &acc,
                               bool accumulate, int64_t n, bool split);
  llvm::SmallVector<Value> packOperandA(const Fragment &p, int64_t kBlock);

  // Sm90Elementwise.cpp: everything on registers.
  mlir::LogicalResult emitElementwise(mlir::Operation *op);
  mlir::LogicalResult emitReduce(tile::ReduceOp op);
  mlir::LogicalResult emitQuantize(tile::QuantizeOp op);
  mlir::LogicalResult emitShapeOp(mlir::Operation *op);
  Value scalarOp(mlir::Operation *op, llvm::ArrayRef<Value> operands);
  /// The value as registers in |cols| columns; evaluates functions.
  mlir::FailureOr<Fragment> materialize(mlir::Operation *user, Value value);
  Value elementAt(const TileValue &value, const Fragment &like, size_t i);
  Value fragmentRow(const Fragment &frag, size_t i);
  Value fragmentCol(const Fragment &frag, size_t i);
  bool isSplit(int64_t cols) const { return cols > 256; }
  Fragment emptyFragment(int64_t cols) const;

  tile::KernelOp kernel;
  std::optional<PtxBuilder> builder;
  int64_t warpgroups = 1;
  int64_t sharedTop = 0;
  bool copiesPending = false; // cp.async issued outside a fold, not waited for

  Value sharedBase;  // i32
  Value thread;      // i32, 0..threads-1
  Value warpgroup;   // i32
  Value rowInTile;   // i64: 16w + g
  Value colInTile;   // i64: 2q

  llvm::DenseMap<Value, TileValue> tiles;
  llvm::DenseMap<Value, Value> scalars;
  llvm::DenseMap<Value, ViewRef> views;
  Value sizes; // i64 address of the sizes buffer
  llvm::DenseSet<mlir::Operation *> sharedLoads;
};

} // namespace hadal::nvptx
