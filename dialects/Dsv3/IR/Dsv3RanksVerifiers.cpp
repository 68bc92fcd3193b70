// Verifiers of the operations of several ranks.
#include "dialects/Dsv3/IR/VerifierHelpers.h"

using namespace mlir;
using namespace hadal::dsv3;
using namespace hadal::dsv3::detail;

/// |value| has exactly |expected|.
static LogicalResult checkType(Operation *op, Value value, Type expected,
                               StringRef what) {
  if (value.getType() == expected)
    return success();
  return op->emitOpError() << what << " must be " << expected << ", got "
                           << value.getType();
}

static Type i32Rows(Operation *op, Extent extent, ArrayRef<int64_t> inner) {
  return getRowsType(extent, inner, IntegerType::get(op->getContext(), 32));
}

/// |value| is i32[ranks, 2]: rows and pairs of each rank.
static LogicalResult checkCounts(Operation *op, Value value, int64_t ranks,
                                 StringRef what) {
  return checkType(
      op, value,
      RankedTensorType::get({ranks, 2}, IntegerType::get(op->getContext(), 32)),
      what);
}

/// |axis| shares experts.
static LogicalResult checkExpertAxis(Operation *op, Axis axis) {
  if (axis == Axis::EP)
    return success();
  return op->emitOpError() << "experts are shared over ep, got "
                           << stringifyAxis(axis);
}

/// |table| is i32[experts, 1 + replicas].
static LogicalResult checkPlacement(Operation *op, Value table) {
  RankedTensorType type = tensorOf(table);
  if (type.getRank() == 2 && type.hasStaticShape() && type.getDimSize(1) >= 2)
    return success();
  return op->emitOpError() << "placement must be i32[experts, 1 + replicas], "
                              "got "
                           << type;
}

/// meta [received, words of |topk|] and back [received, topk].
static LogicalResult checkReceived(Operation *op, Value meta, Value back,
                                   int64_t topk) {
  if (failed(checkType(
          op, meta, i32Rows(op, Extent::Received, getMetaWords(topk)), "meta")))
    return failure();
  return checkType(op, back, i32Rows(op, Extent::Received, topk), "back");
}

/// source [routed]; begin is a static vector of two elements at least.
static LogicalResult checkRouted(Operation *op, Value source, Value begin) {
  if (failed(checkType(op, source, i32Rows(op, Extent::Routed, {}), "source")))
    return failure();
  RankedTensorType type = tensorOf(begin);
  if (type.getRank() == 1 && type.hasStaticShape() && type.getDimSize(0) >= 2)
    return success();
  return op->emitOpError() << "expert offsets must be i32[slots + 1], got "
                           << type;
}

//===----------------------------------------------------------------------===//
// Rows and heads shared over tp
//===----------------------------------------------------------------------===//

/// |axis| shares rows.
static LogicalResult checkRowsAxis(Operation *op, Axis axis) {
  if (axis == Axis::TP)
    return success();
  return op->emitOpError() << "rows are shared over tp, got "
                           << stringifyAxis(axis);
}

/// The name of the rows of |value|, its only dynamic extent.
static std::optional<Extent> extentOf(Value value) {
  LayoutAttr layout = getLayout(value.getType());
  if (!layout || layout.getExtents().size() != 1)
    return std::nullopt;
  return layout.getExtents().front();
}

static LogicalResult checkExtent(Operation *op, Value value, Extent expected) {
  if (extentOf(value) == expected)
    return success();
  return op->emitOpError() << "input must have rows '"
                           << stringifyExtent(expected) << "', got "
                           << value.getType();
}

/// What an all_gather makes of |type|.
static Type getGatheredType(RankedTensorType type) {
  LayoutAttr layout = getLayout(type);
  bool isLogits = layout && layout.getExtents() == ArrayRef(Extent::Logits);
  return withRows(type, isLogits ? Extent::Gathered : Extent::Tokens);
}

LogicalResult AllGatherOp::verify() {
  if (getParts().empty() || getParts().size() != getResults().size())
    return emitOpError() << "needs parts, one for each result, got "
                         << getParts().size() << " and "
                         << getResults().size();
  if (failed(checkRowsAxis(*this, getAxis())))
    return failure();
  for (auto [part, result] : llvm::zip(getParts(), getResults())) {
    std::optional<Extent> extent = extentOf(part);
    if (extent != Extent::Slice && extent != Extent::Logits)
      return emitOpError() << "gathers slices or logit rows, got "
                           << part.getType();
    if (failed(checkActivation(*this, part, "part")) ||
        failed(checkType(*this, result, getGatheredType(tensorOf(part)),
                         "result")))
      return failure();
  }
  return success();
}

