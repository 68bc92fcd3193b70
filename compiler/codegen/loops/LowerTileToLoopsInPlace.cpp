// Whole rows of a view that are read where they lie. A copy to scratch first
// would read the rows of a kernel one after the other; reading them in the loop
// that uses them has all of them in flight, and saves the copies.
#include "compiler/codegen/loops/TileToLoops.h"

using namespace mlir;
using namespace hadal;

using arith::CmpIPredicate;

/// Columns below which a copy costs nothing.
static constexpr int64_t kShortRow = 256;

static bool writesMemory(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        return isa<tile::StoreOp, tile::ReduceIntoOp, tile::StoreSizeOp>(inner)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

/// Whether the tile of |op| is one whole row that nothing overwrites before its
/// last use. Kernels with contractions are left to the hooks of their target.
bool TileLowering::mayReadInPlace(tile::LoadOp op, const Access &access) {
  auto type = cast<RankedTensorType>(op.getTile().getType());
  Type element = type.getElementType();
  int64_t columns = type.getShape().back();
  if (op.getScales() || op.getPad() || type.getNumElements() != columns ||
      columns < kShortRow ||
      getConstantIntValue(access.counts.back()) != columns ||
      storageType(element, /*inScratch=*/false) !=
          storageType(element, /*inScratch=*/true))
    return false;
  bool contracts = kernel
                       ->walk([](Operation *inner) {
                         return isa<tile::DotOp, tile::DotScaledOp>(inner)
                                    ? WalkResult::interrupt()
                                    : WalkResult::advance();
                       })
                       .wasInterrupted();
  if (contracts)
    return false;
  Operation *last = lastUse(op);
  for (Operation *next = op->getNextNode(); next && next != last;
       next = next->getNextNode())
    if (writesMemory(next))
      return false;
  // A store of an expression computes all of it before it writes.
  if (auto store = dyn_cast<tile::StoreOp>(last))
    return store.getTile() != op.getTile();
  return !writesMemory(last);
}

bool TileLowering::readInPlace(tile::LoadOp op, const ViewInfo &info,
                               const Access &access) {
  if (!mayReadInPlace(op, access))
    return false;
  auto type = cast<RankedTensorType>(op.getTile().getType());
  Type stored = storageType(type.getElementType(), /*inScratch=*/false);
  SmallVector<Value> outer(access.origin.begin(), access.origin.end() - 1);
  Value ok = outer.empty() ? Value() : rowIsValid(info, outer.back());
  for (Value count : ArrayRef(access.counts).drop_back()) {
    if (getConstantIntValue(count) == 1)
      continue;
    Value one = arith::CmpIOp::create(b, loc, CmpIPredicate::eq, count, i64(1));
    ok = ok ? Value(arith::AndIOp::create(b, loc, ok, one)) : one;
  }
  TileBuffer row;
  row.inPlace = true;
  row.elementType = type.getElementType();
  row.shape.assign(type.getShape().begin(), type.getShape().end());
  row.strides.assign(type.getRank(), type.getShape().back());
  row.strides.back() = 1;
  auto inside = [&] {
    return gep(rowAddress(info, outer), stored, access.origin.back());
  };
  if (!ok) {
    row.ptr = inside();
    setBuffer(op.getTile(), row);
    return true;
  }
  auto test = scf::IfOp::create(
      b, loc, TypeRange(LLVM::LLVMPointerType::get(b.getContext())), ok,
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(test.thenBlock());
  scf::YieldOp::create(b, loc, inside());
  b.setInsertionPointToStart(test.elseBlock());
  // Scratch that no tile ever has, so that no store to a tile is a store to a
  // row. Only zeros are written to it, here.
  int64_t bytes = llvm::alignTo(
      type.getShape().back() *
          storageBytes(type.getElementType(), /*inScratch=*/false),
      kAlignment);
  if (bytes > absentBytes) {
    absentOffset = scratchBytes;
    absentBytes = bytes;
    scratchBytes += bytes;
  }
  Value zeros = gep(scratch, b.getI8Type(), i64(absentOffset));
  forLoop(i64(0), i64(bytes / 8), 1, [&](Value word) {
    store(i64(0), gep(zeros, b.getI64Type(), word));
  });
  scf::YieldOp::create(b, loc, zeros);
  row.ptr = test.getResult(0);
  setBuffer(op.getTile(), row);
  return true;
}

/// Whether the expression of |tile|, which has no buffer yet, has a row that is
/// read in place.
bool TileLowering::readsInPlace(Value tile) {
  auto it = buffers.find(tile);
  if (it != buffers.end())
    return it->second.inPlace;
  return isLazy(tile) &&
         llvm::any_of(tile.getDefiningOp()->getOperands(), [&](Value operand) {
           return isa<RankedTensorType>(operand.getType()) &&
                  readsInPlace(operand);
         });
}

// Rows that are read in place and tiles in scratch are different memory.
ArrayAttr TileLowering::inPlaceScope() {
  auto domain = LLVM::AliasScopeDomainAttr::get(
      b.getContext(), b.getStringAttr("hadal"), StringAttr());
  auto scope = LLVM::AliasScopeAttr::get(
      b.getContext(), b.getStringAttr("hadal.rows"), domain, StringAttr());
  return b.getArrayAttr(scope);
}
