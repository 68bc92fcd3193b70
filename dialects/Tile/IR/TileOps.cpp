#include "dialects/Tile/IR/TileDialect.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace hadal::tile;

#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.cpp.inc"

namespace {

RankedTensorType tileType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

ArrayRef<int64_t> shapeOf(Value value) { return tileType(value).getShape(); }

ViewType viewType(Value value) { return cast<ViewType>(value.getType()); }

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Checks what load and store share: indices, rank, element type, scales.
LogicalResult verifyAccess(Operation *op, Value viewValue, ValueRange indices,
                           Value tile, Value scales) {
  ViewType view = viewType(viewValue);
  RankedTensorType type = tileType(tile);
  if (static_cast<int64_t>(indices.size()) != view.getRank())
    return op->emitOpError("has ")
           << indices.size() << " indices for a view of rank "
           << view.getRank();
  if (type.getRank() > view.getRank() || type.getRank() == 0)
    return op->emitOpError("tile of rank ")
           << type.getRank() << " does not fit a view of rank "
           << view.getRank();
  if (type.getElementType() != view.getElementType())
    return op->emitOpError("tile element type ")
           << type.getElementType() << " differs from the view's "
           << view.getElementType();
  if (view.isScaled() != static_cast<bool>(scales))
    return op->emitOpError(view.isScaled()
                               ? "of a scaled view needs a scale tile"
                               : "of an unscaled view has a scale tile");
  if (!scales)
    return success();
  ArrayRef<int64_t> s = shapeOf(scales);
  if (type.getRank() != 2 || s.size() != 2)
    return op->emitOpError("of a scaled view needs tiles of rank 2");
  if (s[0] <= 0 || s[1] <= 0 || ceilDiv(type.getDimSize(0), s[0]) < 1 ||
      (type.getDimSize(0) % s[0] != 0 &&
       ceilDiv(type.getDimSize(0), view.getScaleRows()) != s[0]) ||
      (type.getDimSize(1) % s[1] != 0 &&
       ceilDiv(type.getDimSize(1), view.getScaleCols()) != s[1]))
    return op->emitOpError("scale tile ")
           << s[0] << "x" << s[1] << " does not divide the tile "
           << type.getDimSize(0) << "x" << type.getDimSize(1);
  return success();
}

} // namespace

//===----------------------------------------------------------------------===//
// FoldOp
//===----------------------------------------------------------------------===//

void FoldOp::build(
    OpBuilder &builder, OperationState &state, Value lo, Value hi,
    int64_t step, ValueRange inits,
    function_ref<SmallVector<Value>(OpBuilder &, Location, Value, ValueRange)>
        bodyBuilder,
    function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange,
                                    ValueRange)>
        combineBuilder) {
  OpBuilder::InsertionGuard guard(builder);
  state.addOperands({lo, hi});
  state.addOperands(inits);
  state.addTypes(inits.getTypes());
  state.addAttribute("step", builder.getI64IntegerAttr(step));
  SmallVector<Location> locs(inits.size(), state.location);
  Block *body = builder.createBlock(state.addRegion());
  Value iv = body->addArgument(builder.getIndexType(), state.location);
  body->addArguments(inits.getTypes(), locs);
  SmallVector<Value> next = bodyBuilder(builder, state.location, iv,
                                        body->getArguments().drop_front());
  YieldOp::create(builder, state.location, next);
  Block *combine = builder.createBlock(state.addRegion());
  combine->addArguments(inits.getTypes(), locs);
  combine->addArguments(inits.getTypes(), locs);
  SmallVector<Value> merged = combineBuilder(
      builder, state.location, combine->getArguments().take_front(inits.size()),
      combine->getArguments().take_back(inits.size()));
  YieldOp::create(builder, state.location, merged);
}

