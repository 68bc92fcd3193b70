#include "compiler/codegen/cpu/ContractionMatch.h"

#include "compiler/codegen/cpu/ContractionSchedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace hadal::cpu {

std::optional<Elt> eltOf(Type type) {
  if (type.isBF16())
    return Elt::bf16;
  if (type.isF32())
    return Elt::f32;
  if (isa<Float8E4M3FNType>(type))
    return Elt::fp8;
  if (tile::isInt4(type))
    return Elt::int4;
  return std::nullopt;
}

int64_t ContractionOperand::rowScales() const {
  int64_t block = view.type.isScaled() ? view.type.getScaleCols() : kBlock;
  return llvm::divideCeil(view.type.getShape().back(), block);
}

bool isOutside(Value v, Operation *op) {
  if (auto arg = dyn_cast<BlockArgument>(v))
    return !op->isAncestor(arg.getOwner()->getParentOp());
  return !op->isAncestor(v.getDefiningOp());
}

namespace {

bool isZero(Value v) {
  if (auto splat = v.getDefiningOp<tile::SplatOp>())
    return matchPattern(splat.getScalar(), m_AnyZeroFloat());
  return matchPattern(v, m_AnyZeroFloat());
}

bool isIndexArithmetic(Operation &op) {
  return isa<arith::ArithDialect>(op.getDialect()) && op.getNumResults() == 1 &&
         op.getResult(0).getType().isIndex();
}

/// The other term of |index|, if it is the variable of |op| plus something
/// from outside.
Value offsetOf(Value index, tile::FoldOp op) {
  auto sum = index.getDefiningOp<arith::AddIOp>();
  if (!sum)
    return {};
  for (auto [iv, other] : {std::pair(sum.getLhs(), sum.getRhs()),
                           std::pair(sum.getRhs(), sum.getLhs())})
    if (iv == op.getInductionVar() && isOutside(other, op))
      return other;
  return {};
}

constexpr const char *kBounds = "its fold does not run from 0 to a constant";
constexpr const char *kInits = "its fold does not begin with zeros";
constexpr const char *kBody =
    "the body of its fold does more than load and multiply";
constexpr const char *kOperands =
    "its operands are no rows of memory along the fold";
constexpr const char *kScales = "its scales are not those of blocks of 128";
constexpr const char *kExtent = "its fold may leave the operands' rows";

/// Reads one operand of a row contraction; false: it is none.
bool matchOperand(TileLowering &l, tile::FoldOp op, Value tile,
                  ContractionOperand &out) {
  out.load = tile.getDefiningOp<tile::LoadOp>();
  if (!out.load || out.load->getBlock() != &op.getBody().front() ||
      shapeOf(tile).size() != 2 || out.load.getPad())
    return false;
  out.view = l.view(out.load.getView());
  tile::ViewType type = out.view.type;
  auto elt = eltOf(type.getElementType());
  if (!elt || out.view.kind == ViewInfo::Kind::paged || type.getRank() < 2 ||
      type.isDynamic(type.getRank() - 1))
    return false;
  out.elt = *elt;
  ValueRange indices = out.load.getIndices();
  for (Value index : indices.drop_back())
    if (!isOutside(index, op))
      return false;
  if (indices.back() == op.getInductionVar())
    return true;
  out.column = offsetOf(indices.back(), op);
  return out.column && out.elt != Elt::fp8 && out.elt != Elt::int4;
}

/// The codes that |tile| is dequantised from, with the scales beside them, if it
/// is an int4 weight; else |tile|.
Value storedTile(Value tile) {
  auto dequantize = tile.getDefiningOp<tile::DequantizeOp>();
  if (!dequantize)
    return tile;
  auto load = dequantize.getCodes().getDefiningOp<tile::LoadOp>();
  bool isInt4 = tile::isInt4(
      cast<RankedTensorType>(dequantize.getCodes().getType()).getElementType());
  return isInt4 && load && load.getScales() == dequantize.getScales()
             ? dequantize.getCodes()
             : tile;
}

} // namespace

std::string matchRows(TileLowering &l, tile::FoldOp op, RowContraction &fold) {
  fold.op = op;
  auto lo = getConstantIntValue(op.getLo()),
       hi = getConstantIntValue(op.getHi());
  if (!lo || *lo != 0 || !hi)
    return kBounds;
  for (Value init : op.getInits())
    if (!isa<RankedTensorType>(init.getType()) || !isZero(init))
      return kInits;
  Block &body = op.getBody().front();
  for (Operation &inner : body.without_terminator())
    if (!isa<tile::LoadOp, tile::DequantizeOp>(inner) && !isProduct(&inner) &&
        !isIndexArithmetic(inner))
      return kBody;

  Operation *yield = body.getTerminator();
  for (auto [i, next] : llvm::enumerate(yield->getOperands())) {
    Value a, b, acc;
    bool scaled = false;
    if (auto dot = next.getDefiningOp<tile::DotScaledOp>()) {
      a = dot.getA(), b = dot.getB(), acc = dot.getAcc();
      scaled = true;
      if (dot.getK() != kBlock)
        return kScales;
    } else if (auto dot = next.getDefiningOp<tile::DotOp>()) {
      if (dot.getTa() || !dot.getTb())
        return "its weight's rows are not its columns";
      a = dot.getA(), b = storedTile(dot.getB()), acc = dot.getAcc();
    } else {
      return kBody;
    }
    ContractionOperand x, w;
    if (acc != op.getState()[i])
      return kBody;
    if (!matchOperand(l, op, a, x) || !matchOperand(l, op, b, w) ||
        (i > 0 && x.load != fold.x.load) || w.column ||
        w.view.kind != ViewInfo::Kind::memory ||
        shapeOf(a)[1] != static_cast<int64_t>(op.getStep()))
      return kOperands;
    if (scaled != (w.elt == Elt::fp8) ||
        (scaled &&
         (w.view.type.getScaleCols() != kBlock ||
          (x.elt == Elt::fp8 && x.view.type.getScaleCols() != kBlock))))
      return kScales;
    // A dense activation has rows in its dimension before the last, and all its
    // leading indices are uniform.
    if (x.view.type.getKind() != tile::ViewKind::Dense)
      return "its activations are not dense";
    fold.x = x;
    fold.weights.push_back(w);
    fold.m = shapeOf(a)[0];
    fold.n = shapeOf(b)[0];
  }
  if (fold.weights.empty())
    return kBody;
  // K ends where the weight's rows do. The activation's rows must hold it.
  fold.k = *hi;
  for (ContractionOperand &w : fold.weights)
    fold.k = std::min(fold.k, w.view.type.getShape().back());
  for (ContractionOperand &w : fold.weights)
    if (w.view.type.getShape().back() < std::min(*hi, fold.k) ||
        w.elt != fold.weights[0].elt)
      return "its weights differ in type";
  int64_t most = 0;
  if (fold.x.column) {
    auto bound = l.upperBound(fold.x.column);
    if (!bound)
      return kExtent;
    most = *bound;
  }
  if (most + fold.k > fold.x.view.type.getShape().back())
    return kExtent;
  return "";
}

