// Which thread holds which element, and how any thread gets it.
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace hadal::nvptx {

using namespace hadal::tile;

RankedTensorType SimtEmitter::typeOf(Value tile) {
  return cast<RankedTensorType>(tile.getType());
}

// A bf16 is computed as an f32 that bf16 holds: every op rounds (emitElement).
Type SimtEmitter::computeType(Type elementType) {
  if (elementType.isBF16())
    return builder->getF32Type();
  if (isa<Float8E4M3FNType>(elementType))
    return builder->getI8Type();
  if (elementType.isIndex())
    return builder->getI64Type();
  return elementType;
}

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

Value SimtEmitter::step(int64_t div) {
  Value &value = steps[div];
  if (value)
    return value;
  if (div == 1)
    return value = thread;
  OpBuilder::InsertionGuard guard(*builder);
  builder->setInsertionPointAfter(entryEnd);
  Value by = builder->i32(div);
  auto op = arith::DivUIOp::create(*builder, thread, by);
  entryEnd = op;
  return value = op;
}

Value SimtEmitter::indexValue(TileIndex e) {
  SimtBuilder &b = *builder;
  Value result = e.dynamic;
  if (e.scale != 0) {
    Value part = b.mul(step(e.div), b.i32(e.scale));
    result = result ? b.add(result, part) : part;
  }
  if (!result)
    return b.i32(e.constant);
  return e.constant ? b.add(result, b.i32(e.constant)) : result;
}

TileIndex SimtEmitter::divide(TileIndex e, int64_t by, int64_t size) {
  if (by == 1)
    return e;
  if (by >= size)
    return TileIndex::of(0);
  if (std::optional<TileIndex> result = e.dividedBy(by, size, threads))
    return *result;
  return {0, 0, 1,
          builder->createOrFold<arith::DivUIOp>(indexValue(e),
                                                builder->i32(by))};
}

// divide() may name one row for all threads when those below |size| agree. A
// result defined there would be taken for one that the others hold as well.
TileIndex SimtEmitter::rowOf(TileIndex e, int64_t by, int64_t size) {
  TileIndex row = divide(e, by, size);
  e = e.simplified(threads);
  int64_t last = e.lastStepBelow(size);
  if (!row.isUniform() || e.isUniform() || e.dynamic ||
      last >= e.lastStep(threads))
    return row;
  return {row.constant, size, e.div * (last + 1), {}};
}

TileIndex SimtEmitter::modulo(TileIndex e, int64_t by, int64_t size) {
  if (by == 1)
    return TileIndex::of(0);
  if (by >= size)
    return e;
  if (std::optional<TileIndex> result = e.modulo(by, size, threads))
    return *result;
  return {0, 0, 1,
          builder->createOrFold<arith::RemUIOp>(indexValue(e),
                                                builder->i32(by))};
}

TileIndex SimtEmitter::sum(TileIndex a, TileIndex c) {
  if (a.isUniform())
    return c.plus(a.constant);
  if (c.isUniform())
    return a.plus(c.constant);
  if (!a.dynamic && !c.dynamic && a.div == c.div)
    return {a.constant + c.constant, a.scale + c.scale, a.div, {}};
  return {0, 0, 1, builder->add(indexValue(a), indexValue(c))};
}

SmallVector<TileIndex> SimtEmitter::coordinates(TileIndex e, Shape shape) {
  SmallVector<TileIndex> result(shape.size(), TileIndex::of(0));
  int64_t size = 1;
  for (int64_t extent : shape)
    size *= extent;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1)
      continue;
    result[d] = modulo(e, shape[d], size);
    e = divide(e, shape[d], size);
    size /= shape[d];
  }
  return result;
}

TileIndex SimtEmitter::linear(ArrayRef<TileIndex> at, Shape shape) {
  TileIndex result = TileIndex::of(0);
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1) {
      TileIndex part = at[d];
      if (part.dynamic && stride != 1)
        part = {0, 0, 1,
                builder->mul(indexValue(part), builder->i32(stride))};
      else if (stride != 1)
        part = part.times(stride);
      result = sum(part, result);
    }
    stride *= shape[d];
  }
  return result;
}

Value SimtEmitter::inside(TileIndex e, int64_t size) {
  if (e.scale == 0)
    return {};
  int64_t last = e.lastStepBelow(size);
  if (last >= e.lastStep(threads))
    return {};
  return builder->compare(CmpIPredicate::ule, step(e.div),
                          builder->i32(last));
}

