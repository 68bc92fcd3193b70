// swap_ab: D^T = W . X^T, for tiles of few tokens.
//
// wgmma multiplies 64 rows at least. With tokens as its rows a tile of 8 of them
// wastes seven eighths of the products; with weights as its rows and tokens as
// its 8..64 columns none is wasted, and a stage holds 8 rows of x instead of 64.
// The fold runs on transposed accumulators: a scale of x belongs to a column, a
// scale of the weight to a block of rows. Behind the fold the states pass through
// shared memory into the layout of every other kernel, with the columns spread
// over the warps that have no row, so that epilogues know nothing of it.
#include "compiler/codegen/nvptx/pipeline/Pipeline.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// The most tokens of a tile, wgmma's columns.
static constexpr int64_t kMaxTokens = 64;

//===----------------------------------------------------------------------===//
// Plan
//===----------------------------------------------------------------------===//

static InFlightDiagnostic refuse(Operation *op) {
  return op->emitOpError("has no sm_90a lowering with swap_ab: ");
}

/// Whether |op| makes no value of the tile that the fold accumulates.
static bool isOutsideProduct(Operation *op) {
  return isa<LoadOp, DotOp, DotScaledOp>(op) ||
         llvm::none_of(op->getResultTypes(), [](Type type) {
           return isa<RankedTensorType>(type);
         });
}

static LogicalResult checkFold(FoldOp fold) {
  Block &body = fold.getBody().front();
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    Operation *dot = value.getDefiningOp();
    Value acc;
    if (auto plain = dyn_cast_or_null<DotOp>(dot))
      acc = plain.getAcc();
    if (auto scaled = dyn_cast_or_null<DotScaledOp>(dot))
      acc = scaled.getAcc();
    if (!acc || acc != fold.getState()[i])
      return refuse(fold) << "its state " << i
                          << " is not the sum of one contraction a step";
  }
  for (Operation &op : body.without_terminator())
    if (!isOutsideProduct(&op))
      return refuse(&op) << "inside a fold it takes contractions only";
  return success();
}

LogicalResult PipelineEmitter::planTransposed() {
  int64_t columns = 0, step = 32, states = 0;
  bool reshapes = false;
  WalkResult walk = kernel.walk([&](Operation *op) {
    if (auto fold = dyn_cast<FoldOp>(op)) {
      states = std::max<int64_t>(states, fold.getInits().size());
      return failed(checkFold(fold)) ? WalkResult::interrupt()
                                     : WalkResult::advance();
    }
    reshapes |= isa<SliceOp, ConcatOp, DeinterleaveOp, InterleaveOp>(op);
    if (auto store = dyn_cast<StoreOp>(op))
      if (store.getScales())
        step = 64;
    Value x, weights;
    if (auto dot = dyn_cast<DotOp>(op)) {
      if (dot.getTa() || !dot.getTb()) {
        refuse(op) << "it takes a as [M, K] and b as [N, K]";
        return WalkResult::interrupt();
      }
      x = dot.getA(), weights = dot.getB();
    } else if (auto dot = dyn_cast<DotScaledOp>(op)) {
      if (!dot.getSa()) {
        op->emitOpError("has no sm_90a lowering without scales of a (W8A16); "
                        "compile with --fp8=w8a8");
        return WalkResult::interrupt();
      }
      x = dot.getA(), weights = dot.getB();
    } else {
      return WalkResult::advance();
    }
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    int64_t rows = type.getDimSize(0), cols = type.getDimSize(1);
    if (!isa<FoldOp>(op->getParentOp())) {
      refuse(op) << "it is not in a fold";
    } else if (!x.getDefiningOp<LoadOp>() || !weights.getDefiningOp<LoadOp>()) {
      refuse(op) << "it takes whole loaded tiles as operands";
    } else if (rows % 8 != 0 || rows > kMaxTokens) {
      refuse(op) << "a tile of " << rows << " rows; it takes 8 to "
                 << kMaxTokens << " in steps of 8";
    } else if (cols % 8 != 0) {
      refuse(op) << "a tile of " << cols << " columns, not a multiple of 8";
    } else if (tileRows && (tileRows != rows || columns != cols)) {
      refuse(op) << "results of " << tileRows << "x" << columns << " and "
                 << rows << "x" << cols << " in one kernel";
    } else {
      tileRows = rows;
      columns = cols;
      // Weights first: a box of too many rows is theirs.
      if (succeeded(planOperand(op, weights, false, llvm::alignTo(cols, 64))) &&
          succeeded(planOperand(op, x, true, 0)))
        return WalkResult::advance();
    }
    return WalkResult::interrupt();
  });
  if (walk.wasInterrupted())
    return failure();
  int64_t blocks = llvm::divideCeil(columns, 64);
  if (blocks % warpgroups != 0)
    return refuseWord("warpgroups", Twine(warpgroups))
           << "a tile of " << columns << " weights has " << blocks
           << " blocks of 64";
  // A thread of 128 registers, half of an SM's for 256 threads, holds 64
  // accumulators beside scales and addresses.
  int64_t accumulators = (states + 1) * blocks * tileRows / 2;
  if (ctasPerSm == 2 && (warpgroups == 2 || accumulators > 64))
    return refuseWord("ctas", Twine(2))
           << accumulators << " accumulators in " << warpgroups
           << " warpgroups; two CTAs hold 64 in one each";
  transposedBlocks = blocks / warpgroups;
  transposedColumns = columns;
  // Warps that have no row of the tile take some of its columns, as long as a
  // quad keeps whole pieces of 16 bytes of each row. A change of shape needs
  // all columns of a row in one quad.
  int64_t parts = reshapes ? 1 : 4 * warpgroups / rowBlocks();
  while (parts > 1 && columns % (step * parts) != 0)
    parts /= 2;
  columnParts = parts;
  if (parts > 1)
    splitColumns = columns;
  return success();
}

