// Verifiers and folders of the module and model operations.
#include "dialects/Dsv3/IR/VerifierHelpers.h"

using namespace mlir;
using namespace hadal::dsv3;
using namespace hadal::dsv3::detail;

//===----------------------------------------------------------------------===//
// Shared checks
//===----------------------------------------------------------------------===//

LogicalResult hadal::dsv3::detail::checkWeight(Operation *op, Value value,
                                               int64_t columns,
                                               StringRef what) {
  RankedTensorType type = tensorOf(value);
  LayoutAttr layout = getLayout(type);
  bool stack = layout && layout.getStorage() == Storage::Stack;
  if (failed(checkRank(op, value, stack ? 3 : 2, what)))
    return failure();
  if (!type.hasStaticShape())
    return op->emitOpError()
           << what << " must have a static shape, got " << type;
  if (isFP8(type)) {
    ScaleAttr scale = layout.getScale();
    if (scale.getRows() != kBlock || scale.getCols() != kBlock)
      return op->emitOpError()
             << what << " must have scale blocks of 128x128, got "
             << scale.getRows() << "x" << scale.getCols();
  }
  return checkSize(op, type.getShape().back(), columns,
                   (what + " columns").str());
}

LogicalResult hadal::dsv3::detail::checkRopeTable(Operation *op, Value table,
                                                  int64_t rope) {
  if (rope <= 0 || rope % 2)
    return op->emitOpError()
           << "rotary width must be positive and even, got " << rope;
  ArrayRef<int64_t> shape = tensorOf(table).getShape();
  if (shape.size() != 3 || shape[1] != rope / 2 || shape[2] != 2)
    return op->emitOpError() << "rotary table must be f32[positions, "
                             << rope / 2 << ", 2], got " << table.getType();
  return success();
}

LogicalResult hadal::dsv3::detail::checkFloor(Operation *op,
                                              std::optional<APFloat> floor,
                                              bool quantized) {
  if (floor.has_value() != quantized)
    return op->emitOpError(quantized
                               ? "a quantized result needs 'floor'"
                               : "'floor' is given but nothing is quantized");
  if (floor && (floor->isNegative() || !floor->isFiniteNonZero()))
    return op->emitOpError("'floor' must be positive");
  return success();
}

LogicalResult hadal::dsv3::detail::checkProduct(Operation *op, Value x,
                                                Value weight, Value begin,
                                                Value source, Value y) {
  if (failed(checkActivation(op, x, "input")) ||
      failed(checkWeight(op, weight, tensorOf(x).getDimSize(1), "weight")))
    return failure();
  if (isFP8(x.getType()) && !isFP8(weight.getType()))
    return op->emitOpError()
           << "an FP8 input needs an FP8 weight, got " << weight.getType();
  bool stack = tensorOf(weight).getRank() == 3;
  if (stack != static_cast<bool>(begin))
    return op->emitOpError(stack ? "a stack of weights needs 'experts'"
                                 : "'experts' needs a stack of weights");
  if (begin && failed(checkVector(op, begin, tensorOf(weight).getDimSize(0) + 1,
                                  "expert offsets")))
    return failure();
  if (source && !begin)
    return op->emitOpError("'gather' needs 'experts'");
  if (failed(checkActivation(op, y, "result")) ||
      failed(checkSameRows(op, source ? source : x, y,
                           source ? "gathered rows and result"
                                  : "input and result")))
    return failure();
  return checkSize(op, tensorOf(y).getDimSize(1),
                   tensorOf(weight).getShape().end()[-2], "result columns");
}

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

