// Registration, aliases, and the custom syntax of attributes and types.
#include "dialects/Dsv3/IR/Dsv3.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal::dsv3;

#include "dialects/Dsv3/IR/Dsv3Enums.cpp.inc"

#include "dialects/Dsv3/IR/Dsv3Dialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dsv3/IR/Dsv3Attrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Dsv3/IR/Dsv3Types.cpp.inc"

namespace {

/// Short names for the layouts, so that a dump reads
/// `tensor<?x7168xf8E4M3FN, #fp8_tokens>`.
struct Dsv3AsmInterface : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;

  AliasResult getAlias(Attribute attr, raw_ostream &os) const override {
    auto layout = dyn_cast<LayoutAttr>(attr);
    if (!layout)
      return AliasResult::NoAlias;
    ScaleAttr scale = layout.getScale();
    if (scale)
      os << (scale.getFormat() == ScaleFormat::UE8M0  ? "ue8m0_"
             : scale.getFormat() == ScaleFormat::BF16 ? "int4_"
                                                      : "fp8_");
    if (!layout.getExtents().empty())
      llvm::interleave(
          layout.getExtents(), os, [&](Extent e) { os << stringifyExtent(e); },
          "_");
    else if (layout.getStorage() != Storage::Whole)
      os << stringifyStorage(layout.getStorage());
    else
      os << "block";
    return AliasResult::OverridableAlias;
  }
};

} // namespace

void Dsv3Dialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Dsv3/IR/Dsv3Ops.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Dsv3/IR/Dsv3Attrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Dsv3/IR/Dsv3Types.cpp.inc"
      >();
  addInterfaces<Dsv3AsmInterface>();
}

LogicalResult Dsv3Dialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attr) {
  StringRef name = attr.getName();
  if (name == kBucketAttr) {
    if (!isa<BucketAttr>(attr.getValue()))
      return op->emitOpError() << "'" << name << "' must be a #dsv3.bucket";
    if (!isa<FunctionOpInterface>(op))
      return op->emitOpError() << "'" << name << "' belongs on a function";
    return success();
  }
  if (name == kAttentionAttr) {
    auto form = dyn_cast<StringAttr>(attr.getValue());
    if (!form || (form != "absorbed" && form != "expanded"))
      return op->emitOpError()
             << "'" << name << "' must be \"absorbed\" or \"expanded\"";
    return success();
  }
  if (name == kMicroBatchesAttr) {
    auto count = dyn_cast<IntegerAttr>(attr.getValue());
    if (!count || count.getInt() != 2 || !isa<FunctionOpInterface>(op))
      return op->emitOpError() << "'" << name << "' must be 2 on a function";
    return success();
  }
  if (name == kDroppedAttr) {
    auto names = dyn_cast<ArrayAttr>(attr.getValue());
    if (!names || !llvm::all_of(names, llvm::IsaPred<StringAttr>) ||
        !isa<FunctionOpInterface>(op))
      return op->emitOpError()
             << "'" << name << "' must be an array of names on a function";
    return success();
  }
  if (name == kModelAttr) {
    if (!isa<DictionaryAttr>(attr.getValue()) || !isa<ModuleOp>(op))
      return op->emitOpError()
             << "'" << name << "' must be a dictionary on a module";
    return success();
  }
  if (name == kRemarksAttr) {
    if (!isa<ArrayAttr>(attr.getValue()) || !isa<ModuleOp>(op))
      return op->emitOpError()
             << "'" << name << "' must be an array on a module";
    return success();
  }
  if (name == kMeshAttr) {
    if (!isa<MeshAttr>(attr.getValue()) || !isa<ModuleOp>(op))
      return op->emitOpError()
             << "'" << name << "' must be a #dsv3.mesh on a module";
    return success();
  }
  return op->emitOpError() << "unknown dsv3 attribute '" << name << "'";
}

//===----------------------------------------------------------------------===//
// #dsv3.scale
//===----------------------------------------------------------------------===//

