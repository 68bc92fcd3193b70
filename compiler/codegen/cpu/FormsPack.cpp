// Packing of the column operand of a panel, in words of one f32 or of two bf16
// neighbours of K: [block of 128][group of columns][word][column], so that what
// a register tile walks is one run of memory, free of cache set conflicts.
#include "compiler/codegen/cpu/FormBuilder.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
enum PackPanelArg { kRows, kScaleRows, kMPad, kK, kPacked, kScales, kMemo };
enum PackColumnsArg { kB, kBStride, kBK, kBN, kBNPad, kBPacked };
} // namespace

FormBuilder::Group FormBuilder::groupOf(Value pad, Value col) {
  // As many vectors as a register tile has; what is left of the columns in
  // groups of half as many, and so on, as panel walks them. Less than a tile of
  // one or two vectors is one group.
  auto startOf = [&](int64_t width) -> Value {
    return arith::AndIOp::create(b, col, i64(-width));
  };
  int64_t wide = tile.vectors * lanes;
  Value start = startOf(wide);
  Group group{start, min(sub(pad, start), i64(wide))};
  for (int64_t width = wide / 2; tile.vectors == 4 && width >= kColumnPad;
       width /= 2) {
    Value isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::sge,
                                          group.width, i64(2 * width));
    Value half = startOf(width);
    group.start = arith::SelectOp::create(b, isWhole, group.start, half);
    group.width = arith::SelectOp::create(b, isWhole, group.width,
                                          min(sub(pad, half), i64(width)));
  }
  return group;
}

Value FormBuilder::packedWord(Value pad, Value col, Value block) {
  int64_t blockWords = kBlock * factorBytes / 4;
  Value start = groupOf(pad, col).start;
  Value words = mul(add(mul(block, pad), start), blockWords);
  return mul(add(words, sub(col, start)), 4);
}

void FormBuilder::emitPackPanel() {
  loadTables(key.x);
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  Value mPad = arg(kMPad), k = arg(kK);
  int64_t size = bytesOf(key.x), unitWords = 16 * factorBytes;
  Value units = arith::ShRUIOp::create(b, add(k, i64(63)), i64(6));
  Value stage = stackBytes(lanes * 64 * size);
  Value sources = stackBytes(lanes * 8);
  VectorType words = vec(lanes, b.getI32Type());
  VectorType lines = vec(64, b.getI8Type());
  // Neighbouring work items share their activations: the rows that were packed
  // last are remembered (a count, then the pointers).
  Value memo = arg(kMemo);
  Value remembers = arith::XOrIOp::create(
      b, isNull(memo),
      arith::ConstantOp::create(b, b.getBoolAttr(true)));
  auto remembered = scf::IfOp::create(
      b, TypeRange{b.getI1Type()}, remembers, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(remembered.thenBlock());
    Type word = b.getI64Type();
    Value difference =
        arith::XOrIOp::create(b, load(word, memo, 8), mPad);
    // As many as are remembered are compared; the rest differ by the count.
    Values all = loop(
        i64(0), min(mPad, load(word, memo, 8)), 1, {difference},
        [&](Value m, ValueRange state) {
          Value now = load(word, at(arg(kRows), mul(m, 8)), 8);
          Value then = load(word, at(memo, mul(add(m, i64(1)), 8)), 8);
          Value d = arith::XOrIOp::create(b, now, then);
          return Values{arith::OrIOp::create(b, state[0], d)};
        });
    store(mPad, memo, 8);
    loop(i64(0), mPad, 1, [&](Value m) {
      store(load(word, at(arg(kRows), mul(m, 8)), 8),
            at(memo, mul(add(m, i64(1)), 8)), 8);
    });
    Value same = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, all[0],
                                       i64(0));
    scf::YieldOp::create(b, same);
    b.setInsertionPointToStart(remembered.elseBlock());
    Value no = arith::ConstantOp::create(b, b.getBoolAttr(false));
    scf::YieldOp::create(b, no);
  }
  // No column: nothing to do below.
  mPad = arith::SelectOp::create(b, remembered.getResult(0), i64(0), mPad);
  Value allColumns = arg(kMPad);
  loop(i64(0), mPad, lanes, [&](Value group) {
    Values nulls = loop(
        i64(0), i64(lanes), 1,
        {arith::ConstantOp::create(b, b.getBoolAttr(false))},
        [&](Value r, ValueRange state) {
          Value row = load(ptr, at(arg(kRows), mul(add(group, r), 8)), 8);
          return Values{arith::OrIOp::create(b, state[0], isNull(row))};
        });
    loop(i64(0), units, 1, [&](Value unit) {
      Value start = mul(unit, 64);
      Value rest = sub(k, start);
      Value isTail = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, rest,
                                           i64(64));
      // Where each row's 64 elements are: in place, or staged with zeros.
      Value plain = arith::XOrIOp::create(
          b, arith::OrIOp::create(b, isTail, nulls[0]),
          arith::ConstantOp::create(b, b.getBoolAttr(true)));
      when(plain, [&] {
        for (int64_t r = 0; r < lanes; ++r) {
          Value row = load(ptr, at(arg(kRows), mul(add(group, i64(r)), 8)), 8);
          store(at(row, mul(start, size)), at(sources, r * 8), 8);
        }
      });
      Value staging = arith::SelectOp::create(b, plain, i64(0), i64(lanes));
      loop(i64(0), staging, 1, [&](Value r) {
        Value row = load(ptr, at(arg(kRows), mul(add(group, r), 8)), 8);
        Value missing = isNull(row);
        Value staged = arith::OrIOp::create(b, missing, isTail);
        Value place = at(stage, mul(r, 64 * size));
        Value source = at(row, mul(start, size));
        when(staged, [&] {
          for (int64_t i = 0; i < 64 * size; i += 64)
            store(splatI(lines, 0), at(place, i));
          Value count =
              arith::SelectOp::create(b, missing, i64(0), min(rest, i64(64)));
          Type word = b.getIntegerType(8 * size);
          loop(i64(0), count, 1, [&](Value i) {
            Value offset = mul(i, size);
            store(load(word, at(source, offset)), at(place, offset));
          });
        });
        store(arith::SelectOp::create(b, staged, place, source),
              at(sources, mul(r, 8)), 8);
      });
      SmallVector<Values> rows; // [row][vector of the unit]
      for (int64_t r = 0; r < lanes; ++r)
        rows.push_back(
            decodeExactUnit(key.x, load(ptr, at(sources, r * 8), 8)));
      Value width = groupOf(allColumns, group).width;
      Value out = add(packedWord(allColumns, group, arith::ShRUIOp::create(
                                                  b, unit, i64(1))),
                      mul(mul(arith::AndIOp::create(b, unit, i64(1)), width),
                          unitWords * 4));
      out = at(arg(kPacked), out);
      Value step = mul(width, 4);
      for (int64_t v = 0; v < vectorsPerUnit(); ++v) {
        Values square;
        for (int64_t r = 0; r < lanes; ++r)
          square.push_back(bitcast(words, rows[r][v]));
        transpose(square);
        for (Value column : square) {
          store(column, out);
          out = at(out, step);
        }
      }
    });
  });
  if (key.x == Elt::fp8)
    loop(i64(0), mPad, 1, [&](Value m) {
      Value row = load(ptr, at(arg(kScaleRows), mul(m, 8)), 8);
      Value missing = isNull(load(ptr, at(arg(kRows), mul(m, 8)), 8));
      Value zero = arith::ConstantOp::create(b, b.getF32FloatAttr(0));
      loop(i64(0), blocksOf(k), 1, [&](Value kb) {
        auto value = scf::IfOp::create(
            b, missing,
            [&](OpBuilder &nested, Location loc) {
              scf::YieldOp::create(nested, loc, zero);
            },
            [&](OpBuilder &nested, Location loc) {
              OpBuilder::InsertionGuard guard(b);
              b.restoreInsertionPoint(nested.saveInsertionPoint());
              Value scale = load(b.getF32Type(), at(row, mul(kb, 4)));
              scf::YieldOp::create(b, scale);
            });
        store(value.getResult(0),
              at(arg(kScales), mul(add(mul(kb, allColumns), m), 4)));
      });
    });
  LLVM::ReturnOp::create(b, ValueRange{});
}

