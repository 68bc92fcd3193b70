// Views, copies into shared memory, stores from registers.
#include "compiler/target/nvptx/Sm90Emitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

int64_t Sm90Emitter::allocateShared(int64_t bytes) {
  int64_t offset = (sharedTop + 1023) & ~int64_t(1023);
  sharedTop = offset + bytes;
  return offset;
}

LogicalResult Sm90Emitter::emitView(Operation *op) {
  PtxBuilder &b = *builder;
  if (auto paged = dyn_cast<PagedOp>(op)) {
    const ViewRef &pool = views.find(paged.getPool())->second;
    const ViewRef &table = views.find(paged.getTable())->second;
    ViewRef view;
    view.type = cast<ViewType>(paged.getResult().getType());
    view.data = pool.data;
    view.extents = {scalar(paged.getExtent()), pool.extents[2]};
    view.pageTable = table.data;
    view.pageBase = b.mul(scalar(paged.getRow()), table.extents[1]);
    view.pageSize = pool.type.getShape()[1];
    views[paged.getResult()] = view;
    return success();
  }
  auto rows = cast<RowsOp>(op);
  ViewRef view = views.find(rows.getView())->second;
  view.type = cast<ViewType>(rows.getResult().getType());
  const TileValue &indices = tiles[rows.getIndices()];
  if (indices.kind != TileValue::function)
    return op->emitOpError("has no sm_90a lowering: its indices are computed "
                           "in registers, not read from memory");
  ElementFn fn = indices.fn;
  view.gather = [fn, this](Value row) -> Value {
    PtxBuilder &b = *builder;
    Value index = fn(row, b.i64(0));
    if (index.getType().isInteger(64))
      return index;
    return arith::ExtSIOp::create(b, b.getI64Type(), index);
  };
  view.extents[0] = b.i64(view.type.getShape()[0]);
  views[rows.getResult()] = view;
  return success();
}

Value Sm90Emitter::rowAddress(const ViewRef &view, ArrayRef<Value> leading,
                              Value row) {
  PtxBuilder &b = *builder;
  int64_t bytes = view.type.getElementType().getIntOrFloatBitWidth() / 8;
  if (view.pageTable) {
    Value page = b.udiv(row, b.i64(view.pageSize));
    Value entry = b.add(view.pageTable,
                        b.mul(b.add(view.pageBase, page), b.i64(4)));
    Value pageId = b.ext64(b.loadGlobal(b.getI32Type(), entry));
    row = b.add(b.mul(pageId, b.i64(view.pageSize)),
                b.urem(row, b.i64(view.pageSize)));
  } else if (view.gather) {
    row = view.gather(row);
  }
  Value base = view.data;
  int64_t rank = view.type.getRank();
  if (view.type.getKind() == ViewKind::Stack) {
    base = b.loadGlobal(b.getI64Type(),
                        b.add(base, b.mul(leading[0], b.i64(8))));
    leading = leading.drop_front();
    --rank;
  } else if (view.type.getKind() == ViewKind::Segments) {
    Value n = b.i64(view.type.getSegmentRows());
    base = b.loadGlobal(b.getI64Type(),
                        b.add(base, b.mul(b.udiv(row, n), b.i64(8))));
    row = b.urem(row, n);
  }
  if (rank == 1) // a vector: the row is the element
    return b.add(base, b.mul(row, b.i64(bytes)));
  // Leading dense dimensions fold into the row.
  ArrayRef<Value> extents =
      ArrayRef<Value>(view.extents).take_back(leading.size() + 2);
  Value linear;
  for (size_t i = 0; i < leading.size(); ++i)
    linear = linear ? b.add(b.mul(linear, extents[i]), leading[i])
                    : leading[i];
  if (linear)
    row = b.add(b.mul(linear, extents[leading.size()]), row);
  return b.add(base, b.mul(b.mul(row, extents.back()), b.i64(bytes)));
}