namespace {

/// Parses a keyword that |symbolize| knows.
template <typename E>
FailureOr<E> parseEnum(AsmParser &p, std::optional<E> (*symbolize)(StringRef),
                       StringRef what) {
  StringRef word;
  SMLoc loc = p.getCurrentLocation();
  if (p.parseKeyword(&word))
    return failure();
  if (std::optional<E> value = symbolize(word))
    return *value;
  return p.emitError(loc) << "'" << word << "' is not " << what;
}

/// `1x128, f32, k` without the brackets.
ScaleAttr parseScaleBody(AsmParser &p) {
  SMLoc loc = p.getCurrentLocation();
  SmallVector<int64_t, 2> block;
  if (p.parseDimensionList(block, /*allowDynamic=*/false,
                           /*withTrailingX=*/false) ||
      p.parseComma())
    return {};
  if (block.size() != 2)
    return p.emitError(loc, "a scale block has two extents"), ScaleAttr();
  auto format = parseEnum<ScaleFormat>(p, symbolizeScaleFormat,
                                       "a scale format (f32, ue8m0, bf16)");
  if (failed(format) || p.parseComma())
    return {};
  auto major =
      parseEnum<ScaleMajor>(p, symbolizeScaleMajor, "a scale order (k, mn)");
  if (failed(major))
    return {};
  return ScaleAttr::getChecked([&] { return p.emitError(loc); }, p.getContext(),
                               block[0], block[1], *format, *major);
}

void printScaleBody(AsmPrinter &p, ScaleAttr scale) {
  p << scale.getRows() << "x" << scale.getCols() << ", "
    << stringifyScaleFormat(scale.getFormat()) << ", "
    << stringifyScaleMajor(scale.getMajor());
}

} // namespace

Attribute ScaleAttr::parse(AsmParser &p, Type) {
  if (p.parseLess())
    return {};
  ScaleAttr scale = parseScaleBody(p);
  if (!scale || p.parseGreater())
    return {};
  return scale;
}

void ScaleAttr::print(AsmPrinter &p) const {
  p << "<";
  printScaleBody(p, *this);
  p << ">";
}

LogicalResult ScaleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t rows, int64_t cols, ScaleFormat,
                                ScaleMajor) {
  if (rows <= 0 || cols <= 0)
    return emitError() << "scale block must be positive, got " << rows << "x"
                       << cols;
  return success();
}

//===----------------------------------------------------------------------===//
// #dsv3.layout
//===----------------------------------------------------------------------===//

// layout ::= `<` item (`,` item)* `>`
// item ::= `[` extent (`,` extent)* `]` | `stack` | `segments`
//        | `scale` `=` `<` scale `>`
Attribute LayoutAttr::parse(AsmParser &p, Type) {
  SmallVector<Extent> extents;
  Storage storage = Storage::Whole;
  ScaleAttr scale;
  auto parseExtent = [&]() -> ParseResult {
    auto extent = parseEnum<Extent>(p, symbolizeExtent,
                                    "an extent (tokens, routed, logits, slice, "
                                    "received, returned, gathered)");
    if (failed(extent))
      return failure();
    extents.push_back(*extent);
    return success();
  };
  auto parseItem = [&]() -> ParseResult {
    if (succeeded(p.parseOptionalLSquare())) {
      if (p.parseCommaSeparatedList(parseExtent) || p.parseRSquare())
        return failure();
      return success();
    }
    SMLoc loc = p.getCurrentLocation();
    StringRef word;
    if (p.parseKeyword(&word))
      return failure();
    if (word == "scale") {
      if (p.parseEqual() || p.parseLess() || !(scale = parseScaleBody(p)) ||
          p.parseGreater())
        return failure();
      return success();
    }
    if (word == "stack" || word == "segments") {
      storage = *symbolizeStorage(word);
      return success();
    }
    return p.emitError(loc) << "expected '[', 'stack', 'segments' or 'scale', "
                               "got '"
                            << word << "'";
  };
  if (p.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseItem))
    return {};
  return LayoutAttr::get(p.getContext(), extents, storage, scale);
}

void LayoutAttr::print(AsmPrinter &p) const {
  p << "<";
  bool first = true;
  auto item = [&] { p << (std::exchange(first, false) ? "" : ", "); };
  if (!getExtents().empty()) {
    item();
    p << "[";
    llvm::interleaveComma(getExtents(), p,
                          [&](Extent e) { p << stringifyExtent(e); });
    p << "]";
  }
  if (getStorage() != Storage::Whole) {
    item();
    p << stringifyStorage(getStorage());
  }
  if (ScaleAttr scale = getScale()) {
    item();
    p << "scale = <";
    printScaleBody(p, scale);
    p << ">";
  }
  p << ">";
}

