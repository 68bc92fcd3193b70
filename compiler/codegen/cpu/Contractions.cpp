#include "compiler/codegen/cpu/Contractions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace hadal::cpu {

namespace {

Value binary(TileLowering &l, Value a, Value c, char op) {
  switch (op) {
  case '+':
    return arith::AddIOp::create(l.b, l.loc, a, c);
  case '-':
    return arith::SubIOp::create(l.b, l.loc, a, c);
  case '*':
    return arith::MulIOp::create(l.b, l.loc, a, c);
  case '/':
    return arith::DivUIOp::create(l.b, l.loc, a, c);
  case '%':
    return arith::RemUIOp::create(l.b, l.loc, a, c);
  case '<':
    return arith::MinSIOp::create(l.b, l.loc, a, c);
  case '>':
    return arith::MaxSIOp::create(l.b, l.loc, a, c);
  case '&':
    return arith::AndIOp::create(l.b, l.loc, a, c);
  }
  llvm_unreachable("an operator");
}

Value atByte(TileLowering &l, Value ptr, Value bytes) {
  return l.gep(ptr, l.b.getI8Type(), bytes);
}

int64_t roundUp(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

} // namespace

TileLoweringHooks ContractionLowering::hooks() {
  TileLoweringHooks hooks;
  hooks.lowerOp = [this](TileLowering &l, Operation *op, bool &handled) {
    return lower(l, op, handled);
  };
  return hooks;
}

LogicalResult ContractionLowering::refuse(const Twine &reason) {
  hasRefused = true;
  return refuseWord(kernel, "form", reason);
}

LogicalResult ContractionLowering::lower(TileLowering &l, Operation *op,
                                         bool &handled) {
  if (schedule.form == Form::none || schedule.form == Form::loops)
    return success();
  auto fold = dyn_cast<tile::FoldOp>(op);
  bool contracts =
      fold && llvm::any_of(fold.getBody().front(),
                           [](Operation &inner) { return isProduct(&inner); });
  if (schedule.form == Form::dot ? !isProduct(op)
                                 : !contracts && !isProduct(op))
    return success();
  handled = true;
  if (isProduct(op) && schedule.form != Form::dot)
    return refuse("a product is in none of the folds that it takes over");
  if (auto dot = dyn_cast<tile::DotOp>(op))
    return lowerDot(l, dot);
  if (auto dot = dyn_cast<tile::DotScaledOp>(op))
    return lowerDotScaled(l, dot);
  return lowerFold(l, fold);
}

LogicalResult ContractionLowering::lowerFold(TileLowering &l, tile::FoldOp op) {
  if (schedule.form == Form::columns) {
    ColumnContraction fold;
    std::string problem = matchColumns(l, kernel, op, fold);
    if (!problem.empty())
      return refuse(problem);
    emitColumns(l, fold);
    return success();
  }
  RowContraction fold;
  std::string problem = matchRows(l, op, fold);
  if (!problem.empty())
    return refuse(problem);
  if (schedule.form == Form::gemv && fold.m != 1)
    return refuse("it is for one activation row, the tile has " +
                  Twine(fold.m));
  if (schedule.form == Form::rows && fold.m == 1)
    return refuse("the tile has one activation row, which is gemv");
  Value count = wantedRows(l, fold);
  if (schedule.form == Form::panel)
    emitPanel(l, fold, count);
  else
    emitRows(l, fold, count);
  return success();
}

void ContractionLowering::call(TileLowering &l, const FormKey &key,
                               ValueRange args) {
  auto module = kernel->getParentOfType<ModuleOp>();
  std::string symbol = formSymbol(key);
  auto type =
      cast<LLVM::LLVMFunctionType>(formType(l.b.getContext(), key.kind));
  if (!module.lookupSymbol(symbol)) {
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(module.getBody());
    LLVM::LLVMFuncOp::create(l.b, l.loc, symbol, type);
  }
  used.insert(key);
  LLVM::CallOp::create(l.b, l.loc, type, symbol, args);
}

//===----------------------------------------------------------------------===//
// Folds over memory
//===----------------------------------------------------------------------===//

Value ContractionLowering::storedRows(TileLowering &l, tile::FoldOp op) {
  // Follow the accumulators through row-wise operations to the stores.
  Value limit;
  SmallVector<Value> work(op.getResults());
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (auto store = dyn_cast<tile::StoreOp>(user)) {
        Value below = store.getRowsBelow();
        if (!below || (limit && below != limit))
          return {};
        limit = below;
        continue;
      }
      bool rowWise =
          user->hasTrait<OpTrait::Elementwise>() ||
          isa<tile::QuantizeOp, tile::InterleaveOp, tile::DeinterleaveOp>(user);
      if (auto slice = dyn_cast<tile::SliceOp>(user))
        rowWise = slice.getOffsets()[0] == 0 &&
                  shapeOf(slice.getResult())[0] == shapeOf(value)[0];
      if (auto concat = dyn_cast<tile::ConcatOp>(user))
        rowWise = concat.getDim() == 1;
      if (!rowWise)
        return {};
      work.append(user->result_begin(), user->result_end());
    }
  }
  // It must be known before the fold.
  if (!limit || !isOutside(limit, op))
    return {};
  if (Operation *def = limit.getDefiningOp())
    if (def->getBlock() != op->getBlock() || !def->isBeforeInBlock(op))
      return {};
  return limit;
}