Value SimtEmitter::owns(TileIndex e, int64_t size) {
  SimtBuilder &b = *builder;
  if (e.simplified(threads).scale == 0)
    return b.compare(CmpIPredicate::eq, thread, b.i32(0));
  Value first;
  if (e.div > 1)
    first = b.compare(CmpIPredicate::eq,
                      b.createOrFold<arith::RemUIOp>(thread, b.i32(e.div)),
                      b.i32(0));
  return b.both(inside(e, size), first);
}

//===----------------------------------------------------------------------===//
// Covers
//===----------------------------------------------------------------------===//

bool SimtEmitter::isUniform(const Cover &cover) {
  return llvm::all_of(cover, [](TileIndex e) { return e.isUniform(); });
}

// A tile of at most one vector is held by every thread; any other in rounds of
// one vector per thread.
Cover SimtEmitter::naturalCover(int64_t size) {
  Cover cover;
  if (size <= kVector) {
    for (int64_t i = 0; i < size; ++i)
      cover.push_back(TileIndex::of(i));
    return cover;
  }
  for (int64_t begin = 0; begin < size; begin += threads * kVector)
    for (int64_t v = 0; v < kVector && begin + v < size; ++v)
      cover.push_back({begin + v, kVector, 1, {}});
  return cover;
}

bool SimtEmitter::isLeaf(Value tile) {
  Operation *op = tile.getDefiningOp();
  return !op ||
         isa<LoadOp, ReduceOp, ScanOp, TopKOp, QuantizeOp, FoldOp>(op);
}

