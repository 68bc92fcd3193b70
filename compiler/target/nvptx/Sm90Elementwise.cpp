// Everything that works on registers: elementwise ops, reductions, shapes,
// quantisation.
#include "compiler/target/nvptx/Sm90Emitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

Fragment Sm90Emitter::emptyFragment(int64_t cols) const {
  Fragment frag;
  frag.cols = cols;
  frag.split = isSplit(cols);
  frag.regs.resize(cols == 1 ? 2 : (frag.split ? cols / 4 : cols / 2));
  return frag;
}

Value Sm90Emitter::fragmentRow(const Fragment &frag, size_t i) {
  PtxBuilder &b = *builder;
  size_t half = frag.cols == 1 ? i : (i >> 1) & 1;
  return half ? b.add(rowInTile, b.i64(8)) : rowInTile;
}

Value Sm90Emitter::fragmentCol(const Fragment &frag, size_t i) {
  PtxBuilder &b = *builder;
  if (frag.cols == 1)
    return b.i64(0);
  Value col = b.add(colInTile, b.i64(8 * (i >> 2) + (i & 1)));
  if (frag.split)
    col = b.add(col, b.mul(b.ext64(warpgroup), b.i64(frag.cols / 2)));
  return col;
}

Value Sm90Emitter::elementAt(const TileValue &value, const Fragment &like,
                             size_t i) {
  if (value.kind == TileValue::function)
    return value.fn(fragmentRow(like, i), fragmentCol(like, i));
  if (value.frag.cols == 1 && like.cols != 1)
    return value.frag.regs[(i >> 1) & 1];
  return value.frag.regs[i];
}

FailureOr<Fragment> Sm90Emitter::materialize(Operation *user, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  TileValue known = tiles.lookup(value);
  if (known.kind == TileValue::fragment)
    return known.frag;
  if (known.kind != TileValue::function) {
    user->emitOpError("has no sm_90a lowering: an operand is in shared memory");
    return failure();
  }
  int64_t cols = type.getRank() == 1 ? 1 : type.getDimSize(1);
  if (type.getDimSize(0) != 64 || (cols != 1 && cols % 8 != 0) || cols > 512) {
    user->emitOpError("has no sm_90a lowering: a tile of ")
        << type << " does not fit a warpgroup's registers (64 rows, a multiple "
        << "of 8 columns up to 512)";
    return failure();
  }
  Fragment frag = emptyFragment(cols);
  for (size_t i = 0; i < frag.regs.size(); ++i)
    frag.regs[i] = known.fn(fragmentRow(frag, i), fragmentCol(frag, i));
  return frag;
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

/// The op on scalars: |op| may work on tiles or on index values.
Value Sm90Emitter::scalarOp(Operation *op, ArrayRef<Value> operands) {
  PtxBuilder &b = *builder;
  Type type = getElementTypeOrSelf(op->getResult(0).getType());
  if (type.isIndex())
    type = b.getI64Type();
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Attribute value = constant.getValue();
    if (auto dense = dyn_cast<DenseElementsAttr>(value))
      value = dense.getSplatValue<Attribute>();
    if (auto integer = dyn_cast<IntegerAttr>(value))
      return arith::ConstantOp::create(
          b, b.getIntegerAttr(type, integer.getValue().getSExtValue()));
    return arith::ConstantOp::create(b, cast<TypedAttr>(value));
  }
  if (isa<math::Exp2Op>(op) && type.isF32())
    return b.exp2(operands[0]);
  if (isa<math::RsqrtOp>(op) && type.isF32())
    return b.rsqrt(operands[0]);
  if (isa<math::AbsFOp>(op))
    return LLVM::FAbsOp::create(b, operands[0]);
  OperationState state(b.getLoc(), op->getName());
  state.addOperands(operands);
  state.addTypes(type);
  state.addAttributes(op->getAttrs());
  return b.create(state)->getResult(0);
}

