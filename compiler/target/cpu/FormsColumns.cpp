// gemvColumns: one activation row against a weight whose rows are K (absorb_q:
// the rows of W_UK are the contraction). 128 columns at a time stay in
// registers; a run of rows under one row of scales is summed first.
#include "compiler/target/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
enum GemvColumnsArg {
  kX, kW, kWStride, kSw, kSwStride, kRowInBlock, kScaleRows, kN, kK, kY
};
/// Weight rows ahead of the current one to prefetch.
constexpr int64_t kRowsAhead = 16;
} // namespace

void FormBuilder::emitGemvColumns() {
  Value n = arg(kN), k = arg(kK);
  int64_t vectors = kBlock / lanes;
  auto sumRows = [&](Value lo, Value hi, Value column) {
    return loop(lo, hi, 1, Values(vectors, splatF(0)),
                [&](Value row, ValueRange sums) {
      Value x = at(arg(kX), mul(row, bytesOf(key.x)));
      Value factor;
      if (key.x == Elt::f32) {
        factor = load(b.getF32Type(), x);
      } else {
        Value bits = arith::ExtUIOp::create(b, b.getI32Type(),
                                            load(b.getI16Type(), x));
        factor = bitcast(b.getF32Type(),
                         arith::ShLIOp::create(b, bits, i32(16)));
      }
      factor = broadcast(factor);
      Value weights = at(at(arg(kW), mul(row, arg(kWStride))),
                         mul(column, bytesOf(key.w)));
      Value ahead = at(weights, mul(arg(kWStride), kRowsAhead));
      for (int64_t line = 0; line < 2 * bytesOf(key.w); ++line)
        prefetch(at(ahead, 64 * line));
      Values next;
      for (int64_t v = 0; v < vectors; ++v)
        next.push_back(
            fma(decodeF32(key.w, at(weights, v * lanes * bytesOf(key.w))),
                factor, sums[v]));
      return next;
    });
  };
  loop(i64(0), n, kBlock, [&](Value column) {
    Values totals;
    if (key.w != Elt::fp8) {
      totals = sumRows(i64(0), k, column);
    } else {
      Value inBlock = arg(kRowInBlock), blockRows = arg(kScaleRows);
      Value runs = udiv(add(add(inBlock, k), sub(blockRows, i64(1))),
                        blockRows);
      totals = loop(i64(0), runs, 1, Values(vectors, splatF(0)),
                    [&](Value run, ValueRange state) {
        Value lo = arith::MaxSIOp::create(
            b, sub(mul(run, blockRows), inBlock), i64(0));
        Value hi = min(sub(mul(add(run, i64(1)), blockRows), inBlock), k);
        Value index = add(mul(run, arg(kSwStride)), udiv(column, i64(kBlock)));
        Value scale =
            broadcast(load(b.getF32Type(), at(arg(kSw), mul(index, 4))));
        Values sums = sumRows(lo, hi, column), next;
        for (int64_t v = 0; v < vectors; ++v)
          next.push_back(fma(sums[v], scale, state[v]));
        return next;
      });
    }
    Value out = at(arg(kY), mul(column, 4));
    for (int64_t v = 0; v < vectors; ++v)
      store(totals[v], at(out, v * lanes * 4));
  });
  LLVM::ReturnOp::create(b, ValueRange{});
}

} // namespace hadal::cpu
