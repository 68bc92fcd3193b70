// gemv: one weight row at a time over the whole of K, against 1..8 packed
// activation rows. The stream of weights is one linear run of memory.
#include <cmath>

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
        for (Value v :
             decodeExactUnit(key.x, at(source, unit * 64 * bytesOf(key.x)))) {
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

FormBuilder::Values FormBuilder::gemvBlock(Value weights, Value groupScales,
                                           Value kb, ValueRange state,
                                           ValueRange scaleRows) {
  // The block's sums start at zero, so that blocks overlap in the pipeline. Two
  // of them in f32 arithmetic, where a block has more terms.
  int64_t parts = bf16Math ? 1 : 2;
  Values sums(key.m * parts, splatF(0));
  Value largest = isScaledCode(key.w) ? state.back() : Value();
  Value xBlock = at(arg(kPacked), mul(kb, kBlock * factorBytes));
  for (int64_t unit = 0; unit < 2; ++unit) {
    int64_t begin = bytesOf(key.w, unit * 64);
    Value source = at(weights, begin);
    // The lines that begin in this unit: of int4 one in two units.
    int64_t lines = (begin + bytesOf(key.w, 64) + 63) / 64 - (begin + 63) / 64;
    for (int64_t line = 0; line < lines && key.tuning.prefetch > 0; ++line)
      prefetch(at(source, key.tuning.prefetch + 64 * line));
    int64_t offset = unit * 64 * factorBytes;
    Value scales;
    if (groupScales)
      scales = at(groupScales, unit * 64 / kInt4Group * 2);
    Values factors =
        decodeUnit(key.w, source, largest ? &largest : nullptr, scales);
    for (auto [i, factor] : llvm::enumerate(factors)) {
      for (int m = 0; m < key.m; ++m) {
        Value x = at(xBlock, add(mul(arg(kRowStride), m), i64(offset)));
        Value &sum = sums[m * parts + i % parts];
        sum = mac(sum, factor, load(factorVec(), x));
      }
      offset += lanes * 4;
    }
  }
  Values next;
  for (int m = 0; m < key.m; ++m) {
    Value sum = sums[m * parts];
    if (parts == 2)
      sum = addf(sum, sums[m * parts + 1]);
    if (scaleRows.empty()) {
      next.push_back(addf(state[m], sum));
      continue;
    }
    Value scale = load(b.getF32Type(), at(scaleRows[m], mul(kb, 4)));
    next.push_back(fma(sum, broadcast(scale), state[m]));
  }
  if (largest)
    next.push_back(largest);
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
  int64_t blockBytes = bytesOf(key.w, kBlock);
  bool hasGroups = key.w == Elt::int4;
  constexpr int64_t kGroupBytes = kBlock / kInt4Group * 2;
  Value stage = stackBytes(kBlock * 4);
  Value stagedScales = hasGroups ? stackBytes(kGroupBytes) : Value();
  loop(lo, hi, 1, [&](Value row) {
    Value weights = at(arg(kW), mul(row, arg(kWStride)));
    Value groups;
    if (hasGroups)
      groups = at(arg(kSw), mul(mul(row, arg(kSwStride)), 2));
    auto groupsOf = [&](Value kb) {
      return hasGroups ? at(groups, mul(kb, kGroupBytes)) : Value();
    };
    auto block = [&](Value kb, ValueRange state) {
      return gemvBlock(at(weights, mul(kb, blockBytes)), groupsOf(kb), kb,
                       state, scaleRows);
    };
    Values state(key.m, splatF(0));
    if (isScaledCode(key.w))
      state.push_back(splatI(codeVec(), 0));
    state = loop(i64(0), turns, unroll, state, [&](Value kb, ValueRange in) {
      Values out = block(kb, in);
      for (int64_t u = 1; u < unroll; ++u)
        out = block(add(kb, i64(u)), out);
      return out;
    });
    state = loop(turns, whole, 1, state, block);
    state = loop(i64(0), hasTail, 1, state, [&](Value, ValueRange in) {
      stageTail(key.w, at(weights, mul(whole, blockBytes)), rest, stage);
      if (hasGroups)
        stageScales(groupsOf(whole), rest, stagedScales);
      return gemvBlock(stage, stagedScales, whole, in, scaleRows);
    });
    // A NaN code makes the whole row NaN, whatever it meets.
    Value factor;
    if (isScaledCode(key.w)) {
      auto constant = [&](float v) -> Value {
        return arith::ConstantOp::create(b, b.getF32FloatAttr(v));
      };
      factor = arith::SelectOp::create(b, hasNan(state.back()), constant(NAN),
                                       constant(1 / kCodeScale));
    }
    for (int m = 0; m < key.m; ++m) {
      Value sum = horizontalSum(state[m]);
      if (factor)
        sum = mulf(sum, factor);
      store(sum, at(arg(kY), mul(add(mul(arg(kYStride), m), row), 4)));
    }
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
