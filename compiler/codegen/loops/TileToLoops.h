// Lowers tile.kernel to functions of loops over llvm.ptr.
//
// This lowering is the definition of a kernel: every other lowering is compared
// with it. It is also what the CPU target uses for everything but contractions,
// which it takes over through TileLoweringHooks.
//
// A kernel becomes
//   func.func @name(%args: !llvm.ptr, %begin: i64, %end: i64,
//                   %scratch: !llvm.ptr) attributes {hadal.scratch_bytes}
// with the call convention of docs/artifact.md. Work item i is the point of the
// domain whose last dimension varies fastest.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"

namespace hadal {

class TileLowering;

/// A tile in memory: element (i0, i1, ...) lies at
/// ptr + (offset + sum(i[d] * strides[d])) * sizeof(storage type).
/// Strides are in elements; 0 repeats a dimension.
struct TileBuffer {
  mlir::Value ptr;
  mlir::Type elementType; ///< of the tile, e.g. bf16 (stored as i16)
  llvm::SmallVector<int64_t, 4> shape;
  llvm::SmallVector<int64_t, 4> strides;
  int64_t offset = 0;
  bool inPlace = false; ///< a row of a view, not scratch: only read
  bool isContiguous() const;
};

/// What a !tile.view value is at run time.
struct ViewInfo {
  enum class Kind { memory, paged, gather };
  Kind kind = Kind::memory;
  tile::ViewType type;
  mlir::Value data;  ///< llvm.ptr; of a stack or segments: to the pointer table
  mlir::Value scale; ///< llvm.ptr of f32 (or the table); null if unscaled
  llvm::SmallVector<mlir::Value, 4> extents; ///< i64, one per dimension
  // paged: the pool's rows through row |row| of the table.
  mlir::Value table, tableStride, row;
  int64_t pageSize = 0;
  // gather: row indices, and the extent of the source's rows.
  TileBuffer indices;
  mlir::Value sourceRows;
};

/// Lets a target lower operations its own way. Called for every operation of a
/// kernel's body in program order, before the default lowering.
struct TileLoweringHooks {
  /// Returns success with |handled| set once the operation is lowered: each
  /// tensor result then has a buffer (setBuffer) and each scalar one a value
  /// (setScalar). Leaving |handled| unset asks for the default lowering.
  std::function<mlir::LogicalResult(TileLowering &, mlir::Operation *,
                                    bool &handled)>
      lowerOp;
  /// True for an operation that only a handled operation reads (a load of a dot
  /// operand that the hook reads straight from the view): it is skipped when
  /// met. Asked before lowerOp.
  std::function<bool(mlir::Operation *)> skipOp;
};

struct TileToLoopsOptions {
  bool f64 = false; ///< f32 arithmetic in double; storage types stay
  TileLoweringHooks hooks;
};

/// Lowers |kernel|; the function is inserted before it, the kernel is erased.
mlir::FailureOr<mlir::func::FuncOp>
lowerTileKernelToLoops(tile::KernelOp kernel, const TileToLoopsOptions &options);

/// A module pass that lowers every tile.kernel.
std::unique_ptr<mlir::Pass>
createLowerTileToLoopsPass(TileToLoopsOptions options);

/// State of the lowering of one kernel, for hooks.
class TileLowering {
public:
  using Value = mlir::Value;
  using ElementFn = llvm::function_ref<void(mlir::ValueRange)>;

  TileLowering(tile::KernelOp kernel, const TileToLoopsOptions &options);
  mlir::FailureOr<mlir::func::FuncOp> run();

  mlir::OpBuilder b;
  mlir::Location loc;
  bool f64() const { return options.f64; }

  //===--- Types ---------------------------------------------------------===//

  /// The type of one element while it is computed with: f32 (f64) for f32 and
  /// bf16, i8 for e4m3fn codes, i64 for index, otherwise the type itself.
  mlir::Type computeType(mlir::Type elementType) const;
  /// The type of one element in memory. In scratch, f32 is double when f64().
  mlir::Type storageType(mlir::Type elementType, bool scratch) const;
  int64_t storageBytes(mlir::Type elementType, bool scratch) const;

  /// The part of a tile that lies inside a view, and where.
  struct Access {
    llvm::SmallVector<Value> origin; ///< i64, one per view dimension
    llvm::SmallVector<Value> counts; ///< valid elements per tile dimension
    unsigned lead;                   ///< view dimensions without a tile dimension
  };

  /// Of every piece of scratch, in bytes.
  static constexpr int64_t kAlignment = 64;

  //===--- Values --------------------------------------------------------===//

  /// The lowered form of a scalar (index is i64, f32 is computeType).
  Value scalar(Value v);
  void setScalar(Value v, Value lowered);
  /// The buffer of a tile; emits it into a temporary if it is not in one yet
  /// (a fused elementwise expression, a splat).
  TileBuffer buffer(Value tile);
  void setBuffer(Value tile, TileBuffer buffer);
  /// The buffer to compute |result| into: the state buffer of the enclosing
  /// fold where that is safe, else a new one that lives as long as |result|.
  /// It is registered with setBuffer.
  TileBuffer destination(Value result);
  const ViewInfo &view(Value v);

