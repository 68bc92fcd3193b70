// Fragments, online softmax and output rows of the attention kernels.
#include "compiler/codegen/nvptx/attention/AttentionEmitter.h"

using namespace mlir;

namespace hadal::nvptx {

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

VectorType AttentionEmitter::f32s(int64_t count) {
  return VectorType::get({count}, builder->getF32Type());
}

Value AttentionEmitter::splat(double value, int64_t count) {
  auto type = f32s(count);
  return arith::ConstantOp::create(
      *builder, DenseElementsAttr::get(type, static_cast<float>(value)));
}

Value AttentionEmitter::splatOf(Value scalar, int64_t count) {
  return vector::BroadcastOp::create(
      *builder, VectorType::get({count}, scalar.getType()), scalar);
}

Value AttentionEmitter::spreadRows(Value rows, int64_t count) {
  SmallVector<int64_t> mask;
  for (int64_t i = 0; i < count; ++i)
    mask.push_back((i >> 1) & 1);
  return vector::ShuffleOp::create(*builder, rows, rows, mask);
}

Value AttentionEmitter::packBf16(Value fragment) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> elements = b.unpack(fragment), words;
  auto pair = VectorType::get({2}, b.getBF16Type());
  // The intrinsic's first operand becomes the high half.
  for (size_t i = 0; i < elements.size(); i += 2)
    words.push_back(
        LLVM::BitcastOp::create(b, b.getI32Type(),
                                b.intrinsic("llvm.nvvm.ff2bf16x2.rn", pair,
                                            {elements[i + 1], elements[i]})));
  return b.pack(words, VectorType::get({static_cast<int64_t>(words.size())},
                                       b.getI32Type()));
}

//===----------------------------------------------------------------------===//
// Online softmax
//===----------------------------------------------------------------------===//

SmallVector<Value> AttentionEmitter::emptyState(int64_t columns) {
  return {splat(-std::numeric_limits<double>::infinity(), 2), splat(0, 2),
          splat(0, columns / 2)};
}

Value AttentionEmitter::finiteReference(Value max) {
  sm90::AsmBuilder &b = *builder;
  Value none = splat(-std::numeric_limits<double>::infinity(), 2);
  Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, max, none);
  return arith::SelectOp::create(b, empty, splat(0, 2), max);
}

// With scale > 0 the maximum of the scaled scores is the scaled maximum, so
// that scale and reference are one fused multiply-add. The maximum is that of
// the whole quad: its four lanes scale their shares of the sum alike and need
// not meet before quadSum.
Value AttentionEmitter::softmaxStep(SoftmaxRegisters &state, Value scores,
                                    double scale) {
  sm90::AsmBuilder &b = *builder;
  int64_t count = cast<VectorType>(scores.getType()).getNumElements();
  Value most = sm90::RowReduceOp::create(b, f32s(2), sm90::Reduce::Max, scores,
                                         /*width=*/2);
  most = arith::MulFOp::create(b, most, splat(scale, 2));
  Value max = arith::MaximumFOp::create(b, state.max, most);
  Value reference = finiteReference(max);
  Value weight =
      math::Exp2Op::create(b, arith::SubFOp::create(b, state.max, reference));
  Value p = math::Exp2Op::create(
      b, math::FmaOp::create(
             b, scores, splat(scale, count),
             spreadRows(arith::NegFOp::create(b, reference), count)));
  SmallVector<Value> elements = b.unpack(p), rows;
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<Value> parts;
    for (int64_t i = 0; i < count; ++i)
      if (((i >> 1) & 1) == half)
        parts.push_back(elements[i]);
    while (parts.size() > 1) { // short chains of dependent instructions
      for (size_t i = 0; i < parts.size() / 2; ++i)
        parts[i] = arith::AddFOp::create(b, parts[2 * i], parts[2 * i + 1]);
      parts.resize(parts.size() / 2);
    }
    rows.push_back(parts[0]);
  }
  state.sum = math::FmaOp::create(b, state.sum, weight, b.pack(rows, f32s(2)));
  int64_t values = cast<VectorType>(state.acc.getType()).getNumElements();
  state.acc = arith::MulFOp::create(b, state.acc, spreadRows(weight, values));
  state.max = max;
  return p;
}

Value AttentionEmitter::firstRow(Value key, Value length) {
  return minS(sub(sub(length, key), builder->i32(kKeys)), builder->i32(0));
}

