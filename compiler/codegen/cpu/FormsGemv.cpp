// gemv: one weight row at a time over the whole of K, against 1..8 packed
// activation rows. The stream of weights is one linear run of memory.
#include "compiler/codegen/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
enum GemvArg {
  kPacked, kScales, kRowStride, kScaleStride, kW, kWStride, kSw, kSwStride,
  kRowInBlock, kScaleRows, kN, kK, kY, kYStride, kWork
};
enum PackRowArg { kX, kSx, kPackK, kPackOut, kPackScales };
} // namespace

void FormBuilder::emitPackRow() {
  Value k = arg(kPackK), blocks = blocksOf(k);
  int64_t blockBytes = kBlock * factorBytes;
  Value missing = isNull(arg(kX));
  Value stage = stackBytes(kBlock * 4);
  auto row = scf::IfOp::create(b, missing, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(row.thenBlock());
    Value zero = splatI(vec(64, b.getI8Type()), 0);
    loop(i64(0), mul(blocks, blockBytes), 64,
         [&](Value i) { store(zero, at(arg(kPackOut), i)); });
    if (key.x == Elt::fp8)
      loop(i64(0), blocks, 1, [&](Value kb) {
        store(i32(0), at(arg(kPackScales), mul(kb, 4)));
      });
    b.setInsertionPointToStart(row.elseBlock());
    loadTables(key.x);
    loop(i64(0), blocks, 1, [&](Value kb) {
      Value start = mul(kb, kBlock);
      Value rest = sub(k, start);
      Value source = at(arg(kX), mul(start, bytesOf(key.x)));
      Value isTail = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, rest,
                                           i64(kBlock));
      when(isTail, [&] { stageTail(key.x, source, rest, stage); });
      source = arith::SelectOp::create(b, isTail, stage, source);
      Value out = at(arg(kPackOut), mul(kb, blockBytes));
      for (int64_t unit = 0; unit < 2; ++unit) {
        int64_t offset = unit * 64 * factorBytes;
        for (Value v : decodeUnit(key.x, at(source, unit * 64 * bytesOf(key.x)))) {
          store(v, at(out, offset));
          offset += lanes * 4;
        }
      }
      if (key.x == Elt::fp8)
        store(load(b.getF32Type(), at(arg(kSx), mul(kb, 4))),
              at(arg(kPackScales), mul(kb, 4)));
    });
  }
  LLVM::ReturnOp::create(b, ValueRange{});
}

FormBuilder::Values FormBuilder::gemvBlock(Value weights, Value kb,
                                           ValueRange totals,
                                           ValueRange scaleRows) {
  // The block's sums start at zero, so that blocks overlap in the pipeline.
  Values sums(key.m, splatF(0));
  Value xBlock = at(arg(kPacked), mul(kb, kBlock * factorBytes));
  for (int64_t unit = 0; unit < 2; ++unit) {
    Value source = at(weights, unit * 64 * bytesOf(key.w));
    for (int64_t line = 0; line < bytesOf(key.w) && key.tuning.prefetch > 0;
         ++line)
      prefetch(at(source, key.tuning.prefetch + 64 * line));
    int64_t offset = unit * 64 * factorBytes;
    for (Value factor : decodeUnit(key.w, source)) {
      for (int m = 0; m < key.m; ++m) {
        Value x = at(xBlock, add(mul(arg(kRowStride), m), i64(offset)));
        sums[m] = mac(sums[m], factor, load(factorVec(), x));
      }
      offset += lanes * 4;
    }
  }
  Values next;
  for (int m = 0; m < key.m; ++m) {
    if (scaleRows.empty()) {
      next.push_back(addf(totals[m], sums[m]));
      continue;
    }
    Value scale = load(b.getF32Type(), at(scaleRows[m], mul(kb, 4)));
    next.push_back(fma(sums[m], broadcast(scale), totals[m]));
  }
  return next;
}

void FormBuilder::gemvRows(Value lo, Value hi, ValueRange scaleRows) {
  Value k = arg(kK);
  Value whole = arith::ShRUIOp::create(b, k, i64(7));
  int64_t unroll = key.tuning.unroll;
  Value turns = arith::AndIOp::create(b, whole, i64(-unroll));
  Value rest = arith::AndIOp::create(b, k, i64(kBlock - 1));
  Value hasTail = arith::ExtUIOp::create(
      b, b.getI64Type(),
      arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, i64(0)));
  int64_t blockBytes = kBlock * bytesOf(key.w);
  Value stage = stackBytes(kBlock * 4);
  loop(lo, hi, 1, [&](Value row) {
    Value weights = at(arg(kW), mul(row, arg(kWStride)));
    auto block = [&](Value kb, ValueRange totals) {
      return gemvBlock(at(weights, mul(kb, blockBytes)), kb, totals, scaleRows);
    };
    Values totals(key.m, splatF(0));
    totals =
        loop(i64(0), turns, unroll, totals, [&](Value kb, ValueRange state) {
          Values sums = block(kb, state);
          for (int64_t u = 1; u < unroll; ++u)
            sums = block(add(kb, i64(u)), sums);
          return sums;
        });
    totals = loop(turns, whole, 1, totals, block);
    totals = loop(i64(0), hasTail, 1, totals, [&](Value, ValueRange state) {
      stageTail(key.w, at(weights, mul(whole, blockBytes)), rest, stage);
      return gemvBlock(stage, whole, state, scaleRows);
    });
    for (int m = 0; m < key.m; ++m)
      store(horizontalSum(totals[m]),
            at(arg(kY), mul(add(mul(arg(kYStride), m), row), 4)));
  });
}

void FormBuilder::emitGemv() {
  loadTables(key.w);
  Value n = arg(kN);
  if (key.w != Elt::fp8) {
    gemvRows(i64(0), n, {});
    LLVM::ReturnOp::create(b, ValueRange{});
    return;
  }
  // Rows that share a row of scales form a run.
  Value inBlock = arg(kRowInBlock), blockRows = arg(kScaleRows);
  Value runs = udiv(add(add(inBlock, n), sub(blockRows, i64(1))), blockRows);
  Value blocks = blocksOf(arg(kK));
  // One row of products per activation row.
  Value productBytes = arith::AndIOp::create(
      b, add(mul(blocks, 4), i64(63)), i64(-64));
  loop(i64(0), runs, 1, [&](Value run) {
    Value lo = arith::MaxSIOp::create(b, sub(mul(run, blockRows), inBlock),
                                      i64(0));
    Value hi = min(sub(mul(add(run, i64(1)), blockRows), inBlock), n);
    Value sw = at(arg(kSw), mul(mul(run, arg(kSwStride)), 4));
    Values scaleRows(key.m, sw);
    if (key.x == Elt::fp8) {
      // Both scales of a block are multiplied first (tile.dot_scaled).
      for (int m = 0; m < key.m; ++m) {
        Value products = at(arg(kWork), mul(productBytes, m));
        Value sx = at(arg(kScales), mul(mul(arg(kScaleStride), m), 4));
        loop(i64(0), blocks, 1, [&](Value kb) {
          Value offset = mul(kb, 4);
          store(mulf(load(b.getF32Type(), at(sx, offset)),
                     load(b.getF32Type(), at(sw, offset))),
                at(products, offset));
        });
        scaleRows[m] = products;
      }
    }
    gemvRows(lo, hi, scaleRows);
  });
  LLVM::ReturnOp::create(b, ValueRange{});
}

} // namespace hadal::cpu