std::string matchColumns(TileLowering &l, tile::KernelOp kernel,
                         tile::FoldOp op, ColumnContraction &fold) {
  fold.op = op;
  auto lo = getConstantIntValue(op.getLo()),
       hi = getConstantIntValue(op.getHi());
  if (!lo || *lo != 0 || !hi)
    return kBounds;
  if (*hi % static_cast<int64_t>(op.getStep()) != 0)
    return "the last step of its fold is not whole";
  if (op.getNumResults() != 1 || !isZero(op.getInits()[0]))
    return kInits;
  Block &body = op.getBody().front();
  auto dot = body.getTerminator()->getOperand(0).getDefiningOp<tile::DotOp>();
  if (!dot || dot.getAcc() != op.getState()[0])
    return kBody;
  if (dot.getTa() || dot.getTb())
    return "its weight's rows are not K";
  if (shapeOf(dot.getA())[0] != 1)
    return "it has more than one activation row";
  // The weight tile: loaded, or loaded codes times their scales.
  Value weightTile = dot.getB();
  auto dequantize = weightTile.getDefiningOp<tile::DequantizeOp>();
  if (dequantize)
    weightTile = dequantize.getCodes();
  auto x = dot.getA().getDefiningOp<tile::LoadOp>();
  auto w = weightTile.getDefiningOp<tile::LoadOp>();
  if (!x || !w || x->getBlock() != &body || w->getBlock() != &body)
    return kOperands;
  for (Operation &inner : body.without_terminator())
    if (&inner != dot && &inner != x && &inner != w && &inner != dequantize &&
        !isIndexArithmetic(inner))
      return kBody;
  fold.x = l.view(x.getView());
  fold.w = l.view(w.getView());
  tile::ViewType xType = fold.x.type, wType = fold.w.type;
  auto xElt = eltOf(xType.getElementType()),
       wElt = eltOf(wType.getElementType());
  if (!xElt || !wElt || *xElt == Elt::fp8 || *wElt == Elt::int4 || xType.getRank() != 2 ||
      wType.getRank() != 2 || fold.x.kind != ViewInfo::Kind::memory ||
      fold.w.kind != ViewInfo::Kind::memory ||
      xType.getKind() != tile::ViewKind::Dense ||
      wType.getKind() != tile::ViewKind::Dense || wType.isDynamic(0) ||
      wType.isDynamic(1) || xType.isDynamic(1))
    return kOperands;
  fold.xElt = *xElt, fold.wElt = *wElt;
  fold.scaled = bool(dequantize);
  if ((*wElt == Elt::fp8) != fold.scaled ||
      (dequantize && (dequantize.getScales() != w.getScales() ||
                      wType.getScaleCols() != kBlock)))
    return kScales;
  fold.xRow = x.getIndices()[0], fold.xColumn = offsetOf(x.getIndices()[1], op);
  fold.wRow = offsetOf(w.getIndices()[0], op), fold.wColumn = w.getIndices()[1];
  if (!isOutside(fold.xRow, op) || !fold.xColumn || !fold.wRow ||
      !isOutside(fold.wColumn, op))
    return kOperands;
  // Whole blocks of columns, everything inside the operands.
  fold.n = shapeOf(dot.getB())[1];
  fold.k = *hi;
  int64_t width = wType.getShape()[1];
  auto coordinate = dyn_cast<BlockArgument>(fold.wColumn);
  unsigned first = kernel.getKernelArguments().size();
  bool aligned =
      getConstantIntValue(fold.wColumn) == int64_t(0) ||
      (coordinate && coordinate.getOwner() == &kernel.getBodyBlock() &&
       coordinate.getArgNumber() >= first &&
       kernel.getDim(coordinate.getArgNumber() - first).getStep() % kBlock ==
           0);
  if (!aligned || fold.n % kBlock != 0 || width % fold.n != 0)
    return "its columns are no whole blocks of 128";
  auto mostRow = l.upperBound(fold.wRow),
       mostColumn = l.upperBound(fold.xColumn);
  if (!mostRow || !mostColumn || *mostRow + *hi > wType.getShape()[0] ||
      *mostColumn + *hi > xType.getShape()[1])
    return kExtent;
  return "";
}

} // namespace hadal::cpu
