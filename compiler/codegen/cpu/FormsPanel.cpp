// panel: some weight rows x 128 of K are decoded once into L1, then multiplied
// with every packed column in register tiles. The same loops serve tile.dot.
#include "compiler/codegen/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
enum PanelArg {
  kPacked,
  kScales,
  kMPad,
  kW,
  kWStride,
  kSw,
  kSwStride,
  kRowInBlock,
  kScaleRows,
  kN,
  kK,
  kY,
  kYRowStride,
  kYColStride,
  kM,
  kAccumulate,
  kWork
};
} // namespace

void FormBuilder::emitPanel() {
  loadTables(key.w);
  Panel p;
  int64_t offset = 0;
  auto area = [&](int64_t bytes) {
    Value start = at(arg(kWork), offset);
    offset += bytes;
    return start;
  };
  int64_t decoded = key.tuning.decodedRows;
  p.tile = area(decoded * kBlock * 4);
  p.scaleTile = area(decoded * 4);
  p.scalePtrs = area(decoded * 8);
  p.acc = area(0);
  p.stage = stackBytes(kBlock * 4);
  p.mPad = arg(kMPad);
  p.accStride = mul(p.mPad, 4);
  // Chunks of K, ascending: every accumulator adds its blocks in order.
  Value blocks = blocksOf(arg(kK));
  Value blockBytes = mul(p.mPad, kBlock * factorBytes);
  Value chunk = arith::MaxSIOp::create(
      b, udiv(i64(key.tuning.chunkBytes), blockBytes), i64(1));
  Value chunks = udiv(sub(add(blocks, chunk), i64(1)), chunk);
  loop(i64(0), chunks, 1, [&](Value index) {
    p.firstBlock = mul(index, chunk);
    p.endBlock = min(add(p.firstBlock, chunk), blocks);
    loop(i64(0), arg(kN), decoded, [&](Value first) {
      Panel group = p;
      group.acc = at(p.acc, mul(first, p.accStride));
      panelGroup(group, first, min(sub(arg(kN), first), i64(decoded)));
    });
  });
  LLVM::ReturnOp::create(b, ValueRange{});
}

void FormBuilder::panelGroup(const Panel &p, Value first, Value count) {
  Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        p.firstBlock, i64(0));
  when(isFirst, [&] {
    Value zero = splatF(0);
    loop(i64(0), mul(count, p.accStride), lanes * 4,
         [&](Value i) { store(zero, at(p.acc, i), 4); });
  });
  if (key.w == Elt::fp8)
    loop(i64(0), count, 1, [&](Value r) {
      Value row = add(arg(kRowInBlock), add(first, r));
      Value block = udiv(row, arg(kScaleRows));
      store(at(arg(kSw), mul(mul(block, arg(kSwStride)), 4)),
            at(p.scalePtrs, mul(r, 8)), 8);
    });
  loop(p.firstBlock, p.endBlock, 1, [&](Value kb) {
    Value rest = sub(arg(kK), mul(kb, kBlock));
    panelDecode(p, first, count, kb, rest);
    // Words of K in this block, in whole units of 64 elements.
    Value units = arith::ShRUIOp::create(
        b, add(min(rest, i64(kBlock)), i64(63)), i64(6));
    panelMultiply(p, count, kb, mul(units, 16 * factorBytes));
  });
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::sge,
                                       mul(p.endBlock, kBlock), arg(kK));
  when(isLast, [&] { panelStore(p, first, count); });
}

