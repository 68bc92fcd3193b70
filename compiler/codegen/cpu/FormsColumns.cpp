// gemvColumns: one activation row against a weight whose rows are K (absorb_q:
// the rows of W_UK are the contraction). Rows are read in memory order, some at
// a time, and added to the output, which stays in the first cache; where the
// weights are e4m3 it is in their decoded order (FormBuilder.h) until the end.
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
        factor = mulf(factor, arith::ConstantOp::create(
                                  b, b.getF32FloatAttr(1 / kCodeScale)));
      }
      factors.push_back(broadcast(factor));
    }
    Value offset = mul(column, bytesOf(key.w));
    for (int64_t r = 0; r < count && key.tuning.prefetch > 0; ++r)
      for (int64_t line = 0; line < 2 * bytesOf(key.w); ++line)
        prefetch(at(at(weights[r], offset), key.tuning.prefetch + 64 * line));
    for (int64_t unit = 0; unit < kBlock; unit += 64) {
      SmallVector<int64_t> parts;
      Values sources;
      for (int64_t r = 0; r < count; ++r) {
        sources.push_back(
            at(at(weights[r], offset), unit * bytesOf(key.w)));
        if (key.w == Elt::fp8)
          parts.push_back(stageCodes(sources[r], /*largest=*/nullptr));
      }
      Value out = at(arg(kY), mul(add(column, i64(unit)), 4));
      for (int64_t v = 0; v < 64 / lanes; ++v) {
        Value place = at(out, v * lanes * 4), sum = load(f32Vec(), place);
        for (int64_t r = 0; r < count; ++r) {
          Value weight =
              key.w == Elt::fp8
                  ? stagedVector(parts[r], v)
                  : decodeF32(key.w, at(sources[r],
                                        v * lanes * bytesOf(key.w)));
          sum = fma(weight, factors[r], sum);
        }
        store(sum, place);
      }
    }
  });
}

void FormBuilder::restoreColumns() {
  loop(i64(0), arg(kN), 2 * lanes, [&](Value column) {
    Value place = at(arg(kY), mul(column, 4));
    Value even = load(f32Vec(), place),
          odd = load(f32Vec(), at(place, lanes * 4));
    for (int32_t half = 0; half < 2; ++half) {
      SmallVector<int32_t> mask;
      for (int32_t l = half * lanes / 2; l < (half + 1) * lanes / 2; ++l) {
        mask.push_back(l);
        mask.push_back(lanes + l);
      }
      store(shuffle(even, odd, mask), at(place, half * lanes * 4));
    }
  });
}

void FormBuilder::emitGemvColumns() {
  loadTables(key.w);
  Value k = arg(kK);
  loop(i64(0), arg(kN), lanes,
       [&](Value column) { store(splatF(0), at(arg(kY), mul(column, 4))); });
  int64_t group = key.tuning.kGroup;
  Value whole = arith::AndIOp::create(b, k, i64(-group));
  loop(i64(0), whole, group, [&](Value row) { columnsOfRows(row, group); });
  loop(whole, k, 1, [&](Value row) { columnsOfRows(row, 1); });
  if (key.w == Elt::fp8)
    restoreColumns();
  LLVM::ReturnOp::create(b, ValueRange{});
}

} // namespace hadal::cpu
