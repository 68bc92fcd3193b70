// Contractions: wgmma on shared operands, promotion of scaled dots.
#include "compiler/codegen/nvptx/common/Multiply.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Two bf16 per word: operand A's registers in order. Registers 2j and 2j + 1
/// of an accumulator hold row half j & 1 and columns 8(j >> 1) + 2q + {0, 1};
/// word j of A holds row half j & 1 and the same of K (PTX ISA,
/// "wgmma.mma_async", register fragments). A word of e4m3 holds four of K: it
/// would not fit.
Value PipelineEmitter::packOperandA(Value fragment) {
  auto type = cast<VectorType>(fragment.getType());
  return LLVM::BitcastOp::create(
      *builder,
      VectorType::get({type.getNumElements() / 2}, builder->getI32Type()),
      fragment);
}

FailureOr<PipelineEmitter::Operands>
PipelineEmitter::operandsOf(Operation *op, Value a, Value bv, bool transposeB,
                            int64_t kOffset, int64_t k,
                            const Fragment &layout) {
  sm90::AsmBuilder &b = *builder;
  if (tiles.lookup(a).kind == TileValue::fragment &&
      failed(materialize(op, a)))
    return failure();
  TileValue aValue = tiles.lookup(a), bValue = tiles.lookup(bv);
  if (bValue.kind != TileValue::shared)
    return op->emitOpError("has no sm_90a lowering: operand b is not in shared "
                           "memory");
  auto bTile = cast<sm90::TileType>(bValue.value.getType());
  bool fp8 = isa<Float8E4M3FNType>(bTile.getElementType());
  if (fp8 && !transposeB)
    return op->emitOpError("has no sm_90a lowering: FP8 operands are K-major");
  int64_t kStep = fp8 ? 32 : 16;
  if (k % kStep != 0)
    return op->emitOpError("has no sm_90a lowering: K of ")
           << k << " is not a multiple of " << kStep;
  int64_t n = layout.cols / layout.parts;
  if (n % 8 != 0 || n > 256)
    return op->emitOpError("has no sm_90a lowering for ")
           << n << " columns a warpgroup; wgmma takes 8..256 in steps of 8";

  Value aTile, aRegisters;
  if (aValue.kind == TileValue::shared) {
    auto type = cast<sm90::TileType>(aValue.value.getType());
    if (kOffset % type.getChunkCols() != 0)
      return op->emitOpError("has no sm_90a lowering: a block of K starts at ")
             << kOffset << ", inside 128 bytes";
    // Of 128 rows each warpgroup multiplies its own 64.
    Value row = layout.rows > 64 ? b.shl(group, 6) : Value();
    aTile = aValue.value;
    if (row || kOffset || type.getRows() != 64 || type.getCols() != k)
      aTile = sm90::TileSliceOp::create(
          b,
          sm90::TileType::get(b.getContext(), 64, k, type.getElementType(),
                              type.getPitchRows()),
          aTile, row, Value(), 0, kOffset);
  } else if (aValue.kind == TileValue::fragment &&
             cast<VectorType>(aValue.frag.regs.getType())
                 .getElementType()
                 .isBF16() &&
             aValue.frag.width == 2 && aValue.frag.parts == 1 && !kOffset) {
    aRegisters = packOperandA(aValue.frag.regs);
  } else {
    return op->emitOpError("has no sm_90a lowering: operand a is neither in "
                           "shared memory nor in registers as bf16");
  }

  Value operandB = bValue.value;
  int64_t bk = transposeB ? bTile.getCols() : bTile.getRows();
  int64_t bn = transposeB ? bTile.getRows() : bTile.getCols();
  if (transposeB) {
    // [N, K]: a warpgroup's half of the columns starts rows further down.
    Value row = layout.parts > 1 ? b.mul(columnPart, b.i32(n)) : Value();
    if (row || kOffset || bk != k || bn != n)
      operandB = sm90::TileSliceOp::create(
          b,
          sm90::TileType::get(b.getContext(), n, k, bTile.getElementType(),
                              bTile.getPitchRows()),
          operandB, row, Value(), 0, kOffset);
  } else {
    // [K, N]: chunks of 64 columns lie one behind the other; a warpgroup's half
    // starts with a whole one.
    if (kOffset || (layout.parts > 1 && n % 64 != 0))
      return op->emitOpError("has no sm_90a lowering: an MN-major operand "
                             "starts inside a 64-column chunk");
    Value chunk =
        layout.parts > 1 ? b.mul(columnPart, b.i32(n / 64)) : Value();
    if (chunk || bk != k || bn != n)
      operandB = sm90::TileSliceOp::create(
          b,
          sm90::TileType::get(b.getContext(), k, n, bTile.getElementType(),
                              bTile.getPitchRows()),
          operandB, Value(), chunk, 0, 0);
  }

  return Operands{aTile, aRegisters, operandB, n, /*bMn=*/!transposeB};
}