LogicalResult
LayoutAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  size_t dynamic = llvm::count_if(shape, ShapedType::isDynamic);
  if (dynamic != getExtents().size())
    return emitError() << "layout names " << getExtents().size()
                       << " dynamic extents but the shape has " << dynamic;
  bool fp8 = isa<Float8E4M3FNType>(elementType);
  bool int4 = elementType.isInteger(4);
  StringRef name = int4 ? "int4" : "FP8";
  ScaleAttr scale = getScale();
  if ((fp8 || int4) && !scale)
    return emitError() << name << " tensor needs a scale layout";
  if (!fp8 && !int4 && scale)
    return emitError() << "scale layout on a tensor of " << elementType
                       << ", which is neither f8E4M3FN nor i4";
  if (scale && shape.size() < 2)
    return emitError() << name << " tensor needs at least two dimensions, has "
                       << shape.size();
  if (fp8 && scale.getFormat() == ScaleFormat::BF16)
    return emitError() << "FP8 tensor has scales of f32 or ue8m0, got bf16";
  if (int4 && scale != ScaleAttr::get(getContext(), 1, kInt4Group,
                                      ScaleFormat::BF16, ScaleMajor::K))
    return emitError() << "int4 tensor needs the scale layout <1x" << kInt4Group
                       << ", bf16, k>";
  if (int4 && shape.back() % kInt4Group != 0)
    return emitError() << "int4 tensor needs whole groups of " << kInt4Group
                       << " columns, has " << shape.back();
  if (getStorage() == Storage::Stack && shape.size() != 3)
    return emitError() << "a stack has rank 3 (count, rows, columns), got rank "
                       << shape.size();
  if (getStorage() == Storage::Segments && shape.size() != 2)
    return emitError() << "segments have rank 2, got rank " << shape.size();
  return success();
}

//===----------------------------------------------------------------------===//
// #dsv3.bucket and types
//===----------------------------------------------------------------------===//

// bucket ::= `<` (`decode`|`prefill`|`draft`|`draft_next`|`draft_prefill`)
//            `tokens` n `rows` n `queries` n
//            (`capacity` n `pairs` n `rung` (`worst`|`expected`))? `>`
//          | `<` (`head`|`draft_head`) `logits` n `>`
Attribute BucketAttr::parse(AsmParser &p, Type) {
  SMLoc loc = p.getCurrentLocation();
  if (p.parseLess())
    return {};
  auto kind = parseEnum<BucketKind>(p, symbolizeBucketKind,
                                    "a bucket (decode, prefill, head, draft, "
                                    "draft_next, draft_head, draft_prefill)");
  if (failed(kind))
    return {};
  int64_t tokens = 0, rows = 0, queries = 0, logits = 0;
  int64_t capacity = 0, pairs = 0;
  Rung rung = Rung::Worst;
  if (isHead(*kind)) {
    if (p.parseKeyword("logits") || p.parseInteger(logits))
      return {};
  } else if (p.parseKeyword("tokens") || p.parseInteger(tokens) ||
             p.parseKeyword("rows") || p.parseInteger(rows) ||
             p.parseKeyword("queries") || p.parseInteger(queries)) {
    return {};
  }
  if (succeeded(p.parseOptionalKeyword("capacity"))) {
    if (p.parseInteger(capacity) || p.parseKeyword("pairs") ||
        p.parseInteger(pairs) || p.parseKeyword("rung"))
      return {};
    auto parsed = parseEnum<Rung>(p, symbolizeRung, "a rung (worst, expected)");
    if (failed(parsed))
      return {};
    rung = *parsed;
  }
  if (p.parseGreater())
    return {};
  return BucketAttr::getChecked([&] { return p.emitError(loc); },
                                p.getContext(), *kind, tokens, rows, queries,
                                logits, capacity, pairs, rung);
}

