// gemvColumns: one activation row against a weight whose rows are K (absorb_q:
// the rows of W_UK are the contraction). Rows are read in memory order, some at
// a time, and added to the output, which stays in the first cache.
#include "compiler/codegen/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
enum GemvColumnsArg {
  kX,
  kW,
  kWStride,
  kSw,
  kSwStride,
  kRowInBlock,
  kScaleRows,
  kN,
  kK,
  kY
};
} // namespace

void FormBuilder::columnsOfRows(Value row, int64_t count) {
  Values x, weights, scaleRows;
  for (int64_t r = 0; r < count; ++r) {
    Value index = add(row, i64(r));
    Value source = at(arg(kX), mul(index, bytesOf(key.x)));
    if (key.x == Elt::f32) {
      x.push_back(load(b.getF32Type(), source));
    } else {
      Value bits = arith::ExtUIOp::create(b, b.getI32Type(),
                                          load(b.getI16Type(), source));
      x.push_back(bitcast(b.getF32Type(),
                          arith::ShLIOp::create(b, bits, i32(16))));
    }
    weights.push_back(at(arg(kW), mul(index, arg(kWStride))));
    if (key.w == Elt::fp8) {
      Value block = udiv(add(arg(kRowInBlock), index), arg(kScaleRows));
      scaleRows.push_back(at(arg(kSw), mul(mul(block, arg(kSwStride)), 4)));
    }
  }
  loop(i64(0), arg(kN), kBlock, [&](Value column) {
    Values factors;
    for (int64_t r = 0; r < count; ++r) {
      Value factor = x[r];
      if (key.w == Elt::fp8) {
        Value offset = mul(udiv(column, i64(kBlock)), 4);
        factor = mulf(factor, load(b.getF32Type(), at(scaleRows[r], offset)));
      }
      factors.push_back(broadcast(factor));
    }
    Value offset = mul(column, bytesOf(key.w));
    for (int64_t r = 0; r < count && key.tuning.prefetch > 0; ++r)
      for (int64_t line = 0; line < 2 * bytesOf(key.w); ++line)
        prefetch(at(at(weights[r], offset), key.tuning.prefetch + 64 * line));
    Value out = at(arg(kY), mul(column, 4));
    for (int64_t v = 0; v < kBlock; v += lanes) {
      Value sum = load(f32Vec(), at(out, v * 4));
      for (int64_t r = 0; r < count; ++r)
        sum = fma(decodeF32(key.w, at(at(weights[r], offset),
                                      v * bytesOf(key.w))),
                  factors[r], sum);
      store(sum, at(out, v * 4));
    }
  });
}

void FormBuilder::emitGemvColumns() {
  Value k = arg(kK);
  loop(i64(0), arg(kN), lanes,
       [&](Value column) { store(splatF(0), at(arg(kY), mul(column, 4))); });
  int64_t group = key.tuning.kGroup;
  Value whole = arith::AndIOp::create(b, k, i64(-group));
  loop(i64(0), whole, group, [&](Value row) { columnsOfRows(row, group); });
  loop(whole, k, 1, [&](Value row) { columnsOfRows(row, 1); });
  LLVM::ReturnOp::create(b, ValueRange{});
}

} // namespace hadal::cpu
