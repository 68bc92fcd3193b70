// Fragments, elementwise ops, reductions, quantisation.
#include "compiler/codegen/nvptx/common/Codes.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

#include <numeric>

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Registers that a chain of elementwise ops works on at a time.
static constexpr int64_t kChunk = 16;

static SmallVector<int64_t> range(int64_t first, int64_t count) {
  SmallVector<int64_t> mask(count);
  std::iota(mask.begin(), mask.end(), first);
  return mask;
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

Fragment PipelineEmitter::layoutOf(RankedTensorType type,
                                   int64_t width) const {
  Fragment frag;
  frag.rows = type.getDimSize(0);
  frag.cols = type.getRank() == 1 ? 1 : type.getDimSize(1);
  frag.width = frag.cols == 1 ? 0 : width;
  if (frag.rows <= 64 && frag.cols >= splitColumns)
    frag.parts = columnParts;
  return frag;
}

int64_t PipelineEmitter::fragmentHalf(const Fragment &frag, int64_t i) const {
  return frag.width == 2 ? (i >> 1) & 1 : i & 1;
}

Value PipelineEmitter::fragmentRow(const Fragment &frag, int64_t i) {
  sm90::AsmBuilder &b = *builder;
  if (frag.blocks) {
    i %= frag.rows / 2;
    return b.add(b.shl(quadColumn, 1), b.i32(8 * (i >> 2) + (i & 1)));
  }
  Value row = rowInGroup;
  if (fragmentHalf(frag, i))
    row = b.add(row, b.i32(8));
  if (frag.rows > 64)
    row = b.add(row, b.shl(group, 6));
  return row;
}

Value PipelineEmitter::fragmentCol(const Fragment &frag, int64_t i) {
  sm90::AsmBuilder &b = *builder;
  if (frag.blocks) {
    int64_t block = i / (frag.rows / 2);
    Value first = b.mul(group, b.i32(64 * frag.blocks));
    return b.add(b.add(first, blockColumn),
                 b.i32(64 * block + 8 * ((i >> 1) & 1)));
  }
  if (frag.width == 0)
    return b.i32(0);
  Value col = frag.width == 2
                  ? b.add(b.shl(quadColumn, 1), b.i32(8 * (i >> 2) + (i & 1)))
                  : b.add(quadColumn, b.i32(4 * (i >> 1)));
  if (frag.parts > 1)
    col = b.add(col, b.mul(columnPart, b.i32(frag.cols / frag.parts)));
  return col;
}

Value PipelineEmitter::splat(Value scalar, int64_t count) {
  return vector::BroadcastOp::create(
      *builder, VectorType::get({count}, scalar.getType()), scalar);
}

Value PipelineEmitter::shuffle(Value vector, ArrayRef<int64_t> mask) {
  return vector::ShuffleOp::create(*builder, vector, vector, mask);
}

Value PipelineEmitter::shuffle2(Value first, Value second,
                                ArrayRef<int64_t> mask) {
  return vector::ShuffleOp::create(*builder, first, second, mask);
}

Value PipelineEmitter::append(Value first, Value second) {
  int64_t n = cast<VectorType>(first.getType()).getNumElements() +
              cast<VectorType>(second.getType()).getNumElements();
  return shuffle2(first, second, range(0, n));
}

Value PipelineEmitter::slice(Value vector, int64_t first, int64_t count) {
  if (cast<VectorType>(vector.getType()).getNumElements() == count)
    return vector;
  return shuffle(vector, range(first, count));
}

void PipelineEmitter::setFragment(Value tile, const Fragment &frag) {
  TileValue value;
  value.kind = TileValue::fragment;
  value.frag = frag;
  tiles[tile] = value;
}

void PipelineEmitter::setFunction(Value tile, ElementFn fn) {
  TileValue value;
  value.kind = TileValue::function;
  value.fn = std::move(fn);
  tiles[tile] = value;
}

void PipelineEmitter::setUniform(Value tile, Value scalar, bool zero) {
  TileValue value;
  value.kind = TileValue::function;
  value.fn = [scalar](Value, Value) { return scalar; };
  value.uniform = scalar;
  value.zero = zero;
  tiles[tile] = value;
}

FailureOr<Fragment> PipelineEmitter::materialize(Operation *user, Value value) {
  TileValue known = tiles.lookup(value);
  if (known.kind == TileValue::fragment)
    return materialize(user, value, known.frag);
  return materialize(user, value,
                     layoutOf(cast<RankedTensorType>(value.getType())));
}

FailureOr<Fragment> PipelineEmitter::materialize(Operation *user, Value value,
                                                 const Fragment &layout) {
  TileValue known = tiles.lookup(value);
  auto type = cast<RankedTensorType>(value.getType());
  if (known.kind == TileValue::fragment) {
    if (!known.frag.sameLayout(layout)) {
      user->emitOpError("has no sm_90a lowering: operands in different register "
                        "layouts");
      return failure();
    }
    if (known.deferred) {
      known.frag.regs = {};
      for (int64_t i = 0; i < known.frag.count(); i += kChunk) {
        Value piece =
            known.deferred(i, std::min(kChunk, known.frag.count() - i));
        known.frag.regs =
            known.frag.regs ? append(known.frag.regs, piece) : piece;
      }
      setFragment(value, known.frag);
    }
    return known.frag;
  }
  if (known.kind != TileValue::function) {
    user->emitOpError("has no sm_90a lowering: an operand is in shared memory");
    return failure();
  }
  bool fits = layout.width == 0 || layout.cols % (4 * layout.width) == 0;
  if (layout.rows > 64 * warpgroups || layout.rows > 128 || !fits) {
    user->emitOpError("has no sm_90a lowering: a tile of ")
        << type << " does not fit the registers of " << warpgroups
        << " warpgroups";
    return failure();
  }
  Fragment frag = layout;
  if (known.uniform) {
    frag.regs = splat(known.uniform, frag.count());
    return frag;
  }
  SmallVector<Value> elements;
  for (int64_t i = 0; i < frag.count(); ++i)
    elements.push_back(known.fn(fragmentRow(frag, i), fragmentCol(frag, i)));
  frag.regs = builder->pack(
      elements, VectorType::get({frag.count()}, elements[0].getType()));
  return frag;
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

LogicalResult PipelineEmitter::emitElementwise(Operation *op) {
  if (op->getName().getDialectNamespace() == "math" &&
      !isa<math::Exp2Op, math::RsqrtOp, math::AbsFOp, math::FmaOp,
           math::SqrtOp>(op))
    return op->emitOpError("has no sm_90a lowering");
  Value result = op->getResult(0);
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || !dense.isSplat())
      return op->emitOpError("has no sm_90a lowering: not a splat");
    auto type = cast<RankedTensorType>(result.getType());
    bool zero = isa<FloatType>(type.getElementType()) &&
                dense.getSplatValue<APFloat>().isPosZero();
    setUniform(result, apply(op, {}, 0), zero);
    return success();
  }
  SmallVector<TileValue> operands;
  const Fragment *like = nullptr;
  bool uniform = true;
  for (Value operand : op->getOperands()) {
    TileValue value;
    if (!isa<RankedTensorType>(operand.getType())) {
      value.kind = TileValue::function; // e.g. the condition of a select
      value.uniform = scalar(operand);
      value.fn = [s = value.uniform](Value, Value) { return s; };
    } else {
      value = tiles.lookup(operand);
    }
    if (value.kind == TileValue::none && producer)
      return success(); // computed from what only consumers have
    if (value.kind != TileValue::fragment && value.kind != TileValue::function)
      return op->emitOpError("has no sm_90a lowering: an operand is in shared "
                             "memory");
    uniform &= static_cast<bool>(value.uniform);
    operands.push_back(value);
  }
  for (const TileValue &value : operands)
    if (value.kind == TileValue::fragment)
      like = &value.frag;
  if (uniform) {
    SmallVector<Value> scalars;
    for (const TileValue &value : operands)
      scalars.push_back(value.uniform);
    setUniform(result, apply(op, scalars, 0));
    return success();
  }
  if (!like) {
    setFunction(result, [this, op, operands](Value row, Value col) {
      SmallVector<Value> scalars;
      for (const TileValue &value : operands)
        scalars.push_back(value.fn(row, col));
      return apply(op, scalars, 0);
    });
    return success();
  }
  Fragment frag = *like;
  for (auto [value, operand] : llvm::zip(operands, op->getOperands()))
    if (value.kind == TileValue::fragment && !value.frag.sameLayout(frag))
      return op->emitOpError("has no sm_90a lowering: operands in different "
                             "register layouts");
  auto emitPiece = [this, op, operands, frag](int64_t first,
                                              int64_t count) -> Value {
    sm90::AsmBuilder &b = *builder;
    SmallVector<Value> vectors;
    for (auto [value, operand] : llvm::zip(operands, op->getOperands())) {
      if (!isa<RankedTensorType>(operand.getType()) && isa<arith::SelectOp>(op)) {
        vectors.push_back(value.uniform);
      } else if (value.uniform) {
        vectors.push_back(splat(value.uniform, count));
      } else if (value.deferred) {
        vectors.push_back(value.deferred(first, count));
      } else if (value.kind == TileValue::fragment) {
        vectors.push_back(slice(value.frag.regs, first, count));
      } else {
        SmallVector<Value> elements;
        for (int64_t i = first; i < first + count; ++i)
          elements.push_back(
              value.fn(fragmentRow(frag, i), fragmentCol(frag, i)));
        vectors.push_back(b.pack(
            elements, VectorType::get({count}, elements[0].getType())));
      }
    }
    return apply(op, vectors, count);
  };
  // Computed at its one use in this block, kChunk registers at a time: a chain
  // of ops needs the registers of one piece only.
  bool later = frag.count() > kChunk && result.hasOneUse() &&
               (*result.user_begin())->getBlock() == op->getBlock();
  if (!later)
    frag.regs = emitPiece(0, frag.count());
  setFragment(result, frag);
  if (later)
    tiles[result].deferred = emitPiece;
  return success();
}

