// Lowers one tile.kernel with contractions to one sm90.kernel: a producer warp
// that fills rings by TMA and one or two consumer warpgroups that multiply.
//
// The body is emitted twice, once in each role. Both walk the same control flow
// with the same uniform scalars; the producer emits the loads of what wgmma
// reads, the consumers everything else. Loads of one block share a ring: of a
// fold's body one of several stages, of any other block one of a single stage.
#pragma once

#include "compiler/codegen/nvptx/common/Values.h"
#include "compiler/codegen/nvptx/common/WorkItem.h"

namespace hadal::nvptx {

struct Chip;

class PipelineEmitter {
public:
  PipelineEmitter(tile::KernelOp kernel, const Chip &chip)
      : kernel(kernel), chip(chip) {}

  /// Appends the kernel to |builder|'s insertion point. On failure an error has
  /// been reported at the op that has no lowering.
  mlir::FailureOr<sm90::KernelOp> emit(mlir::OpBuilder &builder);

private:
  using Value = mlir::Value;
  using Scalars = llvm::DenseMap<Value, Value>;

  /// Loads of one block and where they go.
  struct RingPlan {
    mlir::Block *block = nullptr;
    llvm::SmallVector<tile::LoadOp> loads;
    int64_t stages = 1, stageBytes = 0;
    Value ring;
    /// The last op of the block that reads the ring's tiles.
    mlir::Operation *lastUse = nullptr;
  };
  /// A stage that is open in the block being emitted.
  struct OpenStage {
    const RingPlan *plan = nullptr;
    Value iteration;
    bool released = false;
  };

  // PipelinePlan.cpp: what goes through shared memory.
  mlir::LogicalResult plan();
  mlir::LogicalResult readWords();
  mlir::LogicalResult planRows();
  /// "has no lowering with the word ... of ...: ", to be continued.
  mlir::InFlightDiagnostic refuseWord(llvm::StringRef word, llvm::Twine value);
  mlir::LogicalResult planOperand(mlir::Operation *op, Value operand, bool isB,
                                  int64_t rowTile);
  sm90::TileType tileTypeOf(tile::LoadOp load) const;
  sm90::MapAttr mapOf(tile::LoadOp load);
  int64_t divisor(Value value);

  // PipelineEmitter.cpp: structure.
  mlir::LogicalResult emitRole(bool producer, Value group);
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitFold(tile::FoldOp fold);
  mlir::LogicalResult finishFold(tile::FoldOp fold,
                                 llvm::MutableArrayRef<Fragment> state);
  mlir::LogicalResult emitIf(mlir::scf::IfOp op);
  void openStage(const RingPlan &plan, Value iteration);
  void closeStage();
  void releaseAfter(mlir::Operation *op);
  const RingPlan *ringOf(mlir::Block *block) const;

  // MainFold.cpp: the steps of the main fold, weights before the wait.
  tile::FoldOp findMainFold() const;
  /// Steps of a fold whose range is static.
  static int64_t stepsOf(tile::FoldOp fold);
  mlir::LogicalResult planMainFold();
  void emitRange();
  bool isEarly(tile::LoadOp load) const;
  mlir::LogicalResult planSplit();
  mlir::LogicalResult emitEarlyLoads();
  mlir::LogicalResult loadStages(bool beforeWait);
  void drainEarlyLoads();

  // Split.cpp: the parts of a split main fold become one.
  int64_t stateRegisters() const;
  /// Replaces |state|, the main fold's in this part, by that of all parts, and
  /// moves to where only the last part comes.
  mlir::LogicalResult
  joinParts(llvm::MutableArrayRef<Fragment> state);
  Value rowsThatCount();
  llvm::SmallVector<Value> storedRows(const Fragment &frag);

  // Scalars.cpp: uniform values, as i64 for index.
  Value scalar(Value value) { return scalar(value, scalars); }
  Value scalar(Value value, Scalars &local);
  /// |op| on scalars or on vectors of |count| registers.
  Value apply(mlir::Operation *op, llvm::ArrayRef<Value> operands,
              int64_t count);
  Value sizeAt(Value index);

