// Views: addresses, loads, stores and the sizes buffer.
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace hadal::nvptx {

using namespace hadal::tile;

static int64_t bytesOf(Type elementType) {
  return elementType.getIntOrFloatBitWidth() / 8;
}

int64_t SimtEmitter::rowPitch(ViewType type) {
  int64_t bytes = bytesOf(type.getElementType());
  int64_t row = type.getShape().back() * bytes;
  bool isPadded = type.getRank() >= 2 && bytes <= 2;
  return isPadded ? llvm::alignTo(row, 16) : row;
}

LogicalResult SimtEmitter::emitRows(RowsOp op) {
  View view = views.lookup(op.getView());
  if (view.indices)
    return op.emitOpError("has no sm_90a lowering: rows of gathered rows");
  view.type = cast<ViewType>(op.getResult().getType());
  view.indices = op.getIndices();
  view.sourceRows = view.extents[0];
  view.extents[0] = builder->i64(view.type.getShape()[0]);
  views[op.getResult()] = view;
  return success();
}

SimtEmitter::Access SimtEmitter::access(const View &view, ValueRange indices,
                                        Shape shape, TileIndex e) {
  SimtBuilder &b = *builder;
  SmallVector<TileIndex> at = coordinates(e, shape);
  size_t rank = view.extents.size(), lead = rank - shape.size();
  auto offsetOf = [&](size_t d) {
    return d < lead ? TileIndex::of(0) : at[d - lead];
  };
  Value valid;
  // i64 position in dimension d, checked against the extent unless that is
  // provable.
  auto position = [&](size_t d) {
    TileIndex offset = offsetOf(d);
    Value origin = indices[d];
    Value here = scalar(origin);
    if (!(offset.isUniform() && offset.constant == 0))
      here = b.add(here, b.extend(indexValue(offset)));
    int64_t count = d < lead ? 1 : shape[d - lead];
    int64_t extent = view.type.getShape()[d];
    std::optional<int64_t> most = upperBound(origin);
    bool fits = extent >= 0 && most && *most + count <= extent;
    // A bounded coordinate lies below the capacity of its rows.
    if (extent < 0 && count == 1)
      for (auto [i, coordinate] : llvm::enumerate(kernel.getCoordinates()))
        fits |= coordinate == origin &&
                kernel.getDim(i).getBound() != Bound::None &&
                kernel.getDim(i).getBound() != Bound::ExpertRows;
    if (!fits)
      valid = b.both(valid,
                     b.compare(CmpIPredicate::ult, here, view.extents[d]));
    return here;
  };
  Value row;
  for (size_t d = 0; d + 1 < rank; ++d) {
    Value here;
    if (view.indices && d == 0) {
      TileIndex offset = offsetOf(0);
      std::optional<int64_t> origin = getConstantIntValue(indices[0]);
      if (origin)
        offset = offset.plus(*origin);
      else
        offset = sum(offset, {0, 0, 1,
                              arith::TruncIOp::create(b, b.getI32Type(),
                                                      scalar(indices[0]))});
      here = element(view.indices, offset);
      if (!here.getType().isInteger(64))
        here = arith::ExtSIOp::create(b, b.getI64Type(), here);
      // Unsigned: a negative index is beyond every extent.
      valid = b.both(valid,
                     b.compare(CmpIPredicate::ult, here, view.sourceRows));
    } else {
      here = position(d);
    }
    row = row ? b.add(b.mul(row, view.extents[d]), here) : here;
  }
  Value column = position(rank - 1);
  int64_t bytes = bytesOf(view.type.getElementType());
  Value address = b.add(view.data, b.mul(column, b.i64(bytes)));
  if (row) {
    Value pitch;
    if (view.type.isDynamic(rank - 1)) {
      pitch = b.mul(view.extents.back(), b.i64(bytes));
      if (bytes <= 2)
        pitch = arith::AndIOp::create(b, b.add(pitch, b.i64(15)), b.i64(-16));
    } else {
      pitch = b.i64(rowPitch(view.type));
    }
    address = b.add(address, b.mul(row, pitch));
  }
  return {address, valid};
}

// The largest power of two that divides everything an address is made of, so
// that a piece is aligned and lies in its row as a whole.
int64_t SimtEmitter::pieceElements(const View &view, ValueRange indices,
                                   Shape shape) {
  int64_t bytes = bytesOf(view.type.getElementType());
  int64_t width = view.type.getShape().back();
  int64_t piece = std::min<int64_t>(16 / bytes, kVector);
  auto limit = [&](int64_t multiple) {
    while (multiple % piece != 0)
      piece /= 2;
  };
  if (width < 0)
    return 1;
  limit(width);
  if (view.extents.size() > 1)
    limit(rowPitch(view.type) / bytes);
  limit(shape.back());
  limit(knownMultiple(indices.back()));
  return piece;
}

SmallVector<std::pair<TileIndex, int64_t>>
SimtEmitter::pieces(const Cover &cover, int64_t limit) {
  SmallVector<std::pair<TileIndex, int64_t>> result;
  for (TileIndex e : cover) {
    if (!result.empty()) {
      auto &[first, count] = result.back();
      bool follows = count < limit && !e.dynamic && !first.dynamic &&
                     e.scale == first.scale && e.div == first.div &&
                     e.constant == first.constant + count &&
                     first.constant % limit == 0 && first.scale % limit == 0;
      if (follows) {
        ++count;
        continue;
      }
    }
    result.push_back({e, 1});
  }
  // A run that does not fill the limit is not a vector.
  SmallVector<std::pair<TileIndex, int64_t>> whole;
  for (auto [e, count] : result) {
    if (count == limit)
      whole.push_back({e, count});
    else
      for (int64_t i = 0; i < count; ++i)
        whole.push_back({e.plus(i), 1});
  }
  return whole;
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

LogicalResult SimtEmitter::emitLoad(LoadOp op) {
  SimtBuilder &b = *builder;
  if (op.getScales() && failed(emitLoadScales(op)))
    return failure();
  const View view = views.lookup(op.getView());
  Value tile = op.getTile();
  Type elementType = typeOf(tile).getElementType();
  Shape shape = typeOf(tile).getShape();
  float pad = op.getPad() ? op.getPad()->convertToFloat() : 0.0f;
  Type type = computeType(elementType);
  Value padding = arith::ConstantOp::create(
      b, isa<FloatType>(type) ? TypedAttr(FloatAttr::get(type, pad))
                              : TypedAttr(IntegerAttr::get(type, int64_t(pad))));
  Cover cover = naturalCover(sizeOf(tile));
  int64_t limit = pieceElements(view, op.getIndices(), shape);
  for (auto [e, count] : pieces(cover, limit)) {
    Access at = access(view, op.getIndices(), shape, e);
    loadPiece(tile, elementType, e, count, at, padding, sizeOf(tile));
  }
  setCover(tile, cover);
  return failure(failedEmission);
}

// Threads without an element read the start of the view, so that no load waits
// for a branch.
void SimtEmitter::loadPiece(Value tile, Type elementType, TileIndex e,
                            int64_t count, const Access &at, Value pad,
                            int64_t size) {
  SimtBuilder &b = *builder;
  Value view = tile.getDefiningOp<LoadOp>().getView();
  Value address = at.address;
  if (Value real = b.both(inside(e, size), at.valid))
    address = b.select(real, address, views.lookup(view).data);
  // Threads beyond the tile may hold anything; those beyond the view the pad.
  bool pads = static_cast<bool>(at.valid);
  int64_t bytes = bytesOf(elementType) * count;
  auto padded = [&](Value value, Value padding) {
    return pads ? b.select(at.valid, value, padding) : value;
  };
  if (bytes < 4) {
    Type bits = b.getIntegerType(bytes * 8);
    Value value = b.loadGlobal(bits, address, bytes);
    if (elementType.isBF16()) {
      Value wide = arith::ExtUIOp::create(b, b.getI32Type(), value);
      value = b.bitcast(b.getF32Type(),
                        arith::ShLIOp::create(b, wide, b.i32(16)));
    }
    if (count == 1)
      define(tile, e, padded(value, pad));
    else
      for (int64_t i = 0; i < count; ++i)
        define(tile, e.plus(i),
               padded(fromWord(arith::ExtUIOp::create(b, b.getI32Type(),
                                                      value),
                               elementType, i),
                      pad));
    return;
  }
  if (elementType.isInteger(64)) {
    for (int64_t i = 0; i < count; ++i)
      define(tile, e.plus(i),
             padded(b.loadGlobal(elementType, b.add(address, b.i64(8 * i)), 8),
                    pad));
    return;
  }
  int64_t words = bytes / 4;
  Type wordType = b.getI32Type();
  Type loaded = words == 1 ? wordType : VectorType::get({words}, wordType);
  Value vector = b.loadGlobal(loaded, address, bytes);
  int64_t perWord = count / words;
  bool zeroPad = matchPattern(pad, m_AnyZeroFloat()) ||
                 matchPattern(pad, m_Zero());
  for (int64_t w = 0; w < words; ++w) {
    Value word = vector;
    if (words > 1)
      word = LLVM::ExtractElementOp::create(b, vector, b.i32(w));
    TileIndex at = e.plus(w * perWord);
    if (perWord == 1) {
      define(tile, at, padded(b.bitcast(elementType, word), pad));
    } else if (!pads || zeroPad) {
      tiles[tile].words[at.simplified(threads).key()] =
          padded(word, b.i32(0));
    } else {
      for (int64_t i = 0; i < perWord; ++i)
        define(tile, at.plus(i), padded(fromWord(word, elementType, i), pad));
    }
  }
}

//===----------------------------------------------------------------------===//
// Stores
//===----------------------------------------------------------------------===//

LogicalResult SimtEmitter::emitStore(StoreOp op) {
  SimtBuilder &b = *builder;
  const View view = views.lookup(op.getView());
  Value tile = op.getTile();
  Shape shape = typeOf(tile).getShape();
  int64_t size = sizeOf(tile);
  Cover cover = coverOf(tile);
  int64_t limit = pieceElements(view, op.getIndices(), shape);
  for (auto [e, count] : pieces(cover, limit)) {
    Access at = access(view, op.getIndices(), shape, e);
    Value valid = b.both(owns(e, size), at.valid);
    if (Value below = op.getRowsBelow()) {
      Value row = b.extend(indexValue(coordinates(e, shape)[0]));
      valid =
          b.both(valid, b.compare(CmpIPredicate::slt, row, scalar(below)));
    }
    storePiece(tile, e, count, at.address, valid);
  }
  if (op.getScales() && failed(emitStoreScales(op)))
    return failure();
  return failure(failedEmission);
}

void SimtEmitter::storePiece(Value tile, TileIndex e, int64_t count,
                             Value address, Value condition) {
  SimtBuilder &b = *builder;
  Type elementType = typeOf(tile).getElementType();
  int64_t bytes = bytesOf(elementType) * count;
  if (count == 1 && bytes < 4) {
    Value value = element(tile, e);
    if (elementType.isBF16())
      value = arith::TruncFOp::create(b, b.getBF16Type(), value);
    return b.storeGlobal(value, address, condition);
  }
  if (elementType.isInteger(64)) {
    for (int64_t i = 0; i < count; ++i)
      b.storeGlobal(element(tile, e.plus(i)), b.add(address, b.i64(8 * i)),
                    condition);
    return;
  }
  if (bytes < 4) { // two codes
    auto wide = [&](int64_t i) -> Value {
      return arith::ExtUIOp::create(b, b.getI16Type(),
                                    element(tile, e.plus(i)));
    };
    Value eight = arith::ConstantOp::create(b, b.getI16IntegerAttr(8));
    Value both = arith::OrIOp::create(
        b, wide(0), arith::ShLIOp::create(b, wide(1), eight));
    return b.storeGlobal(both, address, condition);
  }
  int64_t words = bytes / 4, perWord = count / words;
  SmallVector<Value> parts;
  for (int64_t w = 0; w < words; ++w) {
    TileIndex at = e.plus(w * perWord);
    parts.push_back(perWord == 1
                        ? b.bitcast(b.getI32Type(), element(tile, at))
                        : packed(tile, at));
  }
  b.storeGlobal(parts, address, condition);
}

bool SimtEmitter::refusesScales(Operation *op, const View &view) {
  if (view.extents.size() == 2 && !view.indices && !view.type.isDynamic(1))
    return false;
  op->emitOpError("has no sm_90a lowering: scales of rows that are not the "
                  "view's own");
  return true;
}

// Scale (i, j) belongs to the block that holds row r0 + i dr and column
// c0 + j dc (tile.load).
SimtEmitter::Access SimtEmitter::scaleAccess(const View &view,
                                             ValueRange indices, Shape tile,
                                             Shape shape, TileIndex e) {
  SimtBuilder &b = *builder;
  int64_t blockRows = view.type.getScaleRows(),
          blockCols = view.type.getScaleCols();
  auto spacing = [](int64_t extent, int64_t count, int64_t block) {
    int64_t blocks = llvm::divideCeil(extent, block);
    return count == blocks ? block : extent / count;
  };
  SmallVector<TileIndex> at = coordinates(e, shape);
  auto position = [&](unsigned d, int64_t spacing) {
    return b.add(scalar(indices[d]),
                 b.mul(b.extend(indexValue(at[d])), b.i64(spacing)));
  };
  Value row = position(0, spacing(tile[0], shape[0], blockRows)),
        column = position(1, spacing(tile[1], shape[1], blockCols));
  Value valid = b.both(b.compare(CmpIPredicate::ult, row, view.extents[0]),
                       b.compare(CmpIPredicate::ult, column, view.extents[1]));
  auto blockOf = [&](Value at, int64_t block) -> Value {
    if (block == 1)
      return at;
    return b.createOrFold<arith::DivUIOp>(at, b.i64(block));
  };
  int64_t pitch = llvm::divideCeil(view.type.getShape()[1], blockCols);
  Value place = b.add(b.mul(blockOf(row, blockRows), b.i64(pitch)),
                      blockOf(column, blockCols));
  return {b.add(view.scale, b.mul(place, b.i64(4))), valid};
}

LogicalResult SimtEmitter::emitLoadScales(LoadOp op) {
  SimtBuilder &b = *builder;
  const View view = views.lookup(op.getView());
  if (refusesScales(op, view))
    return failure();
  Value scales = op.getScales();
  // Neighbours by neighbours: there are too few for a vector each.
  Cover cover;
  for (int64_t begin = 0; begin < sizeOf(scales); begin += threads)
    cover.push_back({begin, 1, 1, {}});
  for (TileIndex e : cover) {
    Access at =
        scaleAccess(view, op.getIndices(), typeOf(op.getTile()).getShape(),
                    typeOf(scales).getShape(), e);
    Value real = b.both(inside(e, sizeOf(scales)), at.valid);
    Value value =
        b.loadGlobal(b.getF32Type(), b.select(real, at.address, view.scale), 4);
    define(scales, e, b.select(at.valid, value, b.f32(0.0f)));
  }
  setCover(scales, cover);
  return success();
}

LogicalResult SimtEmitter::emitStoreScales(StoreOp op) {
  SimtBuilder &b = *builder;
  const View view = views.lookup(op.getView());
  if (op.getRowsBelow())
    return op.emitOpError("has no sm_90a lowering: scales of some rows of a "
                          "tile");
  if (refusesScales(op, view))
    return failure();
  Value scales = op.getScales();
  for (TileIndex e : coverOf(scales)) {
    Access at =
        scaleAccess(view, op.getIndices(), typeOf(op.getTile()).getShape(),
                    typeOf(scales).getShape(), e);
    b.storeGlobal(element(scales, e), at.address,
                  b.both(owns(e, sizeOf(scales)), at.valid));
  }
  return success();
}

// Not atomic: an element has one work item (tile.reduce_into) and in it one
// thread.
LogicalResult SimtEmitter::emitReduceInto(ReduceIntoOp op) {
  SimtBuilder &b = *builder;
  const View view = views.lookup(op.getView());
  Value tile = op.getTile();
  Type type = typeOf(tile).getElementType();
  Shape shape = typeOf(tile).getShape();
  for (TileIndex e : coverOf(tile)) {
    Value value = element(tile, e);
    Access at = access(view, op.getIndices(), shape, e);
    Value mine = b.both(owns(e, sizeOf(tile)), at.valid);
    Value old = b.loadGlobalIf(type, at.address, mine);
    Value total = op.getMax()    ? Value(arith::MaxSIOp::create(b, old, value))
                  : type.isF32() ? Value(arith::AddFOp::create(b, old, value))
                                 : b.add(old, value);
    b.storeGlobal(total, at.address, mine);
  }
  return failure(failedEmission);
}

//===----------------------------------------------------------------------===//
// True sizes and single integers
//===----------------------------------------------------------------------===//

Value SimtEmitter::sizeAt(Value index) {
  SimtBuilder &b = *builder;
  Value address = b.add(sizes, b.mul(index, b.i64(4)));
  return arith::ExtSIOp::create(b, b.getI64Type(),
                                b.loadGlobal(b.getI32Type(), address, 4));
}

void SimtEmitter::emitSize(SizeOp op) {
  SimtBuilder &b = *builder;
  Value index = b.i64(static_cast<int64_t>(op.getName()));
  if (op.getIndex())
    index = b.add(index, scalar(op.getIndex()));
  scalars[op.getResult()] = sizeAt(index);
}

LogicalResult SimtEmitter::emitStoreSize(StoreSizeOp op) {
  SimtBuilder &b = *builder;
  Value tile = op.getValues();
  for (TileIndex e : coverOf(tile)) {
    Value value = element(tile, e);
    Value index = b.add(b.extend(indexValue(e)),
                        b.i64(static_cast<int64_t>(SizeName::ExpertBegin)));
    if (op.getIndex())
      index = b.add(index, scalar(op.getIndex()));
    Value address = b.add(sizes, b.mul(index, b.i64(4)));
    b.storeGlobal(value, address, owns(e, sizeOf(tile)));
  }
  return failure(failedEmission);
}

void SimtEmitter::emitRead(ReadOp op) {
  SimtBuilder &b = *builder;
  const View view = views.lookup(op.getView());
  Value place;
  for (auto [index, extent] : llvm::zip(op.getIndices(), view.extents)) {
    Value here = scalar(index);
    place = place ? b.add(b.mul(place, extent), here) : here;
  }
  Type type = view.type.getElementType();
  int64_t bytes = bytesOf(type);
  Value value =
      b.loadGlobal(type, b.add(view.data, b.mul(place, b.i64(bytes))), bytes);
  if (bytes < 8)
    value = arith::ExtSIOp::create(b, b.getI64Type(), value);
  scalars[op.getResult()] = value;
}

} // namespace hadal::nvptx