LogicalResult ParameterOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !hasValidLayout(type) || !type.hasStaticShape())
    return emitOpError() << "type must be a static dsv3 tensor, got "
                         << getType();
  if (getParts().empty())
    return emitOpError("names no tensor");
  LayoutAttr layout = getLayout(type);
  Storage storage = layout ? layout.getStorage() : Storage::Whole;
  if (storage != Storage::Segments && getParts().size() != 1)
    return emitOpError() << "only segments have several parts, got "
                         << getParts().size();
  if (storage == Storage::Stack &&
      !cast<StringAttr>(getParts()[0]).getValue().contains("{e}"))
    return emitOpError("the part of a stack must contain '{e}'");
  if (storage == Storage::Segments) {
    if (getPartRows().size() != getParts().size())
      return emitOpError() << "'rows' must give one extent per part, got "
                           << getPartRows().size() << " for "
                           << getParts().size() << " parts";
    int64_t sum = 0;
    for (auto [i, rows] : llvm::enumerate(getPartRows())) {
      // A mapped table has one entry per 128 rows; a copy is one array.
      bool last = i + 1 == getPartRows().size();
      if (rows <= 0 || (getPlace() == Placement::Map && !last && rows % kBlock))
        return emitOpError() << "rows of part " << i
                             << " must be a multiple of 128, got " << rows;
      sum += rows;
    }
    if (sum != type.getDimSize(0))
      return emitOpError() << "rows of the parts add up to " << sum
                           << ", the type has " << type.getDimSize(0);
  } else if (!getPartRows().empty()) {
    return emitOpError("'rows' belongs to segments only");
  }
  bool hasSlots = getSplit() && getSplit()->getDim() == SplitDim::Slots;
  if (hasSlots != getLayer().has_value())
    return emitOpError("'layer' belongs to stacks that are split into slots");
  if (hasSlots && storage != Storage::Stack)
    return emitOpError("only a stack is split into slots");
  if (getAccepts().empty())
    return emitOpError("accepts no dtype");
  if (getPlace() == Placement::Map &&
      llvm::any_of(getAccepts().getAsValueRange<TypeAttr>(),
                   [&](Type t) { return t != type.getElementType(); }))
    return emitOpError("a mapped parameter may accept its element type only");
  if (isQuantized(type) && !getScale())
    return emitOpError("an FP8 or int4 parameter needs 'scale'");
  if (!getScale())
    return success();
  bool dequantised = type.getElementType().isBF16() && type.getRank() == 2 &&
                     storage == Storage::Whole &&
                     getPlace() == Placement::Copy &&
                     llvm::all_of(getAccepts().getAsValueRange<TypeAttr>(),
                                  llvm::IsaPred<Float8E4M3FNType>);
  if (!isQuantized(type) && !dequantised)
    return emitOpError("'scale' belongs to FP8 and int4 parameters and to bf16 "
                       "copies of FP8 matrices only");
  auto scale = dyn_cast_or_null<ParameterOp>(
      SymbolTable::lookupNearestSymbolFrom(*this, getScaleAttr()));
  if (!scale)
    return emitOpError() << "scale parameter " << getScaleAttr()
                         << " does not exist";
  SmallVector<int64_t> shape;
  if (dequantised)
    for (int64_t extent : type.getShape())
      shape.push_back(llvm::divideCeil(extent, kBlock));
  else
    shape = getScaleShape(type);
  auto scaleType = dyn_cast<RankedTensorType>(scale.getType());
  Type element = isInt4(type) ? Type(BFloat16Type::get(getContext()))
                              : Float32Type::get(getContext());
  if (!scaleType || scaleType.getElementType() != element ||
      scaleType.getShape() != ArrayRef(shape)) {
    InFlightDiagnostic diag = emitOpError()
                              << "scale parameter must be "
                              << (isInt4(type) ? "bf16" : "f32")
                              << " of shape [";
    llvm::interleaveComma(shape, diag);
    return diag << "], got " << scale.getType();
  }
  return success();
}

LogicalResult RopeTableOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  int64_t pairs = getInvFreq().size();
  if (!type || !type.hasStaticShape() || !type.getElementType().isF32() ||
      type.getRank() != 3 || type.getDimSize(1) != pairs ||
      type.getDimSize(2) != 2)
    return emitOpError() << "type must be f32[positions, " << pairs
                         << ", 2], got " << getType();
  return success();
}

LogicalResult PlacementTableOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape() || !type.getElementType().isInteger(32) ||
      type.getRank() != 2 || type.getDimSize(1) < 2)
    return emitOpError() << "type must be i32[experts, 1 + replicas], got "
                         << getType();
  return success();
}

