#include "compiler/codegen/cpu/Contractions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace hadal::cpu {

/// One operand of a matched fold: a load of [rows, K] whose last index is the
/// fold's variable plus |column|.
struct ContractionLowering::Operand {
  tile::LoadOp load;
  ViewInfo view;
  Elt elt;
  Value column; // added to the fold's variable; null: nothing

  int64_t bytes() const {
    return elt == Elt::f32 ? 4 : elt == Elt::bf16 ? 2 : 1;
  }
  unsigned rowDim() const { return view.type.getRank() - 2; }
};

/// A fold that is nothing but contractions of one activation tile with one or
/// more weights.
struct ContractionLowering::Fold {
  tile::FoldOp op;
  Operand x;
  std::vector<Operand> weights; // one per state
  int64_t m, n, k;
};

namespace {

std::optional<Elt> eltOf(Type type) {
  if (type.isBF16())
    return Elt::bf16;
  if (type.isF32())
    return Elt::f32;
  if (isa<Float8E4M3FNType>(type))
    return Elt::fp8;
  return std::nullopt;
}

ArrayRef<int64_t> shapeOf(Value v) {
  return cast<RankedTensorType>(v.getType()).getShape();
}

bool isZero(Value v) {
  if (auto splat = v.getDefiningOp<tile::SplatOp>())
    return matchPattern(splat.getScalar(), m_AnyZeroFloat());
  return matchPattern(v, m_AnyZeroFloat());
}

bool isOutside(Value v, Operation *op) {
  if (auto arg = dyn_cast<BlockArgument>(v))
    return !op->isAncestor(arg.getOwner()->getParentOp());
  return !op->isAncestor(v.getDefiningOp());
}

/// Rows of a panel's columns: few rows go one weight row at a time.
constexpr int64_t kMaxRowsForm = 8;
/// An expert meets a fraction of a bucket's rows: the panel would compute 16
/// columns for one or two.
constexpr int64_t kMaxExpertRowsForm = 16;

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

LogicalResult ContractionLowering::lower(TileLowering &l, Operation *op,
                                         bool &handled) {
  if (auto foldOp = dyn_cast<tile::FoldOp>(op)) {
    Fold fold;
    if (match(l, foldOp, fold)) {
      emit(l, fold);
      handled = true;
    } else {
      handled = lowerColumns(l, foldOp);
    }
  } else if (auto dot = dyn_cast<tile::DotOp>(op)) {
    handled = lowerDot(l, dot);
  } else if (auto dot = dyn_cast<tile::DotScaledOp>(op)) {
    handled = lowerDotScaled(l, dot);
  }
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

bool ContractionLowering::match(TileLowering &l, tile::FoldOp op, Fold &fold) {
  fold.op = op;
  auto lo = getConstantIntValue(op.getLo()), hi = getConstantIntValue(op.getHi());
  if (!lo || *lo != 0 || !hi)
    return false;
  for (Value init : op.getInits())
    if (!isa<RankedTensorType>(init.getType()) || !isZero(init))
      return false;
  Block &body = op.getBody().front();
  for (Operation &inner : body.without_terminator())
    if (!isa<tile::LoadOp, tile::DotOp, tile::DotScaledOp>(inner) &&
        !(isa<arith::ArithDialect>(inner.getDialect()) &&
          inner.getNumResults() == 1 && inner.getResult(0).getType().isIndex()))
      return false;

  auto operand = [&](Value tile, Operand &out) {
    out.load = tile.getDefiningOp<tile::LoadOp>();
    if (!out.load || out.load->getBlock() != &body ||
        shapeOf(tile).size() != 2 || out.load.getPad())
      return false;
    out.view = l.view(out.load.getView());
    auto elt = eltOf(out.view.type.getElementType());
    if (!elt || out.view.kind == ViewInfo::Kind::paged ||
        out.view.type.getRank() < 2 || out.view.type.isDynamic(
            out.view.type.getRank() - 1))
      return false;
    out.elt = *elt;
    ValueRange indices = out.load.getIndices();
    for (Value index : indices.drop_back())
      if (!isOutside(index, op))
        return false;
    Value last = indices.back();
    if (last == op.getInductionVar())
      return true;
    auto sum = last.getDefiningOp<arith::AddIOp>();
    if (!sum || out.elt == Elt::fp8)
      return false;
    for (auto [iv, other] : {std::pair(sum.getLhs(), sum.getRhs()),
                             std::pair(sum.getRhs(), sum.getLhs())})
      if (iv == op.getInductionVar() && isOutside(other, op)) {
        out.column = other;
        return true;
      }
    return false;
  };

  Operation *yield = body.getTerminator();
  for (auto [i, next] : llvm::enumerate(yield->getOperands())) {
    Value a, b, acc;
    bool scaled = false;
    if (auto dot = next.getDefiningOp<tile::DotScaledOp>()) {
      a = dot.getA(), b = dot.getB(), acc = dot.getAcc();
      scaled = true;
      if (dot.getK() != kBlock)
        return false;
    } else if (auto dot = next.getDefiningOp<tile::DotOp>()) {
      if (dot.getTa() || !dot.getTb())
        return false;
      a = dot.getA(), b = dot.getB(), acc = dot.getAcc();
    } else {
      return false;
    }
    Operand x, w;
    if (acc != op.getState()[i] || !operand(a, x) || !operand(b, w) ||
        (i > 0 && x.load != fold.x.load))
      return false;
    if (scaled != (w.elt == Elt::fp8) || w.column ||
        w.view.kind != ViewInfo::Kind::memory ||
        shapeOf(a)[1] != static_cast<int64_t>(op.getStep()) ||
        (scaled && (w.view.type.getScaleCols() != kBlock ||
                    (x.elt == Elt::fp8 && x.view.type.getScaleCols() != kBlock))))
      return false;
    // A dense activation has rows in its dimension before the last, and all its
    // leading indices are uniform.
    if (x.view.type.getKind() != tile::ViewKind::Dense)
      return false;
    fold.x = x;
    fold.weights.push_back(w);
    fold.m = shapeOf(a)[0];
    fold.n = shapeOf(b)[0];
  }
  // K ends where the weight's rows do. The activation's rows must hold it.
  fold.k = *hi;
  for (Operand &w : fold.weights)
    fold.k = std::min(fold.k, w.view.type.getShape().back());
  for (Operand &w : fold.weights)
    if (w.view.type.getShape().back() < std::min(*hi, fold.k) ||
        w.elt != fold.weights[0].elt)
      return false;
  int64_t columns = fold.x.view.type.getShape().back();
  int64_t most = 0;
  if (fold.x.column) {
    auto bound = l.upperBound(fold.x.column);
    if (!bound)
      return false;
    most = *bound;
  }
  return !fold.weights.empty() && most + fold.k <= columns;
}

bool ContractionLowering::lowerColumns(TileLowering &l, tile::FoldOp op) {
  auto lo = getConstantIntValue(op.getLo()), hi = getConstantIntValue(op.getHi());
  Block &body = op.getBody().front();
  if (op.getNumResults() != 1 || !isZero(op.getInits()[0]) || !lo ||
      *lo != 0 || !hi || *hi % static_cast<int64_t>(op.getStep()) != 0)
    return false;
  auto dot = body.getTerminator()->getOperand(0).getDefiningOp<tile::DotOp>();
  if (!dot || dot.getTa() || dot.getTb() || dot.getAcc() != op.getState()[0] ||
      shapeOf(dot.getA())[0] != 1)
    return false;
  // The weight tile: loaded, or loaded codes times their scales.
  Value weightTile = dot.getB();
  auto dequantize = weightTile.getDefiningOp<tile::DequantizeOp>();
  if (dequantize)
    weightTile = dequantize.getCodes();
  auto x = dot.getA().getDefiningOp<tile::LoadOp>();
  auto w = weightTile.getDefiningOp<tile::LoadOp>();
  if (!x || !w || x->getBlock() != &body || w->getBlock() != &body ||
      (dequantize && dequantize.getScales() != w.getScales()))
    return false;
  for (Operation &inner : body.without_terminator())
    if (&inner != dot && &inner != x && &inner != w && &inner != dequantize &&
        !(isa<arith::ArithDialect>(inner.getDialect()) &&
          inner.getNumResults() == 1 && inner.getResult(0).getType().isIndex()))
      return false;
  // An index that is the fold's variable plus something outside.
  auto start = [&](Value index) -> Value {
    auto sum = index.getDefiningOp<arith::AddIOp>();
    if (!sum)
      return {};
    if (sum.getLhs() == op.getInductionVar() && isOutside(sum.getRhs(), op))
      return sum.getRhs();
    if (sum.getRhs() == op.getInductionVar() && isOutside(sum.getLhs(), op))
      return sum.getLhs();
    return {};
  };
  ViewInfo xView = l.view(x.getView()), wView = l.view(w.getView());
  auto xElt = eltOf(xView.type.getElementType()),
       wElt = eltOf(wView.type.getElementType());
  if (!xElt || !wElt || *xElt == Elt::fp8 || xView.type.getRank() != 2 ||
      wView.type.getRank() != 2 || xView.kind != ViewInfo::Kind::memory ||
      wView.kind != ViewInfo::Kind::memory ||
      xView.type.getKind() != tile::ViewKind::Dense ||
      wView.type.getKind() != tile::ViewKind::Dense ||
      wView.type.isDynamic(0) || wView.type.isDynamic(1) ||
      xView.type.isDynamic(1) || (*wElt == Elt::fp8) != bool(dequantize) ||
      (dequantize && wView.type.getScaleCols() != kBlock))
    return false;
  Value xRow = x.getIndices()[0], xColumn = start(x.getIndices()[1]),
        wRow = start(w.getIndices()[0]), wColumn = w.getIndices()[1];
  if (!isOutside(xRow, op) || !xColumn || !wRow || !isOutside(wColumn, op))
    return false;
  // Whole blocks of columns, everything inside the operands.
  int64_t n = shapeOf(dot.getB())[1], width = wView.type.getShape()[1];
  auto coordinate = dyn_cast<BlockArgument>(wColumn);
  unsigned first = kernel.getKernelArguments().size();
  bool aligned = getConstantIntValue(wColumn) == int64_t(0) ||
                 (coordinate &&
                  coordinate.getOwner() == &kernel.getBodyBlock() &&
                  coordinate.getArgNumber() >= first &&
                  kernel.getDim(coordinate.getArgNumber() - first).getStep() %
                          kBlock == 0);
  auto mostRow = l.upperBound(wRow), mostColumn = l.upperBound(xColumn);
  if (!aligned || n % kBlock != 0 || width % n != 0 || !mostRow ||
      !mostColumn || *mostRow + *hi > wView.type.getShape()[0] ||
      *mostColumn + *hi > xView.type.getShape()[1])
    return false;

  auto bytes = [](Elt elt) {
    return int64_t(elt == Elt::f32 ? 4 : elt == Elt::bf16 ? 2 : 1);
  };
  TileBuffer out = l.destination(op.getResult(0));
  Value row = l.scalar(wRow), column = l.scalar(wColumn);
  Value xData = atByte(l, l.rowAddress(xView, {l.scalar(xRow)}),
                       binary(l, l.scalar(xColumn), l.i64(bytes(*xElt)), '*'));
  Value wData = atByte(l, l.rowAddress(wView, {row}),
                       binary(l, column, l.i64(bytes(*wElt)), '*'));
  Value scale = LLVM::ZeroOp::create(
      l.b, l.loc, LLVM::LLVMPointerType::get(l.b.getContext()));
  Value inBlock = l.i64(0);
  int64_t scaleRows = 1;
  if (dequantize) {
    scaleRows = wView.type.getScaleRows();
    scale = l.scaleAddress(wView, {row}, column);
    inBlock = binary(l, row, l.i64(scaleRows), '%');
  }
  call(l, {FormKind::gemvColumns, *xElt, *wElt},
       {xData, wData, l.i64(width * bytes(*wElt)), scale,
        l.i64(roundUp(width, kBlock) / kBlock), inBlock, l.i64(scaleRows),
        l.i64(n), l.i64(*hi), l.address(out, {l.i64(0), l.i64(0)})});
  chosen.push_back("gemv_columns");
  return true;
}

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

void ContractionLowering::emit(TileLowering &l, Fold &fold) {
  // Rows of the tile that exist and are wanted.
  Operand &x = fold.x;
  unsigned dim = x.rowDim();
  Value count = l.validCount(x.view, dim, x.load.getIndices()[dim], fold.m);
  if (Value limit = storedRows(l, fold.op)) {
    limit = binary(l, l.scalar(limit), l.i64(0), '>');
    count = binary(l, count, limit, '<');
  }
  bool experts = fold.weights[0].view.type.getKind() == tile::ViewKind::Stack;
  if (fold.m <= (experts ? kMaxExpertRowsForm : kMaxRowsForm))
    emitRows(l, fold, count);
  else
    emitPanel(l, fold, count);
}

/// Calls |body| for each run of weight rows that lie at a fixed distance in
/// memory: (first row relative to the tile, pointer, scale pointer or null,
/// offset of the first row in its scale block, rows).
void ContractionLowering::forEachRun(
    TileLowering &l, const Operand &w, int64_t n,
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

void ContractionLowering::emitRows(TileLowering &l, Fold &fold, Value count) {
  Operand &x = fold.x;
  Elt w = fold.weights[0].elt;
  int64_t blocks = roundUp(fold.k, kBlock) / kBlock;
  int64_t rowStride = blocks * kBlock * 4, scaleStride = roundUp(blocks, 16);
  SmallVector<TileBuffer> outs;
  for (Value result : fold.op.getResults())
    outs.push_back(l.destination(result));
  // One row is packed once for the items of a call that read the same row, if
  // the kernel does not write where it reads.
  bool remembers = fold.m == 1 && isReadOnly(x.load.getView());
  auto area = [&](int64_t bytes) {
    return remembers ? l.callBytes(bytes) : l.temporaryBytes(bytes);
  };
  Value packed = area(rowStride * fold.m);
  Value scales = area(scaleStride * 4 * fold.m);
  Value memo = remembers ? l.callBytes(8, /*clearFirstWord=*/true) : Value();
  Value work = l.temporaryBytes(gemvWorkBytes(fold.k));

  SmallVector<Value> outer;
  for (Value index : x.load.getIndices().drop_back())
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
      call(l, {FormKind::packRow, x.elt, w},
           {data, scale, l.i64(fold.k),
            atByte(l, packed, binary(l, m, l.i64(rowStride), '*')),
            atByte(l, scales, binary(l, m, l.i64(scaleStride * 4), '*'))});
    };
    auto present = [&] {
      Value data = atByte(l, l.rowAddress(x.view, outer),
                          binary(l, column, l.i64(x.bytes()), '*'));
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
    int64_t swStride =
        roundUp(operand.view.type.getShape().back(), kBlock) / kBlock;
    forEachRun(l, operand, fold.n, [&, &operand = operand, &out = out](
                                       Value row, Value data, Value scale,
                                       Value inBlock, Value rows) {
      // Groups of 4, 2 and 1 activation rows; each row's arithmetic is the
      // same in all of them.
      auto group = [&](Value m, int size) {
        Value y = l.address(out, {m, row});
        call(l, {FormKind::gemv, x.elt, w, size},
             {atByte(l, packed, binary(l, m, l.i64(rowStride), '*')),
              atByte(l, scales, binary(l, m, l.i64(scaleStride * 4), '*')),
              l.i64(rowStride), l.i64(scaleStride), data,
              l.i64(operand.view.type.getShape().back() * operand.bytes()),
              scale, l.i64(swStride), inBlock,
              l.i64(std::max<int64_t>(operand.view.type.getScaleRows(), 1)),
              rows, l.i64(fold.k), y, l.i64(out.strides[0]), work});
      };
      if (fold.m == 1) {
        l.forLoop(l.i64(0), count, 1, [&](Value m) { group(m, 1); });
        return;
      }
      Value four = binary(l, count, l.i64(-4), '&');
      Value two = binary(l, count, l.i64(-2), '&');
      l.forLoop(l.i64(0), four, 4, [&](Value m) { group(m, 4); });
      l.forLoop(four, two, 2, [&](Value m) { group(m, 2); });
      l.forLoop(two, count, 1, [&](Value m) { group(m, 1); });
    });
  }
  chosen.push_back(fold.m == 1 ? "gemv" : "rows");
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

void ContractionLowering::emitPanel(TileLowering &l, Fold &fold, Value count) {
  Operand &x = fold.x;
  Elt w = fold.weights[0].elt;
  int64_t pad = roundUp(fold.m, kColumnPad);
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  SmallVector<TileBuffer> outs;
  for (Value result : fold.op.getResults())
    outs.push_back(l.destination(result));
  Value rows = l.temporaryBytes(pad * 8), scaleRows = l.temporaryBytes(pad * 8);
  // A kernel that writes where it reads would find its memory changed.
  bool remembers = isReadOnly(x.load.getView());
  auto area = [&](int64_t bytes) {
    return remembers ? l.callBytes(bytes) : l.temporaryBytes(bytes);
  };
  Value packed = area(packedBytes(fold.m, fold.k));
  Value scales = area(packedScaleBytes(fold.m, fold.k));
  Value memo = LLVM::ZeroOp::create(l.b, l.loc, ptr);
  if (remembers)
    memo = l.callBytes(8 * (pad + 1), /*clearFirstWord=*/true);
  Value work = l.temporaryBytes(panelWorkBytes(fold.m, fold.n));
  // Only whole groups of columns that hold a wanted row are computed.
  Value used = binary(l, binary(l, count, l.i64(kColumnPad - 1), '+'),
                      l.i64(-kColumnPad), '&');

  SmallVector<Value> outer;
  for (Value index : x.load.getIndices().drop_back())
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
                          binary(l, column, l.i64(x.bytes()), '*'));
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
  call(l, {FormKind::packPanel, x.elt, w},
       {rows, scaleRows, used, l.i64(fold.k), packed, scales, memo});

  for (auto [operand, out] : llvm::zip(fold.weights, outs)) {
    if (operand.view.type.getShape()[operand.rowDim()] % fold.n != 0)
      clearTile(l, out);
    int64_t swStride =
        roundUp(operand.view.type.getShape().back(), kBlock) / kBlock;
    forEachRun(l, operand, fold.n, [&, &operand = operand, &out = out](
                                       Value row, Value data, Value scale,
                                       Value inBlock, Value n) {
      call(l, {FormKind::panel, x.elt, w},
           {packed, scales, used, data,
            l.i64(operand.view.type.getShape().back() * operand.bytes()), scale,
            l.i64(swStride), inBlock,
            l.i64(std::max<int64_t>(operand.view.type.getScaleRows(), 1)), n,
            l.i64(fold.k), l.address(out, {l.i64(0), row}),
            l.i64(out.strides[1]), l.i64(out.strides[0]), count, l.i64(0),
            work});
    });
  }
  chosen.push_back("panel");
}

//===----------------------------------------------------------------------===//
// Dots over tiles
//===----------------------------------------------------------------------===//

/// With fewer rows than this, packing the other operand costs more than it
/// saves.
static constexpr int64_t kMinDotRows = 4;

bool ContractionLowering::lowerDot(TileLowering &l, tile::DotOp op) {
  ArrayRef<int64_t> a = shapeOf(op.getA()), out = shapeOf(op.getResult());
  auto aElt = eltOf(cast<RankedTensorType>(op.getA().getType()).getElementType());
  auto bElt = eltOf(cast<RankedTensorType>(op.getB().getType()).getElementType());
  if (op.getTa() || !aElt || !bElt || *aElt == Elt::fp8 || *bElt == Elt::fp8 ||
      out[0] < kMinDotRows)
    return false;
  TileBuffer aTile = l.buffer(op.getA()), bTile = l.buffer(op.getB());
  if (aTile.strides[1] != 1 || bTile.strides[1] != 1)
    return false;
  int64_t rows = a[0], k = a[1], n = out[1];
  TileBuffer dest = l.accumulator(op.getAcc(), op.getResult());
  int64_t pad = roundUp(n, kColumnPad);
  int64_t aBytes = *aElt == Elt::f32 ? 4 : 2, bBytes = *bElt == Elt::f32 ? 4 : 2;
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  Value null = LLVM::ZeroOp::create(l.b, l.loc, ptr), zero = l.i64(0);
  Value packed = l.temporaryBytes(packedBytes(n, k));
  Value work = l.temporaryBytes(panelWorkBytes(n, rows));
  if (op.getTb()) {
    Value pointers = l.temporaryBytes(pad * 8);
    l.forLoop(zero, l.i64(n), 1, [&](Value j) {
      l.store(l.address(bTile, {j, zero}), l.gep(pointers, ptr, j));
    });
    l.forLoop(l.i64(n), l.i64(pad), 1,
              [&](Value j) { l.store(null, l.gep(pointers, ptr, j)); });
    call(l, {FormKind::packPanel, *bElt, *aElt},
         {pointers, pointers, l.i64(pad), l.i64(k), packed, packed, null});
  } else {
    call(l, {FormKind::packColumns, *bElt, *aElt},
         {l.address(bTile, {zero, zero}), l.i64(bTile.strides[0] * bBytes),
          l.i64(k), l.i64(n), l.i64(pad), packed});
  }
  call(l, {FormKind::panel, *bElt, *aElt},
       {packed, packed, l.i64(pad), l.address(aTile, {zero, zero}),
        l.i64(aTile.strides[0] * aBytes), null, zero, zero, l.i64(1),
        l.i64(rows), l.i64(k), l.address(dest, {zero, zero}),
        l.i64(dest.strides[0]), l.i64(dest.strides[1]), l.i64(n), l.i64(1),
        work});
  chosen.push_back("dot");
  return true;
}

bool ContractionLowering::lowerDotScaled(TileLowering &l,
                                         tile::DotScaledOp op) {
  ArrayRef<int64_t> a = shapeOf(op.getA()), out = shapeOf(op.getResult()),
                    sb = shapeOf(op.getSb());
  auto aElt = eltOf(cast<RankedTensorType>(op.getA().getType()).getElementType());
  if (!aElt || op.getK() != kBlock || out[0] < kMinDotRows)
    return false;
  TileBuffer aTile = l.buffer(op.getA()), bTile = l.buffer(op.getB()),
             sbTile = l.buffer(op.getSb());
  std::optional<TileBuffer> sa;
  if (op.getSa())
    sa = l.buffer(op.getSa());
  if (aTile.strides[1] != 1 || bTile.strides[1] != 1 ||
      (sb[1] > 1 && sbTile.strides[1] != 1) ||
      (sa && sa->shape[1] > 1 && sa->strides[1] != 1))
    return false;
  int64_t m = a[0], k = a[1], n = out[1], pad = roundUp(m, kColumnPad);
  TileBuffer dest = l.accumulator(op.getAcc(), op.getResult());
  auto ptr = LLVM::LLVMPointerType::get(l.b.getContext());
  Value null = LLVM::ZeroOp::create(l.b, l.loc, ptr), zero = l.i64(0);
  Value packed = l.temporaryBytes(packedBytes(m, k));
  Value scales = l.temporaryBytes(packedScaleBytes(m, k));
  Value work = l.temporaryBytes(panelWorkBytes(m, n));
  Value rows = l.temporaryBytes(pad * 8), scaleRows = l.temporaryBytes(pad * 8);
  l.forLoop(zero, l.i64(m), 1, [&](Value i) {
    l.store(l.address(aTile, {i, zero}), l.gep(rows, ptr, i));
    l.store(sa ? l.address(*sa, {i, zero}) : null, l.gep(scaleRows, ptr, i));
  });
  l.forLoop(l.i64(m), l.i64(pad), 1, [&](Value i) {
    l.store(null, l.gep(rows, ptr, i));
    l.store(null, l.gep(scaleRows, ptr, i));
  });
  call(l, {FormKind::packPanel, *aElt, Elt::fp8},
       {rows, scaleRows, l.i64(pad), l.i64(k), packed, scales, null});
  call(l, {FormKind::panel, *aElt, Elt::fp8},
       {packed, scales, l.i64(pad), l.address(bTile, {zero, zero}),
        l.i64(bTile.strides[0]), l.address(sbTile, {zero, zero}),
        l.i64(sbTile.strides[0]), zero, l.i64(n / sb[0]), l.i64(n), l.i64(k),
        l.address(dest, {zero, zero}), l.i64(dest.strides[1]),
        l.i64(dest.strides[0]), l.i64(m), l.i64(1), work});
  chosen.push_back("dot");
  return true;
}

} // namespace hadal::cpu
