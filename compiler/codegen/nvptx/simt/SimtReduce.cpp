// Reductions, prefix sums and quantisation: where threads exchange values.
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace hadal::nvptx {

using namespace hadal::tile;

static bool isPowerOf2(int64_t value) {
  return value > 0 && (value & (value - 1)) == 0;
}

SimtEmitter::Merge SimtEmitter::mergeOf(ReduceOp op) {
  bool isMax = op.getKind() == ReduceKind::Max;
  bool isFloat =
      isa<FloatType>(typeOf(op.getSource()).getElementType());
  return [this, isMax, isFloat](Value x, Value y) -> Value {
    SimtBuilder &b = *builder;
    if (isMax && isFloat)
      return arith::MaximumFOp::create(b, x, y);
    if (isMax)
      return arith::MaxSIOp::create(b, x, y);
    if (isFloat)
      return arith::AddFOp::create(b, x, y);
    return b.add(x, y);
  };
}

/// Neighbours first, so that the chain of dependent operations is short.
Value SimtEmitter::fold(SmallVector<Value> values, const Merge &merge) {
  while (values.size() > 1) {
    size_t half = 0;
    for (size_t i = 0; i + 1 < values.size(); i += 2)
      values[half++] = merge(values[i], values[i + 1]);
    if (values.size() % 2)
      values[half++] = values.back();
    values.truncate(half);
  }
  return values.front();
}

/// Over |lanes| neighbouring lanes, a power of two from a multiple of it on.
/// All of them get the same bits: at each step two lanes merge the same pair,
/// and merge is commutative.
Value SimtEmitter::foldLanes(Value value, int64_t lanes, const Merge &merge) {
  for (int64_t mask = 1; mask < lanes; mask *= 2)
    value = merge(value, builder->shuffleXor(value, mask));
  return value;
}

Value SimtEmitter::foldThreads(Value value, Value identity,
                               const Merge &merge) {
  SimtBuilder &b = *builder;
  value = foldLanes(value, 32, merge);
  int64_t warps = threads / 32;
  if (warps == 1)
    return value;
  int64_t offset = allocateShared(4 * warps);
  Value lane = b.createOrFold<arith::AndIOp>(thread, b.i32(31));
  Value warp = step(32);
  barrierBeforeWrite();
  b.storeShared(value, sharedBase,
                b.add(b.mul(warp, b.i32(4)), b.i32(offset)),
                b.compare(CmpIPredicate::eq, lane, b.i32(0)));
  barrier();
  // Every warp folds the partial values again, so all threads get the result.
  int64_t lanes = llvm::PowerOf2Ceil(warps);
  Value slot = b.createOrFold<arith::AndIOp>(lane, b.i32(lanes - 1));
  Value exists;
  if (lanes != warps) {
    exists = b.compare(CmpIPredicate::ult, slot, b.i32(warps));
    slot = b.createOrFold<arith::MinUIOp>(slot, b.i32(warps - 1));
  }
  Value partial =
      b.loadShared(value.getType(), sharedBase,
                   b.add(b.mul(slot, b.i32(4)), b.i32(offset)));
  if (exists)
    partial = b.select(exists, partial, identity);
  return foldLanes(partial, lanes, merge);
}

//===----------------------------------------------------------------------===//
// reduce
//===----------------------------------------------------------------------===//

LogicalResult SimtEmitter::emitReduce(ReduceOp op) {
  SimtBuilder &b = *builder;
  RankedTensorType type = typeOf(op.getSource());
  Type compute = computeType(type.getElementType());
  if (!compute.isF32() && !compute.isInteger(32))
    return op.emitOpError("has no sm_90a lowering: reduces f32, bf16 and i32");
  Merge merge = mergeOf(op);
  bool isMax = op.getKind() == ReduceKind::Max;
  Value identity;
  if (compute.isF32())
    identity = b.f32(isMax ? -std::numeric_limits<float>::infinity() : 0.0f);
  else
    identity = b.i32(isMax ? std::numeric_limits<int32_t>::min() : 0);
  if (type.getElementType().isBF16())
    return op.emitOpError("has no sm_90a lowering: a reduction in bf16");
  if (sizeOf(op.getResult()) == 1)
    return reduceWhole(op, merge, identity);
  int64_t inner = 1;
  for (int64_t extent : type.getShape().drop_front(op.getDim() + 1))
    inner *= extent;
  if (inner != 1 || !reduceRows(op, merge))
    reduceSerially(op, merge);
  return failure(failedEmission);
}

LogicalResult SimtEmitter::reduceWhole(ReduceOp op, const Merge &merge,
                                       Value identity) {
  SimtBuilder &b = *builder;
  Value source = op.getSource();
  int64_t size = sizeOf(source);
  Cover cover = coverOf(source);
  bool uniform = isUniform(cover);
  SmallVector<Value> values;
  for (TileIndex e : cover) {
    Value value = element(source, e);
    Value mine = uniform ? Value() : owns(e, size);
    values.push_back(mine ? b.select(mine, value, identity) : value);
  }
  Value result = fold(values, merge);
  if (!uniform)
    result = foldThreads(result, identity, merge);
  define(op.getResult(), TileIndex::of(0), result);
  setCover(op.getResult(), {TileIndex::of(0)});
  return failure(failedEmission);
}

// Rows that lie in one thread, in a power of two of neighbouring lanes, or in
// registers that every thread has. The natural cover gives thread t the kVector
// elements from kVector t on, so that a row of kVector times 1, 2, .. 32 starts
// at a multiple of its lanes and never lies in two warps.
bool SimtEmitter::reduceRows(ReduceOp op, const Merge &merge) {
  Value source = op.getSource(), result = op.getResult();
  int64_t size = sizeOf(source), rows = sizeOf(result), length = size / rows;
  Cover cover = coverOf(source);
  int64_t lanes = 1;
  if (!isUniform(cover)) {
    cover = naturalCover(size);
    bool split = length > kVector;
    if (split ? length % kVector != 0 : kVector % length != 0)
      return false;
    lanes = split ? length / kVector : 1;
    if (!isPowerOf2(lanes) || lanes > 32)
      return false;
  }
  Cover rowsCover;
  SmallVector<Value> values;
  auto finish = [&](TileIndex row) {
    define(result, row, foldLanes(fold(values, merge), lanes, merge));
    rowsCover.push_back(row);
    values.clear();
  };
  std::optional<TileIndex> row;
  for (TileIndex e : cover) {
    TileIndex here = rowOf(e, length, size);
    if (row && here.key() != row->key())
      finish(*row);
    row = here;
    values.push_back(element(source, e));
  }
  finish(*row);
  setCover(result, rowsCover);
  return true;
}

/// One result per thread, the elements of its row or column in turn.
void SimtEmitter::reduceSerially(ReduceOp op, const Merge &merge) {
  Value result = op.getResult();
  int64_t size = sizeOf(result);
  spillLeaves(op.getSource());
  Cover cover;
  for (int64_t begin = 0; begin < size; begin += threads) {
    TileIndex e{begin, 1, 1, {}};
    define(result, e, reduceLoop(op, e, merge));
    cover.push_back(e);
  }
  setCover(result, cover);
}

Value SimtEmitter::reduceLoop(ReduceOp op, TileIndex e, const Merge &merge) {
  SimtBuilder &b = *builder;
  Shape shape = typeOf(op.getSource()).getShape();
  unsigned dim = op.getDim();
  SmallVector<TileIndex> at =
      coordinates(e, typeOf(op.getResult()).getShape());
  Value first = element(op.getSource(), linear(at, shape));
  if (shape[dim] == 1)
    return first;
  auto loop = scf::ForOp::create(b, b.i32(1), b.i32(shape[dim]), b.i32(1),
                                 ValueRange(first));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  (void)scoped([&] {
    at[dim] = {0, 0, 1, loop.getInductionVar()};
    Value value = element(op.getSource(), linear(at, shape));
    scf::YieldOp::create(
        b, ValueRange(merge(loop.getRegionIterArgs()[0], value)));
    return success();
  });
  return loop.getResult(0);
}

//===----------------------------------------------------------------------===//
// scan
//===----------------------------------------------------------------------===//

// Elements in flat order are: round by round, warp by warp, lane by lane, and
// within a thread one vector.
LogicalResult SimtEmitter::emitScan(ScanOp op) {
  SimtBuilder &b = *builder;
  Value source = op.getSource(), result = op.getResult();
  int64_t size = sizeOf(source);
  if (typeOf(source).getDimSize(op.getDim()) != size)
    return op.emitOpError("has no sm_90a lowering: more than one row");
  Cover cover = naturalCover(size);
  int64_t warps = threads / 32;
  int64_t rounds = llvm::divideCeil(size, threads * kVector);
  if (rounds * warps > 32)
    return op.emitOpError("has no sm_90a lowering: a scan over ")
           << size << " elements with " << threads << " threads";
  Value zero = b.i32(0);

  bool uniform = isUniform(cover);
  SmallVector<Value> before, totals, inWarp;
  size_t next = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    Value sum = zero;
    for (int64_t v = 0; v < kVector && next < cover.size(); ++v, ++next) {
      TileIndex e = cover[next];
      Value value = element(source, e);
      if (Value real = uniform ? Value() : inside(e, size))
        value = b.select(real, value, zero);
      before.push_back(sum);
      sum = b.add(sum, value);
    }
    totals.push_back(sum);
  }
  if (!uniform) {
    Value lane = b.createOrFold<arith::AndIOp>(thread, b.i32(31));
    auto scanLanes = [&](Value value) {
      for (int delta = 1; delta < 32; delta *= 2) {
        Value lower = b.shuffleUp(value, delta);
        Value has = b.compare(CmpIPredicate::uge, lane, b.i32(delta));
        value = b.add(value, b.select(has, lower, zero));
      }
      return value;
    };
    SmallVector<Value> inclusive;
    for (Value total : totals)
      inclusive.push_back(scanLanes(total));
    // Totals of each (round, warp) through shared memory, scanned by every warp.
    Value bases = zero;
    int64_t offset = -1, count = rounds * warps;
    if (count > 1) {
      offset = allocateShared(4 * count);
      Value warp = step(32);
      barrierBeforeWrite();
      Value isLast = b.compare(CmpIPredicate::eq, lane, b.i32(31));
      for (auto [round, value] : llvm::enumerate(inclusive)) {
        Value slot = b.add(warp, b.i32(round * warps));
        b.storeShared(value, sharedBase,
                      b.add(b.mul(slot, b.i32(4)), b.i32(offset)), isLast);
      }
      barrier();
      // Lane i scans total i; lanes from |count| on repeat the last one, and
      // nobody asks them.
      Value slot = b.createOrFold<arith::MinUIOp>(lane, b.i32(count - 1));
      Value part =
          b.loadShared(b.getI32Type(), sharedBase,
                       b.add(b.mul(slot, b.i32(4)), b.i32(offset)));
      bases = b.sub(scanLanes(part), part);
    }
    for (int64_t round = 0; round < rounds; ++round) {
      Value base = b.sub(inclusive[round], totals[round]);
      if (count > 1)
        base = b.add(base,
                     b.shuffleIndex(bases, b.add(step(32),
                                                 b.i32(round * warps))));
      totals[round] = base;
    }
  } else {
    totals.assign(1, zero);
  }
  for (size_t i = 0; i < cover.size(); ++i)
    define(result, cover[i],
           b.add(before[i], totals[uniform ? 0 : i / kVector]));
  setCover(result, cover);
  return failure(failedEmission);
}

