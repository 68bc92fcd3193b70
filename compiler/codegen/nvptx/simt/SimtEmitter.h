// State of the lowering of one kernel without a contraction (Simt.h).
#pragma once

#include <functional>
#include <map>

#include "compiler/codegen/nvptx/simt/Simt.h"
#include "compiler/codegen/nvptx/simt/SimtBuilder.h"
#include "compiler/codegen/nvptx/simt/SimtIndex.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace hadal::nvptx {

/// Indices that together name every element of a tile; run by run ascending.
using Cover = llvm::SmallVector<TileIndex>;

class SimtEmitter {
public:
  explicit SimtEmitter(tile::KernelOp kernel) : kernel(kernel) {}
  mlir::FailureOr<mlir::LLVM::LLVMFuncOp> emit(mlir::OpBuilder &outer);

private:
  using Value = mlir::Value;
  using Type = mlir::Type;
  using Shape = llvm::ArrayRef<int64_t>;

  /// Elements of one memory access of a thread: 16 bytes of bf16.
  static constexpr int64_t kVector = 8;

  /// Memory: base address, extents (i64), and the rows of a gather.
  struct View {
    tile::ViewType type;
    Value data, scale;
    llvm::SmallVector<Value> extents;
    /// Of a gather: the tile of row indices and the extent of the source.
    Value indices, sourceRows;
  };
  /// What is known of a tile.
  struct Tile {
    std::map<TileIndex::Key, Value> elements; ///< in their compute type
    std::map<TileIndex::Key, Value> words;    ///< i32 of 2 bf16 or 4 codes
    std::optional<Cover> cover;               ///< of its registers
    int64_t spill = -1;                       ///< offset in shared memory
  };

  //===--- Structure (SimtEmitter.cpp) ------------------------------------===//

  mlir::LogicalResult readWords();
  void emitPrologue(mlir::LLVM::LLVMFuncOp func);
  void hoistParameters();
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitFold(tile::FoldOp fold);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  mlir::LogicalResult emitScalarOp(mlir::Operation *op);
  /// Emits |body|; what it learnt of tiles is forgotten.
  mlir::LogicalResult scoped(llvm::function_ref<mlir::LogicalResult()> body);
  void guarded(Value condition, llvm::function_ref<void()> body);
  int64_t allocateShared(int64_t bytes);
  /// Before shared memory is written again: inside a loop, the reads of the
  /// previous iteration come first.
  void barrierBeforeWrite();
  void barrier() { builder->barrier(threads); }
  Value scalar(Value value) { return scalars.lookup(value); }
  std::optional<int64_t> upperBound(Value index);
  int64_t knownMultiple(Value index);

  //===--- Tiles as values (SimtValues.cpp) -------------------------------===//

  static mlir::RankedTensorType typeOf(Value tile);
  static int64_t sizeOf(Value tile) { return typeOf(tile).getNumElements(); }
  Type computeType(Type elementType);
  /// Element |e| of |tile|, in its compute type; for threads beyond the tile any
  /// value. Emits barriers: never inside divergent control flow.
  Value element(Value tile, TileIndex e);
  Value compute(Value tile, TileIndex e);
  Value concatElement(tile::ConcatOp op, TileIndex e);
  Value reduceElement(tile::ReduceOp op, TileIndex e);
  void define(Value tile, TileIndex e, Value value);
  void setCover(Value tile, Cover cover) {
    for (TileIndex &e : cover)
      e = e.simplified(threads);
    tiles[tile].cover = std::move(cover);
  }
  /// The registers that hold |tile|, or the natural ones.
  Cover coverOf(Value tile);
  std::optional<Cover> leafCover(Value tile);
  Cover naturalCover(int64_t size);
  static bool isUniform(const Cover &cover);
  /// Copies a tile to shared memory, once; reads one element of it.
  void spill(Value tile);
  void spillLeaves(Value tile);
  Value readSpilled(Value tile, TileIndex e);
  static bool isLeaf(Value tile);
  bool isLazyReduce(tile::ReduceOp op);

  //===--- Indices (SimtValues.cpp) ---------------------------------------===//

  Value indexValue(TileIndex e);
  Value step(int64_t div); ///< floor(thread / div)
  TileIndex divide(TileIndex e, int64_t by, int64_t size);
  /// The row of |by| elements that |e| lies in, as an index to define a result
  /// at: threads whose |e| is not below |size| are given no row.
  TileIndex rowOf(TileIndex e, int64_t by, int64_t size);
  TileIndex modulo(TileIndex e, int64_t by, int64_t size);
  TileIndex sum(TileIndex a, TileIndex c);
  llvm::SmallVector<TileIndex> coordinates(TileIndex e, Shape shape);
  TileIndex linear(llvm::ArrayRef<TileIndex> at, Shape shape);
  /// i1: this thread's element lies in the tile and no lower thread has the same;
  /// null if that is so for every thread.
  Value owns(TileIndex e, int64_t size);
  Value inside(TileIndex e, int64_t size);