  // Loads.cpp: views, loads, addresses.
  void emitArguments(sm90::KernelOp target);
  mlir::LogicalResult emitView(mlir::Operation *op);
  mlir::LogicalResult emitLoad(tile::LoadOp load);
  /// Issues the copy of |load| to |tile| of the open stage; its indices are
  /// evaluated in |local|.
  mlir::LogicalResult loadShared(tile::LoadOp load, Value tile,
                                 Scalars &local);
  mlir::LogicalResult loadFragment(tile::LoadOp load);
  Value loadGlobal(mlir::Type type, Value pointer, int64_t offset = 0,
                   int64_t align = 0);
  Value byteOffset(Value pointer, Value bytes);
  /// The page (i32) that holds |row| (i64) of a paged view.
  Value pageOf(const ViewRef &view, Value row);
  /// The pointer to element (row, 0) of a view whose leading indices are given;
  /// rows are i64.
  Value rowPointer(const ViewRef &view, llvm::ArrayRef<Value> leading,
                   Value row);
  /// The scales of |load| at |indices|: as a's (per row) or b's (uniform).
  Value loadScales(tile::LoadOp load, llvm::ArrayRef<Value> indices, bool ofA);
  /// Blocks of K that |load| spans, and columns of scales of its view.
  static std::pair<int64_t, int64_t> scaleColumns(tile::LoadOp load,
                                                  tile::ViewType type);
  Value loadScalesA(tile::LoadOp load, llvm::ArrayRef<Value> indices);
  Value loadScalesB(tile::LoadOp load, llvm::ArrayRef<Value> indices);
  /// For each block of K that |load| spans from |k| on, one scale of each of
  /// |lines|: pointers to the first scale of a row of the view.
  Value loadScaleLines(tile::LoadOp load, llvm::ArrayRef<Value> lines, Value k);

  // Stores.cpp
  mlir::LogicalResult emitStore(tile::StoreOp store);
  void storeScales(tile::StoreOp store, const ViewRef &view,
                   llvm::ArrayRef<Value> rows, llvm::ArrayRef<Value> valid,
                   int64_t parts);

  // Dots.cpp
  mlir::LogicalResult emitDot(tile::DotOp dot);
  mlir::LogicalResult emitDotScaled(tile::DotScaledOp dot);
  /// What one wgmma of this warpgroup multiplies: a from a tile or registers.
  struct Operands {
    Value aTile, aRegisters, b;
    int64_t columns = 0;
    bool bMn = false;
  };
  mlir::FailureOr<Operands> operandsOf(mlir::Operation *op, Value a, Value b,
                                       bool transposeB, int64_t kOffset,
                                       int64_t k, const Fragment &layout);
  /// In flight: to |acc| (an !sm90.acc; null: to zero) is added.
  Value issue(const Operands &operands, Value acc);
  /// Issues a . b over |k| elements from |kOffset| and waits for it.
  mlir::FailureOr<Value> multiply(mlir::Operation *op, Value a, Value b,
                                  bool transposeB, int64_t kOffset, int64_t k,
                                  const Fragment &layout, Value acc);
  Value packOperandA(Value fragment);

  // InFlight.cpp
  /// The only product of |fold|, if wgmma may add to it in place from one step
  /// to the next; else null.
  tile::DotOp dotInFlight(tile::FoldOp fold) const;
  mlir::FailureOr<Value> issueStep(tile::FoldOp fold, tile::DotOp dot,
                                   Value iteration, Value acc);
  mlir::FailureOr<Fragment> emitFoldInFlight(tile::FoldOp fold,
                                             tile::DotOp dot, Fragment state);

  // SwapAb.cpp: swap_ab, with weights as the rows of wgmma.
  bool transposed() const { return transposedBlocks > 0; }
  mlir::LogicalResult planTransposed();
  int64_t rowBlocks() const;
  int64_t stagingPitch() const;
  int64_t stagingBytes() const;
  void placeTransposed(Value warp);
  Fragment transposedLayout(mlir::RankedTensorType type) const;
  bool feedsDot(tile::RowsOp rows) const;
  llvm::SmallVector<Value> tokensOfThread();
  Value tokenRows(tile::RowsOp rows);
  Value rowsOfBlocks(tile::LoadOp load, llvm::SmallVectorImpl<int64_t> &offsets);
  mlir::LogicalResult emitDotTransposed(tile::DotOp dot);
  mlir::LogicalResult emitDotScaledTransposed(tile::DotScaledOp dot);
  /// Issues weights . x^T over |k| elements from |kOffset|, one product per
  /// block of 64 weights added to |accs| (empty: to zero), and waits for them.
  mlir::FailureOr<llvm::SmallVector<Value>>
  multiplyTransposed(mlir::Operation *op, Value x, Value weights,
                     int64_t kOffset, int64_t k, mlir::ValueRange accs);
  /// The operands of these products.
  mlir::FailureOr<llvm::SmallVector<Operands>>
  operandsTransposed(mlir::Operation *op, Value x, Value weights,
                     int64_t kOffset, int64_t k);
  /// |state| with its rows in the warps: through shared memory.
  Fragment toRows(const Fragment &state);