void FormBuilder::panelDecode(const Panel &p, Value first, Value count,
                              Value kb, Value rest) {
  int64_t bytes = bytesOf(key.w, kBlock);
  constexpr int64_t kGroupBytes = kBlock / kInt4Group * 2;
  bool hasGroups = key.w == Elt::int4;
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  Value isTail =
      arith::CmpIOp::create(b, arith::CmpIPredicate::slt, rest, i64(kBlock));
  Value start = at(arg(kW), mul(kb, bytes));
  Value stagedScales = hasGroups ? stackBytes(kGroupBytes) : Value();
  // Some blocks on in this row, or at the chunk's end the same of the next
  // group's rows. Into L2: rows that lie a power of two apart would evict each
  // other from L1.
  int64_t blocksAhead = key.tuning.prefetchBlocks;
  Value ahead = add(kb, i64(blocksAhead));
  Value stays = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, ahead,
                                      p.endBlock);
  Value back = sub(p.firstBlock, p.endBlock);
  Value distance = arith::SelectOp::create(
      b, stays, i64(blocksAhead * bytes),
      add(mul(add(back, i64(blocksAhead)), bytes),
          mul(arg(kWStride), key.tuning.decodedRows)));
  loop(i64(0), count, 1, [&](Value r) {
    Value source = at(start, mul(add(first, r), arg(kWStride)));
    for (int64_t line = 0; line < bytes / 64 && blocksAhead > 0; ++line)
      prefetch(at(source, add(distance, i64(64 * line))), /*locality=*/2);
    Value scales;
    if (hasGroups) {
      scales = at(arg(kSw), mul(mul(add(first, r), arg(kSwStride)), 2));
      scales = at(scales, mul(kb, kGroupBytes));
    }
    when(isTail, [&] {
      stageTail(key.w, source, rest, p.stage);
      if (hasGroups)
        stageScales(scales, rest, stagedScales);
    });
    source = arith::SelectOp::create(b, isTail, p.stage, source);
    if (hasGroups)
      scales = arith::SelectOp::create(b, isTail, stagedScales, scales);
    Value out = at(p.tile, mul(r, tileRowBytes()));
    int64_t offset = 0;
    for (int64_t unit = 0; unit < 2; ++unit)
      for (Value v : decodeUnit(
               key.w, at(source, bytesOf(key.w, unit * 64)),
               /*largest=*/nullptr,
               hasGroups ? at(scales, unit * kGroupBytes / 2) : Value())) {
        store(v, at(out, offset), 4);
        offset += lanes * 4;
      }
    if (key.w == Elt::fp8) {
      Value row = load(ptr, at(p.scalePtrs, mul(r, 8)), 8);
      Value scale = load(b.getF32Type(), at(row, mul(kb, 4)));
      if (isScaledCode(key.w))
        scale = mulf(scale, arith::ConstantOp::create(
                                b, b.getF32FloatAttr(1 / kCodeScale)));
      store(scale, at(p.scaleTile, mul(r, 4)), 4);
    }
  });
}

void FormBuilder::panelMultiply(const Panel &p, Value count, Value kb,
                                Value words) {
  // Whole groups of the tile's vectors, then what is left of the columns in
  // groups of half as many, with as many accumulators.
  Value done = i64(0);
  for (int64_t vectors = tile.vectors; vectors >= 1; vectors /= 2) {
    int64_t width = vectors * lanes;
    bool isWidest = vectors == tile.vectors, isLast = width <= kColumnPad;
    Value end = !isWidest && isLast
                    ? p.mPad
                    : arith::AndIOp::create(b, p.mPad, i64(-width)).getResult();
    PanelTile part{tile.rows * tile.vectors / vectors, vectors};
    loop(done, end, width, [&](Value col) {
      loop(i64(0), count, part.rows,
           [&](Value row) { panelTile(p, part, kb, words, row, col); });
    });
    if (isLast)
      break;
    done = end;
  }
}

