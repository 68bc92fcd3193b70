// A fold that several CTAs of a work item share (split-K, split-KV): every CTA
// folds the steps of its part, leaves its state in the workspace and takes a
// ticket; the last to come merges all states in ascending order of the parts.
//
// The result does not depend on the order in which the CTAs come. The ticket is
// 0 again when the last one has come, which makes the workspace ready for the
// next launch. A CTA without a part must not come at all.
#pragma once

#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

namespace hadal::nvptx {

/// The workspace of an item: a line of 128 bytes whose first u32 is the ticket,
/// then [part][register][thread] of f32. (A warp's access is 128 bytes either way;
/// 16 bytes of each thread would tie registers together by fours, for which a
/// large accumulator has none to spare.)
struct SplitLayout {
  static constexpr int64_t kTicketBytes = 128;

  int64_t threads;   ///< that hold state: of all consumers of a CTA
  int64_t registers; ///< f32 of the state in each
  int64_t maxParts;
  /// Parts that a step of the merge reads, all on their way at once.
  int64_t unroll = 1;

  int64_t partBytes() const { return registers * threads * 4; }
  /// A multiple of 128.
  int64_t bytesPerItem() const {
    return kTicketBytes + (maxParts * partBytes() + 127) / 128 * 128;
  }
};

/// Where a CTA stands in its item.
struct SplitPart {
  mlir::Value workspace;   ///< !llvm.ptr<1>, of the launch
  mlir::Value item, part;  ///< i32, numbers from 0
  mlir::Value parts;       ///< i32, of this item: CTAs that come, at least 1
  mlir::Value thread;      ///< i32, among those that hold state
  /// i1, or null for true: false where this thread's state means nothing. It is
  /// then neither written nor read, and the joined one is the identity.
  mlir::Value holds = {};
};

/// Shared memory through which one thread tells the others what its ticket
/// said. Belongs at the beginning of the kernel's body.
mlir::Value createSplitFlag(sm90::AsmBuilder &b);

struct JoinedFold {
  /// i1: this CTA finishes the item. In all others the state means nothing.
  mlir::Value last;
  llvm::SmallVector<mlir::Value> state;
};

/// What the workspace gets of element |j| of vector |i|: any defined number where
/// the element means nothing.
using KeepState = llvm::function_ref<mlir::Value(size_t i, size_t j,
                                                 mlir::Value element)>;

/// The states a and c as one; the steps of a come before those of c. Each call of
/// |next| reads the next vector of c: what is merged at once takes few registers
/// besides a, if a large accumulator is several vectors.
using MergeStates = llvm::function_ref<llvm::SmallVector<mlir::Value>(
    mlir::ValueRange a, llvm::function_ref<mlir::Value()> next)>;

/// Emits the protocol for all threads that hold state. |state| are vectors of
/// f32; |keep| may be null. |identity| are values of the same types from which
/// the merge starts. Barrier 1 of the CTA is used. An item of one part goes
/// nowhere near the workspace: its state is |state| itself.
JoinedFold emitJoin(sm90::AsmBuilder &b, const SplitLayout &layout,
                    const SplitPart &at, mlir::Value flag,
                    mlir::ValueRange state, KeepState keep,
                    mlir::ValueRange identity, MergeStates merge);

} // namespace hadal::nvptx