Value Sm90Emitter::scaleAddress(const ViewRef &view, ArrayRef<Value> leading,
                                Value row, Value col) {
  PtxBuilder &b = *builder;
  Value base = view.scale;
  if (view.type.getKind() == ViewKind::Stack)
    base = b.loadGlobal(b.getI64Type(),
                        b.add(base, b.mul(leading[0], b.i64(8))));
  if (view.gather)
    row = view.gather(row);
  int64_t sr = view.type.getScaleRows(), sc = view.type.getScaleCols();
  Value n = b.i64(view.type.getSegmentRows());
  if (view.type.getKind() == ViewKind::Segments) {
    base = b.loadGlobal(b.getI64Type(),
                        b.add(base, b.mul(b.udiv(row, n), b.i64(8))));
    row = b.urem(row, n);
  }
  Value pitch = b.udiv(b.add(view.extents.back(), b.i64(sc - 1)), b.i64(sc));
  Value index = b.add(b.mul(b.udiv(row, b.i64(sr)), pitch),
                      b.udiv(col, b.i64(sc)));
  return b.add(base, b.mul(index, b.i64(4)));
}

LogicalResult Sm90Emitter::emitLoad(LoadOp load) {
  PtxBuilder &b = *builder;
  const ViewRef &view = views.find(load.getView())->second;
  auto type = cast<RankedTensorType>(load.getTile().getType());
  SmallVector<Value> indices;
  for (Value index : load.getIndices())
    indices.push_back(scalar(index));

  if (sharedLoads.contains(load)) {
    int64_t elementBytes = type.getElementTypeBitWidth() / 8;
    if (type.getRank() != 2 || type.getDimSize(0) % 8 != 0)
      return load.emitOpError("has no sm_90a lowering: a wgmma operand needs a "
                              "multiple of 8 rows");
    int64_t width = view.type.getShape().back();
    if (width < 0 || width * elementBytes % 16 != 0)
      return load.emitOpError("has no sm_90a lowering: rows of ")
             << width << " elements are not a multiple of 16 bytes";
    if (!tiles.count(load.getTile())) { // not staged by a fold
      int64_t chunks = (type.getDimSize(1) * elementBytes + 127) / 128;
      Value base = b.add(sharedBase, b.i32(allocateShared(
                                         chunks * type.getDimSize(0) * 128)));
      copyTile(load, indices, base);
      b.copyAsyncCommit();
      copiesPending = true;
      TileValue value;
      value.kind = TileValue::shared;
      value.smem = {base, type.getDimSize(0), type.getDimSize(1), 0,
                    type.getDimSize(1), type.getElementType()};
      tiles[load.getTile()] = value;
    }
  } else {
    // Read where it is used, straight from global memory.
    float pad = load.getPad() ? load.getPad()->convertToFloat() : 0.0f;
    bool vectorView = type.getRank() == 1;
    TileValue value;
    value.kind = TileValue::function;
    value.fn = [this, view, indices, pad, vectorView](Value row,
                                                            Value col) {
      PtxBuilder &b = *builder;
      int64_t rank = view.type.getRank();
      // A rank-1 tile runs along the view's last dimension.
      if (vectorView && rank > 1) {
        col = row;
        row = b.i64(0);
      }
      Value r, c, valid;
      SmallVector<Value> leading;
      Type element = view.type.getElementType();
      int64_t bytes = element.getIntOrFloatBitWidth() / 8;
      if (rank == 1) {
        r = b.add(indices[0], row);
        valid = b.slt(r, view.extents[0]);
        c = b.i64(0);
      } else {
        leading.append(indices.begin(), indices.end() - 2);
        r = b.add(indices[rank - 2], row);
        c = b.add(indices[rank - 1], col);
        valid = b.bitAnd(b.slt(r, view.extents[rank - 2]),
                         b.slt(c, view.extents[rank - 1]));
      }
      Value safeRow = arith::SelectOp::create(b, valid, r, b.i64(0));
      Value safeCol = arith::SelectOp::create(b, valid, c, b.i64(0));
      Value address = b.add(rowAddress(view, leading, safeRow),
                            b.mul(safeCol, b.i64(bytes)));
      Value loaded = b.loadGlobal(element, address);
      Value fill;
      if (isa<FloatType>(element))
        fill = arith::ConstantOp::create(b, b.getFloatAttr(element, pad));
      else
        fill = arith::ConstantOp::create(
            b, b.getIntegerAttr(element, static_cast<int64_t>(pad)));
      return Value(arith::SelectOp::create(b, valid, loaded, fill));
    };
    tiles[load.getTile()] = value;
  }

  if (load.getScales()) {
    auto scaleType = cast<RankedTensorType>(load.getScales().getType());
    int64_t perRow = type.getDimSize(0) / scaleType.getDimSize(0);
    int64_t perCol =
        (type.getDimSize(1) + scaleType.getDimSize(1) - 1) /
        scaleType.getDimSize(1);
    TileValue value;
    value.kind = TileValue::function;
    value.fn = [this, view, indices, perRow, perCol](Value row, Value col) {
      PtxBuilder &b = *builder;
      int64_t rank = view.type.getRank();
      SmallVector<Value> leading(indices.begin(), indices.end() - 2);
      Value r = b.add(indices[rank - 2], b.mul(row, b.i64(perRow)));
      Value c = b.add(indices[rank - 1], b.mul(col, b.i64(perCol)));
      Value valid = b.bitAnd(b.slt(r, view.extents[rank - 2]),
                             b.slt(c, view.extents[rank - 1]));
      Value safeRow = arith::SelectOp::create(b, valid, r, b.i64(0));
      Value safeCol = arith::SelectOp::create(b, valid, c, b.i64(0));
      Value loaded = b.loadGlobal(
          b.getF32Type(), scaleAddress(view, leading, safeRow, safeCol));
      return Value(arith::SelectOp::create(b, valid, loaded, b.f32(0)));
    };
    tiles[load.getScales()] = value;
  }
  return success();
}