void BucketAttr::print(AsmPrinter &p) const {
  p << "<" << stringifyBucketKind(getKind());
  if (isHead(getKind()))
    p << " logits " << getLogits();
  else
    p << " tokens " << getTokens() << " rows " << getRows() << " queries "
      << getQueries();
  if (getCapacity() > 0)
    p << " capacity " << getCapacity() << " pairs " << getPairs() << " rung "
      << stringifyRung(getRung());
  p << ">";
}

LogicalResult BucketAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 BucketKind kind, int64_t tokens, int64_t rows,
                                 int64_t queries, int64_t logits,
                                 int64_t capacity, int64_t pairs, Rung rung) {
  if (isHead(kind)) {
    if (logits <= 0)
      return emitError() << "a head bucket needs at least one row of logits";
    if (capacity || pairs || rung != Rung::Worst)
      return emitError() << "a head bucket exchanges nothing and takes no "
                            "capacity, got "
                         << capacity << " rows and " << pairs << " pairs";
    return success();
  }
  if (tokens <= 0 || rows <= 0 || queries <= 0)
    return emitError() << "bucket sizes must be positive";
  if (queries > tokens)
    return emitError() << "a row may not have more queries (" << queries
                       << ") than the bucket has tokens (" << tokens << ")";
  if (capacity == 0 && pairs == 0 && rung == Rung::Worst)
    return success();
  if (capacity <= 0 || pairs < capacity)
    return emitError() << "a bucket of several ranks needs a capacity of at "
                          "least one row and a pair for each, got "
                       << capacity << " rows and " << pairs << " pairs";
  if (capacity > tokens)
    return emitError() << "no rank sends more rows (" << capacity
                       << ") than its bucket has tokens (" << tokens << ")";
  return success();
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t tp, int64_t dp, int64_t ep, int64_t node,
                               int64_t slots) {
  if (tp <= 0 || dp <= 0 || ep <= 0 || node <= 0 || slots < 0)
    return emitError() << "sizes of a mesh must be positive";
  // So that products of two of them fit wherever they are formed.
  constexpr int64_t kMost = 1 << 16;
  if (int64_t largest = std::max({tp, dp, ep, node, slots}); largest > kMost)
    return emitError() << "sizes of a mesh must be at most " << kMost
                       << ", got " << largest;
  if (tp * dp % ep)
    return emitError() << "ep " << ep << " does not divide the " << tp * dp
                       << " ranks of tp " << tp << " and dp " << dp;
  return success();
}

LogicalResult SplitAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                SplitDim dim, Axis axis, int64_t unit) {
  if ((dim == SplitDim::Slots) != (axis == Axis::EP))
    return emitError() << "slots are split by ep, rows and cols by tp";
  if (unit <= 0 || (dim == SplitDim::Slots && unit != 1))
    return emitError()
           << "the unit of a split must be positive, of slots 1, got " << unit;
  return success();
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t latent, int64_t rope, Type element) {
  if (latent <= 0 || rope <= 0 || rope % 2)
    return emitError() << "a cache row needs a positive latent width and a "
                          "positive even rotary width, got "
                       << latent << " + " << rope;
  if (!element.isF32() && !element.isBF16())
    return emitError() << "a cache holds f32 or bf16, got " << element;
  return success();
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

LayoutAttr hadal::dsv3::getLayout(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? dyn_cast_or_null<LayoutAttr>(tensor.getEncoding())
                : LayoutAttr();
}

bool hadal::dsv3::hasValidLayout(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return false;
  // With a layout, verifyEncoding has checked it against the shape.
  if (getLayout(type))
    return true;
  return !tensor.getEncoding() && tensor.hasStaticShape() &&
         !isQuantized(type);
}

bool hadal::dsv3::isFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<Float32Type, BFloat16Type>(tensor.getElementType());
}

bool hadal::dsv3::isFP8(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<Float8E4M3FNType>(tensor.getElementType());
}

bool hadal::dsv3::isInt4(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isInteger(4);
}

bool hadal::dsv3::isQuantized(Type type) {
  return isFP8(type) || isInt4(type);
}