  //===--- Memory --------------------------------------------------------===//

  /// Scratch that lives until the operation being lowered is done.
  TileBuffer temporary(mlir::Type elementType, llvm::ArrayRef<int64_t> shape);
  /// Raw scratch bytes, 64-byte aligned, until the operation is done.
  Value temporaryBytes(int64_t bytes);
  /// Scratch bytes, 64-byte aligned, that last from work item to work item of
  /// one call of the kernel; its first 8 bytes may be set to 0 at the call.
  Value callBytes(int64_t bytes, bool clearFirstWord = false);
  /// Address of element |indices| of a buffer.
  Value address(const TileBuffer &buffer, mlir::ValueRange indices);
  /// One element, in its compute type.
  Value loadElement(const TileBuffer &buffer, mlir::ValueRange indices);
  /// The same, in front of the innermost elementLoop where no index depends on
  /// it.
  Value loadBeforeLoop(const TileBuffer &buffer, mlir::ValueRange indices);
  void storeElement(const TileBuffer &buffer, mlir::ValueRange indices,
                    Value value);
  /// Address of the first element of row |indices[rank-2]| of the view, other
  /// outer dimensions at their index (indices has rank - 1 entries, i64). For a
  /// gather the row must be valid: see rowIsValid.
  Value rowAddress(const ViewInfo &view, mlir::ValueRange indices);
  /// Address of the f32 scale of the block that holds absolute row
  /// indices[rank-2] and column |col| of a scaled view.
  Value scaleAddress(const ViewInfo &view, mlir::ValueRange indices, Value col);
  /// i1: the gathered row exists. Null for views that are not gathers.
  Value rowIsValid(const ViewInfo &view, Value row);
  /// How many of |count| elements from |index| on lie inside dimension |dim|:
  /// min(max(extent - index, 0), count); a constant where that is provable.
  Access makeAccess(const ViewInfo &view, mlir::ValueRange indices,
                    llvm::ArrayRef<int64_t> shape);
  Value validCount(const ViewInfo &view, unsigned dim, Value tileIndex,
                   int64_t count);

  //===--- Code ----------------------------------------------------------===//

  /// One element of a tile: a load from its buffer or its fused expression.
  Value element(Value tile, mlir::ValueRange indices);
  /// Computes a whole tile into |dest| (same shape).
  void emitInto(Value tile, const TileBuffer &dest);
  /// A nest of loops over |shape|, last dimension innermost; dimensions of
  /// extent 1 cost no loop.
  void loopNest(llvm::ArrayRef<int64_t> shape, ElementFn body);
  /// A loop over elements by steps of 1 that stores to no tile that it reads by
  /// element(), except at the element that it reads; loopNest is made of these.
  void elementLoop(Value lo, Value hi, llvm::function_ref<void(Value)> body);
  /// scf.for over [lo, hi) in i64.
  void forLoop(Value lo, Value hi, int64_t step,
               llvm::function_ref<void(Value)> body);
  /// The same with loop-carried values; returns the last ones.
  llvm::SmallVector<Value>
  forLoop(Value lo, Value hi, int64_t step, mlir::ValueRange inits,
          llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)>
              body);
  Value i64(int64_t value);
  Value i32(int32_t value);
  Value floatConstant(double value); ///< in computeType(f32)
  Value gep(Value base, mlir::Type type, Value index);
  Value load(mlir::Type type, Value ptr);
  void store(Value value, Value ptr);

  /// e4m3fn code (i8) to f32 (f64): exact, NaN kept.
  /// The code |index| of a row of codes of four bits, and (code - 8).
  Value loadInt4(Value row, Value index);
  Value decodeInt4(Value code);
  Value decodeFp8(Value code);
  /// f32 to e4m3fn code (i8): nearest even, saturating, NaN kept.
  Value encodeFp8(Value x);
  /// Rounds a compute float to the nearest bf16 value, as a compute float.
  Value roundToBf16(Value x);
  Value exp2(Value x);

  /// Lowers the operations of |block| but its terminator (a fold's body, for a
  /// hook that drives the loop itself).
  mlir::LogicalResult lowerBlock(mlir::Block &block);
  mlir::LogicalResult lowerOp(mlir::Operation *op);
  /// The largest value that an index can take, where provable.
  std::optional<int64_t> upperBound(Value index);