LogicalResult StateOp::verify() {
  if (!isa<CacheType, CountsType>(getType()))
    return emitOpError() << "type must be a cache or counts, got " << getType();
  return success();
}

LogicalResult GetParameterOp::verifySymbolUses(SymbolTableCollection &tables) {
  Operation *symbol = tables.lookupNearestSymbolFrom(*this, getParameterAttr());
  Type type;
  if (auto parameter = dyn_cast_or_null<ParameterOp>(symbol))
    type = parameter.getType();
  else if (auto table = dyn_cast_or_null<RopeTableOp>(symbol))
    type = table.getType();
  else if (auto table = dyn_cast_or_null<PlacementTableOp>(symbol))
    type = table.getType();
  else
    return emitOpError() << getParameterAttr() << " is not a parameter";
  if (type != getValue().getType())
    return emitOpError() << "parameter " << getParameterAttr() << " has type "
                         << type << ", not " << getValue().getType();
  return success();
}

LogicalResult GetStateOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto state = dyn_cast_or_null<StateOp>(
      tables.lookupNearestSymbolFrom(*this, getStateAttr()));
  if (!state)
    return emitOpError() << getStateAttr() << " is not a state";
  if (state.getType() != getValue().getType())
    return emitOpError() << "state " << getStateAttr() << " has type "
                         << state.getType() << ", not " << getValue().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Model operations
//===----------------------------------------------------------------------===//

LogicalResult EmbedOp::verify() {
  if (failed(checkRank(*this, getTokens(), 1, "tokens")) ||
      failed(checkRank(*this, getTable(), 2, "table")) ||
      failed(checkRank(*this, getResult(), 2, "result")) ||
      failed(
          checkSameRows(*this, getTokens(), getResult(), "tokens and result")))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   tensorOf(getTable()).getDimSize(1), "result columns");
}

LogicalResult MtpInputOp::verify() {
  if (failed(checkRank(*this, getTokens(), 1, "tokens")) ||
      failed(checkRank(*this, getTable(), 2, "table")) ||
      failed(checkRank(*this, getHidden(), 2, "hidden")) ||
      failed(checkRank(*this, getRows(), 1, "rows")) ||
      failed(checkRank(*this, getResult(), 2, "result")) ||
      failed(checkSameRows(*this, getTokens(), getRows(), "tokens and rows")) ||
      failed(
          checkSameRows(*this, getTokens(), getResult(), "tokens and result")))
    return failure();
  int64_t width = tensorOf(getTable()).getDimSize(1);
  if (tensorOf(getHidden()).getElementType() !=
      tensorOf(getResult()).getElementType())
    return emitOpError() << "hidden and result have one element type, got "
                         << getHidden().getType() << " and "
                         << getResult().getType();
  if (failed(checkSize(*this, tensorOf(getHidden()).getDimSize(1), width,
                       "hidden columns")) ||
      failed(checkVector(*this, getEnorm(), width, "enorm weight")) ||
      failed(checkVector(*this, getNorm(), width, "norm weight")) ||
      failed(checkVector(*this, getHnorm(), width, "hnorm weight")))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1), 2 * width,
                   "result columns");
}

LogicalResult hadal::dsv3::detail::checkAddend(Operation *op, Value addend,
                                               Type sum) {
  auto type = cast<RankedTensorType>(sum);
  Type f32 = withElement(type, Float32Type::get(op->getContext()), ScaleAttr());
  if (addend.getType() == sum || addend.getType() == f32)
    return success();
  return op->emitOpError() << "addend must have the sum's type " << sum
                           << " or be f32, got " << addend.getType();
}

LogicalResult AddOp::verify() {
  return checkAddend(*this, getRhs(), getResult().getType());
}

LogicalResult RmsNormOp::verify() {
  if (getInput().getType() != getResult().getType())
    return emitOpError() << "result must have the input's type "
                         << getInput().getType() << ", got "
                         << getResult().getType();
  if (failed(checkRank(*this, getInput(), 2, "input")))
    return failure();
  return checkVector(*this, getWeight(), tensorOf(getInput()).getDimSize(1),
                     "norm weight");
}