// tile.fold %k = %lo to %hi step 128 init(%a = %x : type, ...) { ... }
//     combine (%p, ...), (%q, ...) { ... }
ParseResult FoldOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  OpAsmParser::Argument variable;
  variable.type = builder.getIndexType();
  OpAsmParser::UnresolvedOperand lo, hi;
  int64_t step = 0;
  if (parser.parseArgument(variable) || parser.parseEqual() ||
      parser.parseOperand(lo) || parser.parseKeyword("to") ||
      parser.parseOperand(hi) || parser.parseKeyword("step") ||
      parser.parseInteger(step))
    return failure();
  SmallVector<OpAsmParser::Argument> bodyArgs{variable};
  SmallVector<OpAsmParser::UnresolvedOperand> inits;
  SmallVector<Type> types;
  auto parseInit = [&]() -> ParseResult {
    OpAsmParser::Argument state;
    OpAsmParser::UnresolvedOperand init;
    if (parser.parseArgument(state) || parser.parseEqual() ||
        parser.parseOperand(init) || parser.parseColonType(state.type))
      return failure();
    bodyArgs.push_back(state);
    inits.push_back(init);
    types.push_back(state.type);
    return success();
  };
  if (succeeded(parser.parseOptionalKeyword("init")) &&
      parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseInit))
    return failure();
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseRegion(*result.addRegion(), bodyArgs) ||
      parser.parseKeyword("combine"))
    return failure();
  SmallVector<OpAsmParser::Argument> combineArgs;
  for (int side = 0; side < 2; ++side) {
    SMLoc loc = parser.getCurrentLocation();
    SmallVector<OpAsmParser::Argument> names;
    if ((side == 1 && parser.parseComma()) ||
        parser.parseArgumentList(names, OpAsmParser::Delimiter::Paren))
      return failure();
    if (names.size() != types.size())
      return parser.emitError(loc, "combine names ")
             << names.size() << " values for a state of " << types.size();
    for (auto [name, type] : llvm::zip(names, types)) {
      name.type = type;
      combineArgs.push_back(name);
    }
  }
  if (parser.parseRegion(*result.addRegion(), combineArgs))
    return failure();
  for (auto &region : result.regions)
    FoldOp::ensureTerminator(*region, builder, result.location);
  result.addAttribute("step", builder.getI64IntegerAttr(step));
  result.addTypes(types);
  Type index = builder.getIndexType();
  return failure(parser.resolveOperand(lo, index, result.operands) ||
                 parser.resolveOperand(hi, index, result.operands) ||
                 parser.resolveOperands(inits, types, parser.getNameLoc(),
                                        result.operands));
}

void FoldOp::print(OpAsmPrinter &p) {
  p << " ";
  p.printRegionArgument(getBody().getArgument(0), {}, /*omitType=*/true);
  p << " = " << getLo() << " to " << getHi() << " step " << getStep();
  if (!getInits().empty()) {
    p << " init(";
    llvm::interleaveComma(llvm::zip(getState(), getInits()), p, [&](auto pair) {
      p.printRegionArgument(std::get<0>(pair), {}, /*omitType=*/true);
      p << " = " << std::get<1>(pair) << " : " << std::get<1>(pair).getType();
    });
    p << ")";
  }
  p.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"step"});
  p << " ";
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false,
                /*printBlockTerminators=*/!getInits().empty());
  p << " combine (";
  Block::BlockArgListType args = getCombine().getArguments();
  auto printSide = [&](Block::BlockArgListType side) {
    llvm::interleaveComma(side, p, [&](BlockArgument arg) {
      p.printRegionArgument(arg, {}, /*omitType=*/true);
    });
  };
  printSide(args.take_front(args.size() / 2));
  p << "), (";
  printSide(args.take_back(args.size() / 2));
  p << ") ";
  p.printRegion(getCombine(), /*printEntryBlockArgs=*/false,
                /*printBlockTerminators=*/!getInits().empty());
}

LogicalResult FoldOp::verify() {
  if (getStep() <= 0)
    return emitOpError("needs a positive step");
  TypeRange types = getInits().getTypes();
  if (TypeRange(getResultTypes()) != types)
    return emitOpError("result types differ from the types of its inits");
  Block &body = getBody().front();
  if (body.getNumArguments() != types.size() + 1 ||
      !body.getArgument(0).getType().isIndex() ||
      TypeRange(ValueRange(body.getArguments().drop_front())) != types)
    return emitOpError("body takes an index and the state");
  Block &combine = getCombine().front();
  if (combine.getNumArguments() != 2 * types.size() ||
      TypeRange(ValueRange(
          combine.getArguments().take_front(types.size()))) != types ||
      TypeRange(ValueRange(
          combine.getArguments().take_back(types.size()))) != types)
    return emitOpError("combine takes two states");
  for (Block *block : {&body, &combine})
    if (TypeRange(block->getTerminator()->getOperandTypes()) != types)
      return emitOpError("a region yields types other than the state's");
  for (Operation &op : combine.without_terminator())
    if (!isMemoryEffectFree(&op))
      return emitOpError("combine must not touch memory");
  return success();
}

//===----------------------------------------------------------------------===//
// Sizes and views
//===----------------------------------------------------------------------===//