  // Elementwise.cpp, Shapes.cpp
  mlir::LogicalResult emitElementwise(mlir::Operation *op);
  mlir::LogicalResult emitReduce(tile::ReduceOp op);
  Value exchangeRows(Value rows, bool max);
  void consumerBarrier();
  mlir::LogicalResult emitQuantize(tile::QuantizeOp op);
  mlir::LogicalResult emitShape(mlir::Operation *op);
  mlir::LogicalResult emitBroadcast(tile::BroadcastOp op);
  mlir::LogicalResult emitReshape(tile::ReshapeOp op);
  mlir::LogicalResult emitSlice(tile::SliceOp op);
  mlir::LogicalResult emitConcat(tile::ConcatOp op);
  mlir::LogicalResult emitDeinterleave(tile::DeinterleaveOp op);
  mlir::LogicalResult emitInterleave(tile::InterleaveOp op);

  // Fragments.
  /// The layout of a tile of this type in registers; width 0 for one column.
  Fragment layoutOf(mlir::RankedTensorType type, int64_t width = 2) const;
  mlir::FailureOr<Fragment> materialize(mlir::Operation *user, Value value);
  mlir::FailureOr<Fragment> materialize(mlir::Operation *user, Value value,
                                        const Fragment &layout);
  /// Row and column (i32) in the tile of register |i|.
  Value fragmentRow(const Fragment &frag, int64_t i);
  Value fragmentCol(const Fragment &frag, int64_t i);
  int64_t fragmentHalf(const Fragment &frag, int64_t i) const;
  Value splat(Value scalar, int64_t count);
  Value shuffle(Value vector, llvm::ArrayRef<int64_t> mask);
  Value shuffle2(Value first, Value second, llvm::ArrayRef<int64_t> mask);
  Value append(Value first, Value second);
  Value slice(Value vector, int64_t first, int64_t count);
  void setFragment(Value tile, const Fragment &frag);
  void setFunction(Value tile, ElementFn fn);
  void setUniform(Value tile, Value scalar, bool zero = false);
  bool isProducer() const { return producer; }

  tile::KernelOp kernel;
  const Chip &chip;
  sm90::KernelOp target;
  std::optional<sm90::AsmBuilder> builder;
  // The schedule's words.
  bool swapAb = false;
  int64_t warpgroups = 1, stages = 1, early = 0, unroll = 1;
  int64_t ctasPerSm = 1; // that registers and shared memory are planned for
  /// CTAs that share an item's main fold, each |partSteps| of its steps.
  int64_t split = 1, partSteps = 0;
  RoleRegisters registers;

  int64_t tileRows = 0; // most rows of a dot's result
  /// Tiles of at most 64 rows and at least so many columns are cut by columns
  /// into |columnParts|, one in each warpgroup (transposed: in other warps).
  int64_t splitColumns = 257, columnParts = 1;
  Value exchange; // shared memory for exchangeRows: f32 [columnParts][64]
  /// swap_ab: blocks of 64 weights of each warpgroup; 0 without.
  int64_t transposedBlocks = 0;
  int64_t transposedColumns = 0; // columns of a dot's result
  Value staging; // shared memory for toRows: f32 [tileRows][stagingPitch()]
  /// toRows has been emitted: warps may still be reading what it left there.
  bool stagingRead = false;

  bool producer = false;
  Value lane, group;     // i32
  Value rowInGroup;      // i32: 16w + g
  Value quadColumn;      // i32: q
  Value columnPart;      // i32: the part of the columns that this warp holds
  Value writes;          // i1: this warp holds a part; null: every warp does
  Value blockColumn;     // i32, transposed: 16w + g

  llvm::SmallVector<std::unique_ptr<RingPlan>> rings;
  /// The only fold of the kernel's block that multiplies, if its range is
  /// static: null if there is none.
  tile::FoldOp mainFold;
  /// Its range in this CTA, and how many of its steps are early (i64).
  Value rangeLo, rangeHi, earlySteps;
  Value workspace, splitFlag;
  Value item, part; // i32
  llvm::DenseSet<mlir::Operation *> sharedLoads;
  llvm::DenseMap<mlir::Operation *, int64_t> roundedRows;
  llvm::DenseMap<mlir::Operation *, Value> maps;
  llvm::SmallVector<OpenStage> open; // the innermost block's last

  llvm::DenseMap<Value, TileValue> tiles;
  Scalars scalars;
  llvm::DenseMap<Value, std::unique_ptr<ViewRef>> views;
  Value sizes; // !llvm.ptr<1>
};

} // namespace hadal::nvptx