  /// The buffer of |result|, holding |acc|: where a contraction adds.
  TileBuffer accumulator(Value acc, Value result);

private:
  struct Range {
    int64_t offset, bytes;
  };
  // Structure (LowerTileToLoops.cpp).
  void lowerArguments();
  mlir::LogicalResult lowerFold(tile::FoldOp fold);
  mlir::LogicalResult lowerIf(mlir::scf::IfOp op);
  mlir::LogicalResult lowerScalarOp(mlir::Operation *op);
  void storeYields(mlir::ValueRange values,
                   llvm::ArrayRef<TileBuffer> states,
                   mlir::ValueRange stateValues);
  // Liveness and scratch.
  bool isLazy(Value tile);
  static bool isGenerator(Value tile);
  mlir::Operation *lastUse(mlir::Operation *def);
  void collectUses(Value tile, mlir::Block *block,
                   llvm::SmallVectorImpl<mlir::Operation *> &uses);
  bool canOverwrite(Value result, Value state);
  bool readsOnlyInPlace(Value tile, Value state);
  bool reads(Value tile, Value state);
  int64_t allocate(int64_t bytes);
  void release(Range range);
  void releaseAfter(mlir::Operation *op);
  /// |tile| in memory for as long as the results of |user| are in use.
  TileBuffer persistentBuffer(Value tile, mlir::Operation *user);
  TileBuffer allocateBuffer(mlir::Type elementType,
                            llvm::ArrayRef<int64_t> shape, Range &range);
  // Tiles and memory (LowerTileToLoopsViews.cpp).
  void lowerLoad(tile::LoadOp op);
  void lowerStore(tile::StoreOp op);
  void walkScale(const ViewInfo &info, llvm::ArrayRef<Value> origin,
                 llvm::ArrayRef<Value> counts, mlir::ValueRange at,
                 int64_t stepRows, int64_t stepCols,
                 llvm::function_ref<void(Value)> present,
                 llvm::function_ref<void()> absent);
  void lowerReduceInto(tile::ReduceIntoOp op);
  // Rows read in place (LowerTileToLoopsInPlace.cpp).
  bool readInPlace(tile::LoadOp op, const ViewInfo &view, const Access &access);
  bool readsInPlace(Value tile);
  bool mayReadInPlace(tile::LoadOp op, const Access &access);
  mlir::ArrayAttr inPlaceScope();
  void lowerRead(tile::ReadOp op);
  mlir::LogicalResult lowerPaged(tile::PagedOp op);
  mlir::LogicalResult lowerRows(tile::RowsOp op);
  void lowerSize(tile::SizeOp op);
  void lowerStoreSize(tile::StoreSizeOp op);
  // Elements (LowerTileToLoopsElements.cpp).
  Value emitScalar(mlir::Operation *op, mlir::ValueRange operands);
  Value decode(Value stored, mlir::Type elementType);
  Value encode(Value value, mlir::Type elementType, bool scratch);
  // Contractions and reductions (LowerTileToLoopsOps.cpp).
  void lowerDot(tile::DotOp op);
  void lowerDotScaled(tile::DotScaledOp op);
  void lowerReduce(tile::ReduceOp op);
  void lowerScan(tile::ScanOp op);
  void lowerTopK(tile::TopKOp op);
  void lowerQuantize(tile::QuantizeOp op);
  void lowerDequantize(tile::DequantizeOp op);
  void lowerConcat(tile::ConcatOp op);
  void lowerInterleave(tile::InterleaveOp op);
  void lowerAlias(mlir::Operation *op);
  TileBuffer asFloat(Value tile, bool transpose);
  Value toFloat(Value value, mlir::Type elementType);
  void contractRows(
      const TileBuffer &a, const TileBuffer &bTile, const TileBuffer &dest,
      llvm::function_ref<void(Value row, llvm::ArrayRef<Value> columns,
                              const TileBuffer &panel)>
          body);
  llvm::SmallVector<Value> sumOfProducts(const TileBuffer &a, Value row,
                                         const TileBuffer &panel, Value lo,
                                         Value hi, size_t count);

  tile::KernelOp kernel;
  const TileToLoopsOptions &options;
  Value scratch, argArray;
  llvm::DenseMap<Value, Value> scalars;
  llvm::DenseMap<Value, TileBuffer> buffers;
  llvm::DenseMap<Value, ViewInfo> views;
  llvm::DenseMap<Value, TileBuffer> stateOf; // fold state argument -> buffer
  llvm::DenseMap<Value, int64_t> bounds;     // coordinates, fold variables
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<Range, 2>> freeAfter;
  llvm::SmallVector<Range> temporaries, freeList;
  mlir::Operation *innermost = nullptr; // elementLoop being emitted
  int64_t scratchBytes = 0;
  int64_t absentOffset = 0, absentBytes = 0; // zeros of a row beyond its view
  bool failedEmission = false; // an element had no lowering (diagnosed)
};

/// Registers --hadal-lower-tile-to-loops and the pipeline
/// hadal-tile-to-llvm-dialect (scf, arith, math and func to the LLVM dialect;
/// the functions keep the signature above).
void registerLowerTilePasses();
/// Adds that pipeline's passes.
void buildTileToLLVMDialectPipeline(mlir::OpPassManager &pm);

} // namespace hadal