LogicalResult SizeOp::verify() {
  bool wantsIndex = getName() == SizeName::ExpertBegin;
  if (wantsIndex != static_cast<bool>(getIndex()))
    return emitOpError(wantsIndex ? "expert_begin needs an index"
                                  : "only expert_begin takes an index");
  return success();
}

LogicalResult DimOp::verify() {
  if (static_cast<int64_t>(getDim()) >= viewType(getView()).getRank() ||
      static_cast<int64_t>(getDim()) < 0)
    return emitOpError("dimension ") << getDim() << " is out of range";
  return success();
}

LogicalResult PagedOp::verify() {
  ViewType pool = viewType(getPool()), table = viewType(getTable()),
           result = viewType(getResult());
  if (pool.getRank() != 3 || pool.isDynamic(1) || pool.isDynamic(2))
    return emitOpError("pool must be [pages, page size, width] with a static "
                       "page size and width");
  if (table.getRank() != 2 || !table.getElementType().isInteger(32))
    return emitOpError("page table must be i32 [rows, pages]");
  if (result.getRank() != 2 || !result.isDynamic(0) ||
      result.getShape()[1] != pool.getShape()[2] ||
      result.getElementType() != pool.getElementType())
    return emitOpError("result must be ?x")
           << pool.getShape()[2] << " of the pool's element type";
  return success();
}

LogicalResult RowsOp::verify() {
  ViewType view = viewType(getView()), result = viewType(getResult());
  ArrayRef<int64_t> indices = shapeOf(getIndices());
  if (view.getRank() != 2 || result.getRank() != 2 || indices.size() != 1)
    return emitOpError("takes a view of rank 2 and a tile of rank 1");
  if (result.getShape()[0] != indices[0] ||
      result.getShape()[1] != view.getShape()[1] ||
      result.getElementType() != view.getElementType() ||
      result.getScaleCols() != view.getScaleCols())
    return emitOpError("result must be ")
           << indices[0] << " rows of the source view";
  if (view.getKind() != ViewKind::Dense || view.getScaleRows() > 1)
    return emitOpError("gathers from dense views whose scale block has one "
                       "row");
  return success();
}

LogicalResult ReadOp::verify() {
  ViewType view = viewType(getView());
  if (static_cast<int64_t>(getIndices().size()) != view.getRank())
    return emitOpError("has ") << getIndices().size()
                               << " indices for a view of rank "
                               << view.getRank();
  if (!view.getElementType().isInteger(32) &&
      !view.getElementType().isInteger(64))
    return emitOpError("reads i32 or i64 views only");
  return success();
}

LogicalResult LoadOp::verify() {
  if (getPad() && viewType(getView()).isScaled())
    return emitOpError("a scaled view always pads with 0");
  return verifyAccess(*this, getView(), getIndices(), getTile(), getScales());
}

LogicalResult StoreOp::verify() {
  if (viewType(getView()).getKind() != ViewKind::Dense)
    return emitOpError("writes dense views only");
  return verifyAccess(*this, getView(), getIndices(), getTile(), getScales());
}

LogicalResult ReduceIntoOp::verify() {
  Type type = viewType(getView()).getElementType();
  if (!type.isF32() && !type.isInteger(32))
    return emitOpError("adds to f32 or i32 views only");
  if (getMax() && !type.isInteger(32))
    return emitOpError("takes the greater of i32 only");
  return verifyAccess(*this, getView(), getIndices(), getTile(), {});
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

LogicalResult DotOp::verify() {
  ArrayRef<int64_t> a = shapeOf(getA()), b = shapeOf(getB()),
                    c = shapeOf(getAcc());
  if (a.size() != 2 || b.size() != 2 || c.size() != 2)
    return emitOpError("operands must have rank 2");
  int64_t m = a[getTa() ? 1 : 0], ka = a[getTa() ? 0 : 1];
  int64_t n = b[getTb() ? 0 : 1], kb = b[getTb() ? 1 : 0];
  if (ka != kb)
    return emitOpError("K of a is ") << ka << ", of b " << kb;
  if (c[0] != m || c[1] != n)
    return emitOpError("accumulator is ") << c[0] << "x" << c[1]
                                          << ", expected " << m << "x" << n;
  if (!tileType(getAcc()).getElementType().isF32())
    return emitOpError("accumulates in f32");
  return success();
}

// AllTypesMatch would count operands without regard to the optional one.
LogicalResult DotScaledOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> loc, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &results) {
  if (operands.size() < 4)
    return failure();
  results.push_back(operands.back().getType());
  return success();
}

