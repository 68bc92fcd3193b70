#include "dialects/Tile/IR/TileDialect.h"

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace hadal::tile;

#include "dialects/Tile/IR/TileDialect.cpp.inc"
#include "dialects/Tile/IR/TileEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/IR/TileAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/IR/TileTypes.cpp.inc"

void TileDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Tile/IR/TileOps.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Tile/IR/TileTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Tile/IR/TileAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// SpecAttr
//===----------------------------------------------------------------------===//

LogicalResult SpecAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               StringAttr kind, DictionaryAttr fields) {
  // Kernels print it as a keyword.
  StringRef name = kind.getValue();
  auto isWordChar = [](char c) {
    return llvm::isLower(c) || llvm::isDigit(c) || c == '_';
  };
  if (name.empty() || !llvm::isLower(name.front()) ||
      !llvm::all_of(name, isWordChar))
    return emitError() << "the kind of a spec is '" << name
                       << "', expected lower-case letters, digits and _";
  for (NamedAttribute field : fields) {
    Attribute value = field.getValue();
    auto number = dyn_cast<IntegerAttr>(value);
    auto real = dyn_cast<FloatAttr>(value);
    if (!isa<BoolAttr, StringAttr>(value) &&
        !(number && number.getType().isInteger(64)) &&
        !(real && real.getType().isF64()))
      return emitError() << "field '" << field.getName().getValue()
                         << "' of spec '" << name << "' is " << value
                         << ", expected an i64, an f64, a bool or a string";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ViewType
//===----------------------------------------------------------------------===//

// view ::= `<` dims elt (`,` `stack` | `,` `segments` `<` n `>`)?
//          (`,` `scale` `<` r `x` c `>`)? `>`
Type ViewType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type elementType;
  ViewKind kind = ViewKind::Dense;
  int64_t segmentRows = 0, scaleRows = 0, scaleCols = 0;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseDimensionList(shape) ||
      parser.parseType(elementType))
    return {};
  for (int64_t &dim : shape)
    if (ShapedType::isDynamic(dim))
      dim = -1;
  while (succeeded(parser.parseOptionalComma())) {
    StringRef word;
    SMLoc wordLoc = parser.getCurrentLocation();
    if (parser.parseKeyword(&word))
      return {};
    if (word == "stack") {
      kind = ViewKind::Stack;
    } else if (word == "segments") {
      kind = ViewKind::Segments;
      if (parser.parseLess() || parser.parseInteger(segmentRows) ||
          parser.parseGreater())
        return {};
    } else if (word == "scale") {
      SmallVector<int64_t> block;
      if (parser.parseLess() ||
          parser.parseDimensionList(block, /*allowDynamic=*/false,
                                    /*withTrailingX=*/false) ||
          parser.parseGreater())
        return {};
      if (block.size() != 2) {
        parser.emitError(wordLoc, "expected a scale block of two extents, "
                                  "e.g. scale<128x128>");
        return {};
      }
      scaleRows = block[0];
      scaleCols = block[1];
    } else {
      parser.emitError(wordLoc, "expected stack, segments<N> or scale<RxC>");
      return {};
    }
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<ViewType>(loc, parser.getContext(), shape,
                                     elementType, kind, segmentRows, scaleRows,
                                     scaleCols);
}

void ViewType::print(AsmPrinter &printer) const {
  printer << "<";
  for (int64_t dim : getShape()) {
    if (dim < 0)
      printer << "?";
    else
      printer << dim;
    printer << "x";
  }
  printer << getElementType();
  if (getKind() == ViewKind::Stack)
    printer << ", stack";
  if (getKind() == ViewKind::Segments)
    printer << ", segments<" << getSegmentRows() << ">";
  if (isScaled())
    printer << ", scale<" << getScaleRows() << "x" << getScaleCols() << ">";
  printer << ">";
}

LogicalResult ViewType::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<int64_t> shape, Type elementType,
                               ViewKind kind, int64_t segmentRows,
                               int64_t scaleRows, int64_t scaleCols) {
  if (shape.empty())
    return emitError() << "a view needs at least one dimension";
  for (int64_t dim : shape)
    if (dim == 0 || dim < -1)
      return emitError() << "view extent " << dim << " is not positive or '?'";
  if (!isa<FloatType, IntegerType>(elementType))
    return emitError() << "view element type " << elementType
                       << " is neither float nor integer";
  bool isFp8 = isa<Float8E4M3FNType>(elementType);
  if (isFp8 && (scaleRows <= 0 || scaleCols <= 0))
    return emitError() << "an f8E4M3FN view needs its scale layout, e.g. "
                          "scale<128x128>";
  if (isInt4(elementType)) {
    if (scaleRows != 1 || scaleCols != kInt4Group)
      return emitError() << "an i4 view needs the scale layout scale<1x"
                         << kInt4Group << ">";
    if (shape.size() < 2 || shape.back() < 0 || shape.back() % kInt4Group != 0)
      return emitError() << "an i4 view needs rows of whole groups of "
                         << kInt4Group;
  } else if (!isFp8 && (scaleRows != 0 || scaleCols != 0)) {
    return emitError() << "only an f8E4M3FN or i4 view has a scale layout";
  }
  if (isFp8 && shape.size() < 2)
    return emitError() << "an f8E4M3FN view needs two dimensions or more";
  if (kind == ViewKind::Segments && (segmentRows <= 0 || shape.size() != 2))
    return emitError() << "a segments view has two dimensions and a positive "
                          "number of rows per segment";
  if (kind == ViewKind::Segments && isFp8 && segmentRows % scaleRows != 0)
    return emitError() << "segments of " << segmentRows
                       << " rows cut scale blocks of " << scaleRows << " rows";
  if (kind == ViewKind::Stack && shape.size() < 2)
    return emitError() << "a stack view needs two dimensions or more";
  return success();
}

int64_t hadal::tile::scaleBytes(ViewType view) {
  return isInt4(view.getElementType()) ? 2 : 4;
}

int64_t hadal::tile::rowPitchBytes(Type element, int64_t rank,
                                   int64_t columns) {
  int64_t bytes =
      llvm::divideCeil(columns * element.getIntOrFloatBitWidth(), 8);
  bool padded = rank >= 2 && (element.isBF16() || isa<Float8E4M3FNType>(element));
  return padded ? llvm::alignTo(bytes, 16) : bytes;
}

int64_t hadal::tile::rowPitchBytes(ViewType view) {
  if (view.isDynamic(view.getRank() - 1))
    return 0;
  return rowPitchBytes(view.getElementType(), view.getRank(),
                       view.getShape().back());
}

SizeName hadal::tile::sizeNameOf(Bound bound) {
  switch (bound) {
  case Bound::Tokens:
    return SizeName::Tokens;
  case Bound::Rows:
    return SizeName::Rows;
  case Bound::LogitRows:
    return SizeName::LogitRows;
  case Bound::Slice:
    return SizeName::SliceTokens;
  case Bound::None:
  case Bound::ExpertRows:
    break;
  }
  llvm_unreachable("a bound that is no entry of the sizes");
}
