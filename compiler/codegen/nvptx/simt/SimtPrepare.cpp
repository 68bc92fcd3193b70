#include "compiler/codegen/nvptx/simt/SimtPrepare.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// |user| maps each element of its one operand.
static bool isUnary(Operation *user) {
  StringRef dialect = user->getName().getDialectNamespace();
  return (dialect == "arith" || dialect == "math") &&
         user->getNumOperands() == 1 && user->getNumResults() == 1 &&
         user->getNumRegions() == 0;
}

static ConcatOp moveInFront(Operation *user, ConcatOp concat) {
  OpBuilder b(user);
  auto type = cast<RankedTensorType>(user->getResult(0).getType());
  SmallVector<Value> parts;
  for (Value source : concat.getSources()) {
    auto part = cast<RankedTensorType>(source.getType());
    OperationState state(
        user->getLoc(), user->getName(), source,
        {RankedTensorType::get(part.getShape(), type.getElementType())},
        user->getAttrs());
    parts.push_back(b.create(state)->getResult(0));
  }
  auto joined = ConcatOp::create(b, user->getLoc(), type, parts,
                                 concat.getDim());
  user->getResult(0).replaceAllUsesWith(joined);
  user->erase();
  concat.erase();
  return joined;
}

static void splitStore(StoreOp store, ConcatOp concat) {
  OpBuilder b(store);
  SmallVector<Value> indices(store.getIndices());
  Value begin = indices.back();
  int64_t offset = 0;
  for (Value source : concat.getSources()) {
    if (offset)
      indices.back() = b.createOrFold<arith::AddIOp>(
          store.getLoc(), begin,
          arith::ConstantIndexOp::create(b, store.getLoc(), offset));
    StoreOp::create(b, store.getLoc(), store.getView(), indices, source,
                    Value(), store.getRowsBelow());
    offset += cast<RankedTensorType>(source.getType()).getShape().back();
  }
  store.erase();
  concat.erase();
}

void splitStoredConcats(KernelOp kernel) {
  SmallVector<ConcatOp> concats;
  kernel.walk([&](ConcatOp op) { concats.push_back(op); });
  for (ConcatOp concat : concats) {
    auto onlyUser = [&] { return *concat->user_begin(); };
    while (concat->hasOneUse() && isUnary(onlyUser()))
      concat = moveInFront(onlyUser(), concat);
    if (!concat->hasOneUse())
      continue;
    auto store = dyn_cast<StoreOp>(onlyUser());
    uint64_t rank = concat.getResult().getType().getRank();
    if (store && !store.getScales() && concat.getDim() == rank - 1)
      splitStore(store, concat);
  }
}

/// The kernel's argument that |view| reads or writes.
static Value memoryOf(Value view) {
  while (auto rows = view.getDefiningOp<RowsOp>())
    view = rows.getView();
  return view;
}

void moveLoadsForward(KernelOp kernel) {
  llvm::DenseSet<Value> written;
  kernel.walk([&](Operation *op) {
    if (isa<StoreOp, ReduceIntoOp>(op))
      written.insert(memoryOf(op->getOperand(0)));
  });
  Block &block = kernel.getBodyBlock();
  llvm::DenseSet<Operation *> moved;
  Operation *last = nullptr;
  // What is moved keeps its order, so that each op still follows its operands.
  for (Operation &op : llvm::make_early_inc_range(block)) {
    bool movable = isa<RowsOp>(op) ||
                   (op.getNumResults() == 1 && op.getNumRegions() == 0 &&
                    op.getName().getDialectNamespace() == "arith" &&
                    op.getResult(0).getType().isIndex());
    if (auto load = dyn_cast<LoadOp>(op))
      movable = !written.contains(memoryOf(load.getView()));
    movable = movable && llvm::all_of(op.getOperands(), [&](Value operand) {
                Operation *def = operand.getDefiningOp();
                return !def || moved.contains(def);
              });
    if (!movable)
      continue;
    if (last)
      op.moveAfter(last);
    else
      op.moveBefore(&block, block.begin());
    last = &op;
    moved.insert(&op);
  }
}

} // namespace hadal::nvptx