// Column chunks of 128 bytes, each rows x 128 bytes, 16-byte pieces exchanged
// within groups of eight rows: wgmma's 128-byte swizzle.
void Sm90Emitter::copyTile(LoadOp load, ArrayRef<Value> indices, Value base) {
  PtxBuilder &b = *builder;
  const ViewRef &view = views.find(load.getView())->second;
  auto type = cast<RankedTensorType>(load.getTile().getType());
  int64_t rank = view.type.getRank();
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  int64_t rows = type.getDimSize(0);
  int64_t piecesPerRow = type.getDimSize(1) * bytes / 16;
  int64_t pieces = rows * piecesPerRow;
  ArrayRef<Value> leading = indices.drop_back(2);

  auto loop = scf::ForOp::create(b, b.ext64(thread), b.i64(pieces),
                                 b.i64(threads()));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value piece = loop.getInductionVar();
  Value row = b.udiv(piece, b.i64(piecesPerRow));
  Value inRow = b.urem(piece, b.i64(piecesPerRow));
  Value r = b.add(indices[rank - 2], row);
  Value c = b.add(indices[rank - 1], b.mul(inRow, b.i64(16 / bytes)));
  // Rows are multiples of 16 bytes, so a piece is whole or outside.
  Value valid = b.bitAnd(b.slt(r, view.extents[rank - 2]),
                         b.slt(c, view.extents[rank - 1]));
  if (view.gather) {
    Value source = view.gather(row);
    valid = b.bitAnd(valid, arith::CmpIOp::create(
                                b, arith::CmpIPredicate::sge, source,
                                b.i64(0)));
  }
  Value safeRow = arith::SelectOp::create(b, valid, r, b.i64(0));
  Value safeCol = arith::SelectOp::create(b, valid, c, b.i64(0));
  Value address = b.add(rowAddress(view, leading, safeRow),
                        b.mul(safeCol, b.i64(bytes)));
  Value chunk = b.udiv(inRow, b.i64(8));
  Value lane = b.bitXor(b.urem(inRow, b.i64(8)), b.urem(row, b.i64(8)));
  Value offset = b.add(b.add(b.mul(chunk, b.i64(rows * 128)),
                             b.mul(row, b.i64(128))),
                       b.mul(lane, b.i64(16)));
  b.copyAsync16(b.add(base, b.trunc32(offset)), address, valid);
}