LogicalResult ReduceScatterOp::verify() {
  if (failed(checkRowsAxis(*this, getAxis())) ||
      failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkExtent(*this, getInput(), Extent::Tokens)))
    return failure();
  return checkType(*this, getResult(),
                   withRows(tensorOf(getInput()), Extent::Slice), "result");
}

LogicalResult AllReduceOp::verify() {
  if (failed(checkRowsAxis(*this, getAxis())) ||
      failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkExtent(*this, getInput(), Extent::Tokens)))
    return failure();
  return checkType(*this, getResult(), getInput().getType(), "result");
}

LogicalResult TakeSliceOp::verify() {
  if (isFP8(getInput().getType()))
    return emitOpError() << "takes rows of i32, f32 or bf16, got "
                         << getInput().getType();
  if (failed(checkExtent(*this, getInput(), Extent::Tokens)))
    return failure();
  return checkType(*this, getResult(),
                   withRows(tensorOf(getInput()), Extent::Slice), "result");
}

LogicalResult JoinColumnsOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkRank(*this, getResult(), 2, "result")) ||
      failed(checkExtent(*this, getInput(), Extent::Gathered)))
    return failure();
  int64_t part = tensorOf(getInput()).getDimSize(1),
          all = tensorOf(getResult()).getDimSize(1);
  if (extentOf(getResult()) == Extent::Logits && all % part == 0)
    return success();
  return emitOpError() << "result must be logit rows of a multiple of " << part
                       << " columns, got " << getResult().getType();
}

//===----------------------------------------------------------------------===//
// Experts shared over ep
//===----------------------------------------------------------------------===//

LogicalResult MoeDispatchOp::verify() {
  if (failed(checkActivation(*this, getInput(), "input")) ||
      failed(checkRank(*this, getIds(), 2, "ids")) ||
      failed(checkSameRows(*this, getInput(), getIds(), "input and ids")) ||
      failed(checkPlacement(*this, getTable())) ||
      failed(checkSize(*this, getCounts().getType().getSize(),
                       tensorOf(getTable()).getDimSize(0), "expert load")) ||
      failed(checkExpertAxis(*this, getAxis())) ||
      failed(checkType(*this, getRows(),
                       withRows(tensorOf(getInput()), Extent::Received),
                       "rows")) ||
      failed(checkReceived(*this, getMeta(), getBack(),
                           tensorOf(getIds()).getDimSize(1))) ||
      failed(checkRouted(*this, getSource(), getBegin())) ||
      failed(checkType(*this, getPlace(), getIds().getType(), "place")))
    return failure();
  int64_t ranks = getOverflow().getType().getSize() / 2;
  if (failed(checkCounts(*this, getSent(), ranks, "sent")))
    return failure();
  return checkCounts(*this, getGot(), ranks, "got");
}

LogicalResult MoeReturnOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkRank(*this, getSent(), 2, "sent")) ||
      failed(checkType(*this, getInput(),
                       getRowsType(Extent::Routed,
                                   tensorOf(getInput()).getShape().back(),
                                   tensorOf(getInput()).getElementType()),
                       "input")) ||
      failed(checkExpertAxis(*this, getAxis())) ||
      failed(checkRank(*this, getBack(), 2, "back")) ||
      failed(checkReceived(*this, getMeta(), getBack(),
                           tensorOf(getBack()).getDimSize(1))))
    return failure();
  int64_t ranks = tensorOf(getSent()).getDimSize(0);
  if (failed(checkCounts(*this, getSent(), ranks, "sent")) ||
      failed(checkCounts(*this, getGot(), ranks, "got")))
    return failure();
  return checkType(*this, getResult(),
                   withRows(tensorOf(getInput()), Extent::Returned), "result");
}

LogicalResult MoeCountOp::verify() {
  return checkRank(*this, getIds(), 2, "ids");
}