std::optional<Cover> SimtEmitter::leafCover(Value tile) {
  auto it = tiles.find(tile);
  if (it != tiles.end() && it->second.cover)
    return it->second.cover;
  if (isLeaf(tile))
    return std::nullopt;
  Operation *op = tile.getDefiningOp();
  if (auto pair = dyn_cast<InterleaveOp>(op)) {
    std::optional<Cover> half = leafCover(pair.getEven());
    if (!half)
      return std::nullopt;
    Cover cover;
    for (TileIndex e : *half) {
      cover.push_back(e.times(2));
      cover.push_back(e.times(2).plus(1));
    }
    return cover;
  }
  if (auto pair = dyn_cast<DeinterleaveOp>(op)) {
    std::optional<Cover> whole = leafCover(pair.getSource());
    if (!whole)
      return std::nullopt;
    Cover cover;
    for (TileIndex e : *whole) {
      if (e.scale % 2 != 0 || e.dynamic)
        return std::nullopt;
      if (e.constant % 2 == 0)
        cover.push_back({e.constant / 2, e.scale / 2, e.div, {}});
    }
    return cover;
  }
  bool keepsIndex = isElementwise(op) || isa<ReshapeOp>(op) ||
                    (isa<BroadcastOp>(op) &&
                     sizeOf(op->getOperand(0)) == sizeOf(tile));
  if (keepsIndex)
    for (Value operand : op->getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        if (std::optional<Cover> cover = leafCover(operand))
          return cover;
  return std::nullopt;
}

Cover SimtEmitter::coverOf(Value tile) {
  if (std::optional<Cover> cover = leafCover(tile))
    return *cover;
  return naturalCover(sizeOf(tile));
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

void SimtEmitter::define(Value tile, TileIndex e, Value value) {
  tiles[tile].elements[e.simplified(threads).key()] = value;
}

Value SimtEmitter::element(Value tile, TileIndex e) {
  e = e.simplified(threads);
  Tile &known = tiles[tile];
  auto it = known.elements.find(e.key());
  if (it != known.elements.end())
    return it->second;
  Type type = typeOf(tile).getElementType();
  int64_t perWord = type.isBF16() ? 2 : isa<Float8E4M3FNType>(type) ? 4 : 1;
  Value value;
  if (perWord > 1 && !e.dynamic && e.scale % perWord == 0) {
    int64_t part = e.constant % perWord;
    TileIndex base = e.plus(-part).simplified(threads);
    auto word = known.words.find(base.key());
    if (word != known.words.end())
      value = fromWord(word->second, type, part);
  }
  if (!value)
    value = compute(tile, e);
  // |known| may have moved.
  tiles[tile].elements[e.key()] = value;
  return value;
}

Value SimtEmitter::compute(Value tile, TileIndex e) {
  Operation *op = tile.getDefiningOp();
  auto lazyReduce = dyn_cast_or_null<ReduceOp>(op);
  if (lazyReduce && isLazyReduce(lazyReduce) && !tiles[tile].cover)
    return reduceElement(lazyReduce, e);
  if (isLeaf(tile))
    return readSpilled(tile, e);
  Shape shape = typeOf(tile).getShape();
  if (isElementwise(op)) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(isa<RankedTensorType>(operand.getType())
                             ? element(operand, e)
                             : scalar(operand));
    return emitElement(op, operands);
  }
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](arith::ConstantOp o) { return constantElement(o, e); })
      .Case([&](SplatOp o) -> Value {
        Value value = scalar(o.getScalar());
        if (o.getScalar().getType().isIndex())
          value = builder->createOrFold<arith::TruncIOp>(builder->getI32Type(),
                                                         value);
        return value;
      })
      .Case([&](IotaOp o) {
        return indexValue(coordinates(e, shape)[o.getDim()]);
      })
      .Case([&](ReshapeOp o) { return element(o.getSource(), e); })
      .Case([&](BroadcastOp o) {
        Shape from = typeOf(o.getSource()).getShape();
        if (sizeOf(o.getSource()) == 1)
          return element(o.getSource(), TileIndex::of(0));
        if (sizeOf(o.getSource()) == sizeOf(tile))
          return element(o.getSource(), e);
        SmallVector<TileIndex> at = coordinates(e, shape);
        return element(o.getSource(),
                       linear(ArrayRef(at).take_back(from.size()), from));
      })
      .Case([&](SliceOp o) {
        SmallVector<TileIndex> at = coordinates(e, shape);
        for (auto [index, offset] : llvm::zip(at, o.getOffsets()))
          index = index.plus(offset);
        return element(o.getSource(),
                       linear(at, typeOf(o.getSource()).getShape()));
      })
      .Case([&](TransposeOp o) {
        SmallVector<TileIndex> at = coordinates(e, shape);
        std::swap(at[0], at[1]);
        return element(o.getSource(),
                       linear(at, typeOf(o.getSource()).getShape()));
      })
      .Case([&](ConcatOp o) { return concatElement(o, e); })
      .Case([&](DeinterleaveOp o) {
        TileIndex from =
            e.dynamic ? TileIndex{0, 0, 1,
                                  builder->mul(indexValue(e), builder->i32(2))}
                      : e.times(2);
        return element(o.getSource(), from.plus(tile == o.getOdd() ? 1 : 0));
      })
      .Case([&](InterleaveOp o) -> Value {
        if (!e.dynamic && e.scale % 2 == 0) {
          TileIndex half{e.constant / 2, e.scale / 2, e.div, {}};
          return element(e.constant % 2 ? o.getOdd() : o.getEven(), half);
        }
        Value index = indexValue(e);
        TileIndex half{0, 0, 1,
                       builder->createOrFold<arith::ShRUIOp>(
                           index, builder->i32(1))};
        Value isOdd = builder->createOrFold<arith::TruncIOp>(
            builder->getI1Type(), index);
        return builder->select(isOdd, element(o.getOdd(), half),
                               element(o.getEven(), half));
      })
      .Default([&](Operation *o) {
        return refuse(o, computeType(typeOf(tile).getElementType()),
                      "no instruction for it");
      });
}

// The part that holds an element is known at compile time for most registers;
// the others choose.
Value SimtEmitter::concatElement(ConcatOp op, TileIndex e) {
  SimtBuilder &b = *builder;
  unsigned dim = op.getDim();
  Shape shape = typeOf(op.getResult()).getShape();
  SmallVector<TileIndex> at = coordinates(e, shape);
  TileIndex along = at[dim];
  int64_t first = along.dynamic ? 0 : along.constant;
  int64_t last = along.dynamic ? shape[dim] - 1
                               : std::min(shape[dim] - 1,
                                          first + along.scale *
                                                      along.lastStep(threads));
  Value result;
  int64_t begin = 0;
  for (Value source : op.getSources()) {
    Shape part = typeOf(source).getShape();
    int64_t end = begin + part[dim];
    if (first < end && last >= begin) {
      TileIndex within = along.plus(-begin);
      if (along.dynamic || within.constant < 0) {
        Value offset = b.sub(indexValue(along), b.i32(begin));
        within = {0, 0, 1,
                  b.createOrFold<arith::MaxSIOp>(offset, b.i32(0))};
      }
      SmallVector<TileIndex> from(at);
      from[dim] = within;
      Value value = element(source, linear(from, part));
      result = result ? b.select(b.compare(CmpIPredicate::ult,
                                           indexValue(along), b.i32(begin)),
                                 result, value)
                      : value;
    }
    begin = end;
  }
  return result;
}