Value ContractionLowering::wantedRows(TileLowering &l,
                                      const RowContraction &fold) {
  const ContractionOperand &x = fold.x;
  tile::LoadOp load = x.load;
  unsigned dim = x.rowDim();
  Value count = l.validCount(x.view, dim, load.getIndices()[dim], fold.m);
  if (Value limit = storedRows(l, fold.op)) {
    limit = binary(l, l.scalar(limit), l.i64(0), '>');
    count = binary(l, count, limit, '<');
  }
  return count;
}

/// Calls |body| for each run of weight rows that lie at a fixed distance in
/// memory: (first row relative to the tile, pointer, scale pointer or null,
/// offset of the first row in its scale block, rows).
void ContractionLowering::forEachRun(
    TileLowering &l, const ContractionOperand &w, int64_t n,
    function_ref<void(Value, Value, Value, Value, Value)> body) {
  tile::LoadOp load = w.load;
  unsigned dim = w.rowDim();
  SmallVector<Value> outer;
  for (Value index : load.getIndices().drop_back())
    outer.push_back(l.scalar(index));
  Value first = outer.back();
  Value count = l.validCount(w.view, dim, load.getIndices()[dim], n);
  auto run = [&](Value row, Value rows) {
    outer.back() = row;
    Value data = l.rowAddress(w.view, outer);
    Value null = LLVM::ZeroOp::create(
        l.b, l.loc, LLVM::LLVMPointerType::get(l.b.getContext()));
    Value scale = null, inBlock = l.i64(0);
    if (w.view.type.isScaled()) {
      scale = l.scaleAddress(w.view, outer, l.i64(0));
      Value inSegment = row;
      if (w.view.type.getKind() == tile::ViewKind::Segments)
        inSegment = binary(l, row, l.i64(w.view.type.getSegmentRows()), '%');
      inBlock = binary(l, inSegment, l.i64(w.view.type.getScaleRows()), '%');
    }
    body(binary(l, row, first, '-'), data, scale, inBlock, rows);
  };
  if (w.view.type.getKind() != tile::ViewKind::Segments) {
    run(first, count);
    return;
  }
  Value length = l.i64(w.view.type.getSegmentRows());
  Value end = binary(l, first, count, '+');
  Value firstSegment = binary(l, first, length, '/');
  Value lastSegment =
      binary(l, binary(l, binary(l, end, length, '+'), l.i64(1), '-'), length,
             '/');
  l.forLoop(firstSegment, lastSegment, 1, [&](Value segment) {
    Value start = binary(l, segment, length, '*');
    Value lo = binary(l, first, start, '>');
    Value hi = binary(l, binary(l, start, length, '+'), end, '<');
    run(lo, binary(l, hi, lo, '-'));
  });
}

namespace {

/// Zeroes what the form leaves out: columns beyond the weight's rows (an
/// epilogue may reduce over them).
void clearTile(TileLowering &l, const TileBuffer &out) {
  Value zero = l.floatConstant(0.0);
  l.loopNest(out.shape,
             [&](ValueRange at) { l.storeElement(out, at, zero); });
}

} // namespace