LogicalResult MoeRouteOp::verify() {
  if (failed(checkRank(*this, getIds(), 2, "ids")) ||
      failed(checkPlacement(*this, getTable())) ||
      failed(checkType(*this, getSendToken(),
                       i32Rows(*this, Extent::Received, {}), "send_token")) ||
      failed(checkType(*this, getSendMeta(),
                       i32Rows(*this, Extent::Received,
                               getMetaWords(tensorOf(getIds()).getDimSize(1))),
                       "send_meta")) ||
      failed(checkType(*this, getPlace(), getIds().getType(), "place")))
    return failure();
  return checkCounts(*this, getSent(), getOverflow().getType().getSize() / 2,
                     "sent");
}

LogicalResult MoePackOp::verify() {
  if (failed(checkActivation(*this, getInput(), "input")) ||
      failed(checkType(*this, getSendToken(),
                       i32Rows(*this, Extent::Received, {}), "send_token")))
    return failure();
  return checkType(*this, getResult(),
                   withRows(tensorOf(getInput()), Extent::Received), "result");
}

LogicalResult MoeReceiveOp::verify() {
  if (failed(checkRank(*this, getBack(), 2, "back")) ||
      failed(checkRank(*this, getGot(), 2, "got")) ||
      failed(checkCounts(*this, getGot(), tensorOf(getGot()).getDimSize(0),
                         "got")) ||
      failed(checkReceived(*this, getMeta(), getBack(),
                           tensorOf(getBack()).getDimSize(1))))
    return failure();
  return checkRouted(*this, getSource(), getBegin());
}

LogicalResult MoeReturnRowsOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkRank(*this, getBack(), 2, "back")) ||
      failed(checkReceived(*this, getMeta(), getBack(),
                           tensorOf(getBack()).getDimSize(1))))
    return failure();
  return checkType(*this, getResult(),
                   withRows(tensorOf(getInput()), Extent::Returned), "result");
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// The type that a collective of |kind| gives for a part of |type|.
static Type getGivenType(CollectiveKind kind, RankedTensorType type) {
  switch (kind) {
  case CollectiveKind::AllGather:
    return getGatheredType(type);
  case CollectiveKind::ReduceScatter:
    return withRows(type, Extent::Slice);
  case CollectiveKind::AllReduce:
  case CollectiveKind::AllToAll:
    return type;
  }
  llvm_unreachable("all collectives are named");
}

LogicalResult StartOp::verify() {
  CollectiveKind kind = getKind();
  PendingType pending = getPending().getType();
  ArrayRef<Type> given = pending.getTypes();
  if (getParts().empty() || given.size() != getParts().size())
    return emitOpError() << "needs parts, one for each pending value, got "
                         << getParts().size() << " and " << given.size();
  for (auto [part, type] : llvm::zip(getParts(), given)) {
    bool isRows = !tensorOf(part).hasStaticShape();
    if (!isRows && kind != CollectiveKind::AllToAll)
      return emitOpError() << "a part of " << stringifyCollectiveKind(kind)
                           << " must have rows of the step, got "
                           << part.getType();
    if ((kind == CollectiveKind::ReduceScatter ||
         kind == CollectiveKind::AllReduce) &&
        !isFloatTensor(part.getType()))
      return emitOpError() << "sums are of f32 or bf16, got " << part.getType();
    Type expected = getGivenType(kind, tensorOf(part));
    if (type != expected)
      return emitOpError() << "pending value must be " << expected << ", got "
                           << type;
  }
  if (static_cast<bool>(getCounts()) != getColumns().has_value())
    return emitOpError("has 'counted' if and only if it has counts");
  if (!getCounts())
    return success();
  if (kind != CollectiveKind::AllToAll)
    return emitOpError("only an all_to_all is counted");
  if (failed(checkRank(*this, getCounts(), 2, "counts")) ||
      failed(checkSize(*this, getColumnsAttr().size(), getParts().size(),
                       "count columns")))
    return failure();
  int64_t width = tensorOf(getCounts()).getDimSize(1);
  DenseI64ArrayAttr columns = getColumnsAttr();
  for (int64_t column : columns.asArrayRef())
    if (column < -1 || column >= width)
      return emitOpError() << "count column " << column << " is not one of the "
                           << width << " of " << getCounts().getType();
  return success();
}

LogicalResult AwaitOp::verify() {
  PendingType pending = getPending().getType();
  if (TypeRange(pending.getTypes()) != getValues().getTypes())
    return emitOpError() << "must give the values of " << pending;
  return success();
}
