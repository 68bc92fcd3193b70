// Stores of fragments: whole 16-byte pieces where the view allows.
#include "compiler/codegen/nvptx/common/Codes.h"
#include "compiler/codegen/nvptx/common/TransposeQuads.h"
#include "compiler/codegen/nvptx/pipeline/PipelineEmitter.h"

#include <numeric>

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

void PipelineEmitter::storeScales(StoreOp store, const ViewRef &view,
                                  ArrayRef<Value> rows,
                                  ArrayRef<Value> valid, int64_t parts) {
  sm90::AsmBuilder &b = *builder;
  int64_t block = view.type.getScaleCols(), inner = view.type.getShape().back();
  int64_t pitch = (inner + block - 1) / block;
  FailureOr<Fragment> scales = materialize(store, store.getScales());
  Value column = b.udiv(scalar(store.getIndices()[1]), b.i64(block));
  // One of the four lanes that share a row writes its scale.
  Value first = b.cmp(arith::CmpIPredicate::eq, quadColumn, b.i32(0));
  if (parts > 1)
    first = b.bitAnd(first,
                     b.cmp(arith::CmpIPredicate::eq, columnPart, b.i32(0)));
  for (int64_t half = 0; half < 2; ++half) {
    auto ifOp = scf::IfOp::create(b, TypeRange(),
                                  b.bitAnd(first, valid[half]), false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
    Value at = b.add(b.mul(rows[half], b.i64(pitch)), column);
    LLVM::StoreOp::create(
        b, LLVM::ExtractElementOp::create(b, scales->regs, b.i32(half)),
        byteOffset(view.scale, b.mul(at, b.i64(4))));
  }
}

LogicalResult PipelineEmitter::emitStore(StoreOp store) {
  sm90::AsmBuilder &b = *builder;
  const ViewRef &view = *views.find(store.getView())->second;
  auto type = cast<RankedTensorType>(store.getTile().getType());
  if (view.type.getRank() != 2 || type.getRank() != 2 || view.pageTable ||
      view.source || view.type.getKind() != ViewKind::Dense)
    return store.emitOpError("has no sm_90a lowering: a kernel with "
                             "contractions stores tiles of dense matrices");
  FailureOr<Fragment> frag = materialize(store, store.getTile());
  if (failed(frag))
    return failure();
  if (frag->width != 2 || frag->cols % 8 != 0)
    return store.emitOpError("has no sm_90a lowering for a tile of ") << type;
  int64_t inner = view.type.getShape().back();
  Type element = type.getElementType();
  bool codes = isa<Float8E4M3FNType>(element);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Value row0 = scalar(store.getIndices()[0]), col0 = scalar(store.getIndices()[1]);
  Value below = store.getRowsBelow() ? scalar(store.getRowsBelow()) : Value();

  SmallVector<Value> rows, valid, pointers;
  for (int64_t half = 0; half < 2; ++half) {
    Value inTile = arith::ExtUIOp::create(b, b.getI64Type(),
                                          fragmentRow(*frag, 2 * half));
    rows.push_back(b.add(row0, inTile));
    Value inside =
        b.cmp(arith::CmpIPredicate::ult, rows[half], view.extents[0]);
    if (frag->rows % 64 != 0)
      inside = b.bitAnd(inside, b.cmp(arith::CmpIPredicate::ult, inTile,
                                      b.i64(frag->rows)));
    if (below)
      inside = b.bitAnd(inside,
                        b.cmp(arith::CmpIPredicate::slt, inTile, below));
    if (writes)
      inside = b.bitAnd(inside, writes);
    valid.push_back(inside);
    pointers.push_back(rowPointer(view, {}, rows[half]));
  }
  if (store.getScales()) {
    auto scales = cast<RankedTensorType>(store.getScales().getType());
    if (scales.getDimSize(1) != 1 || inner < 0)
      return store.emitOpError("has no sm_90a lowering: more than one scale per "
                               "row of a tile");
    storeScales(store, view, rows, valid, frag->parts);
  }

  // As 32-bit words: a word holds the two columns of this lane in one block of
  // eight (e4m3: in two blocks), [half] apart.
  SmallVector<Value> words[2];
  int64_t blocks = frag->cols / frag->parts / 8;
  int64_t wordBlocks = codes ? 2 : 1;
  SmallVector<Value> elements = b.unpack(frag->regs);
  if (bytes == 4) {
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t block = 0; block < blocks; ++block)
        for (int64_t e = 0; e < 2; ++e)
          words[half].push_back(elements[4 * block + 2 * half + e]);
  } else {
    auto pair = VectorType::get({2}, codes ? Type(b.getI16Type()) : element);
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t block = 0; block + wordBlocks <= blocks;
           block += wordBlocks) {
        SmallVector<Value> parts;
        if (codes) // one i16 per block and half
          parts = {elements[2 * block + half], elements[2 * block + 2 + half]};
        else
          parts = {elements[4 * block + 2 * half],
                   elements[4 * block + 2 * half + 1]};
        words[half].push_back(LLVM::BitcastOp::create(
            b, b.getI32Type(), b.pack(parts, pair)));
      }
  }
  // Columns that a piece of 16 bytes covers, and whether pieces are whole.
  int64_t piece = 16 / bytes;
  int64_t aligned = std::gcd(divisor(store.getIndices()[1]),
                             inner < 0 ? int64_t(1) : inner);
  bool ragged = inner < 0 || inner % frag->cols != 0 ||
                divisor(store.getIndices()[1]) % frag->cols != 0;
  Value start = col0;
  if (frag->parts > 1)
    start = b.add(start, arith::ExtUIOp::create(
                             b, b.getI64Type(),
                             b.mul(columnPart,
                                   b.i32(frag->cols / frag->parts))));
  auto wide = [&](Value v) -> Value {
    return arith::ExtUIOp::create(b, b.getI64Type(), v);
  };
  /// Stores |value| at column start + |column| of row |half| if |width| columns
  /// from there exist.
  auto put = [&](int64_t half, Value value, Value column, int64_t width) {
    Value at = b.add(start, column);
    auto emit = [&] {
      LLVM::StoreOp::create(
          b, value, byteOffset(pointers[half], b.mul(at, b.i64(bytes))),
          width * bytes);
    };
    if (!ragged)
      return emit();
    Value end = b.add(at, b.i64(width));
    auto inside = scf::IfOp::create(
        b, TypeRange(),
        b.cmp(arith::CmpIPredicate::ule, end, view.extents.back()), false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(inside.thenBlock()->getTerminator());
    emit();
  };
  auto rowIf = [&](int64_t half) {
    return scf::IfOp::create(b, TypeRange(), valid[half], false);
  };
  auto vec4 = VectorType::get({4}, b.getI32Type());

  if (bytes == 4) {
    auto vec2 = VectorType::get({2}, element);
    for (int64_t half = 0; half < 2; ++half) {
      auto ifOp = rowIf(half);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
      for (int64_t block = 0; block < blocks; ++block) {
        Value column = wide(b.add(b.i32(8 * block), b.shl(quadColumn, 1)));
        if (aligned % 2 == 0) {
          put(half,
              b.pack({words[half][2 * block], words[half][2 * block + 1]},
                     vec2),
              column, 2);
          continue;
        }
        for (int64_t e = 0; e < 2; ++e)
          put(half, words[half][2 * block + e], b.add(column, b.i64(e)), 1);
      }
    }
    return success();
  }
  for (int64_t half = 0; half < 2; ++half) {
    int64_t done = 0, count = words[half].size();
    // In front of the branch on the row: all lanes take part in the exchange.
    if (aligned % piece == 0)
      for (; done + 4 <= count; done += 4)
        transposeQuads(b, lane, MutableArrayRef<Value>(words[half]).slice(done, 4));
    auto ifOp = rowIf(half);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(ifOp.thenBlock()->getTerminator());
    for (int64_t w = 0; w < done; w += 4) {
      ArrayRef<Value> group4 = ArrayRef<Value>(words[half]).slice(w, 4);
      SmallVector<Value> out(group4);
      if (codes)
        out = orderCodes(b, group4);
      // Lane q now holds word w + q of its row: piece columns.
      Value column =
          wide(b.mul(b.add(quadColumn, b.i32(w)), b.i32(piece)));
      put(half, b.pack(out, vec4), column, piece);
    }
    // What does not fill four words, or a view whose rows have no 16-byte
    // pieces: by pairs of columns, or one by one.
    auto pairType =
        VectorType::get({2}, codes ? Type(b.getI16Type()) : element);
    auto bytesType = VectorType::get({2}, b.getI8Type());
    for (int64_t block = done * wordBlocks; block < blocks; ++block) {
      Value column = wide(b.add(b.i32(8 * block), b.shl(quadColumn, 1)));
      Value both;
      if (codes)
        both = elements[2 * block + half];
      else
        both = b.pack({elements[4 * block + 2 * half],
                       elements[4 * block + 2 * half + 1]},
                      pairType);
      if (aligned % 2 == 0) {
        put(half, both, column, 2);
        continue;
      }
      if (codes)
        both = LLVM::BitcastOp::create(b, bytesType, both);
      for (int64_t e = 0; e < 2; ++e)
        put(half, LLVM::ExtractElementOp::create(b, both, b.i32(e)),
            b.add(column, b.i64(e)), 1);
    }
  }
  return success();
}

} // namespace hadal::nvptx
