// Shapes of values: which register or function holds an element.
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

LogicalResult PipelineEmitter::emitShape(Operation *op) {
  sm90::AsmBuilder &b = *builder;
  if (auto splatOp = dyn_cast<SplatOp>(op)) {
    Value s = scalar(splatOp.getScalar());
    if (splatOp.getScalar().getType().isIndex())
      s = b.trunc32(s);
    setUniform(splatOp.getResult(), s);
    return success();
  }
  if (auto iota = dyn_cast<IotaOp>(op)) {
    int64_t dim = iota.getDim();
    setFunction(iota.getResult(),
                [dim](Value row, Value col) { return dim ? col : row; });
    return success();
  }
  // The producer warp holds no fragment, but it evaluates the addresses of
  // loads, and the functions behind gathers: shapes of functions are emitted in
  // both roles, shapes of what only the consumers hold in theirs.
  if (producer && llvm::any_of(op->getOperands(), [&](Value operand) {
        TileValue::Kind kind = tiles.lookup(operand).kind;
        return kind == TileValue::none;
      }))
    return success();
  if (auto broadcast = dyn_cast<BroadcastOp>(op))
    return emitBroadcast(broadcast);
  if (auto reshape = dyn_cast<ReshapeOp>(op))
    return emitReshape(reshape);
  if (auto slice = dyn_cast<SliceOp>(op))
    return emitSlice(slice);
  if (producer)
    return success();
  if (auto concat = dyn_cast<ConcatOp>(op))
    return emitConcat(concat);
  if (auto split = dyn_cast<DeinterleaveOp>(op))
    return emitDeinterleave(split);
  return emitInterleave(cast<InterleaveOp>(op));
}

LogicalResult PipelineEmitter::emitBroadcast(BroadcastOp op) {
  TileValue source = tiles.lookup(op.getSource());
  auto from = cast<RankedTensorType>(op.getSource().getType());
  auto to = cast<RankedTensorType>(op.getResult().getType());
  if (source.uniform) {
    setUniform(op.getResult(), source.uniform, source.zero);
    return success();
  }
  bool oneCol = from.getRank() == 2 && from.getDimSize(1) == 1;
  bool sameRows = from.getRank() == to.getRank() &&
                  from.getDimSize(0) == to.getDimSize(0);
  // Rows known in registers serve every column.
  if (!producer && source.kind == TileValue::function && oneCol && sameRows &&
      to.getDimSize(1) > 1 && to.getDimSize(0) >= tileRows) {
    FailureOr<Fragment> rows = materialize(op, op.getSource());
    if (failed(rows))
      return failure();
    source.kind = TileValue::fragment;
    source.frag = *rows;
  }
  if (source.kind == TileValue::fragment) {
    if (source.frag.width != 0 || !sameRows)
      return op->emitOpError("has no sm_90a lowering for this shape");
    Fragment frag = layoutOf(to);
    // One column holds row 16w + g in register 0 and row 16w + g + 8 in
    // register 1 (Values.h); register i of the result lies in the half that
    // fragmentHalf says, whatever its column.
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < frag.count(); ++i)
      mask.push_back(fragmentHalf(frag, i));
    frag.regs = frag.width == 0 ? source.frag.regs
                                : shuffle(source.frag.regs, mask);
    setFragment(op.getResult(), frag);
    return success();
  }
  if (source.kind != TileValue::function)
    return op->emitOpError("has no sm_90a lowering: its source is in shared "
                           "memory");
  // A source row (or element) of extent 1, or a missing leading dimension.
  bool oneRow = from.getRank() == 1 || from.getDimSize(0) == 1;
  bool lastOne = from.getShape().back() == 1;
  bool vectorSource = from.getRank() == 1 && to.getRank() == 2;
  bool vectorResult = to.getRank() == 1;
  ElementFn fn = source.fn;
  setFunction(op.getResult(), [=, this](Value row, Value col) {
    sm90::AsmBuilder &b = *builder;
    if (vectorResult)
      return fn(lastOne ? b.i32(0) : row, b.i32(0));
    Value c = lastOne ? b.i32(0) : col;
    if (vectorSource) // a rank-1 tile is indexed by its row
      return fn(c, b.i32(0));
    return fn(oneRow ? b.i32(0) : row, c);
  });
  return success();
}