LogicalResult Sm90Emitter::emitElementwise(Operation *op) {
  StringRef name = op->getName().getStringRef();
  if (op->getName().getDialectNamespace() == "math" &&
      !isa<math::Exp2Op, math::RsqrtOp, math::AbsFOp>(op))
    return op->emitOpError("has no sm_90a lowering yet");
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  TileValue result;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || !dense.isSplat())
      return op->emitOpError("has no sm_90a lowering: not a splat");
    result.kind = TileValue::function;
    result.fn = [this, op](Value, Value) { return scalarOp(op, {}); };
    if (isa<FloatType>(type.getElementType()))
      result.zero = dense.getSplatValue<APFloat>().isPosZero();
    tiles[op->getResult(0)] = result;
    return success();
  }
  SmallVector<TileValue> operands;
  const Fragment *like = nullptr;
  for (Value operand : op->getOperands()) {
    if (!isa<RankedTensorType>(operand.getType())) {
      // A uniform operand, e.g. the condition of a select.
      TileValue uniform;
      Value s = scalar(operand);
      uniform.kind = TileValue::function;
      uniform.fn = [s](Value, Value) { return s; };
      operands.push_back(uniform);
      continue;
    }
    TileValue value = tiles.lookup(operand);
    if (value.kind != TileValue::fragment &&
        value.kind != TileValue::function)
      return op->emitOpError("has no sm_90a lowering: ")
             << name << " on a tile in shared memory";
    operands.push_back(value);
  }
  for (const TileValue &value : operands)
    if (value.kind == TileValue::fragment &&
        (!like || value.frag.cols > like->cols))
      like = &value.frag;
  if (!like) {
    result.kind = TileValue::function;
    result.fn = [this, op, operands](Value row, Value col) {
      SmallVector<Value> scalars;
      for (const TileValue &value : operands)
        scalars.push_back(value.fn(row, col));
      return scalarOp(op, scalars);
    };
  } else {
    Fragment frag = *like;
    for (size_t i = 0; i < frag.regs.size(); ++i) {
      SmallVector<Value> scalars;
      for (const TileValue &value : operands)
        scalars.push_back(elementAt(value, *like, i));
      frag.regs[i] = scalarOp(op, scalars);
    }
    result.kind = TileValue::fragment;
    result.frag = frag;
  }
  tiles[op->getResult(0)] = result;
  return success();
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

LogicalResult Sm90Emitter::emitReduce(ReduceOp op) {
  PtxBuilder &b = *builder;
  if (op.getDim() != 1)
    return op.emitOpError("has no sm_90a lowering over dimension ")
           << op.getDim();
  FailureOr<Fragment> source = materialize(op, op.getSource());
  if (failed(source))
    return failure();
  if (source->split || !source->regs[0].getType().isF32())
    return op.emitOpError("has no sm_90a lowering for this tile: f32, at most "
                          "256 columns");
  auto combine = [&](Value x, Value y) -> Value {
    if (op.getKind() == ReduceKind::Max)
      return arith::MaximumFOp::create(b, x, y);
    return arith::AddFOp::create(b, x, y);
  };
  Fragment rows = emptyFragment(1);
  if (source->cols == 1) {
    rows = *source;
  } else {
    for (size_t half = 0; half < 2; ++half) {
      Value value;
      for (size_t i = 0; i < source->regs.size(); ++i)
        if (((i >> 1) & 1) == half)
          value = value ? combine(value, source->regs[i]) : source->regs[i];
      // The four lanes of a quad share a row.
      for (int mask : {1, 2})
        value = combine(value, b.shuffleXor(value, mask));
      rows.regs[half] = value;
    }
  }
  TileValue result;
  result.kind = TileValue::fragment;
  result.frag = rows;
  tiles[op.getResult()] = result;
  return success();
}