/// Whether an index is even for every work item.
static bool isEven(Value index) {
  if (auto arg = dyn_cast<BlockArgument>(index)) {
    auto kernel = dyn_cast<KernelOp>(arg.getOwner()->getParentOp());
    if (!kernel)
      return false;
    unsigned first = kernel.getKernelArguments().size();
    return arg.getArgNumber() >= first &&
           kernel.getDim(arg.getArgNumber() - first).getStep() % 2 == 0;
  }
  if (auto constant = index.getDefiningOp<arith::ConstantIndexOp>())
    return constant.value() % 2 == 0;
  if (auto mul = index.getDefiningOp<arith::MulIOp>())
    return isEven(mul.getLhs()) || isEven(mul.getRhs());
  if (auto add = index.getDefiningOp<arith::AddIOp>())
    return isEven(add.getLhs()) && isEven(add.getRhs());
  return false;
}

LogicalResult Sm90Emitter::emitStore(StoreOp store) {
  PtxBuilder &b = *builder;
  const ViewRef &view = views.find(store.getView())->second;
  FailureOr<Fragment> frag = materialize(store, store.getTile());
  if (failed(frag))
    return failure();
  int64_t rank = view.type.getRank();
  if (rank != 2)
    return store.emitOpError("has no sm_90a lowering for a view of rank ")
           << rank;
  Value row0 = scalar(store.getIndices()[0]);
  Value col0 = scalar(store.getIndices()[1]);
  Value below = store.getRowsBelow() ? scalar(store.getRowsBelow()) : Value();
  Type element = view.type.getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  bool pairs = frag->cols > 1 && view.type.getShape()[1] % 2 == 0 &&
               isEven(store.getIndices()[1]);

  auto rowValid = [&](Value row) {
    Value r = b.add(row0, row);
    Value valid = b.slt(r, view.extents[0]);
    if (below)
      valid = b.bitAnd(valid, b.slt(row, below));
    // Both warpgroups hold a tile that is not split: one stores it.
    if (warpgroups > 1 && !frag->split)
      valid = b.bitAnd(valid, arith::CmpIOp::create(
                                  b, arith::CmpIPredicate::eq, warpgroup,
                                  b.i32(0)));
    return valid;
  };

  for (size_t i = 0; i < frag->regs.size(); i += pairs ? 2 : 1) {
    Value row = fragmentRow(*frag, i), col = fragmentCol(*frag, i);
    Value r = b.add(row0, row), c = b.add(col0, col);
    Value valid = b.bitAnd(rowValid(row), b.slt(c, view.extents[1]));
    if (view.gather)
      valid = b.bitAnd(valid,
                       arith::CmpIOp::create(b, arith::CmpIPredicate::sge,
                                             view.gather(row), b.i64(0)));
    auto ifOp = scf::IfOp::create(b, valid, false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    Value address =
        b.add(rowAddress(view, {}, r), b.mul(c, b.i64(bytes)));
    Value value = frag->regs[i];
    if (pairs) {
      Type scalarType = value.getType();
      auto pairType = VectorType::get({2}, scalarType);
      Value pair = LLVM::PoisonOp::create(b, pairType);
      pair = LLVM::InsertElementOp::create(b, pair, value, b.i32(0));
      pair = LLVM::InsertElementOp::create(b, pair, frag->regs[i + 1],
                                           b.i32(1));
      value = pair;
    }
    b.storeGlobal(value, address);
  }

  if (store.getScales()) {
    FailureOr<Fragment> scales = materialize(store, store.getScales());
    if (failed(scales))
      return failure();
    if (scales->cols != 1)
      return store.emitOpError("has no sm_90a lowering for more than one "
                               "scale per row of a tile");
    // One of the four lanes that share a row writes its scale.
    Value first = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, colInTile,
                                        b.i64(0));
    for (size_t i = 0; i < scales->regs.size(); ++i) {
      Value row = fragmentRow(*scales, i);
      Value valid = b.bitAnd(first, rowValid(row));
      auto ifOp = scf::IfOp::create(b, valid, false);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(ifOp.thenBlock());
      b.storeGlobal(scales->regs[i],
                    scaleAddress(view, {}, b.add(row0, row), col0));
    }
  }
  return success();
}

} // namespace hadal::nvptx