// A sum over a few rows of something cheap is formed where it is used.
bool SimtEmitter::isLazyReduce(ReduceOp op) {
  RankedTensorType type = typeOf(op.getSource());
  int64_t dim = op.getDim(), inner = 1;
  for (int64_t extent : type.getShape().drop_front(dim + 1))
    inner *= extent;
  return inner > 1 && type.getDimSize(dim) <= kVector;
}

Value SimtEmitter::reduceElement(ReduceOp op, TileIndex e) {
  Merge merge = mergeOf(op);
  Shape shape = typeOf(op.getSource()).getShape();
  SmallVector<TileIndex> at =
      coordinates(e, typeOf(op.getResult()).getShape());
  Value result;
  for (int64_t j = 0; j < shape[op.getDim()]; ++j) {
    at[op.getDim()] = TileIndex::of(j);
    Value value = element(op.getSource(), linear(at, shape));
    result = result ? merge(result, value) : value;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Through shared memory
//===----------------------------------------------------------------------===//

static int64_t sharedBytesOf(Type compute) {
  return std::max<int64_t>(compute.getIntOrFloatBitWidth() / 8, 1);
}

// Its barriers are for all threads, and all come: branches and loops go by
// uniform scalars, what differs from thread to thread is predicated.
void SimtEmitter::spill(Value tile) {
  if (tiles[tile].spill >= 0)
    return;
  SimtBuilder &b = *builder;
  int64_t size = sizeOf(tile);
  Type type = computeType(typeOf(tile).getElementType());
  int64_t bytes = sharedBytesOf(type);
  int64_t offset = allocateShared(size * bytes);
  Cover cover = coverOf(tile);
  SmallVector<Value> values;
  for (TileIndex e : cover)
    values.push_back(element(tile, e));
  barrierBeforeWrite();
  for (auto [e, value] : llvm::zip(cover, values)) {
    if (type.isInteger(1))
      value = arith::ExtUIOp::create(b, b.getI8Type(), value);
    Value at = b.mul(indexValue(e), b.i32(bytes));
    b.storeShared(value, sharedBase, b.add(at, b.i32(offset)), owns(e, size));
  }
  barrier();
  tiles[tile].spill = offset;
}

void SimtEmitter::spillLeaves(Value tile) {
  auto reduce = tile.getDefiningOp<ReduceOp>();
  if (isLeaf(tile) && !(reduce && isLazyReduce(reduce))) {
    if (sizeOf(tile) > kVector || !isUniform(coverOf(tile)))
      spill(tile);
    return;
  }
  for (Value operand : tile.getDefiningOp()->getOperands())
    if (isa<RankedTensorType>(operand.getType()))
      spillLeaves(operand);
}

Value SimtEmitter::readSpilled(Value tile, TileIndex e) {
  SimtBuilder &b = *builder;
  int64_t size = sizeOf(tile);
  // A few registers that every thread holds need no memory.
  if (tiles[tile].spill < 0 && size <= kVector) {
    Cover cover = coverOf(tile);
    if (isUniform(cover)) {
      Value index = indexValue(e), result;
      for (TileIndex at : cover) {
        Value value = element(tile, at);
        result = result ? b.select(b.compare(CmpIPredicate::eq, index,
                                             b.i32(at.constant)),
                                   value, result)
                        : value;
      }
      return result;
    }
  }
  spill(tile);
  Type type = computeType(typeOf(tile).getElementType());
  Value index = indexValue(e);
  bool inRange =
      !e.dynamic && e.constant + e.scale * e.lastStep(threads) < size;
  if (!inRange)
    index = b.createOrFold<arith::MinUIOp>(index, b.i32(size - 1));
  Value at = b.add(b.mul(index, b.i32(sharedBytesOf(type))),
                   b.i32(tiles[tile].spill));
  if (!type.isInteger(1))
    return b.loadShared(type, sharedBase, at);
  Value byte = b.loadShared(b.getI8Type(), sharedBase, at);
  return arith::TruncIOp::create(b, type, byte);
}

} // namespace hadal::nvptx