LogicalResult Sm90Emitter::emitQuantize(QuantizeOp op) {
  PtxBuilder &b = *builder;
  FailureOr<Fragment> x = materialize(op, op.getX());
  if (failed(x))
    return failure();
  if (static_cast<int64_t>(op.getGroup()) != x->cols || x->split)
    return op.emitOpError("has no sm_90a lowering: a group of ")
           << op.getGroup() << " is not the tile's " << x->cols << " columns";
  Fragment scales = emptyFragment(1), codes = *x;
  for (size_t half = 0; half < 2; ++half) {
    Value amax = b.f32(op.getFloor().convertToFloat());
    for (size_t i = 0; i < x->regs.size(); ++i) {
      if (((i >> 1) & 1) != half)
        continue;
      Value v = x->regs[i];
      if (v.getType().isBF16())
        v = arith::ExtFOp::create(b, b.getF32Type(), v);
      amax = arith::MaximumFOp::create(b, amax, LLVM::FAbsOp::create(b, v));
    }
    for (int mask : {1, 2})
      amax = arith::MaximumFOp::create(b, amax, b.shuffleXor(amax, mask));
    Value s = arith::DivFOp::create(b, amax, b.f32(448.0f));
    if (op.getFormat() == ScaleFormat::UE8M0) {
      // Round up to a power of two by the bits: exponent + (mantissa != 0).
      Value bits = LLVM::BitcastOp::create(b, b.getI32Type(), s);
      bits = b.bitAnd(b.add(bits, b.i32(0x007FFFFF)), b.i32(0x7F800000));
      s = LLVM::BitcastOp::create(b, b.getF32Type(), bits);
    }
    scales.regs[half] = s;
  }
  for (size_t i = 0; i < x->regs.size(); i += 2) {
    Value pair[2];
    for (size_t h = 0; h < 2; ++h) {
      Value v = x->regs[i + h];
      if (v.getType().isBF16())
        v = arith::ExtFOp::create(b, b.getF32Type(), v);
      pair[h] = arith::DivFOp::create(b, v, scales.regs[(i >> 1) & 1]);
    }
    Value packed = b.toE4m3x2(pair[0], pair[1]);
    codes.regs[i] = arith::TruncIOp::create(b, b.getI8Type(), packed);
    Value high = arith::ShRUIOp::create(
        b, packed, arith::ConstantOp::create(b, b.getI16IntegerAttr(8)));
    codes.regs[i + 1] = arith::TruncIOp::create(b, b.getI8Type(), high);
  }
  TileValue value;
  value.kind = TileValue::fragment;
  value.frag = codes;
  tiles[op.getCodes()] = value;
  value.frag = scales;
  tiles[op.getScales()] = value;
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

LogicalResult Sm90Emitter::emitShapeOp(Operation *op) {
  TileValue result;
  result.kind = TileValue::function;
  if (auto splat = dyn_cast<SplatOp>(op)) {
    Value s = scalar(splat.getScalar());
    if (splat.getScalar().getType().isIndex())
      s = builder->trunc32(s);
    result.fn = [s](Value, Value) { return s; };
  } else if (auto iota = dyn_cast<IotaOp>(op)) {
    int64_t dim = iota.getDim();
    result.fn = [this, dim](Value row, Value col) {
      return builder->trunc32(dim == 0 ? row : col);
    };
  } else if (auto broadcast = dyn_cast<BroadcastOp>(op)) {
    TileValue source = tiles.lookup(broadcast.getSource());
    auto from = cast<RankedTensorType>(broadcast.getSource().getType());
    auto to = cast<RankedTensorType>(broadcast.getResult().getType());
    if (source.kind == TileValue::fragment) {
      if (from.getRank() != to.getRank() || source.frag.cols != 1)
        return op->emitOpError("has no sm_90a lowering for this shape");
      // Registers of [64, 1] serve every column.
      Fragment frag = emptyFragment(to.getDimSize(1));
      for (size_t i = 0; i < frag.regs.size(); ++i)
        frag.regs[i] = source.frag.regs[frag.cols == 1 ? i : (i >> 1) & 1];
      result.kind = TileValue::fragment;
      result.frag = frag;
    } else {
      // A source row (or element) of extent 1, or a missing leading one.
      bool oneRow = from.getRank() == 1 || from.getDimSize(0) == 1;
      bool oneCol = from.getShape().back() == 1;
      bool vector = from.getRank() == 1 && to.getRank() == 2;
      ElementFn fn = source.fn;
      result.zero = source.zero;
      result.fn = [this, fn, oneRow, oneCol, vector](Value row, Value col) {
        Value c = oneCol ? builder->i64(0) : col;
        if (vector) // a rank-1 tile is indexed by its row
          return fn(c, builder->i64(0));
        return fn(oneRow ? builder->i64(0) : row, c);
      };
    }
  } else if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    TileValue source = tiles.lookup(reshape.getSource());
    auto from = cast<RankedTensorType>(reshape.getSource().getType());
    auto to = cast<RankedTensorType>(reshape.getResult().getType());
    if (source.kind == TileValue::fragment) {
      bool columns = from.getShape().back() == 1 || from.getRank() == 1;
      if (!columns || to.getRank() != 2 || to.getDimSize(1) != 1)
        return op->emitOpError("has no sm_90a lowering: a reshape of "
                               "registers keeps one column");
      result = source;
    } else if (source.kind == TileValue::function && from.getRank() <= 2 &&
               to.getRank() <= 2) {
      // By the row-major index; a rank-1 tile is indexed by its row.
      int64_t fromCols = from.getRank() == 1 ? 1 : from.getDimSize(1);
      int64_t toCols = to.getRank() == 1 ? 1 : to.getDimSize(1);
      ElementFn fn = source.fn;
      result.zero = source.zero;
      result.fn = [this, fn, fromCols, toCols](Value row, Value col) {
        PtxBuilder &b = *builder;
        Value linear = b.add(b.mul(row, b.i64(toCols)), col);
        return fn(b.udiv(linear, b.i64(fromCols)),
                  b.urem(linear, b.i64(fromCols)));
      };
    } else {
      return op->emitOpError("has no sm_90a lowering for this shape");
    }
  } else {
    auto slice = cast<SliceOp>(op);
    TileValue source = tiles.lookup(slice.getSource());
    auto to = cast<RankedTensorType>(slice.getResult().getType());
    if (source.kind == TileValue::shared && slice.getOffsets()[0] == 0 &&
        to.getDimSize(0) == source.smem.rows) {
      result = source;
      result.smem.colOffset += slice.getOffsets()[1];
      result.smem.sliceCols = to.getDimSize(1);
    } else if (source.kind == TileValue::function) {
      ElementFn fn = source.fn;
      SmallVector<int64_t> offsets(slice.getOffsets());
      result.fn = [this, fn, offsets](Value row, Value col) {
        PtxBuilder &b = *builder;
        Value c = offsets.size() > 1 ? b.add(col, b.i64(offsets[1])) : col;
        return fn(b.add(row, b.i64(offsets[0])), c);
      };
    } else {
      return op->emitOpError("has no sm_90a lowering for a slice of "
                             "registers");
    }
  }
  tiles[op->getResult(0)] = result;
  return success();
}

} // namespace hadal::nvptx