void FormBuilder::emitPackColumns() {
  // Words of one row of the result: two rows of b in bf16 arithmetic.
  int64_t rowsPerWord = bf16Math ? 2 : 1, size = bytesOf(key.x);
  Value k = arg(kBK), n = arg(kBN), nPad = arg(kBNPad);
  Value words = arith::ShRUIOp::create(b, add(k, i64(63)), i64(6));
  words = mul(words, 64 / rowsPerWord);
  Value blockWords = i64(kBlock / rowsPerWord);
  Value stage = stackBytes(2 * 64);
  VectorType line = vec(64, b.getI8Type());
  Type element = b.getIntegerType(8 * size);
  loop(i64(0), words, 1, [&](Value word) {
    Value block = udiv(word, blockWords);
    Value inBlock = sub(word, mul(block, blockWords));
    loop(i64(0), nPad, lanes, [&](Value col) {
      Values parts;
      for (int64_t r = 0; r < rowsPerWord; ++r) {
        Value row = add(mul(word, rowsPerWord), i64(r));
        Value source =
            at(arg(kB), add(mul(row, arg(kBStride)), mul(col, size)));
        Value inside =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, row, k);
        Value count = arith::SelectOp::create(b, inside, sub(n, col), i64(0));
        Value staged = arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                             count, i64(lanes));
        Value place = at(stage, r * 64);
        when(staged, [&] {
          store(splatI(line, 0), place);
          loop(i64(0), count, 1, [&](Value i) {
            Value offset = mul(i, size);
            store(load(element, at(source, offset)), at(place, offset));
          });
        });
        source = arith::SelectOp::create(b, staged, place, source);
        parts.push_back(bf16Math
                            ? load(vec(lanes, b.getBF16Type()), source)
                            : decodeF32(key.x, source));
      }
      Value out32 = at(arg(kBPacked),
                       add(packedWord(nPad, col, block),
                           mul(mul(inBlock, groupOf(nPad, col).width), 4)));
      if (!bf16Math) {
        store(parts[0], out32);
        return;
      }
      SmallVector<int32_t> mask;
      for (int64_t i = 0; i < lanes; ++i) {
        mask.push_back(i);
        mask.push_back(lanes + i);
      }
      store(shuffle(parts[0], parts[1], mask), out32);
    });
  });
  LLVM::ReturnOp::create(b, ValueRange{});
}

} // namespace hadal::cpu
