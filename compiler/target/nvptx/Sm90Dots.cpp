// Contractions: wgmma on shared-memory operands, promotion of scaled dots.
#include "compiler/target/nvptx/Sm90Emitter.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

/// Four i32 registers: 16 columns of a 64-row bf16 tile as operand A. Register
/// j holds row g + 8(j&1), columns 8(j>>1) + 2q + {0,1} of the block, which are
/// the accumulator registers 8 kBlock + 2j and the next (ptx fragment maps).
SmallVector<Value> Sm90Emitter::packOperandA(const Fragment &p,
                                             int64_t kBlock) {
  PtxBuilder &b = *builder;
  auto pairType = VectorType::get({2}, b.getBF16Type());
  SmallVector<Value> regs;
  for (int64_t j = 0; j < 4; ++j) {
    Value pair = LLVM::PoisonOp::create(b, pairType);
    for (int64_t h = 0; h < 2; ++h)
      pair = LLVM::InsertElementOp::create(
          b, pair, p.regs[8 * kBlock + 2 * j + h], b.i32(h));
    regs.push_back(LLVM::BitcastOp::create(b, b.getI32Type(), pair));
  }
  return regs;
}

LogicalResult Sm90Emitter::multiply(Operation *op, const TileValue &a,
                                    const TileValue &operandB, bool transposeB,
                                    int64_t k, SmallVectorImpl<Value> &acc,
                                    bool accumulate, int64_t n, bool split) {
  PtxBuilder &b = *builder;
  const SharedTile &bt = operandB.smem;
  bool fp8 = isa<Float8E4M3FNType>(bt.elementType);
  if (!fp8 && !bt.elementType.isBF16())
    return op->emitOpError("has no sm_90a lowering for operands of type ")
           << bt.elementType;
  int64_t kStep = fp8 ? 32 : 16; // always 32 bytes
  if (k % kStep != 0)
    return op->emitOpError("has no sm_90a lowering: K of ")
           << k << " is not a multiple of " << kStep;
  int64_t columns = split ? n / 2 : n;
  if (columns % 8 != 0 || columns > 256)
    return op->emitOpError("has no sm_90a lowering for ")
           << columns << " columns a warpgroup; wgmma takes 8..256 in steps "
           << "of 8";
  if (transposeB && fp8)
    return op->emitOpError("has no sm_90a lowering: FP8 operands are K-major");
  if (copiesPending) {
    b.copyAsyncWait(0);
    b.fenceProxyAsync();
    b.barrier();
    copiesPending = false;
  }

  PtxBuilder::Mma mma;
  mma.n = columns;
  mma.k = kStep;
  mma.type = fp8 ? "e4m3" : "bf16";
  mma.transposeB = transposeB;

  // A K-major operand advances 32 bytes a step inside a 128-byte chunk; an
  // MN-major one (rows are k) 16 rows.
  auto kMajor = [&](const SharedTile &t, int64_t kOffset,
                    Value rowOffsetBytes) {
    int64_t byte = (t.colOffset + kOffset) * t.elementBytes();
    Value address =
        b.add(t.base, b.i32(byte / 128 * t.rows * 128 + byte % 128));
    if (rowOffsetBytes)
      address = b.add(address, rowOffsetBytes);
    return b.descriptor(address, 0);
  };
  auto descB = [&](int64_t kOffset) -> Value {
    if (!transposeB) {
      // B is [N, K]: a warpgroup's half starts columns rows further down.
      Value rows;
      if (split)
        rows = b.mul(warpgroup, b.i32(columns * 128));
      return kMajor(bt, kOffset, rows);
    }
    // B is [K, N]: 64-column chunks of bt.rows * 128 bytes.
    int64_t byte = bt.colOffset * 2;
    Value address = b.add(
        bt.base, b.i32(byte / 128 * bt.rows * 128 + kOffset * 128));
    if (split)
      address = b.add(
          address, b.mul(warpgroup, b.i32(columns * 2 / 128 * bt.rows * 128)));
    return b.descriptor(address, bt.rows * 128);
  };

  if (transposeB && (bt.colOffset * 2 % 128 != 0 ||
                     (split && columns * 2 % 128 != 0)))
    return op->emitOpError("has no sm_90a lowering: an MN-major operand starts "
                           "inside a 64-column chunk");

  SmallVector<Value> aRegs;
  if (a.kind == TileValue::fragment) {
    // Registers of every K block stay live until the wait.
    if (a.frag.split || !a.frag.regs[0].getType().isBF16())
      return op->emitOpError("has no sm_90a lowering: operand a in registers "
                             "must be bf16 and not split");
    for (int64_t block = 0; block < k / 16; ++block)
      aRegs.append(packOperandA(a.frag, block));
  } else if (a.kind != TileValue::shared || a.smem.rows != 64) {
    return op->emitOpError("has no sm_90a lowering: operand a must have 64 "
                           "rows in shared memory or registers");
  }

  if (!accumulate)
    for (Value &reg : acc)
      reg = LLVM::PoisonOp::create(b, b.getF32Type());
  b.mmaFence(accumulate ? &acc : nullptr);
  for (int64_t kOffset = 0; kOffset < k; kOffset += kStep) {
    mma.accumulate = accumulate || kOffset != 0;
    Value aDesc;
    ArrayRef<Value> regs;
    if (a.kind == TileValue::shared)
      aDesc = kMajor(a.smem, kOffset, {});
    else
      regs = ArrayRef<Value>(aRegs).slice(kOffset / 16 * 4, 4);
    b.mma(mma, acc, aDesc, regs, descB(kOffset));
  }
  b.mmaCommit();
  b.mmaWait(acc, aRegs);
  return success();
}

