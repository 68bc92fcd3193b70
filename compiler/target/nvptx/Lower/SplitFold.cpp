#include "compiler/target/nvptx/Lower/SplitFold.h"

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
  storeState(b, layout, stateAt(at.part), state, keep);
  // The ticket is taken by one thread, behind the stores of all.
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
  Value parts = arith::SelectOp::create(b, last, at.parts, b.i32(0));
  auto loop = scf::ForOp::create(b, b.i32(0), parts, b.i32(1), identity);
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    Value from = stateAt(loop.getInductionVar());
    int64_t vector = 0, next = 0;
    SmallVector<Value> merged = merge(loop.getRegionIterArgs(), [&]() -> Value {
      auto type = cast<VectorType>(state[vector++].getType());
      SmallVector<Value> elements;
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        elements.push_back(
            LLVM::LoadOp::create(b, type.getElementType(),
                                 registerAt(b, layout, from, next++)));
      return b.pack(elements, type);
    });
    scf::YieldOp::create(b, merged);
  }
  results.assign({last});
  llvm::append_range(results, loop.getResults());
  scf::YieldOp::create(b, results);
  JoinedFold joined{several.getResult(0), {}};
  llvm::append_range(joined.state, several.getResults().drop_front());
  return joined;
}

} // namespace hadal::nvptx
