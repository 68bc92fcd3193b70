#include "compiler/codegen/nvptx/common/SplitFold.h"

using namespace mlir;

namespace hadal::nvptx {
namespace {

Value wide(sm90::AsmBuilder &b, Value i32) {
  return arith::ExtUIOp::create(b, b.getI64Type(), i32);
}

Value byteOffset(sm90::AsmBuilder &b, Value pointer, Value bytes) {
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

/// The f32 of this thread in register |i| of the part at |pointer|.
Value registerAt(sm90::AsmBuilder &b, const SplitLayout &layout, Value pointer,
                 int64_t i) {
  return byteOffset(b, pointer, b.i64(4 * i * layout.threads));
}

/// Each register is masked where it is stored: all at once would be copies of
/// all.
void storeState(sm90::AsmBuilder &b, const SplitLayout &layout, Value pointer,
                ValueRange state, KeepState keep) {
  int64_t next = 0;
  for (auto [i, vector] : llvm::enumerate(state))
    for (auto [j, element] : llvm::enumerate(b.unpack(vector)))
      LLVM::StoreOp::create(b, keep ? keep(i, j, element) : element,
                            registerAt(b, layout, pointer, next++));
}

} // namespace

Value createSplitFlag(sm90::AsmBuilder &b) {
  return sm90::SharedOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext(), 3), 16, 16);
}

JoinedFold emitJoin(sm90::AsmBuilder &b, const SplitLayout &layout,
                    const SplitPart &at, Value flag, ValueRange state,
                    KeepState keep, ValueRange identity, MergeStates merge) {
  SmallVector<Type> types{b.getI1Type()};
  llvm::append_range(types, state.getTypes());
  Value isSplit = b.cmp(arith::CmpIPredicate::ult, b.i32(1), at.parts);
  auto several =
      scf::IfOp::create(b, types, isSplit, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(several.elseBlock());
  SmallVector<Value> results{
      arith::ConstantOp::create(b, b.getBoolAttr(true))};
  llvm::append_range(results, state);
  scf::YieldOp::create(b, results);

  b.setInsertionPointToStart(several.thenBlock());
  Value ticket = byteOffset(
      b, at.workspace,
      b.mul(wide(b, at.item), b.i64(layout.bytesPerItem())));
  Value mine = byteOffset(b, ticket,
                          b.add(b.i64(SplitLayout::kTicketBytes),
                                b.mul(wide(b, at.thread), b.i64(4))));
  auto stateAt = [&](Value part) {
    return byteOffset(b, mine,
                      b.mul(wide(b, part), b.i64(layout.partBytes())));
  };
  {
    OpBuilder::InsertionGuard inner(b);
    if (at.holds)
      b.setInsertionPoint(scf::IfOp::create(b, TypeRange(), at.holds,
                                            /*withElseRegion=*/false)
                              .thenBlock()
                              ->getTerminator());
    storeState(b, layout, stateAt(at.part), state, keep);
  }
  // The ticket is taken by one thread, behind the stores of all: the barrier
  // orders them before it, and its atomic, acq_rel at gpu scope, publishes them
  // with its own. Likewise the second barrier hands on to all what the last
  // ticket acquired. The flag is written once in a CTA.
  sm90::NamedBarrierOp::create(b, 1, layout.threads, Value());
  auto one = scf::IfOp::create(
      b, TypeRange(), b.cmp(arith::CmpIPredicate::eq, at.thread, b.i32(0)),
      /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPoint(one.thenBlock()->getTerminator());
    Value last = sm90::TicketOp::create(b, b.getI1Type(), ticket, at.parts);
    LLVM::StoreOp::create(b, arith::ExtUIOp::create(b, b.getI32Type(), last),
                          flag);
  }
  sm90::NamedBarrierOp::create(b, 1, layout.threads, Value());
  Value last = b.cmp(arith::CmpIPredicate::ne,
                     LLVM::LoadOp::create(b, b.getI32Type(), flag), b.i32(0));
  // All but the last merge no part.
  Value reads = at.holds ? b.bitAnd(last, at.holds) : last;
  Value parts = arith::SelectOp::create(b, reads, at.parts, b.i32(0));
  SmallVector<Value> joined(identity);
  /// Merges the parts from |lo| below |hi|, |step| of them an iteration.
  auto mergeRange = [&](Value lo, Value hi, int64_t step) {
    auto loop = scf::ForOp::create(b, lo, hi, b.i32(step), joined);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    SmallVector<Value> merged(loop.getRegionIterArgs());
    for (int64_t i = 0; i < step; ++i) {
      Value from = stateAt(b.add(loop.getInductionVar(), b.i32(i)));
      int64_t vector = 0, next = 0;
      merged = merge(merged, [&]() -> Value {
        auto type = cast<VectorType>(state[vector++].getType());
        SmallVector<Value> elements;
        for (int64_t i = 0; i < type.getNumElements(); ++i)
          elements.push_back(
              LLVM::LoadOp::create(b, type.getElementType(),
                                   registerAt(b, layout, from, next++)));
        return b.pack(elements, type);
      });
    }
    scf::YieldOp::create(b, merged);
    joined.assign(loop.result_begin(), loop.result_end());
  };
  Value whole = b.i32(0);
  if (layout.unroll > 1) {
    Value left = b.urem(parts, b.i32(layout.unroll));
    whole = arith::SubIOp::create(b, parts, left);
    mergeRange(b.i32(0), whole, layout.unroll);
  }
  mergeRange(whole, parts, 1);
  results.assign({last});
  llvm::append_range(results, joined);
  scf::YieldOp::create(b, results);
  JoinedFold result{several.getResult(0), {}};
  llvm::append_range(result.state, several.getResults().drop_front());
  return result;
}

} // namespace hadal::nvptx