// Unsigned, so that rows before the tile's first key drop out too. Only the
// last tiles of a sequence hold keys that a row does not see.
Value AttentionEmitter::maskScores(Value scores, Value key, Value length,
                                   ArrayRef<Value> visible) {
  sm90::AsmBuilder &b = *builder;
  auto masked = scf::IfOp::create(
      b, TypeRange(scores.getType()),
      less(minS(visible[0], visible[1]), b.add(key, b.i32(kKeys))),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(masked.elseBlock());
  scf::YieldOp::create(b, scores);
  b.setInsertionPointToStart(masked.thenBlock());
  SmallVector<Value> limits;
  for (Value sees : visible)
    limits.push_back(maxS(sub(sees, key), b.i32(0)));
  Value both = b.pack(limits, VectorType::get({2}, b.getI32Type()));
  SmallVector<int32_t> columns;
  for (int32_t i = 0; i < kKeys / 2; ++i)
    columns.push_back(8 * (i >> 2) + (i & 1));
  auto type = VectorType::get({kKeys / 2}, b.getI32Type());
  Value column =
      b.add(arith::ConstantOp::create(
                b, DenseElementsAttr::get(type, ArrayRef<int32_t>(columns))),
            splatOf(b.add(firstRow(key, length), b.shl(quad, 1)), kKeys / 2));
  Value sees =
      b.cmp(arith::CmpIPredicate::ult, column, spreadRows(both, kKeys / 2));
  Value hidden = splat(-std::numeric_limits<double>::infinity(), kKeys / 2);
  Value result = arith::SelectOp::create(b, sees, scores, hidden);
  scf::YieldOp::create(b, result);
  return masked.getResult(0);
}

Value AttentionEmitter::quadSum(Value rows) {
  sm90::AsmBuilder &b = *builder;
  for (int64_t mask : {1, 2})
    rows = arith::AddFOp::create(
        b, rows, sm90::ShuffleXorOp::create(b, rows.getType(), rows, mask));
  return rows;
}

SmallVector<Value>
AttentionEmitter::softmaxMerge(ValueRange state,
                               llvm::function_ref<Value()> next) {
  sm90::AsmBuilder &b = *builder;
  Value other = next();
  Value max = arith::MaximumFOp::create(b, state[0], other);
  Value reference = finiteReference(max);
  auto weightOf = [&](Value of) -> Value {
    return math::Exp2Op::create(b, arith::SubFOp::create(b, of, reference));
  };
  auto weigh = [&](Value a, Value wa, Value c, Value wc) -> Value {
    return arith::AddFOp::create(b, arith::MulFOp::create(b, a, wa),
                                 arith::MulFOp::create(b, c, wc));
  };
  Value wa = weightOf(state[0]), wc = weightOf(other);
  SmallVector<Value> merged{max, weigh(state[1], wa, next(), wc)};
  for (Value piece : state.drop_front(2)) {
    int64_t count = cast<VectorType>(piece.getType()).getNumElements();
    merged.push_back(
        weigh(piece, spreadRows(wa, count), next(), spreadRows(wc, count)));
  }
  return merged;
}

Value AttentionEmitter::softmaxFinish(const SoftmaxRegisters &state,
                                      Value length) {
  sm90::AsmBuilder &b = *builder;
  Value empty =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, length, b.i32(0));
  Value sum = arith::SelectOp::create(b, empty, splat(1, 2), state.sum);
  Value inverse = arith::DivFOp::create(b, splat(1, 2), sum);
  int64_t count = cast<VectorType>(state.acc.getType()).getNumElements();
  return arith::MulFOp::create(b, state.acc, spreadRows(inverse, count));
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

void AttentionEmitter::storeRows(Value fragment, ArrayRef<Value> rows,
                                 ArrayRef<Value> valid, Value column,
                                 int64_t limit) {
  sm90::AsmBuilder &b = *builder;
  SmallVector<Value> all = b.unpack(packBf16(fragment));
  auto piece = VectorType::get({4}, b.getI32Type());
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<Value> words; // of each block of 8 columns
    for (size_t i = half; i < all.size(); i += 2)
      words.push_back(all[i]);
    transposeQuads(b, quad, words); // by all lanes, also those without a row
    emitIf(valid[half], [&] {
      for (size_t i = 0; i < words.size(); i += 4) {
        // Lane q of the quad holds the 16 bytes of block i + q.
        Value at = b.add(column, b.shl(b.add(quad, b.i32(i)), 3));
        emitIf(less(at, b.i32(limit)), [&] {
          LLVM::StoreOp::create(
              b, b.pack(ArrayRef<Value>(words).slice(i, 4), piece),
              byteOffset(rows[half], b.mul(wide(at), b.i64(2))),
              /*alignment=*/16);
        });
      }
    });
  }
}

} // namespace hadal::nvptx