void ContractionLowering::emitRows(TileLowering &l, const RowContraction &fold,
                                   Value count) {
  const ContractionOperand &x = fold.x;
  tile::LoadOp load = x.load;
  tile::FoldOp op = fold.op;
  Elt w = fold.weights[0].elt;
  int64_t blocks = roundUp(fold.k, kBlock) / kBlock;
  int64_t rowStride = blocks * kBlock * 4, scaleStride = roundUp(blocks, 16);
  SmallVector<TileBuffer> outs;
  for (Value result : op.getResults())
    outs.push_back(l.destination(result));
  // One row is packed once for the items of a call that read the same row, if
  // the kernel does not write where it reads.
  bool remembers = fold.m == 1 && isReadOnly(load.getView());
  auto area = [&](int64_t bytes) {
    return remembers ? l.callBytes(bytes) : l.temporaryBytes(bytes);
  };
  Value packed = area(rowStride * fold.m);
  Value scales = area(scaleStride * 4 * fold.m);
  Value memo = remembers ? l.callBytes(8, /*clearFirstWord=*/true) : Value();
  Value work = l.temporaryBytes(gemvWorkBytes(fold.k));

  SmallVector<Value> outer;
  for (Value index : load.getIndices().drop_back())
    outer.push_back(l.scalar(index));
  Value first = outer.back();
  Value column = x.column ? l.scalar(x.column) : l.i64(0);
  Value null = LLVM::ZeroOp::create(
      l.b, l.loc, LLVM::LLVMPointerType::get(l.b.getContext()));
  l.forLoop(l.i64(0), count, 1, [&](Value m) {
    outer.back() = binary(l, first, m, '+');
    auto pack = [&](Value data, Value scale) {
      OpBuilder::InsertionGuard guard(l.b);
      if (memo) {
        // A missing row (null) equals the cleared memo and is always packed.
        auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
        Value last = LLVM::LoadOp::create(l.b, l.loc, ptr, memo);
        Value known = LLVM::ICmpOp::create(l.b, l.loc, LLVM::ICmpPredicate::eq,
                                           last, data);
        Value missing = LLVM::ICmpOp::create(
            l.b, l.loc, LLVM::ICmpPredicate::eq, data, null);
        Value fresh = arith::OrIOp::create(
            l.b, l.loc, missing,
            arith::XOrIOp::create(
                l.b, l.loc, known,
                arith::ConstantOp::create(l.b, l.loc, l.b.getBoolAttr(true))));
        auto test = scf::IfOp::create(l.b, l.loc, fresh, false);
        l.b.setInsertionPointToStart(test.thenBlock());
        l.store(data, memo);
      }
      call(l, key(FormKind::packRow, x.elt, w),
           {data, scale, l.i64(fold.k),
            atByte(l, packed, binary(l, m, l.i64(rowStride), '*')),
            atByte(l, scales, binary(l, m, l.i64(scaleStride * 4), '*'))});
    };
    auto present = [&] {
      Value data = atByte(l, l.rowAddress(x.view, outer),
                          binary(l, column, l.i64(bytesOf(x.elt)), '*'));
      pack(data, x.elt == Elt::fp8 ? l.scaleAddress(x.view, outer, l.i64(0))
                                   : null);
    };
    Value valid = l.rowIsValid(x.view, outer.back());
    if (!valid)
      return present();
    auto test = scf::IfOp::create(l.b, l.loc, valid, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(test.thenBlock());
    present();
    l.b.setInsertionPointToStart(test.elseBlock());
    pack(null, null);
  });

  for (auto [operand, out] : llvm::zip(fold.weights, outs)) {
    if (operand.view.type.getShape()[operand.rowDim()] % fold.n != 0)
      clearTile(l, out);
    int64_t swStride = operand.rowScales();
    forEachRun(
        l, operand, fold.n,
        [&, &operand = operand, &out = out](Value row, Value data, Value scale,
                                            Value inBlock, Value rows) {
          // Groups of row_group activation rows, of half of what is left, ...;
          // each row's arithmetic is the same in all of them.
          auto group = [&](Value m, int size) {
            Value y = l.address(out, {m, row});
            call(l, key(FormKind::gemv, x.elt, w, size),
                 {atByte(l, packed, binary(l, m, l.i64(rowStride), '*')),
                  atByte(l, scales, binary(l, m, l.i64(scaleStride * 4), '*')),
                  l.i64(rowStride), l.i64(scaleStride), data,
                  l.i64(bytesOf(operand.elt, operand.view.type.getShape().back())),
                  scale, l.i64(swStride), inBlock,
                  l.i64(std::max<int64_t>(operand.view.type.getScaleRows(), 1)),
                  rows, l.i64(fold.k), y, l.i64(out.strides[0]), work});
          };
          SmallVector<std::pair<int, Value>> groups;
          for (int size = schedule.rowGroup; size > 1; size /= 2)
            groups.push_back({size, binary(l, count, l.i64(-size), '&')});
          groups.push_back({1, count});
          Value done = l.i64(0);
          for (auto [size, end] : groups) {
            l.forLoop(done, end, size,
                      [&, size = size](Value m) { group(m, size); });
            done = end;
          }
        });
  }
}

bool ContractionLowering::isReadOnly(Value view) {
  auto root = [](Value v) {
    while (auto rows = v.getDefiningOp<tile::RowsOp>())
      v = rows.getView();
    return v;
  };
  Value source = root(view);
  return !kernel
              .walk([&](Operation *op) {
                Value target;
                if (auto store = dyn_cast<tile::StoreOp>(op))
                  target = store.getView();
                if (auto reduce = dyn_cast<tile::ReduceIntoOp>(op))
                  target = reduce.getView();
                return target && root(target) == source
                           ? WalkResult::interrupt()
                           : WalkResult::advance();
              })
              .wasInterrupted();
}

void ContractionLowering::emitPanel(TileLowering &l, const RowContraction &fold,
                                    Value count) {
  const ContractionOperand &x = fold.x;
  tile::LoadOp load = x.load;
  tile::FoldOp op = fold.op;
  Elt w = fold.weights[0].elt;
  int64_t pad = roundUp(fold.m, kColumnPad);
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  SmallVector<TileBuffer> outs;
  for (Value result : op.getResults())
    outs.push_back(l.destination(result));
  Value rows = l.temporaryBytes(pad * 8), scaleRows = l.temporaryBytes(pad * 8);
  // A kernel that writes where it reads would find its memory changed.
  bool remembers = isReadOnly(load.getView());
  auto area = [&](int64_t bytes) {
    return remembers ? l.callBytes(bytes) : l.temporaryBytes(bytes);
  };
  Value packed = area(packedBytes(fold.m, fold.k));
  Value scales = area(packedScaleBytes(fold.m, fold.k));
  Value memo = LLVM::ZeroOp::create(l.b, l.loc, ptr);
  if (remembers)
    memo = l.callBytes(8 * (pad + 1), /*clearFirstWord=*/true);
  Value work = l.temporaryBytes(
      panelWorkBytes(fold.m, fold.n, schedule.tuning.decodedRows));
  // Only whole groups of columns that hold a wanted row are computed.
  Value used = binary(l, binary(l, count, l.i64(kColumnPad - 1), '+'),
                      l.i64(-kColumnPad), '&');

  SmallVector<Value> outer;
  for (Value index : load.getIndices().drop_back())
    outer.push_back(l.scalar(index));
  Value first = outer.back();
  Value column = x.column ? l.scalar(x.column) : l.i64(0);
  Value null = LLVM::ZeroOp::create(l.b, l.loc, ptr);
  auto set = [&](Value m, Value data, Value scale) {
    l.store(data, l.gep(rows, ptr, m));
    l.store(scale, l.gep(scaleRows, ptr, m));
  };
  l.forLoop(l.i64(0), count, 1, [&](Value m) {
    outer.back() = binary(l, first, m, '+');
    auto present = [&] {
      Value data = atByte(l, l.rowAddress(x.view, outer),
                          binary(l, column, l.i64(bytesOf(x.elt)), '*'));
      set(m, data, x.elt == Elt::fp8
                       ? l.scaleAddress(x.view, outer, l.i64(0))
                       : null);
    };
    Value valid = l.rowIsValid(x.view, outer.back());
    if (!valid)
      return present();
    auto test = scf::IfOp::create(l.b, l.loc, valid, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(l.b);
    l.b.setInsertionPointToStart(test.thenBlock());
    present();
    l.b.setInsertionPointToStart(test.elseBlock());
    set(m, null, null);
  });
  l.forLoop(count, used, 1, [&](Value m) { set(m, null, null); });
  call(l, key(FormKind::packPanel, x.elt, w),
       {rows, scaleRows, used, l.i64(fold.k), packed, scales, memo});

  for (auto [operand, out] : llvm::zip(fold.weights, outs)) {
    if (operand.view.type.getShape()[operand.rowDim()] % fold.n != 0)
      clearTile(l, out);
    int64_t swStride = operand.rowScales();
    forEachRun(
        l, operand, fold.n,
        [&, &operand = operand, &out = out](Value row, Value data, Value scale,
                                            Value inBlock, Value n) {
          call(l, key(FormKind::panel, x.elt, w),
               {packed, scales, used, data,
                l.i64(bytesOf(operand.elt, operand.view.type.getShape().back())),
                scale, l.i64(swStride), inBlock,
                l.i64(std::max<int64_t>(operand.view.type.getScaleRows(), 1)),
                n, l.i64(fold.k), l.address(out, {l.i64(0), row}),
                l.i64(out.strides[1]), l.i64(out.strides[0]), count, l.i64(0),
                work});
        });
  }
}

void ContractionLowering::emitColumns(TileLowering &l,
                                      const ColumnContraction &fold) {
  tile::FoldOp op = fold.op;
  TileBuffer out = l.destination(op.getResult(0));
  Value row = l.scalar(fold.wRow), column = l.scalar(fold.wColumn);
  Value xData =
      atByte(l, l.rowAddress(fold.x, {l.scalar(fold.xRow)}),
             binary(l, l.scalar(fold.xColumn), l.i64(bytesOf(fold.xElt)), '*'));
  Value wData = atByte(l, l.rowAddress(fold.w, {row}),
                       binary(l, column, l.i64(bytesOf(fold.wElt)), '*'));
  Value scale = LLVM::ZeroOp::create(
      l.b, l.loc, LLVM::LLVMPointerType::get(l.b.getContext()));
  Value inBlock = l.i64(0);
  int64_t scaleRows = 1;
  if (fold.scaled) {
    scaleRows = fold.w.type.getScaleRows();
    scale = l.scaleAddress(fold.w, {row}, column);
    inBlock = binary(l, row, l.i64(scaleRows), '%');
  }
  call(l, key(FormKind::gemvColumns, fold.xElt, fold.wElt),
       {xData, wData, l.i64(fold.w.type.getShape()[1] * bytesOf(fold.wElt)),
        scale, l.i64(roundUp(fold.w.type.getShape()[1], kBlock) / kBlock),
        inBlock, l.i64(scaleRows), l.i64(fold.n), l.i64(fold.k),
        l.address(out, {l.i64(0), l.i64(0)})});
}

//===----------------------------------------------------------------------===//
// Dots over tiles
//===----------------------------------------------------------------------===//

static constexpr const char *kTiles =
    "its operands are no rows of bf16 or f32 in tile buffers";

LogicalResult ContractionLowering::lowerDot(TileLowering &l, tile::DotOp op) {
  ArrayRef<int64_t> a = shapeOf(op.getA()), out = shapeOf(op.getResult());
  auto aElt = eltOf(cast<RankedTensorType>(op.getA().getType()).getElementType());
  auto bElt = eltOf(cast<RankedTensorType>(op.getB().getType()).getElementType());
  if (op.getTa() || !aElt || !bElt || *aElt == Elt::fp8 || *bElt == Elt::fp8)
    return refuse(kTiles);
  TileBuffer aTile = l.buffer(op.getA()), bTile = l.buffer(op.getB());
  if (aTile.strides[1] != 1 || bTile.strides[1] != 1)
    return refuse(kTiles);
  int64_t rows = a[0], k = a[1], n = out[1];
  TileBuffer dest = l.accumulator(op.getAcc(), op.getResult());
  int64_t pad = roundUp(n, kColumnPad);
  int64_t aBytes = *aElt == Elt::f32 ? 4 : 2, bBytes = *bElt == Elt::f32 ? 4 : 2;
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  Value null = LLVM::ZeroOp::create(l.b, l.loc, ptr), zero = l.i64(0);
  Value packed = l.temporaryBytes(packedBytes(n, k));
  Value work =
      l.temporaryBytes(panelWorkBytes(n, rows, schedule.tuning.decodedRows));
  if (op.getTb()) {
    Value pointers = l.temporaryBytes(pad * 8);
    l.forLoop(zero, l.i64(n), 1, [&](Value j) {
      l.store(l.address(bTile, {j, zero}), l.gep(pointers, ptr, j));
    });
    l.forLoop(l.i64(n), l.i64(pad), 1,
              [&](Value j) { l.store(null, l.gep(pointers, ptr, j)); });
    call(l, key(FormKind::packPanel, *bElt, *aElt),
         {pointers, pointers, l.i64(pad), l.i64(k), packed, packed, null});
  } else {
    call(l, key(FormKind::packColumns, *bElt, *aElt),
         {l.address(bTile, {zero, zero}), l.i64(bTile.strides[0] * bBytes),
          l.i64(k), l.i64(n), l.i64(pad), packed});
  }
  call(l, key(FormKind::panel, *bElt, *aElt),
       {packed, packed, l.i64(pad), l.address(aTile, {zero, zero}),
        l.i64(aTile.strides[0] * aBytes), null, zero, zero, l.i64(1),
        l.i64(rows), l.i64(k), l.address(dest, {zero, zero}),
        l.i64(dest.strides[0]), l.i64(dest.strides[1]), l.i64(n), l.i64(1),
        work});
  return success();
}

LogicalResult ContractionLowering::lowerDotScaled(TileLowering &l,
                                                  tile::DotScaledOp op) {
  ArrayRef<int64_t> a = shapeOf(op.getA()), out = shapeOf(op.getResult()),
                    sb = shapeOf(op.getSb());
  auto aElt = eltOf(cast<RankedTensorType>(op.getA().getType()).getElementType());
  if (!aElt || op.getK() != kBlock)
    return refuse("its scales are not those of blocks of 128");
  TileBuffer aTile = l.buffer(op.getA()), bTile = l.buffer(op.getB()),
             sbTile = l.buffer(op.getSb());
  std::optional<TileBuffer> sa;
  if (op.getSa())
    sa = l.buffer(op.getSa());
  if (aTile.strides[1] != 1 || bTile.strides[1] != 1 ||
      (sb[1] > 1 && sbTile.strides[1] != 1) ||
      (sa && sa->shape[1] > 1 && sa->strides[1] != 1))
    return refuse("its operands and scales are no rows in tile buffers");
  int64_t m = a[0], k = a[1], n = out[1], pad = roundUp(m, kColumnPad);
  TileBuffer dest = l.accumulator(op.getAcc(), op.getResult());
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  Value null = LLVM::ZeroOp::create(l.b, l.loc, ptr), zero = l.i64(0);
  Value packed = l.temporaryBytes(packedBytes(m, k));
  Value scales = l.temporaryBytes(packedScaleBytes(m, k));
  Value work =
      l.temporaryBytes(panelWorkBytes(m, n, schedule.tuning.decodedRows));
  Value rows = l.temporaryBytes(pad * 8), scaleRows = l.temporaryBytes(pad * 8);
  l.forLoop(zero, l.i64(m), 1, [&](Value i) {
    l.store(l.address(aTile, {i, zero}), l.gep(rows, ptr, i));
    l.store(sa ? l.address(*sa, {i, zero}) : null, l.gep(scaleRows, ptr, i));
  });
  l.forLoop(l.i64(m), l.i64(pad), 1, [&](Value i) {
    l.store(null, l.gep(rows, ptr, i));
    l.store(null, l.gep(scaleRows, ptr, i));
  });
  call(l, key(FormKind::packPanel, *aElt, Elt::fp8),
       {rows, scaleRows, l.i64(pad), l.i64(k), packed, scales, null});
  call(l, key(FormKind::panel, *aElt, Elt::fp8),
       {packed, scales, l.i64(pad), l.address(bTile, {zero, zero}),
        l.i64(bTile.strides[0]), l.address(sbTile, {zero, zero}),
        l.i64(sbTile.strides[0]), zero, l.i64(n / sb[0]), l.i64(n), l.i64(k),
        l.address(dest, {zero, zero}), l.i64(dest.strides[1]),
        l.i64(dest.strides[0]), l.i64(m), l.i64(1), work});
  return success();
}

} // namespace hadal::cpu