int64_t PipelineEmitter::rowBlocks() const {
  return tileRows <= 16 ? 1 : tileRows <= 32 ? 2 : 4;
}

// One store of a warp goes to 8 columns of 4 rows, two rows apart: with four
// floats behind each row's columns those lie in 32 banks.
int64_t PipelineEmitter::stagingPitch() const {
  return llvm::alignTo(transposedColumns, 64) + 4;
}

int64_t PipelineEmitter::stagingBytes() const {
  return tileRows * stagingPitch() * 4;
}

void PipelineEmitter::placeTransposed(Value warp) {
  sm90::AsmBuilder &b = *builder;
  blockColumn = rowInGroup;
  int64_t blocks = rowBlocks();
  Value row = b.bitAnd(warp, b.i32(blocks - 1));
  rowInGroup = b.add(b.shl(row, 4), b.shr(lane, 2));
  Value part = b.shr(b.add(warp, b.shl(group, 2)), llvm::Log2_64(blocks));
  writes = {};
  if (4 * warpgroups / blocks > columnParts) {
    // The other warps compute what the last part does and write nothing.
    writes = b.cmp(arith::CmpIPredicate::ult, part, b.i32(columnParts));
    part = arith::MinUIOp::create(b, part, b.i32(columnParts - 1));
  }
  columnPart = part;
}

Fragment PipelineEmitter::transposedLayout(RankedTensorType type) const {
  Fragment frag;
  frag.rows = type.getDimSize(0);
  frag.cols = type.getDimSize(1);
  frag.width = 2;
  frag.blocks = transposedBlocks;
  return frag;
}

//===----------------------------------------------------------------------===//
// Rows and scales
//===----------------------------------------------------------------------===//

bool PipelineEmitter::feedsDot(RowsOp rows) const {
  return llvm::any_of(rows.getResult().getUsers(), [&](Operation *user) {
    return sharedLoads.contains(user);
  });
}

/// The token of each pair of this thread's columns: 8j + 2q + e at 2j + e.
SmallVector<Value> PipelineEmitter::tokensOfThread() {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> tokens;
  Value first = b.shl(quadColumn, 1);
  for (int64_t i = 0; i < tileRows / 4; ++i)
    tokens.push_back(b.add(first, b.i32(8 * (i / 2) + i % 2)));
  return tokens;
}

Value PipelineEmitter::tokenRows(RowsOp rows) {
  sm90::AsmBuilder &b = *builder;
  TileValue indices = tiles.lookup(rows.getIndices());
  assert(indices.kind == TileValue::function &&
         "the producer, which comes first, takes no others");
  SmallVector<Value> sources;
  for (Value token : tokensOfThread()) {
    Value index = indices.fn(token, b.i32(0));
    sources.push_back(index.getType().isInteger(64) ? b.trunc32(index) : index);
  }
  return b.pack(sources, VectorType::get({static_cast<int64_t>(sources.size())},
                                         b.getI32Type()));
}

