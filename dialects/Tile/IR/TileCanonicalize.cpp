// Folders and canonicalisations of the tile dialect: those that spare a target
// a copy or a loop. None changes a rounding.
#include "dialects/Tile/IR/TileDialect.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace hadal::tile;

namespace {

/// A shape operation of a tile whose elements are all equal is that tile in
/// another shape.
template <typename Op>
struct OfSplat : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    auto type = cast<RankedTensorType>(op.getResult().getType());
    if (auto splat = op.getSource().template getDefiningOp<SplatOp>()) {
      rewriter.replaceOpWithNewOp<SplatOp>(op, type, splat.getScalar());
      return success();
    }
    auto constant =
        op.getSource().template getDefiningOp<arith::ConstantOp>();
    if (!constant)
      return failure();
    auto value = dyn_cast<SplatElementsAttr>(constant.getValue());
    if (!value)
      return failure();
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(
        op, DenseElementsAttr::get(type,
                                   value.template getSplatValue<Attribute>()));
    return success();
  }
};

struct SliceOfSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern<SliceOp>::OpRewritePattern;
  LogicalResult matchAndRewrite(SliceOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getSource().getDefiningOp<SliceOp>();
    if (!inner)
      return failure();
    SmallVector<int64_t> offsets(inner.getOffsets());
    for (auto [offset, more] : llvm::zip(offsets, op.getOffsets()))
      offset += more;
    rewriter.replaceOpWithNewOp<SliceOp>(op, op.getType(), inner.getSource(),
                                         offsets);
    return success();
  }
};

/// op(op(x)) is one op: of broadcasts and of reshapes.
template <typename Op>
struct OfSame : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getSource().template getDefiningOp<Op>();
    if (!inner)
      return failure();
    rewriter.replaceOpWithNewOp<Op>(op, op.getType(), inner.getSource());
    return success();
  }
};

} // namespace

void SliceOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                          MLIRContext *context) {
  patterns.add<OfSplat<SliceOp>, SliceOfSlice>(context);
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getSource().getType() == getType() ? getSource() : OpFoldResult();
}

void BroadcastOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<OfSplat<BroadcastOp>, OfSame<BroadcastOp>>(context);
}

OpFoldResult BroadcastOp::fold(FoldAdaptor) {
  return getSource().getType() == getType() ? getSource() : OpFoldResult();
}

void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<OfSplat<ReshapeOp>, OfSame<ReshapeOp>>(context);
}

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  return getSource().getType() == getType() ? getSource() : OpFoldResult();
}

void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<OfSplat<TransposeOp>>(context);
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (auto inner = getSource().getDefiningOp<TransposeOp>())
    return inner.getSource();
  return {};
}

OpFoldResult ReduceOp::fold(FoldAdaptor) {
  // One element is its own sum and maximum.
  return getSource().getType() == getType() ? getSource() : OpFoldResult();
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  return getSources().size() == 1 ? getSources().front() : OpFoldResult();
}

OpFoldResult InterleaveOp::fold(FoldAdaptor) {
  auto pair = getEven().getDefiningOp<DeinterleaveOp>();
  if (pair && getEven() == pair.getEven() && getOdd() == pair.getOdd())
    return pair.getSource();
  return {};
}

LogicalResult DeinterleaveOp::fold(FoldAdaptor,
                                   SmallVectorImpl<OpFoldResult> &results) {
  auto joined = getSource().getDefiningOp<InterleaveOp>();
  if (!joined)
    return failure();
  results.assign({joined.getEven(), joined.getOdd()});
  return success();
}

LogicalResult DimOp::canonicalize(DimOp op, PatternRewriter &rewriter) {
  auto view = cast<ViewType>(op.getView().getType());
  if (view.isDynamic(op.getDim()))
    return failure();
  rewriter.replaceOpWithNewOp<arith::ConstantIndexOp>(
      op, view.getShape()[op.getDim()]);
  return success();
}

LogicalResult FoldOp::canonicalize(FoldOp op, PatternRewriter &rewriter) {
  std::optional<int64_t> lo = getConstantIntValue(op.getLo());
  std::optional<int64_t> hi = getConstantIntValue(op.getHi());
  if (!lo || !hi || *lo < *hi)
    return failure();
  rewriter.replaceOp(op, op.getInits());
  return success();
}