LogicalResult DotScaledOp::verify() {
  ArrayRef<int64_t> a = shapeOf(getA()), b = shapeOf(getB()),
                    sb = shapeOf(getSb()), c = shapeOf(getAcc());
  int64_t k = getK();
  if (a.size() != 2 || b.size() != 2 || c.size() != 2 || sb.size() != 2)
    return emitOpError("operands must have rank 2");
  if (a[1] != b[1])
    return emitOpError("K of a is ") << a[1] << ", of b " << b[1];
  if (c[0] != a[0] || c[1] != b[0])
    return emitOpError("accumulator is ")
           << c[0] << "x" << c[1] << ", expected " << a[0] << "x" << b[0];
  if (!tileType(getAcc()).getElementType().isF32())
    return emitOpError("accumulates in f32");
  if (k <= 0)
    return emitOpError("needs a positive block of K");
  int64_t blocks = ceilDiv(a[1], k);
  if (!isa<Float8E4M3FNType>(tileType(getB()).getElementType()))
    return emitOpError("b must hold e4m3fn codes");
  if (sb[1] != blocks || b[0] % sb[0] != 0)
    return emitOpError("scales of b are ")
           << sb[0] << "x" << sb[1] << ", expected a divisor of " << b[0]
           << " rows by " << blocks;
  bool codes = isa<Float8E4M3FNType>(tileType(getA()).getElementType());
  if (codes != static_cast<bool>(getSa()))
    return emitOpError(codes ? "e4m3fn a needs its scales"
                             : "only e4m3fn a has scales");
  if (getSa() && (shapeOf(getSa()).size() != 2 ||
                  shapeOf(getSa())[0] != a[0] ||
                  shapeOf(getSa())[1] != blocks))
    return emitOpError("scales of a must be ") << a[0] << "x" << blocks;
  return success();
}

//===----------------------------------------------------------------------===//
// Quantisation
//===----------------------------------------------------------------------===//

LogicalResult QuantizeOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX()), q = shapeOf(getCodes()),
                    s = shapeOf(getScales());
  if (x.size() != 2 || q != x ||
      !isa<Float8E4M3FNType>(tileType(getCodes()).getElementType()))
    return emitOpError("codes must be e4m3fn of the source's shape (rank 2)");
  if (static_cast<int64_t>(getGroup()) <= 0)
    return emitOpError("needs a positive group");
  if (s.size() != 2 || s[0] != x[0] ||
      s[1] != ceilDiv(x[1], static_cast<int64_t>(getGroup())))
    return emitOpError("scales must be ")
           << x[0] << "x" << ceilDiv(x[1], getGroup());
  if (!getFloor().isFinite() || getFloor().isNegative() ||
      getFloor().isZero())
    return emitOpError("needs a positive floor");
  return success();
}