void LinearOp::build(OpBuilder &b, OperationState &state, Type type,
                     Value input, Value weight, Value begin, Value source) {
  build(b, state, type, input, weight, begin, source,
        /*rope_table=*/Value(), /*batch=*/Value(), /*residual=*/Value(),
        /*heads=*/IntegerAttr(),
        /*rope=*/IntegerAttr());
}

LogicalResult LinearOp::verify() {
  if (failed(checkProduct(*this, getInput(), getWeight(), getBegin(),
                          getSource(), getResult())))
    return failure();
  int64_t columns = tensorOf(getResult()).getDimSize(1);
  if (getResidual() && getRopeTable())
    return emitOpError("has at most one epilogue");
  if (getResidual() && getResidual().getType() != getResult().getType())
    return emitOpError() << "residual must have the result's type "
                         << getResult().getType() << ", got "
                         << getResidual().getType();
  bool hasRope = static_cast<bool>(getRopeTable());
  if (hasRope != static_cast<bool>(getBatch()) ||
      hasRope != getHeads().has_value() || hasRope != getRope().has_value())
    return emitOpError("a rope epilogue needs a table, a batch, 'heads' and "
                       "'rope'");
  if (!hasRope)
    return success();
  int64_t heads = *getHeads(), rope = *getRope();
  if (heads <= 0 || columns % heads || columns / heads < rope)
    return emitOpError() << columns << " columns are not " << heads
                         << " heads of at least " << rope;
  return checkRopeTable(*this, getRopeTable(), rope);
}

LogicalResult RopeOp::verify() {
  if (getInput().getType() != getResult().getType())
    return emitOpError() << "result must have the input's type "
                         << getInput().getType() << ", got "
                         << getResult().getType();
  if (failed(checkRank(*this, getInput(), 2, "input")))
    return failure();
  int64_t columns = tensorOf(getInput()).getDimSize(1);
  int64_t heads = getHeads(), rope = getRope();
  if (heads <= 0 || columns % heads || columns / heads < rope)
    return emitOpError() << columns << " columns are not " << heads
                         << " heads of at least " << rope;
  return checkRopeTable(*this, getTable(), rope);
}

LogicalResult SliceOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkRank(*this, getResult(), 2, "result")) ||
      failed(checkSameRows(*this, getInput(), getResult(), "input and result")))
    return failure();
  int64_t offset = getOffset(), width = tensorOf(getInput()).getDimSize(1);
  int64_t end = offset + tensorOf(getResult()).getDimSize(1);
  if (offset < 0 || end > width)
    return emitOpError() << "columns " << offset << " to " << end
                         << " do not lie in an input of " << width;
  return success();
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getInput().getType() == getResult().getType() ? getInput()
                                                       : OpFoldResult();
}

LogicalResult AppendLatentOp::verify() {
  CacheType cache = getCache().getType();
  if (failed(checkRank(*this, getLatent(), 2, "latent")) ||
      failed(checkRank(*this, getKPe(), 2, "rotary key")) ||
      failed(checkSize(*this, tensorOf(getLatent()).getDimSize(1),
                       cache.getLatent(), "latent width")))
    return failure();
  return checkSize(*this, tensorOf(getKPe()).getDimSize(1), cache.getRope(),
                   "rotary key width");
}

LogicalResult MlaOp::verify() {
  CacheType cache = getCache().getType();
  int64_t heads = getHeads();
  if (failed(checkRank(*this, getQuery(), 2, "query")) ||
      failed(checkWeight(*this, getWkvB(), cache.getLatent(), "wkv_b")) ||
      failed(
          checkSize(*this, tensorOf(getQuery()).getDimSize(1),
                    heads * (static_cast<int64_t>(getNope()) + cache.getRope()),
                    "query columns")) ||
      failed(checkSize(*this, tensorOf(getWkvB()).getDimSize(0),
                       heads * static_cast<int64_t>(getNope() + getValue()),
                       "wkv_b rows")) ||
      failed(checkSameRows(*this, getQuery(), getResult(), "query and result")))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   heads * static_cast<int64_t>(getValue()), "result columns");
}