LogicalResult Sm90Emitter::emitDot(DotOp dot) {
  auto accType = cast<RankedTensorType>(dot.getAcc().getType());
  int64_t n = accType.getDimSize(1);
  if (accType.getDimSize(0) != 64)
    return dot.emitOpError("has no sm_90a lowering for ")
           << accType.getDimSize(0) << " rows; wgmma has 64";
  if (dot.getTa())
    return dot.emitOpError("has no sm_90a lowering for a transposed a");
  auto aType = cast<RankedTensorType>(dot.getA().getType());
  // lookup, not reference: multiply may grow the map.
  TileValue a = tiles.lookup(dot.getA()), operandB = tiles.lookup(dot.getB());
  TileValue accIn = tiles.lookup(dot.getAcc());
  bool accumulate = !accIn.zero;
  Fragment acc = emptyFragment(n);
  if (accumulate) {
    FailureOr<Fragment> frag = materialize(dot, dot.getAcc());
    if (failed(frag))
      return failure();
    acc = *frag;
  }
  // b is [K, N] unless tb: N is contiguous, which is MN-major for wgmma.
  if (failed(multiply(dot, a, operandB, /*transposeB=*/!dot.getTb(),
                      aType.getDimSize(1), acc.regs, accumulate, n,
                      acc.split)))
    return failure();
  TileValue result;
  result.kind = TileValue::fragment;
  result.frag = acc;
  tiles[dot.getResult()] = result;
  return success();
}

// Each block of K is a product of its own in registers that start at zero, then
// acc += product * sa * sb: the promotion that FP8 accumulation needs.
LogicalResult Sm90Emitter::emitDotScaled(DotScaledOp dot) {
  PtxBuilder &b = *builder;
  auto accType = cast<RankedTensorType>(dot.getAcc().getType());
  int64_t n = accType.getDimSize(1);
  if (accType.getDimSize(0) != 64)
    return dot.emitOpError("has no sm_90a lowering for ")
           << accType.getDimSize(0) << " rows; wgmma has 64";
  if (!dot.getSa())
    return dot.emitOpError("has no sm_90a lowering without scales of a (W8A16); "
                           "compile with --fp8=w8a8");
  TileValue a = tiles.lookup(dot.getA()), operandB = tiles.lookup(dot.getB());
  TileValue sa = tiles.lookup(dot.getSa()), sb = tiles.lookup(dot.getSb());
  FailureOr<Fragment> acc = materialize(dot, dot.getAcc());
  if (failed(acc))
    return failure();
  int64_t k = cast<RankedTensorType>(dot.getA().getType()).getDimSize(1);
  int64_t block = dot.getK();
  auto sbType = cast<RankedTensorType>(dot.getSb().getType());
  for (int64_t kb = 0; kb * block < k; ++kb) {
    TileValue aBlock = a, bBlock = operandB;
    aBlock.smem.colOffset += kb * block;
    bBlock.smem.colOffset += kb * block;
    Fragment product = emptyFragment(n);
    if (failed(multiply(dot, aBlock, bBlock, /*transposeB=*/false,
                        std::min(block, k - kb * block), product.regs,
                        /*accumulate=*/false, n, product.split)))
      return failure();
    Value column = b.i64(kb);
    // One scale of a per row, two rows a thread.
    Fragment rows;
    rows.cols = 1;
    Value saRow[2];
    for (int64_t i = 0; i < 2; ++i)
      saRow[i] = sa.fn(b.add(rowInTile, b.i64(8 * i)), column);
    Value sbUniform;
    if (sbType.getDimSize(0) == 1)
      sbUniform = sb.fn(b.i64(0), column);
    int64_t perRow = n / sbType.getDimSize(0);
    Value scale[2];
    if (sbUniform)
      for (int64_t i = 0; i < 2; ++i)
        scale[i] = arith::MulFOp::create(b, saRow[i], sbUniform);
    for (size_t i = 0; i < product.regs.size(); ++i) {
      Value s = scale[(i >> 1) & 1];
      if (!sbUniform) {
        Value col = b.udiv(fragmentCol(product, i), b.i64(perRow));
        s = arith::MulFOp::create(b, saRow[(i >> 1) & 1],
                                  sb.fn(col, column));
      }
      acc->regs[i] =
          LLVM::FMAOp::create(b, product.regs[i], s, acc->regs[i]);
    }
  }
  TileValue result;
  result.kind = TileValue::fragment;
  result.frag = *acc;
  tiles[dot.getResult()] = result;
  return success();
}

} // namespace hadal::nvptx