//===----------------------------------------------------------------------===//
// Reductions and quantisation
//===----------------------------------------------------------------------===//

// Barrier 1; 0 is that of the roles. Every consumer warp has to come: never in
// a branch that they do not all take.
void PipelineEmitter::consumerBarrier() {
  sm90::NamedBarrierOp::create(*builder, 1, 128 * warpgroups, Value());
}

// Each part of the columns has been reduced by its warps; through shared memory
// ([part][64 rows], equal in the four lanes of a quad, of which one writes) all
// get the whole, combined in ascending order of the parts.
Value PipelineEmitter::exchangeRows(Value rows, bool max) {
  sm90::AsmBuilder &b = *builder;
  auto address = [&](Value whose, int64_t half) -> Value {
    Value row = b.add(rowInGroup, b.i32(8 * half));
    Value index = b.add(b.shl(whose, 6), row);
    return LLVM::GEPOp::create(b, exchange.getType(), b.getF32Type(), exchange,
                               ArrayRef<LLVM::GEPArg>{index});
  };
  Value first = b.cmp(arith::CmpIPredicate::eq, quadColumn, b.i32(0));
  if (writes)
    first = b.bitAnd(first, writes);
  auto publish = scf::IfOp::create(b, TypeRange(), first, false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(publish.thenBlock()->getTerminator());
    for (int64_t half = 0; half < 2; ++half)
      LLVM::StoreOp::create(
          b, LLVM::ExtractElementOp::create(b, rows, b.i32(half)),
          address(columnPart, half));
  }
  consumerBarrier();
  SmallVector<Value> whole;
  for (int64_t half = 0; half < 2; ++half) {
    Value sum =
        LLVM::LoadOp::create(b, b.getF32Type(), address(b.i32(0), half));
    for (int64_t part = 1; part < columnParts; ++part) {
      Value next =
          LLVM::LoadOp::create(b, b.getF32Type(), address(b.i32(part), half));
      sum = max ? Value(arith::MaximumFOp::create(b, sum, next))
                : Value(arith::AddFOp::create(b, sum, next));
    }
    whole.push_back(sum);
  }
  // The next exchange may overwrite what a slow warp has not read.
  consumerBarrier();
  return b.pack(whole, rows.getType());
}