LogicalResult AttentionFormsOp::verify() {
  for (Region *region : {&getAbsorbed(), &getExpanded()}) {
    auto yield = dyn_cast<YieldOp>(region->front().getTerminator());
    if (!yield || yield.getValue().getType() != getResult().getType())
      return emitOpError() << "each form must yield " << getResult().getType();
  }
  return success();
}

LogicalResult GateTopkOp::verify() {
  if (failed(checkRank(*this, getLogits(), 2, "logits")))
    return failure();
  int64_t experts = tensorOf(getLogits()).getDimSize(1);
  int64_t groups = getGroups(), kept = getTopGroups(), k = getTopK();
  if (groups <= 0 || experts % groups)
    return emitOpError() << groups << " groups do not divide " << experts
                         << " experts";
  if (kept <= 0 || kept > groups)
    return emitOpError() << "cannot keep " << kept << " of " << groups
                         << " groups";
  if (k <= 0 || k > kept * (experts / groups))
    return emitOpError() << "cannot choose " << k << " of the "
                         << kept * (experts / groups)
                         << " experts in the kept groups";
  if (getBias() && failed(checkVector(*this, getBias(), experts, "bias")))
    return failure();
  for (Value result : getResults())
    if (failed(checkRank(*this, result, 2, "result")) ||
        failed(checkSize(*this, tensorOf(result).getDimSize(1), k,
                         "result columns")) ||
        failed(checkSameRows(*this, getLogits(), result, "logits and results")))
      return failure();
  return success();
}

LogicalResult MoePermuteOp::verify() {
  if (failed(checkRank(*this, getIds(), 2, "ids")))
    return failure();
  if (getPlace().getType() != getIds().getType())
    return emitOpError() << "place must have the type of ids "
                         << getIds().getType() << ", got "
                         << getPlace().getType();
  LayoutAttr layout = getLayout(getSource().getType());
  if (tensorOf(getSource()).getRank() != 1 || !layout ||
      layout.getExtents() != ArrayRef(Extent::Routed))
    return emitOpError() << "source must be i32[routed], got "
                         << getSource().getType();
  return checkVector(*this, getBegin(), getCounts().getType().getSize() + 1,
                     "expert offsets");
}

void MoeCombineOp::build(OpBuilder &b, OperationState &state, Type type,
                         Value rows, Value place, Value weights) {
  build(b, state, type, rows, place, weights, /*shared=*/Value(),
        /*residual=*/Value());
}

LogicalResult MoeCombineOp::verify() {
  if (failed(checkRank(*this, getRows(), 2, "rows")) ||
      failed(checkRank(*this, getPlace(), 2, "place")) ||
      failed(checkRank(*this, getWeights(), 2, "weights")) ||
      failed(checkSize(*this, tensorOf(getWeights()).getDimSize(1),
                       tensorOf(getPlace()).getDimSize(1), "weight columns")) ||
      failed(
          checkSameRows(*this, getPlace(), getResult(), "place and result")) ||
      failed(checkSize(*this, tensorOf(getResult()).getShape().back(),
                       tensorOf(getRows()).getDimSize(1), "result columns")))
    return failure();
  for (Value extra : {getShared(), getResidual()})
    if (extra && extra.getType() != getResult().getType())
      return emitOpError() << "shared and residual must have the result's type "
                           << getResult().getType() << ", got "
                           << extra.getType();
  return success();
}

LogicalResult GatherRowsOp::verify() {
  if (failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(checkRank(*this, getIndices(), 1, "indices")) ||
      failed(checkRank(*this, getResult(), 2, "result")) ||
      failed(checkSameRows(*this, getIndices(), getResult(),
                           "indices and result")))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   tensorOf(getInput()).getDimSize(1), "result columns");
}

LogicalResult QuantizeTilesOp::verify() {
  if (failed(checkActivation(*this, getResult(), "result")) ||
      failed(checkRank(*this, getInput(), 2, "input")) ||
      failed(
          checkSameRows(*this, getInput(), getResult(), "input and result")) ||
      failed(checkFloor(*this, getFloor(), true)))
    return failure();
  return checkSize(*this, tensorOf(getResult()).getDimSize(1),
                   tensorOf(getInput()).getDimSize(1), "result columns");
}