RankedTensorType hadal::dsv3::withElement(RankedTensorType type, Type element,
                                          ScaleAttr scale) {
  LayoutAttr old = getLayout(type);
  ArrayRef<Extent> extents = old ? old.getExtents() : ArrayRef<Extent>();
  Storage storage = old ? old.getStorage() : Storage::Whole;
  Attribute layout;
  if (!extents.empty() || storage != Storage::Whole || scale)
    layout = LayoutAttr::get(type.getContext(), extents, storage, scale);
  return RankedTensorType::get(type.getShape(), element, layout);
}

RankedTensorType hadal::dsv3::withColumns(RankedTensorType type,
                                          int64_t columns) {
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = columns;
  return RankedTensorType::get(shape, type.getElementType(),
                               type.getEncoding());
}

RankedTensorType hadal::dsv3::withRows(RankedTensorType type, Extent extent) {
  LayoutAttr old = getLayout(type);
  return RankedTensorType::get(type.getShape(), type.getElementType(),
                               LayoutAttr::get(type.getContext(), extent,
                                               old.getStorage(),
                                               old.getScale()));
}

BucketAttr hadal::dsv3::getBucket(Operation *func) {
  return func->getAttrOfType<BucketAttr>(kBucketAttr);
}

std::string hadal::dsv3::getBucketName(BucketAttr bucket) {
  std::string kind = stringifyBucketKind(bucket.getKind()).str() + "_";
  // Both numbers where one would name two buckets.
  if ((bucket.getKind() == BucketKind::Decode && bucket.getQueries() > 1) ||
      bucket.getKind() == BucketKind::Draft)
    return (kind + Twine(bucket.getRows()) + "x" + Twine(bucket.getQueries()))
        .str();
  return (kind + Twine(isHead(bucket.getKind()) ? bucket.getLogits()
                                                : bucket.getTokens()))
      .str();
}

int64_t hadal::dsv3::getMicroBatches(Operation *func) {
  auto count = func->getAttrOfType<IntegerAttr>(kMicroBatchesAttr);
  return count ? count.getInt() : 1;
}

std::string hadal::dsv3::getEntryName(Operation *func) {
  BucketAttr bucket = getBucket(func);
  std::string name = getBucketName(bucket);
  const int64_t count = getMicroBatches(func);
  if (count > 1)
    name = (stringifyBucketKind(bucket.getKind()) + "_" +
            Twine(count * bucket.getTokens()) + "_x" + Twine(count))
               .str();
  if (bucket.getCapacity() == 0 || bucket.getRung() != Rung::Worst)
    return name;
  for (auto other : func->getParentOfType<ModuleOp>().getOps<func::FuncOp>())
    if (BucketAttr its = getBucket(other);
        its && its.getKind() == bucket.getKind() &&
        its.getTokens() == bucket.getTokens() &&
        getMicroBatches(other) == count && its.getRung() == Rung::Expected)
      return name + "_worst";
  return name;
}

MeshAttr hadal::dsv3::getMesh(Operation *module) {
  return module->getAttrOfType<MeshAttr>(kMeshAttr);
}

RankedTensorType hadal::dsv3::getQuantizedType(RankedTensorType type,
                                               ScaleFormat format) {
  MLIRContext *ctx = type.getContext();
  return withElement(type, Float8E4M3FNType::get(ctx),
                     ScaleAttr::get(ctx, 1, kBlock, format, ScaleMajor::K));
}

RankedTensorType
hadal::dsv3::getRowsType(Extent extent, ArrayRef<int64_t> inner, Type element) {
  SmallVector<int64_t> shape{ShapedType::kDynamic};
  llvm::append_range(shape, inner);
  return RankedTensorType::get(shape, element,
                               LayoutAttr::get(element.getContext(), extent,
                                               Storage::Whole, ScaleAttr()));
}

SmallVector<int64_t> hadal::dsv3::getScaleShape(RankedTensorType type) {
  SmallVector<int64_t> shape(type.getShape());
  LayoutAttr layout = getLayout(type);
  assert(layout && layout.getScale() && "not a quantised tensor");
  ScaleAttr scale = layout.getScale();
  auto divide = [](int64_t &extent, int64_t block) {
    if (!ShapedType::isDynamic(extent))
      extent = (extent + block - 1) / block;
  };
  divide(shape[shape.size() - 2], scale.getRows());
  divide(shape.back(), scale.getCols());
  return shape;
}
