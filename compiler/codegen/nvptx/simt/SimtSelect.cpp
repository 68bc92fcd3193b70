// topk: rounds of an arg max over the lanes of a warp.
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"

using namespace mlir;
using arith::CmpIPredicate;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Below every key of a float.
static constexpr int32_t kTaken = std::numeric_limits<int32_t>::min();

/// Flips the magnitude bits of negative floats: as integers they then order as
/// the floats do. Its own inverse.
static Value flip(SimtBuilder &b, Value bits) {
  Value mask = arith::ShRSIOp::create(b, bits, b.i32(31));
  mask = arith::ShRUIOp::create(b, mask, b.i32(1));
  return arith::XOrIOp::create(b, bits, mask);
}

/// NaN above all others, -0 as +0. flip() of a NaN's key is a NaN again.
static Value keyOf(SimtBuilder &b, Value x) {
  Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  x = arith::AddFOp::create(b, x, b.f32(0.0f));
  return b.select(isNan, b.i32(std::numeric_limits<int32_t>::max()),
                  flip(b, b.bitcast(b.getI32Type(), x)));
}

void SimtEmitter::choose(TopKOp op, Candidates candidates, int64_t lanes,
                         TileIndex row) {
  SimtBuilder &b = *builder;
  auto [keys, columns] = std::move(candidates);
  int64_t count = typeOf(op.getValues()).getDimSize(1);
  for (int64_t round = 0; round < count; ++round) {
    // Columns ascend within a thread: only a better key replaces.
    Value key = keys.front(), column = columns.front();
    for (auto [nextKey, nextColumn] :
         llvm::drop_begin(llvm::zip(keys, columns))) {
      Value better = b.compare(CmpIPredicate::sgt, nextKey, key);
      key = b.select(better, nextKey, key);
      column = b.select(better, nextColumn, column);
    }
    for (int64_t mask = 1; mask < lanes; mask *= 2) {
      Value otherKey = b.shuffleXor(key, mask);
      Value otherColumn = b.shuffleXor(column, mask);
      Value tie = b.both(b.compare(CmpIPredicate::eq, otherKey, key),
                         b.compare(CmpIPredicate::slt, otherColumn, column));
      Value better = arith::OrIOp::create(
          b, b.compare(CmpIPredicate::sgt, otherKey, key), tie);
      key = b.select(better, otherKey, key);
      column = b.select(better, otherColumn, column);
    }
    if (round + 1 < count)
      for (auto [nextKey, nextColumn] : llvm::zip(keys, columns))
        nextKey = b.select(b.compare(CmpIPredicate::eq, nextColumn, column),
                           b.i32(kTaken), nextKey);
    TileIndex e = row.times(count).plus(round);
    define(op.getValues(), e, b.bitcast(b.getF32Type(), flip(b, key)));
    define(op.getIndices(), e, column);
  }
}

LogicalResult SimtEmitter::emitTopK(TopKOp op) {
  SimtBuilder &b = *builder;
  Value source = op.getSource();
  RankedTensorType type = typeOf(source);
  int64_t rows = type.getDimSize(0), length = type.getDimSize(1),
          size = rows * length,
          count = typeOf(op.getValues()).getDimSize(1);
  constexpr int64_t mostRegisters = 64, mostRows = 64;
  if (threads != 32 || length > 32 * mostRegisters || rows > mostRows)
    return op.emitOpError("has no sm_90a lowering: ")
           << rows << " rows of " << length << " candidates";
  Cover result;
  auto finish = [&](Candidates candidates, int64_t lanes, TileIndex row) {
    choose(op, std::move(candidates), lanes, row);
    for (int64_t i = 0; i < count; ++i)
      result.push_back(row.times(count).plus(i));
  };
  auto add = [&](Candidates &to, TileIndex e, Value column, Value real) {
    Value key = keyOf(b, element(source, e));
    to.keys.push_back(real ? b.select(real, key, b.i32(kTaken)) : key);
    to.columns.push_back(column);
  };

  Cover cover = coverOf(source);
  if (!isUniform(cover))
    cover = naturalCover(size);
  int64_t lanes = isUniform(cover) ? 1
                  : rows == 1      ? 32
                                   : std::max<int64_t>(length / kVector, 1);
  bool fits = rows == 1 || isUniform(cover) ||
              (length % kVector == 0 && lanes <= 32 &&
               llvm::isPowerOf2_64(lanes)) ||
              kVector % length == 0;
  if (fits) {
    // Rows lie in neighbouring lanes (or in one thread) and are done at once.
    Candidates candidates;
    std::optional<TileIndex> row;
    for (TileIndex e : cover) {
      // Of a single row the whole warp gets the result.
      TileIndex here =
          rows == 1 ? TileIndex::of(0) : rowOf(e, length, size);
      if (row && here.key() != row->key()) {
        finish(candidates, lanes, *row);
        candidates = {};
      }
      row = here;
      add(candidates, e, indexValue(modulo(e, length, size)),
          rows == 1 && !isUniform(cover) ? inside(e, size) : Value());
    }
    finish(candidates, lanes, *row);
  } else {
    // One row after the other, each by the whole warp.
    spillLeaves(source);
    for (int64_t row = 0; row < rows; ++row) {
      Candidates candidates;
      for (int64_t begin = 0; begin < length; begin += 32) {
        TileIndex column{begin, 1, 1, {}};
        add(candidates, column.plus(row * length), indexValue(column),
            inside(column, length));
      }
      finish(candidates, 32, TileIndex::of(row));
    }
  }
  setCover(op.getValues(), result);
  setCover(op.getIndices(), result);
  return failure(failedEmission);
}

} // namespace hadal::nvptx