  //===--- Elementwise (SimtElements.cpp) ---------------------------------===//

  static bool isElementwise(mlir::Operation *op);
  /// One element of an elementwise op, or a scalar op, on lowered operands.
  Value emitElement(mlir::Operation *op, mlir::ValueRange operands);
  Value constantElement(mlir::arith::ConstantOp op, TileIndex e);
  /// Reports, once a kernel, that elements of |op| cannot be computed; a value
  /// of |type| for the callers that carry on.
  Value refuse(mlir::Operation *op, mlir::Type type, const llvm::Twine &why);
  Value fromWord(Value word, Type elementType, int64_t part);
  Value roundToBF16(Value x);
  /// The i32 with elements e, e+1 (bf16) or e .. e+3 (codes) of |tile|.
  Value packed(Value tile, TileIndex e);

  //===--- Memory (SimtMemory.cpp) ----------------------------------------===//

  struct Access {
    Value address; ///< i64
    Value valid;   ///< i1: it lies in the view; null: always
  };
  mlir::LogicalResult emitRows(tile::RowsOp op);
  mlir::LogicalResult emitLoad(tile::LoadOp op);
  mlir::LogicalResult emitStore(tile::StoreOp op);
  mlir::LogicalResult emitStoreScales(tile::StoreOp op);
  mlir::LogicalResult emitLoadScales(tile::LoadOp op);
  /// Reports that the scales of |view| cannot be reached, if so.
  bool refusesScales(mlir::Operation *op, const View &view);
  /// Address of element |e| of the scales, of |shape|, of a |tile| at
  /// |indices|.
  Access scaleAccess(const View &view, mlir::ValueRange indices, Shape tile,
                     Shape shape, TileIndex e);
  mlir::LogicalResult emitReduceInto(tile::ReduceIntoOp op);
  mlir::LogicalResult emitStoreSize(tile::StoreSizeOp op);
  void emitSize(tile::SizeOp op);
  void emitRead(tile::ReadOp op);
  Value sizeAt(Value index);
  /// Address of element |e| of a tile of |shape| placed at |indices|; a vector
  /// that starts there stays in the row.
  Access access(const View &view, mlir::ValueRange indices, Shape shape,
                TileIndex e);
  int64_t pieceElements(const View &view, mlir::ValueRange indices,
                        Shape shape);
  static int64_t rowPitch(tile::ViewType type);
  /// Splits a cover into pieces of consecutive elements, at most |limit| each.
  llvm::SmallVector<std::pair<TileIndex, int64_t>> pieces(const Cover &cover,
                                                          int64_t limit);
  void loadPiece(Value tile, Type elementType, TileIndex e, int64_t count,
                 const Access &at, Value pad, int64_t size);
  void storePiece(Value tile, TileIndex e, int64_t count, Value address,
                  Value condition);

  //===--- Reductions (SimtReduce.cpp) ------------------------------------===//

  mlir::LogicalResult emitReduce(tile::ReduceOp op);
  mlir::LogicalResult emitScan(tile::ScanOp op);
  mlir::LogicalResult emitTopK(tile::TopKOp op);
  mlir::LogicalResult emitQuantize(tile::QuantizeOp op);
  using Merge = std::function<Value(Value, Value)>;
  Value fold(llvm::SmallVector<Value> values, const Merge &merge);
  Value foldLanes(Value value, int64_t lanes, const Merge &merge);
  /// Over all threads; every thread gets the result.
  Value foldThreads(Value value, Value identity, const Merge &merge);
  mlir::LogicalResult reduceWhole(tile::ReduceOp op, const Merge &merge,
                                  Value identity);
  bool reduceRows(tile::ReduceOp op, const Merge &merge);
  void reduceSerially(tile::ReduceOp op, const Merge &merge);
  Value reduceLoop(tile::ReduceOp op, TileIndex e, const Merge &merge);
  Merge mergeOf(tile::ReduceOp op);
  /// What the threads of a row choose from: a key (i32, larger is better) and a
  /// column (i32) per register.
  struct Candidates {
    llvm::SmallVector<Value> keys, columns;
  };
  void choose(tile::TopKOp op, Candidates candidates, int64_t lanes,
              TileIndex row);

  tile::KernelOp kernel;
  std::optional<SimtBuilder> builder;
  int64_t threads = 32;
  int64_t sharedTop = 0;
  int loopDepth = 0;
  bool failedEmission = false;

  Value sharedBase; ///< ptr of address space 3
  Value thread;     ///< i32
  mlir::Operation *entryEnd = nullptr;
  std::map<int64_t, Value> steps;
  Value sizes; ///< i64 address of the sizes buffer
  llvm::DenseMap<Value, Value> scalars;
  llvm::DenseMap<Value, View> views;
  llvm::DenseMap<Value, Tile> tiles;
  llvm::DenseSet<mlir::Operation *> hoisted;
};

} // namespace hadal::nvptx