LogicalResult PipelineEmitter::emitReshape(ReshapeOp op) {
  TileValue source = tiles.lookup(op.getSource());
  auto from = cast<RankedTensorType>(op.getSource().getType());
  auto to = cast<RankedTensorType>(op.getResult().getType());
  if (source.uniform) {
    setUniform(op.getResult(), source.uniform, source.zero);
    return success();
  }
  auto columns = [](RankedTensorType type) {
    return type.getRank() == 1 ? 1 : type.getDimSize(1);
  };
  if (source.kind == TileValue::fragment) {
    if (columns(from) != 1 || columns(to) != 1 ||
        from.getDimSize(0) != to.getDimSize(0))
      return op->emitOpError("has no sm_90a lowering: a reshape of registers "
                             "keeps one column");
    tiles[op.getResult()] = source;
    return success();
  }
  if (source.kind != TileValue::function || from.getRank() > 2 ||
      to.getRank() > 2)
    return op->emitOpError("has no sm_90a lowering for this shape");
  // By the row-major index; a rank-1 tile is indexed by its row.
  int64_t fromCols = columns(from), toCols = columns(to);
  ElementFn fn = source.fn;
  setFunction(op.getResult(), [=, this](Value row, Value col) {
    sm90::AsmBuilder &b = *builder;
    Value linear = toCols == 1 ? row : b.add(b.mul(row, b.i32(toCols)), col);
    if (fromCols == 1)
      return fn(linear, b.i32(0));
    return fn(b.udiv(linear, b.i32(fromCols)), b.urem(linear, b.i32(fromCols)));
  });
  return success();
}

LogicalResult PipelineEmitter::emitSlice(SliceOp op) {
  sm90::AsmBuilder &b = *builder;
  TileValue source = tiles.lookup(op.getSource());
  auto to = cast<RankedTensorType>(op.getResult().getType());
  ArrayRef<int64_t> offsets = op.getOffsets();
  if (source.kind == TileValue::shared) {
    auto type = cast<sm90::TileType>(source.value.getType());
    if (producer)
      return success();
    if (to.getRank() != 2 || offsets[0] % 8 != 0 || to.getDimSize(0) % 8 != 0 ||
        offsets[1] % type.getChunkCols() != 0)
      return op->emitOpError("has no sm_90a lowering: a slice of shared memory "
                             "starts at a multiple of 8 rows and 128 bytes");
    // The 128-byte swizzle permutes the 16-byte pieces of a row by its number
    // modulo 8: a slice that starts elsewhere would be read permuted otherwise
    // than TMA wrote it. Columns lie in chunks of 128 bytes, each a matrix of
    // its own behind the last row of the one before.
    TileValue value = source;
    value.value = sm90::TileSliceOp::create(
        b,
        sm90::TileType::get(b.getContext(), to.getDimSize(0), to.getDimSize(1),
                            type.getElementType(), type.getPitchRows()),
        source.value, Value(), Value(), offsets[0], offsets[1]);
    tiles[op.getResult()] = value;
    return success();
  }
  if (source.uniform) {
    setUniform(op.getResult(), source.uniform, source.zero);
    return success();
  }
  if (source.kind == TileValue::function) {
    ElementFn fn = source.fn;
    SmallVector<int64_t> at(offsets);
    setFunction(op.getResult(), [=, this](Value row, Value col) {
      sm90::AsmBuilder &b = *builder;
      Value c = at.size() > 1 ? b.add(col, b.i32(at[1])) : col;
      return fn(b.add(row, b.i32(at[0])), c);
    });
    return success();
  }
  // Registers: whole blocks of columns of every row. A block of 4 * width
  // columns is the same registers in every lane, so that no lane needs
  // another's.
  if (source.kind == TileValue::fragment) {
    FailureOr<Fragment> whole = materialize(op, op.getSource());
    if (failed(whole))
      return failure();
    source.frag = *whole;
  }
  const Fragment &in = source.frag;
  int64_t unit = 4 * in.width;
  if (source.kind != TileValue::fragment || in.width == 0 || in.parts > 1 ||
      offsets[0] != 0 || to.getDimSize(0) != in.rows ||
      offsets[1] % unit != 0 || to.getDimSize(1) % unit != 0)
    return op->emitOpError("has no sm_90a lowering: a slice of registers takes "
                           "every row and whole blocks of columns");
  Fragment frag = in;
  frag.cols = to.getDimSize(1);
  SmallVector<int64_t> mask;
  // Two registers (a row of each half) for every 4 columns of width 1, four for
  // 8 of width 2: half a register a column either way.
  int64_t first = offsets[1] / 2;
  if (isa<Float8E4M3FNType>(to.getElementType()))
    return op->emitOpError("has no sm_90a lowering for codes");
  for (int64_t i = 0; i < frag.count(); ++i)
    mask.push_back(first + i);
  frag.regs = shuffle(in.regs, mask);
  setFragment(op.getResult(), frag);
  return success();
}