/// The first of this thread's rows of the weight in the tile, i64, and how far
/// behind it those lie that have a scale of their own: one per block of 64 rows
/// where such a block lies in one scale block, else two (rows g and g + 8 of the
/// warp's 16).
Value PipelineEmitter::rowsOfBlocks(LoadOp load,
                                    SmallVectorImpl<int64_t> &offsets) {
  sm90::AsmBuilder &b = *builder;
  auto view = cast<ViewType>(load.getView().getType());
  bool whole = view.getScaleRows() % 64 == 0 &&
               divisor(*std::prev(load.getIndices().end(), 2)) % 64 == 0;
  Value start = b.mul(group, b.i32(64 * transposedBlocks));
  if (!whole)
    start = b.add(start, blockColumn);
  for (int64_t j = 0; j < transposedBlocks; ++j)
    for (int64_t half = 0; half < (whole ? 1 : 2); ++half)
      offsets.push_back(64 * j + 8 * half);
  return arith::ExtUIOp::create(b, b.getI64Type(), start);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<PipelineEmitter::Operands>>
PipelineEmitter::operandsTransposed(Operation *op, Value x, Value weights,
                                    int64_t kOffset, int64_t k) {
  sm90::AsmBuilder &b = *builder;
  Value xTile = tiles.lookup(x).value, wTile = tiles.lookup(weights).value;
  auto xType = cast<sm90::TileType>(xTile.getType());
  auto wType = cast<sm90::TileType>(wTile.getType());
  int64_t step = 32 / xType.getElementBytes();
  if (k % step != 0)
    return refuse(op) << "K of " << k << " is not a multiple of " << step;
  auto sliceType = [&](sm90::TileType of, int64_t rows) {
    return sm90::TileType::get(b.getContext(), rows, k, of.getElementType(),
                               of.getPitchRows());
  };
  if (kOffset || xType.getCols() != k)
    xTile = sm90::TileSliceOp::create(b, sliceType(xType, xType.getRows()),
                                      xTile, Value(), Value(), 0, kOffset);
  Value row = warpgroups > 1
                  ? b.mul(group, b.i32(64 * transposedBlocks))
                  : Value();
  SmallVector<Operands> blocks;
  for (int64_t j = 0; j < transposedBlocks; ++j) {
    Value block = wTile;
    if (row || wType.getRows() != 64 || wType.getCols() != k)
      block = sm90::TileSliceOp::create(b, sliceType(wType, 64), wTile, row,
                                        Value(), 64 * j, kOffset);
    blocks.push_back({block, Value(), xTile, tileRows, /*bMn=*/false});
  }
  return blocks;
}

FailureOr<SmallVector<Value>>
PipelineEmitter::multiplyTransposed(Operation *op, Value x, Value weights,
                                    int64_t kOffset, int64_t k,
                                    ValueRange accs) {
  sm90::AsmBuilder &b = *builder;
  FailureOr<SmallVector<Operands>> blocks =
      operandsTransposed(op, x, weights, kOffset, k);
  if (failed(blocks))
    return failure();
  auto accType = sm90::AccType::get(b.getContext(), tileRows / 2);
  SmallVector<Type> accTypes(accs.size(), accType);
  auto fence = sm90::MmaFenceOp::create(b, accTypes, accs);
  SmallVector<Value> products;
  for (auto [j, operands] : llvm::enumerate(*blocks))
    products.push_back(
        issue(operands, accs.empty() ? Value() : fence.getAccumulators()[j]));
  sm90::MmaCommitOp::create(b);
  SmallVector<Type> vectors(
      products.size(), VectorType::get({tileRows / 2}, b.getF32Type()));
  auto wait =
      sm90::MmaWaitOp::create(b, vectors, TypeRange(), products, ValueRange(),
                              ValueRange(), /*pending=*/0);
  return SmallVector<Value>(wait.getValues());
}

LogicalResult PipelineEmitter::emitDotTransposed(DotOp dot) {
  FailureOr<Fragment> acc = materialize(dot, dot.getAcc());
  int64_t k = cast<RankedTensorType>(dot.getA().getType()).getDimSize(1);
  if (failed(acc))
    return failure();
  SmallVector<Value> accs;
  int64_t count = tileRows / 2;
  for (int64_t j = 0; j < transposedBlocks; ++j)
    accs.push_back(slice(acc->regs, j * count, count));
  FailureOr<SmallVector<Value>> sums =
      multiplyTransposed(dot, dot.getA(), dot.getB(), 0, k, accs);
  if (failed(sums))
    return failure();
  Value whole;
  for (Value sum : *sums)
    whole = whole ? append(whole, sum) : sum;
  acc->regs = whole;
  setFragment(dot.getResult(), *acc);
  return success();
}

// As emitDotScaled: each block of K from zero, then the promotion.
LogicalResult PipelineEmitter::emitDotScaledTransposed(DotScaledOp dot) {
  sm90::AsmBuilder &b = *builder;
  FailureOr<Fragment> acc = materialize(dot, dot.getAcc());
  if (failed(acc))
    return failure();
  TileValue sa = tiles.lookup(dot.getSa()), sb = tiles.lookup(dot.getSb());
  if (sa.kind != TileValue::scales || sb.kind != TileValue::scales)
    return refuse(dot) << "its scales are not those of loaded tiles";
  int64_t k = cast<RankedTensorType>(dot.getA().getType()).getDimSize(1);
  int64_t block = dot.getK(), steps = (k + block - 1) / block;
  int64_t tokens = tileRows / 4, count = tileRows / 2;
  int64_t perStep =
      cast<VectorType>(sb.value.getType()).getNumElements() / steps;
  int64_t halves = perStep / transposedBlocks;
  SmallVector<Value> sums;
  for (int64_t j = 0; j < transposedBlocks; ++j)
    sums.push_back(slice(acc->regs, j * count, count));
  for (int64_t kb = 0; kb < steps; ++kb) {
    int64_t width = std::min(block, k - kb * block);
    FailureOr<SmallVector<Value>> products = multiplyTransposed(
        dot, dot.getA(), dot.getB(), kb * block, width, /*accs=*/{});
    if (failed(products))
      return failure();
    if (kb + 1 == steps)
      releaseAfter(dot);
    for (int64_t j = 0; j < transposedBlocks; ++j) {
      // The products of the scales, per half of the rows and token.
      SmallVector<int64_t> takeA, takeB, spread;
      for (int64_t half = 0; half < halves; ++half)
        for (int64_t t = 0; t < tokens; ++t) {
          takeA.push_back(kb * tokens + t);
          takeB.push_back(kb * perStep + j * halves + half);
        }
      Value both = arith::MulFOp::create(b, shuffle(sa.value, takeA),
                                         shuffle(sb.value, takeB));
      for (int64_t i = 0; i < count; ++i)
        spread.push_back((halves == 2 ? ((i >> 1) & 1) * tokens : 0) +
                         2 * (i >> 2) + (i & 1));
      sums[j] =
          math::FmaOp::create(b, (*products)[j], shuffle(both, spread), sums[j]);
    }
  }
  acc->regs = {};
  for (Value sum : sums)
    acc->regs = acc->regs ? append(acc->regs, sum) : sum;
  setFragment(dot.getResult(), *acc);
  return success();
}

//===----------------------------------------------------------------------===//
// Back to rows
//===----------------------------------------------------------------------===//

// Written by the transposed map (Values.h) as [row][column], read by that of
// accumulators.
Fragment PipelineEmitter::toRows(const Fragment &state) {
  sm90::AsmBuilder &b = *builder;
  int64_t pitch = stagingPitch();
  auto at = [&](Value base, int64_t offset) -> Value {
    Value pointer = LLVM::GEPOp::create(b, staging.getType(), b.getF32Type(),
                                        staging, ArrayRef<LLVM::GEPArg>{base});
    if (!offset)
      return pointer;
    return LLVM::GEPOp::create(
        b, staging.getType(), b.getF32Type(), pointer,
        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(offset)});
  };
  if (stagingRead)
    consumerBarrier();
  stagingRead = true;
  Value first = b.add(b.mul(quadColumn, b.i32(2 * pitch)), blockColumn);
  first = b.add(first, b.mul(group, b.i32(64 * state.blocks)));
  SmallVector<Value> elements = b.unpack(state.regs);
  int64_t perBlock = state.rows / 2;
  for (int64_t i = 0; i < state.count(); ++i) {
    int64_t r = i % perBlock;
    LLVM::StoreOp::create(b, elements[i],
                          at(first, (8 * (r >> 2) + (r & 1)) * pitch +
                                        64 * (i / perBlock) +
                                        8 * ((r >> 1) & 1)));
  }
  consumerBarrier();
  Fragment frag = layoutOf(
      RankedTensorType::get({state.rows, state.cols}, b.getF32Type()));
  Value lines[2];
  for (int64_t half = 0; half < 2; ++half) {
    // Rows that do not exist repeat the last one; no store takes them.
    Value row = arith::MinUIOp::create(b, fragmentRow(frag, 2 * half),
                                       b.i32(state.rows - 1));
    lines[half] = b.add(b.mul(row, b.i32(pitch)), fragmentCol(frag, 0));
  }
  auto pair = VectorType::get({2}, b.getF32Type());
  SmallVector<Value> loaded;
  for (int64_t i = 0; i < frag.count(); i += 2) {
    Value both = LLVM::LoadOp::create(
        b, pair, at(lines[fragmentHalf(frag, i)], 8 * (i >> 2)), 8);
    llvm::append_range(loaded, b.unpack(both));
  }
  frag.regs =
      b.pack(loaded, VectorType::get({frag.count()}, b.getF32Type()));
  return frag;
}

} // namespace hadal::nvptx
