// Views and memory: addresses, loads, stores, sizes. A row's base address is
// computed once per row; the loop over its elements has no bounds check.
#include "compiler/codegen/loops/TileToLoops.h"

using namespace mlir;
using namespace hadal;

using arith::CmpIPredicate;

namespace {

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Rows (or columns) of a tile per element of its scale tile: the block where
/// the counts agree with whole blocks, else an even split.
int64_t scaleStep(int64_t extent, int64_t scales, int64_t block) {
  return ceilDiv(extent, block) == scales ? block : extent / scales;
}

} // namespace

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

Value TileLowering::rowAddress(const ViewInfo &view, ValueRange indices) {
  auto ptr = LLVM::LLVMPointerType::get(b.getContext());
  Type type = storageType(view.type.getElementType(), /*scratch=*/false);
  auto mul = [&](Value x, Value y) -> Value {
    return arith::MulIOp::create(b, loc, x, y);
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  Value base = view.data, row;
  if (view.kind == ViewInfo::Kind::paged) {
    Value size = i64(view.pageSize);
    Value page = arith::DivUIOp::create(b, loc, indices[0], size);
    Value within = arith::RemUIOp::create(b, loc, indices[0], size);
    Value at = add(mul(view.row, view.tableStride), page);
    page = load(b.getI32Type(), gep(view.table, b.getI32Type(), at));
    page = arith::ExtSIOp::create(b, loc, b.getI64Type(), page);
    row = add(mul(page, size), within);
  } else if (view.kind == ViewInfo::Kind::gather) {
    row = loadElement(view.indices, indices[0]);
    if (!row.getType().isInteger(64))
      row = arith::ExtSIOp::create(b, loc, b.getI64Type(), row);
  } else if (view.type.getKind() == tile::ViewKind::Segments) {
    Value rows = i64(view.type.getSegmentRows());
    Value segment = arith::DivUIOp::create(b, loc, indices[0], rows);
    base = load(ptr, gep(base, ptr, segment));
    row = arith::RemUIOp::create(b, loc, indices[0], rows);
  } else {
    size_t first = 0;
    if (view.type.getKind() == tile::ViewKind::Stack) {
      base = load(ptr, gep(base, ptr, indices[0]));
      first = 1;
    }
    for (size_t d = first; d < indices.size(); ++d)
      row = row ? add(mul(row, view.extents[d]), indices[d]) : indices[d];
  }
  if (!row)
    return base;
  Value elements = mul(row, view.extents.back());
  if (tile::isInt4(view.type.getElementType()))
    elements = arith::ShRUIOp::create(b, loc, elements, i64(1)); // bytes
  return gep(base, type, elements);
}

Value TileLowering::scaleAddress(const ViewInfo &view, ValueRange indices,
                                 Value col) {
  auto ptr = LLVM::LLVMPointerType::get(b.getContext());
  auto mul = [&](Value x, Value y) -> Value {
    return arith::MulIOp::create(b, loc, x, y);
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto div = [&](Value x, int64_t y) -> Value {
    return y == 1 ? x : Value(arith::DivUIOp::create(b, loc, x, i64(y)));
  };
  int64_t rowBlock = view.type.getScaleRows(),
          colBlock = view.type.getScaleCols();
  Value cols = div(add(view.extents.back(), i64(colBlock - 1)), colBlock);
  Value base = view.scale, row;
  if (view.kind == ViewInfo::Kind::paged) {
    Value size = i64(view.pageSize);
    Value page = arith::DivUIOp::create(b, loc, indices[0], size);
    Value within = arith::RemUIOp::create(b, loc, indices[0], size);
    Value at = add(mul(view.row, view.tableStride), page);
    page = load(b.getI32Type(), gep(view.table, b.getI32Type(), at));
    page = arith::ExtSIOp::create(b, loc, b.getI64Type(), page);
    row = add(mul(page, i64(ceilDiv(view.pageSize, rowBlock))),
              div(within, rowBlock));
  } else if (view.kind == ViewInfo::Kind::gather) {
    row = loadElement(view.indices, indices[0]);
    if (!row.getType().isInteger(64))
      row = arith::ExtSIOp::create(b, loc, b.getI64Type(), row);
  } else if (view.type.getKind() == tile::ViewKind::Segments) {
    Value rows = i64(view.type.getSegmentRows());
    Value segment = arith::DivUIOp::create(b, loc, indices[0], rows);
    base = load(ptr, gep(base, ptr, segment));
    row = div(arith::RemUIOp::create(b, loc, indices[0], rows), rowBlock);
  } else {
    size_t first = 0, last = indices.size() - 1;
    if (view.type.getKind() == tile::ViewKind::Stack) {
      base = load(ptr, gep(base, ptr, indices[0]));
      first = 1;
    }
    for (size_t d = first; d < last; ++d)
      row = row ? add(mul(row, view.extents[d]), indices[d]) : indices[d];
    Value blocks = div(add(view.extents[last], i64(rowBlock - 1)), rowBlock);
    Value block = div(indices[last], rowBlock);
    row = row ? add(mul(row, blocks), block) : block;
  }
  Type element = tile::isInt4(view.type.getElementType())
                     ? Type(b.getBF16Type())
                     : b.getF32Type();
  return gep(base, storageType(element, /*inScratch=*/false),
             add(mul(row, cols), div(col, colBlock)));
}

Value TileLowering::rowIsValid(const ViewInfo &view, Value row) {
  if (view.kind != ViewInfo::Kind::gather)
    return {};
  Value index = loadElement(view.indices, row);
  if (!index.getType().isInteger(64))
    index = arith::ExtSIOp::create(b, loc, b.getI64Type(), index);
  // Unsigned: a negative index is beyond every extent.
  return arith::CmpIOp::create(b, loc, CmpIPredicate::ult, index,
                               view.sourceRows);
}

Value TileLowering::validCount(const ViewInfo &view, unsigned dim,
                               Value tileIndex, int64_t count) {
  std::optional<int64_t> extent = getConstantIntValue(view.extents[dim]);
  if (std::optional<int64_t> most = upperBound(tileIndex))
    if (extent && *most >= 0 && *most + count <= *extent)
      return i64(count);
  Value left = arith::SubIOp::create(b, loc, view.extents[dim],
                                     scalar(tileIndex));
  left = arith::MaxSIOp::create(b, loc, left, i64(0));
  return arith::MinSIOp::create(b, loc, left, i64(count));
}

//===----------------------------------------------------------------------===//
// Walking a tile over a view
//===----------------------------------------------------------------------===//

TileLowering::Access TileLowering::makeAccess(const ViewInfo &view,
                                             ValueRange indices,
                                             ArrayRef<int64_t> shape) {
  Access access;
  access.lead = indices.size() - shape.size();
  for (Value index : indices)
    access.origin.push_back(scalar(index));
  for (auto [d, extent] : llvm::enumerate(shape))
    access.counts.push_back(validCount(view, access.lead + d,
                                       indices[access.lead + d], extent));
  // A leading index beyond its extent empties the access.
  Value inside;
  for (unsigned d = 0; d < access.lead; ++d) {
    Value one = validCount(view, d, indices[d], 1);
    if (getConstantIntValue(one) == 1)
      continue;
    Value ok =
        arith::CmpIOp::create(b, loc, CmpIPredicate::eq, one, i64(1));
    inside = inside ? Value(arith::AndIOp::create(b, loc, inside, ok)) : ok;
  }
  if (inside)
    access.counts[0] = arith::SelectOp::create(b, loc, inside,
                                               access.counts[0], i64(0));
  return access;
}

namespace {

using Access = TileLowering::Access;

/// Calls |row| for each valid row of the tile (|at|: tile indices but the last,
/// |outer|: view indices but the last), and |missing| for what lies beyond
/// along the outer dimensions (|at| is a prefix of tile indices; the block below
/// it is absent). |missing| may be null.
void walkRows(
    TileLowering &l, const ViewInfo &view, const Access &access,
    ArrayRef<int64_t> shape,
    function_ref<void(ArrayRef<Value> at, ArrayRef<Value> outer)> row,
    function_ref<void(ArrayRef<Value> at)> missing) {
  SmallVector<Value> at;
  SmallVector<Value> outer(access.origin.begin(),
                           access.origin.end() - 1);
  auto leaf = [&]() {
    Value ok = outer.empty() ? Value() : l.rowIsValid(view, outer.back());
    if (!ok) {
      row(at, outer);
      return;
    }
    auto test = scf::IfOp::create(l.b, l.loc, ok,
                                  /*withElseRegion=*/bool(missing));
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(test.thenBlock());
    row(at, outer);
    if (missing) {
      l.b.setInsertionPointToStart(test.elseBlock());
      missing(at);
    }
  };
  std::function<void(size_t)> descend = [&](size_t d) {
    if (d + 1 == shape.size())
      return leaf();
    Value origin = access.origin[access.lead + d];
    auto step = [&](Value i) {
      at.push_back(i);
      outer[access.lead + d] = arith::AddIOp::create(l.b, l.loc, origin, i);
      descend(d + 1);
      at.pop_back();
    };
    bool full = getConstantIntValue(access.counts[d]) == shape[d];
    if (full && shape[d] == 1)
      step(l.i64(0));
    else
      l.forLoop(l.i64(0), access.counts[d], 1, step);
    if (missing && !full)
      l.forLoop(access.counts[d], l.i64(shape[d]), 1, [&](Value i) {
        at.push_back(i);
        missing(at);
        at.pop_back();
      });
  };
  descend(0);
}

} // namespace

//===----------------------------------------------------------------------===//
// Load and store
//===----------------------------------------------------------------------===//

void TileLowering::lowerLoad(tile::LoadOp op) {
  ViewInfo info = view(op.getView());
  auto type = cast<RankedTensorType>(op.getTile().getType());
  Type elementType = type.getElementType();
  ArrayRef<int64_t> shape = type.getShape();
  Access access = makeAccess(info, op.getIndices(), shape);
  if (readInPlace(op, info, access))
    return;
  TileBuffer dest = destination(op.getTile());

  // The pad in the compute type.
  Type compute = computeType(elementType);
  double padValue =
      op.getPad() ? op.getPad()->convertToDouble() : 0.0;
  Value pad = isa<FloatType>(compute)
                  ? arith::ConstantOp::create(
                        b, loc, b.getFloatAttr(compute, padValue))
                  : arith::ConstantOp::create(
                        b, loc,
                        b.getIntegerAttr(compute,
                                         static_cast<int64_t>(padValue)));
  if (elementType.isBF16() && op.getPad())
    pad = roundToBf16(pad);

  auto fill = [&](ArrayRef<Value> at) {
    loopNest(shape.drop_front(at.size()), [&](ValueRange rest) {
      SmallVector<Value> index(at);
      index.append(rest.begin(), rest.end());
      storeElement(dest, index, pad);
    });
  };
  Type stored = storageType(elementType, /*scratch=*/false);
  walkRows(
      *this, info, access, shape,
      [&](ArrayRef<Value> at, ArrayRef<Value> outer) {
        Value base = rowAddress(info, outer);
        bool isInt4 = tile::isInt4(elementType);
        if (!isInt4)
          base = gep(base, stored, access.origin.back());
        auto copy = [&](Value j) {
          SmallVector<Value> index(at);
          index.push_back(j);
          Value value;
          if (isInt4)
            value = loadInt4(base, arith::AddIOp::create(
                                       b, loc, access.origin.back(), j));
          else
            value = decode(load(stored, gep(base, stored, j)), elementType);
          storeElement(dest, index, value);
        };
        Value count = access.counts.back();
        bool full = getConstantIntValue(count) == shape.back();
        if (full && shape.back() == 1)
          copy(i64(0));
        else
          forLoop(i64(0), count, 1, copy);
        if (!full)
          forLoop(count, i64(shape.back()), 1, [&](Value j) {
            SmallVector<Value> index(at);
            index.push_back(j);
            storeElement(dest, index, pad);
          });
      },
      fill);

  if (!op.getScales())
    return;
  // Scales: one per block (or part of a block) that the tile touches.
  ArrayRef<int64_t> tiles =
      cast<RankedTensorType>(op.getScales().getType()).getShape();
  int64_t stepRows = scaleStep(shape[0], tiles[0], info.type.getScaleRows());
  int64_t stepCols = scaleStep(shape[1], tiles[1], info.type.getScaleCols());
  TileBuffer scales = destination(op.getScales());
  loopNest(tiles, [&](ValueRange at) {
    walkScale(info, access.origin, access.counts, at, stepRows, stepCols,
              [&](Value address) {
                Type element = tile::isInt4(elementType)
                                   ? Type(b.getBF16Type())
                                   : b.getF32Type();
                Value value =
                    load(storageType(element, /*scratch=*/false), address);
                storeElement(scales, at, decode(value, element));
              },
              [&] { storeElement(scales, at, floatConstant(0.0)); });
  });
}

void TileLowering::walkScale(const ViewInfo &info, ArrayRef<Value> origin,
                             ArrayRef<Value> counts, ValueRange at,
                             int64_t stepRows, int64_t stepCols,
                             function_ref<void(Value)> present,
                             function_ref<void()> absent) {
  Value r = arith::MulIOp::create(b, loc, at[0], i64(stepRows));
  Value c = arith::MulIOp::create(b, loc, at[1], i64(stepCols));
  SmallVector<Value> outer(origin.drop_back());
  outer.back() = arith::AddIOp::create(b, loc, outer.back(), r);
  Value ok = arith::AndIOp::create(
      b, loc,
      Value(arith::CmpIOp::create(b, loc, CmpIPredicate::slt, r, counts[0])),
      Value(arith::CmpIOp::create(b, loc, CmpIPredicate::slt, c, counts[1])));
  auto guard = [&](Value condition, function_ref<void()> body) {
    auto test = scf::IfOp::create(b, loc, condition, bool(absent));
    OpBuilder::InsertionGuard insertion(b);
    b.setInsertionPointToStart(test.thenBlock());
    body();
    if (absent) {
      b.setInsertionPointToStart(test.elseBlock());
      absent();
    }
  };
  guard(ok, [&] {
    auto body = [&] {
      Value col = arith::AddIOp::create(b, loc, origin.back(), c);
      present(scaleAddress(info, outer, col));
    };
    if (Value row = rowIsValid(info, outer.back()))
      guard(row, body);
    else
      body();
  });
}

void TileLowering::lowerStore(tile::StoreOp op) {
  ViewInfo info = view(op.getView());
  auto type = cast<RankedTensorType>(op.getTile().getType());
  Type elementType = type.getElementType();
  ArrayRef<int64_t> shape = type.getShape();
  Access access = makeAccess(info, op.getIndices(), shape);
  if (Value below = op.getRowsBelow()) {
    Value limit =
        arith::MaxSIOp::create(b, loc, scalar(below), i64(0));
    access.counts[0] =
        arith::MinSIOp::create(b, loc, access.counts[0], limit);
  }
  Type stored = storageType(elementType, /*scratch=*/false);
  // What is read in place may be what is written here, at the same place: such
  // a loop would not vectorise.
  std::optional<TileBuffer> computed;
  if (readsInPlace(op.getTile()))
    computed = buffer(op.getTile());
  walkRows(
      *this, info, access, shape,
      [&](ArrayRef<Value> at, ArrayRef<Value> outer) {
        Value base = gep(rowAddress(info, outer), stored,
                         access.origin.back());
        auto copy = [&](Value j) {
          SmallVector<Value> index(at);
          index.push_back(j);
          Value value = computed ? loadElement(*computed, index)
                                 : element(op.getTile(), index);
          store(encode(value, elementType, /*scratch=*/false),
                gep(base, stored, j));
        };
        Value count = access.counts.back();
        if (shape.back() == 1 && getConstantIntValue(count) == 1)
          copy(i64(0));
        else
          elementLoop(i64(0), count, copy);
      },
      nullptr);

  if (!op.getScales())
    return;
  ArrayRef<int64_t> tiles =
      cast<RankedTensorType>(op.getScales().getType()).getShape();
  int64_t stepRows = scaleStep(shape[0], tiles[0], info.type.getScaleRows());
  int64_t stepCols = scaleStep(shape[1], tiles[1], info.type.getScaleCols());
  loopNest(tiles, [&](ValueRange at) {
    walkScale(info, access.origin, access.counts, at, stepRows, stepCols,
              [&](Value address) {
                Value value = element(op.getScales(), at);
                store(encode(value, b.getF32Type(), /*scratch=*/false),
                      address);
              },
              nullptr);
  });
}

void TileLowering::lowerReduceInto(tile::ReduceIntoOp op) {
  ViewInfo info = view(op.getView());
  auto type = cast<RankedTensorType>(op.getTile().getType());
  Type elementType = type.getElementType();
  ArrayRef<int64_t> shape = type.getShape();
  Access access = makeAccess(info, op.getIndices(), shape);
  Type stored = storageType(elementType, /*scratch=*/false);
  walkRows(
      *this, info, access, shape,
      [&](ArrayRef<Value> at, ArrayRef<Value> outer) {
        Value base = gep(rowAddress(info, outer), stored,
                         access.origin.back());
        forLoop(i64(0), access.counts.back(), 1, [&](Value j) {
          SmallVector<Value> index(at);
          index.push_back(j);
          Value value = element(op.getTile(), index);
          Value place = gep(base, stored, j);
          Value old = decode(load(stored, place), elementType);
          if (op.getMax())
            value = arith::MaxSIOp::create(b, loc, old, value);
          else if (isa<FloatType>(value.getType()))
            value = arith::AddFOp::create(b, loc, old, value);
          else
            value = arith::AddIOp::create(b, loc, old, value);
          store(encode(value, elementType, /*scratch=*/false), place);
        });
      },
      nullptr);
}

//===----------------------------------------------------------------------===//
// Sizes, scalars, indirection
//===----------------------------------------------------------------------===//

void TileLowering::lowerRead(tile::ReadOp op) {
  const ViewInfo &info = view(op.getView());
  SmallVector<Value> at;
  for (Value index : op.getIndices())
    at.push_back(scalar(index));
  Type stored = storageType(info.type.getElementType(), /*scratch=*/false);
  Value base = rowAddress(info, ArrayRef<Value>(at).drop_back());
  Value value = load(stored, gep(base, stored, at.back()));
  if (!stored.isInteger(64))
    value = arith::ExtSIOp::create(b, loc, b.getI64Type(), value);
  setScalar(op.getResult(), value);
}

LogicalResult TileLowering::lowerPaged(tile::PagedOp op) {
  const ViewInfo &pool = view(op.getPool());
  const ViewInfo &table = view(op.getTable());
  for (const ViewInfo *source : {&pool, &table})
    if (source->kind != ViewInfo::Kind::memory ||
        source->type.getKind() != tile::ViewKind::Dense)
      return op.emitOpError("reads dense memory only");
  ViewInfo info;
  info.kind = ViewInfo::Kind::paged;
  info.type = cast<tile::ViewType>(op.getResult().getType());
  info.data = pool.data;
  info.scale = pool.scale;
  info.table = table.data;
  info.tableStride = table.extents[1];
  info.row = scalar(op.getRow());
  info.pageSize = pool.type.getShape()[1];
  info.extents = {scalar(op.getExtent()), pool.extents[2]};
  views[op.getResult()] = info;
  return success();
}

LogicalResult TileLowering::lowerRows(tile::RowsOp op) {
  ViewInfo info = view(op.getView());
  if (info.kind != ViewInfo::Kind::memory)
    return op.emitOpError("gathers from memory only");
  info.kind = ViewInfo::Kind::gather;
  info.type = cast<tile::ViewType>(op.getResult().getType());
  info.sourceRows = info.extents[0];
  info.extents[0] = i64(info.type.getShape()[0]);
  info.indices = persistentBuffer(op.getIndices(), op);
  views[op.getResult()] = info;
  return success();
}

TileBuffer TileLowering::persistentBuffer(Value tile, Operation *user) {
  auto it = buffers.find(tile);
  if (it != buffers.end())
    return it->second;
  auto type = cast<RankedTensorType>(tile.getType());
  Range range;
  TileBuffer result =
      allocateBuffer(type.getElementType(), type.getShape(), range);
  freeAfter[lastUse(user)].push_back(range);
  emitInto(tile, result);
  return result;
}

void TileLowering::lowerSize(tile::SizeOp op) {
  Value index = op.getIndex() ? scalar(op.getIndex()) : i64(0);
  int64_t first = static_cast<int64_t>(op.getName());
  index = arith::AddIOp::create(b, loc, index, i64(first));
  Value value = load(b.getI32Type(),
                     gep(scalar(op.getSizes()), b.getI32Type(), index));
  setScalar(op.getResult(),
            arith::ExtSIOp::create(b, loc, b.getI64Type(), value));
}

void TileLowering::lowerStoreSize(tile::StoreSizeOp op) {
  Value sizes = scalar(op.getSizes());
  auto type = cast<RankedTensorType>(op.getValues().getType());
  int64_t begin = static_cast<int64_t>(tile::SizeName::ExpertBegin);
  loopNest(type.getShape(), [&](ValueRange at) {
    Value index = arith::AddIOp::create(b, loc, at.back(), i64(begin));
    if (op.getIndex())
      index = arith::AddIOp::create(b, loc, index, scalar(op.getIndex()));
    store(element(op.getValues(), at), gep(sizes, b.getI32Type(), index));
  });
}