LogicalResult PipelineEmitter::emitConcat(ConcatOp op) {
  if (op.getDim() != 1)
    return op.emitOpError("has no sm_90a lowering over dimension ")
           << op.getDim();
  Fragment frag;
  for (Value source : op.getSources()) {
    FailureOr<Fragment> part = materialize(op, source);
    if (failed(part))
      return failure();
    if (part->width == 0 || part->parts > 1 ||
        part->cols % (4 * part->width) != 0 ||
        (frag.regs && part->width != frag.width) ||
        isa<Float8E4M3FNType>(
            cast<RankedTensorType>(source.getType()).getElementType()))
      return op.emitOpError("has no sm_90a lowering: parts of registers join in "
                            "whole blocks of columns");
    if (!frag.regs) {
      frag = *part;
      continue;
    }
    // Registers ascend with the blocks of columns: those of the next part
    // follow.
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < frag.count() + part->count(); ++i)
      mask.push_back(i);
    frag.regs = shuffle2(frag.regs, part->regs, mask);
    frag.cols += part->cols;
  }
  setFragment(op.getResult(), frag);
  return success();
}

LogicalResult PipelineEmitter::emitDeinterleave(DeinterleaveOp op) {
  FailureOr<Fragment> in = materialize(op, op.getSource());
  if (failed(in))
    return failure();
  if (in->width != 2 || in->parts > 1)
    return op.emitOpError("has no sm_90a lowering for this layout");
  for (int64_t odd = 0; odd < 2; ++odd) {
    // Of width 2 a lane holds columns 8b + 2q and 8b + 2q + 1 side by side: the
    // even ones are its even registers, and the same columns 4b + q of the
    // halves.
    Fragment half = *in;
    half.cols = in->cols / 2;
    half.width = 1;
    SmallVector<int64_t> mask;
    for (int64_t i = 0; i < in->count() / 2; ++i)
      mask.push_back(2 * i + odd);
    half.regs = shuffle(in->regs, mask);
    setFragment(odd ? op.getOdd() : op.getEven(), half);
  }
  return success();
}

LogicalResult PipelineEmitter::emitInterleave(InterleaveOp op) {
  FailureOr<Fragment> even = materialize(op, op.getEven());
  FailureOr<Fragment> odd = materialize(op, op.getOdd());
  if (failed(even) || failed(odd))
    return failure();
  if (even->width != 1 || !even->sameLayout(*odd))
    return op.emitOpError("has no sm_90a lowering for this layout");
  Fragment frag = *even;
  frag.cols = 2 * even->cols;
  frag.width = 2;
  SmallVector<int64_t> mask;
  for (int64_t i = 0; i < even->count(); ++i) {
    mask.push_back(i);
    mask.push_back(even->count() + i);
  }
  frag.regs = shuffle2(even->regs, odd->regs, mask);
  setFragment(op.getResult(), frag);
  return success();
}

} // namespace hadal::nvptx