LogicalResult DequantizeOp::verify() {
  ArrayRef<int64_t> q = shapeOf(getCodes()), s = shapeOf(getScales());
  if (q.size() != 2 || s.size() != 2 || shapeOf(getResult()) != q)
    return emitOpError("operands and result must have rank 2 and the codes' "
                       "shape");
  Type element = tileType(getCodes()).getElementType();
  if (!isa<Float8E4M3FNType>(element) && !isInt4(element))
    return emitOpError("codes must be e4m3fn or i4");
  if (isInt4(element) && !tileType(getResult()).getElementType().isBF16())
    return emitOpError("the elements of i4 codes are bf16");
  if (q[0] % s[0] != 0 || q[1] % s[1] != 0)
    return emitOpError("scales ") << s[0] << "x" << s[1]
                                  << " do not divide the codes " << q[0] << "x"
                                  << q[1];
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes of values
//===----------------------------------------------------------------------===//

LogicalResult SplatOp::verify() {
  Type scalar = getScalar().getType();
  Type element = tileType(getResult()).getElementType();
  if (scalar != element && !(scalar.isIndex() && element.isInteger(32)))
    return emitOpError("scalar of type ")
           << scalar << " does not fill a tile of " << element;
  return success();
}

LogicalResult BroadcastOp::verify() {
  ArrayRef<int64_t> from = shapeOf(getSource()), to = shapeOf(getResult());
  if (tileType(getSource()).getElementType() !=
      tileType(getResult()).getElementType())
    return emitOpError("must keep the element type");
  if (from.size() > to.size())
    return emitOpError("cannot drop dimensions");
  for (auto [f, t] : llvm::zip(from, to.take_back(from.size())))
    if (f != t && f != 1)
      return emitOpError("cannot broadcast extent ") << f << " to " << t;
  return success();
}

LogicalResult IotaOp::verify() {
  if (static_cast<int64_t>(getDim()) < 0 ||
      static_cast<int64_t>(getDim()) >= tileType(getResult()).getRank())
    return emitOpError("dimension ") << getDim() << " is out of range";
  return success();
}

LogicalResult ReduceOp::verify() {
  RankedTensorType source = tileType(getSource());
  int64_t dim = getDim();
  if (dim < 0 || dim >= source.getRank())
    return emitOpError("dimension ") << dim << " is out of range";
  SmallVector<int64_t> expected(source.getShape());
  expected[dim] = 1;
  if (getResult().getType() !=
      RankedTensorType::get(expected, source.getElementType()))
    return emitOpError("must reduce dimension ") << dim << " to extent 1";
  return success();
}

LogicalResult ScanOp::verify() {
  if (static_cast<int64_t>(getDim()) < 0 ||
      static_cast<int64_t>(getDim()) >= tileType(getSource()).getRank())
    return emitOpError("dimension ") << getDim() << " is out of range";
  return success();
}

LogicalResult TopKOp::verify() {
  ArrayRef<int64_t> s = shapeOf(getSource()), v = shapeOf(getValues()),
                    i = shapeOf(getIndices());
  if (s.size() != 2 || v.size() != 2 || v != i || v[0] != s[0])
    return emitOpError("takes [M,N] and yields two tiles [M,k]");
  if (v[1] > s[1])
    return emitOpError("cannot take ") << v[1] << " of " << s[1];
  return success();
}

LogicalResult ReshapeOp::verify() {
  if (tileType(getSource()).getNumElements() !=
          tileType(getResult()).getNumElements() ||
      tileType(getSource()).getElementType() !=
          tileType(getResult()).getElementType())
    return emitOpError("must keep the elements");
  return success();
}

LogicalResult TransposeOp::verify() {
  ArrayRef<int64_t> s = shapeOf(getSource()), r = shapeOf(getResult());
  if (s.size() != 2 || r.size() != 2 || s[0] != r[1] || s[1] != r[0] ||
      tileType(getSource()).getElementType() !=
          tileType(getResult()).getElementType())
    return emitOpError("must swap the two dimensions");
  return success();
}

LogicalResult SliceOp::verify() {
  ArrayRef<int64_t> s = shapeOf(getSource()), r = shapeOf(getResult());
  if (s.size() != r.size() || getOffsets().size() != s.size())
    return emitOpError("needs one offset and one extent per dimension");
  for (auto [from, offset, to] : llvm::zip(s, getOffsets(), r))
    if (offset < 0 || offset + to > from)
      return emitOpError("[") << offset << ", " << offset + to
                              << ") leaves an extent of " << from;
  if (tileType(getSource()).getElementType() !=
      tileType(getResult()).getElementType())
    return emitOpError("must keep the element type");
  return success();
}

LogicalResult ConcatOp::verify() {
  if (getSources().empty())
    return emitOpError("needs a source");
  RankedTensorType result = tileType(getResult());
  int64_t dim = getDim(), total = 0;
  if (dim < 0 || dim >= result.getRank())
    return emitOpError("dimension ") << dim << " is out of range";
  for (Value source : getSources()) {
    RankedTensorType type = tileType(source);
    if (type.getRank() != result.getRank() ||
        type.getElementType() != result.getElementType())
      return emitOpError("sources must have the result's rank and element "
                         "type");
    for (int64_t d = 0; d < result.getRank(); ++d)
      if (d != dim && type.getDimSize(d) != result.getDimSize(d))
        return emitOpError("extent ") << d << " of a source differs";
    total += type.getDimSize(dim);
  }
  if (total != result.getDimSize(dim))
    return emitOpError("sources add up to ")
           << total << " along dimension " << dim << ", expected "
           << result.getDimSize(dim);
  return success();
}

static LogicalResult verifyInterleaving(Operation *op, Value even, Value odd,
                                        Value joined) {
  RankedTensorType e = tileType(even), j = tileType(joined);
  if (even.getType() != odd.getType() || e.getRank() != 2 || j.getRank() != 2 ||
      e.getElementType() != j.getElementType() ||
      e.getDimSize(0) != j.getDimSize(0) ||
      2 * e.getDimSize(1) != j.getDimSize(1))
    return op->emitOpError("pairs [M,N] with two tiles [M,N/2]");
  return success();
}

LogicalResult DeinterleaveOp::verify() {
  return verifyInterleaving(*this, getEven(), getOdd(), getSource());
}

LogicalResult InterleaveOp::verify() {
  return verifyInterleaving(*this, getEven(), getOdd(), getResult());
}