//===----------------------------------------------------------------------===//
// quantize
//===----------------------------------------------------------------------===//

LogicalResult SimtEmitter::emitQuantize(QuantizeOp op) {
  SimtBuilder &b = *builder;
  Value x = op.getX(), codes = op.getCodes();
  int64_t size = sizeOf(x), group = op.getGroup();
  Shape shape = typeOf(x).getShape();
  bool uniform = size <= kVector;
  if ((shape[0] != 1 && shape[1] % group != 0) ||
      (!uniform &&
       (group % kVector != 0 || !isPowerOf2(group / kVector) ||
        group / kVector > 32)))
    return op.emitOpError("has no sm_90a lowering: groups of ")
           << group << " in rows of " << shape[1];
  int64_t lanes = uniform ? 1 : group / kVector;
  Merge maximum = [&](Value p, Value q) -> Value {
    return arith::MaximumFOp::create(b, p, q);
  };
  Cover cover = naturalCover(size), scalesCover;
  Value floor = b.f32(op.getFloor().convertToFloat());
  size_t step = uniform ? std::min(group, size) : kVector;
  for (size_t begin = 0; begin < cover.size(); begin += step) {
    ArrayRef<TileIndex> run =
        ArrayRef(cover).slice(begin, std::min(step, cover.size() - begin));
    SmallVector<Value> values, magnitudes;
    for (TileIndex e : run) {
      Value value = element(x, e);
      if (Value real = inside(e, size))
        value = b.select(real, value, b.f32(0.0f));
      values.push_back(value);
      magnitudes.push_back(LLVM::FAbsOp::create(b, value));
    }
    Value amax = foldLanes(fold(magnitudes, maximum), lanes, maximum);
    Value scale = arith::DivFOp::create(b, maximum(amax, floor), b.f32(448.0f));
    if (op.getFormat() == ScaleFormat::UE8M0) {
      // Up to the next power of two by the bits; infinity and NaN stay.
      Value bits = b.bitcast(b.getI32Type(), scale);
      bits = arith::AndIOp::create(b, b.add(bits, b.i32(0x7fffff)),
                                   b.i32(0x7f800000));
      bits = arith::MaxSIOp::create(b, bits, b.i32(0x00800000));
      bits = arith::MinSIOp::create(b, bits, b.i32(0x7f000000));
      Value isDamaged =
          arith::CmpFOp::create(b, arith::CmpFPredicate::UEQ, scale,
                                b.f32(std::numeric_limits<float>::infinity()));
      scale = b.select(isDamaged, scale, b.bitcast(b.getF32Type(), bits));
    }
    TileIndex row = rowOf(run.front(), group, size);
    define(op.getScales(), row, scale);
    scalesCover.push_back(row);

    for (Value &value : values)
      value = arith::DivFOp::create(b, value, scale);
    while (values.size() % 4)
      values.push_back(b.f32(0.0f));
    for (size_t i = 0; i < values.size(); i += 4) {
      auto wide = [&](Value low, Value high) -> Value {
        return arith::ExtUIOp::create(b, b.getI32Type(),
                                      b.packE4M3(low, high));
      };
      Value upper = arith::ShLIOp::create(
          b, wide(values[i + 2], values[i + 3]), b.i32(16));
      tiles[codes].words[run[i].simplified(threads).key()] =
          arith::OrIOp::create(b, wide(values[i], values[i + 1]), upper);
    }
  }
  setCover(codes, cover);
  setCover(op.getScales(), scalesCover);
  return failure(failedEmission);
}

} // namespace hadal::nvptx