Value PipelineEmitter::issue(const Operands &operands, Value acc) {
  sm90::AsmBuilder &b = *builder;
  auto type = sm90::AccType::get(b.getContext(), operands.columns / 2);
  return sm90::MmaOp::create(b, type, operands.aTile, operands.aRegisters,
                             operands.b, acc, operands.bMn);
}

FailureOr<Value> PipelineEmitter::multiply(Operation *op, Value a, Value bv,
                                           bool transposeB, int64_t kOffset,
                                           int64_t k, const Fragment &layout,
                                           Value acc) {
  FailureOr<Operands> operands =
      operandsOf(op, a, bv, transposeB, kOffset, k, layout);
  if (failed(operands))
    return failure();
  return multiplyAndWait(*builder, operands->aTile, operands->aRegisters,
                         operands->b, operands->bMn, operands->columns, acc);
}

LogicalResult PipelineEmitter::emitDot(DotOp dot) {
  if (transposed())
    return emitDotTransposed(dot);
  auto aType = cast<RankedTensorType>(dot.getA().getType());
  Fragment layout = layoutOf(cast<RankedTensorType>(dot.getAcc().getType()));
  Value acc;
  if (!tiles.lookup(dot.getAcc()).zero) {
    FailureOr<Fragment> frag = materialize(dot, dot.getAcc());
    if (failed(frag))
      return failure();
    acc = frag->regs;
  }
  // b is [K, N] unless tb: N is contiguous, which is MN-major for wgmma.
  FailureOr<Value> result =
      multiply(dot, dot.getA(), dot.getB(), /*transposeB=*/dot.getTb(), 0,
               aType.getDimSize(1), layout, acc);
  if (failed(result))
    return failure();
  layout.regs = *result;
  setFragment(dot.getResult(), layout);
  return success();
}

// Each block of K is a product of its own in registers that start at zero, then
// acc += product * sa * sb: the promotion that FP8 accumulation needs.
LogicalResult PipelineEmitter::emitDotScaled(DotScaledOp dot) {
  if (transposed())
    return emitDotScaledTransposed(dot);
  sm90::AsmBuilder &b = *builder;
  FailureOr<Fragment> acc = materialize(dot, dot.getAcc());
  if (failed(acc))
    return failure();
  TileValue sa = tiles.lookup(dot.getSa()), sb = tiles.lookup(dot.getSb());
  if (sa.kind != TileValue::scales || sb.kind != TileValue::scales)
    return dot.emitOpError("has no sm_90a lowering: its scales are not those of "
                           "loaded tiles");
  int64_t k = cast<RankedTensorType>(dot.getA().getType()).getDimSize(1);
  int64_t block = dot.getK();
  int64_t sr = cast<RankedTensorType>(dot.getSb().getType()).getDimSize(0);
  int64_t perScale = acc->cols / sr;
  if (sr > 1 && (perScale % 8 != 0 || acc->parts > 1))
    return dot.emitOpError("has no sm_90a lowering: a scale of b for ")
           << perScale << " columns";
  for (int64_t kb = 0; kb * block < k; ++kb) {
    FailureOr<Value> product = multiply(
        dot, dot.getA(), dot.getB(), /*transposeB=*/true, kb * block,
        std::min(block, k - kb * block), *acc, /*acc=*/{});
    if (failed(product))
      return failure();
    // The last block has been multiplied: the stage goes back before the
    // promotion.
    if ((kb + 1) * block >= k)
      releaseAfter(dot);
    // The two scales first: element 2i + h for scale i of b and row half h.
    // Then per register: the columns of register r start at 8(r >> 2), its row
    // half is (r >> 1) & 1.
    SmallVector<int64_t> takeA, takeB, spread;
    for (int64_t i = 0; i < sr; ++i)
      for (int64_t half = 0; half < 2; ++half) {
        takeA.push_back(2 * kb + half);
        takeB.push_back(kb * sr + i);
      }
    Value both = arith::MulFOp::create(b, shuffle(sa.value, takeA),
                                       shuffle(sb.value, takeB));
    for (int64_t i = 0; i < acc->count(); ++i)
      spread.push_back(2 * (8 * (i >> 2) / perScale) + ((i >> 1) & 1));
    acc->regs = math::FmaOp::create(b, *product, shuffle(both, spread),
                                    acc->regs);
  }
  setFragment(dot.getResult(), *acc);
  return success();
}

} // namespace hadal::nvptx