void FormBuilder::panelTile(const Panel &p, PanelTile tile, Value kb,
                            Value words, Value row, Value col) {
  int64_t rows = tile.rows, cols = tile.vectors;
  Value a = at(p.tile, mul(row, tileRowBytes()));
  Value packed = at(arg(kPacked), packedWord(p.mPad, col, kb));
  Values state(rows * cols, splatF(0));
  state.push_back(a);
  state.push_back(packed);
  int64_t unroll = key.tuning.panelUnroll;
  state = loop(i64(0), words, unroll, state, [&](Value, ValueRange in) {
    Values sums(in.begin(), in.end());
    Value aPtr = sums[rows * cols], bPtr = sums[rows * cols + 1];
    for (int64_t step = 0; step < unroll; ++step) {
      Values columns;
      for (int64_t c = 0; c < cols; ++c)
        columns.push_back(load(factorVec(), at(bPtr, c * lanes * 4)));
      for (int64_t r = 0; r < rows; ++r) {
        Value factor =
            broadcastFactor(at(aPtr, r * tileRowBytes() + step * 4));
        for (int64_t c = 0; c < cols; ++c)
          sums[r * cols + c] = mac(sums[r * cols + c], factor, columns[c]);
      }
      bPtr = at(bPtr, cols * lanes * 4);
    }
    sums[rows * cols] = at(aPtr, unroll * 4);
    sums[rows * cols + 1] = bPtr;
    return sums;
  });
  Value acc = at(p.acc, add(mul(row, p.accStride), mul(col, 4)));
  Value scales;
  if (key.w == Elt::fp8 && key.x == Elt::fp8)
    scales = at(arg(kScales), mul(add(mul(kb, p.mPad), col), 4));
  for (int64_t r = 0; r < rows; ++r) {
    Value weightScale;
    if (key.w == Elt::fp8)
      weightScale = broadcast(load(
          b.getF32Type(), at(p.scaleTile, mul(add(row, i64(r)), 4)), 4));
    for (int64_t c = 0; c < cols; ++c) {
      Value place = at(acc, c * lanes * 4);
      Value sum = state[r * cols + c], old = load(f32Vec(), place, 4);
      if (!weightScale) {
        store(addf(old, sum), place, 4);
        continue;
      }
      Value scale = weightScale;
      if (scales)
        scale = mulf(load(f32Vec(), at(scales, c * lanes * 4)), scale);
      store(fma(sum, scale, old), place, 4);
    }
    acc = at(acc, p.accStride);
  }
}

void FormBuilder::panelStore(const Panel &p, Value first, Value count) {
  // Squares of lanes x lanes as vectors, transposed where neighbours of y are
  // neighbours of w; what is left over one by one.
  Value m = arg(kM), one = i64(1);
  auto equals = [&](Value a, Value c) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, a, c);
  };
  auto fits = [&](Value start, Value extent) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sle,
                                 add(start, i64(lanes)), extent);
  };
  Value accumulate = arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                           arg(kAccumulate), i64(0));
  Value byRows = equals(arg(kYRowStride), one);
  Value byCols = equals(arg(kYColStride), one);
  Value isVector = arith::OrIOp::create(b, byRows, byCols);
  Value rowBytes = mul(arg(kYRowStride), 4), colBytes = mul(arg(kYColStride), 4);
  Value y = at(arg(kY), mul(first, rowBytes));
  auto put = [&](Type type, Value sum, Value place) {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
    Value old = load(type, place, 4);
    sum = addf(arith::SelectOp::create(b, accumulate, old, zero), sum);
    store(sum, place, 4);
  };
  loop(i64(0), count, lanes, [&](Value r0) {
    loop(i64(0), m, lanes, [&](Value j0) {
      Value from = at(p.acc, add(mul(r0, p.accStride), mul(j0, 4)));
      Value to = at(y, add(mul(r0, rowBytes), mul(j0, colBytes)));
      Value whole = arith::AndIOp::create(
          b, isVector,
          arith::AndIOp::create(b, fits(r0, count), fits(j0, m)));
      auto square = scf::IfOp::create(b, whole, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(square.thenBlock());
      Values rows;
      for (int64_t r = 0; r < lanes; ++r)
        rows.push_back(load(f32Vec(), at(from, mul(p.accStride, r)), 4));
      auto direction = scf::IfOp::create(b, byCols, /*withElseRegion=*/true);
      {
        OpBuilder::InsertionGuard inner(b);
        b.setInsertionPointToStart(direction.thenBlock());
        for (int64_t r = 0; r < lanes; ++r)
          put(f32Vec(), rows[r], at(to, mul(rowBytes, r)));
        b.setInsertionPointToStart(direction.elseBlock());
        transpose(rows);
        for (int64_t j = 0; j < lanes; ++j)
          put(f32Vec(), rows[j], at(to, mul(colBytes, j)));
      }
      b.setInsertionPointToStart(square.elseBlock());
      loop(i64(0), min(sub(count, r0), i64(lanes)), 1, [&](Value r) {
        loop(i64(0), min(sub(m, j0), i64(lanes)), 1, [&](Value j) {
          Value sum = load(b.getF32Type(),
                           at(from, add(mul(r, p.accStride), mul(j, 4))), 4);
          put(b.getF32Type(), sum,
              at(to, add(mul(r, rowBytes), mul(j, colBytes))));
        });
      });
    });
  });
}

} // namespace hadal::cpu