LogicalResult PipelineEmitter::emitReduce(ReduceOp op) {
  sm90::AsmBuilder &b = *builder;
  if (op.getDim() != 1)
    return op.emitOpError("has no sm_90a lowering over dimension ")
           << op.getDim();
  FailureOr<Fragment> source = materialize(op, op.getSource());
  if (failed(source))
    return failure();
  auto element = cast<VectorType>(source->regs.getType()).getElementType();
  if (!element.isF32())
    return op.emitOpError("has no sm_90a lowering for ") << element;
  Fragment rows = layoutOf(cast<RankedTensorType>(op.getResult().getType()));
  rows.regs = source->regs;
  if (source->width != 0)
    rows.regs = sm90::RowReduceOp::create(
        b, VectorType::get({2}, b.getF32Type()),
        op.getKind() == ReduceKind::Max ? sm90::Reduce::Max : sm90::Reduce::Add,
        source->regs, source->width);
  if (source->parts > 1)
    rows.regs = exchangeRows(rows.regs, op.getKind() == ReduceKind::Max);
  setFragment(op.getResult(), rows);
  return success();
}

LogicalResult PipelineEmitter::emitQuantize(QuantizeOp op) {
  sm90::AsmBuilder &b = *builder;
  FailureOr<Fragment> x = materialize(op, op.getX());
  if (failed(x))
    return failure();
  if (static_cast<int64_t>(op.getGroup()) != x->cols || x->width != 2)
    return op.emitOpError("has no sm_90a lowering: a group of ")
           << op.getGroup() << " is not the tile's " << x->cols << " columns";
  int64_t count = x->count();
  Value values = x->regs;
  if (!cast<VectorType>(values.getType()).getElementType().isF32())
    values = arith::ExtFOp::create(
        b, VectorType::get({count}, b.getF32Type()), values);
  auto two = VectorType::get({2}, b.getF32Type());
  Value amax = sm90::RowReduceOp::create(
      b, two, sm90::Reduce::Max,
      math::AbsFOp::create(b, values.getType(), values), 2);
  if (x->parts > 1)
    amax = exchangeRows(amax, /*max=*/true);
  Value scales = emitScales(b, amax, op);
  SmallVector<int64_t> spread;
  for (int64_t i = 0; i < count; ++i)
    spread.push_back((i >> 1) & 1);
  Value scaled = arith::DivFOp::create(b, values, shuffle(scales, spread));
  Fragment codes = *x;
  codes.regs = sm90::ToE4m3Op::create(
      b, VectorType::get({count / 2}, b.getI16Type()), scaled);
  setFragment(op.getCodes(), codes);
  Fragment rows;
  rows.rows = x->rows;
  rows.cols = 1;
  rows.regs = scales;
  setFragment(op.getScales(), rows);
  return success();
}

} // namespace hadal::nvptx
