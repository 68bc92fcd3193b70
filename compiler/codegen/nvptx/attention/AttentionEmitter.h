// What the specialised attention lowerings emit alike: arguments, roles, rings,
// sequences, the registers of a wgmma accumulator, online softmax, output rows.
#pragma once

#include <optional>

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"
#include "compiler/codegen/nvptx/attention/AttentionForm.h"
#include "compiler/codegen/nvptx/common/Multiply.h"
#include "compiler/codegen/nvptx/common/TransposeQuads.h"

namespace hadal::nvptx {

/// A view among the arguments of a kernel being lowered.
struct ArgumentView {
  tile::ViewType type;
  mlir::Value data;  ///< !llvm.ptr<1>
  mlir::Value scale; ///< the same, of an FP8 view
  unsigned dataSlot = 0;
  /// Of each dimension: the extent (i64), and its slot or -1.
  llvm::SmallVector<mlir::Value> extents;
  llvm::SmallVector<int64_t> extentSlots;
};

/// The running state of 64 rows of softmax(s) . v in a warpgroup: of this
/// thread's two rows the maxima and its own share of the sums (vector<2xf32>),
/// and its registers of the weighted values. Scores are in units of log2.
struct SoftmaxRegisters {
  mlir::Value max, sum, acc;
};

class AttentionEmitter {
protected:
  using Value = mlir::Value;

  /// Rows of a wgmma, of which each consumer warpgroup has its own.
  static constexpr int64_t kRows = 64;

  /// The first arguments of every attention kernel.
  enum Argument { Q, Pool, PageTable, QStart, KvLen, Positions };

  /// A sequence of the batch; all i32. Its queries are the tokens [first, last).
  struct Sequence {
    Value index, first, last;
    Value length; ///< of its cache
  };

  /// |groups|: consumer warpgroups, 1 or 2.
  AttentionEmitter(tile::KernelOp kernel, int64_t groups,
                   RoleRegisters registers)
      : kernel(kernel), groups(groups), registers(registers) {}

  /// Creates the sm90.kernel with |kernel|'s argument slots, and its workspace
  /// of |workspacePerItem| bytes if not 0; views and sizes are set.
  void begin(mlir::OpBuilder &outer, int64_t workspacePerItem);
  /// The tensor map of |view| with boxes of 64 columns and |rows| rows.
  Value mapOf(const ArgumentView &view, int64_t rows);

  /// Emits both roles; |consumer| takes the number of its warpgroup (i32).
  void emitRoles(llvm::function_ref<void()> producer,
                 llvm::function_ref<void(Value)> consumer);
  /// This thread's place in its warpgroup: lane, quad (lane & 3), row
  /// (16 warp + lane / 4) and the thread's number in the CTA.
  void emitThread();

  //===--- Rings
  //-------------------------------------------------------------===//

  sm90::TileType tileOf(int64_t rows, int64_t columns);
  /// A ring whose stages all consumer warps release.
  Value createRing(int64_t stages, llvm::ArrayRef<mlir::Type> tiles);
  mlir::ValueRange acquire(Value ring, Value iteration);
  mlir::ValueRange await(Value ring, Value iteration);
  void load(Value map, mlir::ValueRange at, Value tile, Value ring,
            Value iteration);

  //===--- Sequences
  //---------------------------------------------------------===//

  /// Runs |body| if the batch has the sequence |index|.
  void emitSequence(Value index,
                    llvm::function_ref<void(const Sequence &)> body);
  /// Keys that |token| of |sequence| sees.
  Value visibleKeys(const Sequence &sequence, Value token);
  int64_t pageSize() const { return views[Pool].type.getShape()[1]; }
  /// The sequence's row of the page table, and the page of |key| by it.
  Value pageTableOf(const Sequence &sequence);
  Value pageOf(Value table, Value key);
  /// Where in its page the key tile at |key| starts, by firstRow.
  Value rowInPage(const Sequence &sequence, Value key);

  /// The row, counted from |key|, that is row 0 of the key tile at |key| of a
  /// sequence of |length|: 0, or negative where the sequence ends inside the
  /// tile.
  ///
  /// Rows beyond the end must not reach P.V (0 times what a page happens to
  /// hold may be NaN), so the last tile is loaded ending at the last valid row;
  /// what lies before the page reads as zero, and what lies before |key| is
  /// masked.
  Value firstRow(Value key, Value length);

  //===--- Scalars, i32 unless said
  //-----------------------------------------===//

  Value wide(Value i32);
  Value byteOffset(Value pointer, Value bytes);
  /// i32 element |index| of |pointer|.
  Value loadI32(Value pointer, Value index);
  Value minS(Value a, Value c);
  Value maxS(Value a, Value c);
  Value sub(Value a, Value c);
  /// |a| / |divisor| rounded up, of non-negative numbers.
  Value ceilDiv(Value a, int64_t divisor);
  Value less(Value a, Value c);
  /// Runs |body| in the branch taken where |condition| holds.
  void emitIf(Value condition, llvm::function_ref<void()> body);

  //===--- Fragments
  //---------------------------------------------------------===//

  mlir::VectorType f32s(int64_t count);
  Value splat(double value, int64_t count);
  Value splatOf(Value scalar, int64_t count);
  /// The values of this thread's two rows at each of |count| registers: those
  /// of register i belong to row half (i >> 1) & 1.
  Value spreadRows(Value rows, int64_t count);
  /// Pairs of f32 registers as words of two bf16: an accumulator's are operand
  /// A of the next wgmma in order (PTX ISA, "wgmma.mma_async", register
  /// fragments).
  Value packBf16(Value fragment);
  /// Maxima, sums and weighted values before the first key.
  llvm::SmallVector<Value> emptyState(int64_t columns);
  /// 0 where |max| is -inf, so that no difference of infinities is formed.
  Value finiteReference(Value max);
  /// One step: |scores| raw products of |count| registers, -inf where masked.
  /// Returns p and scales |state|'s sum and acc to the new maximum.
  Value softmaxStep(SoftmaxRegisters &state, Value scores, double scale);
  /// Masks 64 x kKeys raw scores of the key tile at |key|: row half h sees the
  /// keys below visible[h].
  Value maskScores(Value scores, Value key, Value length,
                   llvm::ArrayRef<Value> visible);
  /// The sum over the four lanes of a row.
  Value quadSum(Value rows);
  /// Merges two states, each as maxima, whole sums and pieces of the weighted
  /// values; |next| gives those of the second in this order.
  llvm::SmallVector<Value> softmaxMerge(mlir::ValueRange state,
                                        llvm::function_ref<Value()> next);
  /// acc / sum; 0 for a sequence of |length| 0. Of keys whose scores are all
  /// -inf the sum is 0 as well, and the result NaN.
  Value softmaxFinish(const SoftmaxRegisters &state, Value length);
  /// Stores |fragment| (at least |limit| columns) as bf16: this thread's two
  /// rows start at |rows| (pointers) and are written where |valid|; columns
  /// from |column| on, below |limit|.
  void storeRows(Value fragment, llvm::ArrayRef<Value> rows,
                 llvm::ArrayRef<Value> valid, Value column, int64_t limit);

  tile::KernelOp kernel;
  int64_t groups;
  RoleRegisters registers;
  sm90::KernelOp target;
  std::optional<sm90::AsmBuilder> builder;
  llvm::SmallVector<ArgumentView> views;
  Value sizes, workspace; // !llvm.ptr<1>
  Value thread, lane, quad, rowInGroup;
};

} // namespace hadal::nvptx
