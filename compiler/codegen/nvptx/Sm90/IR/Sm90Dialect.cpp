#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace hadal::sm90;

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.cpp.inc"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Enums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Attrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Types.cpp.inc"

void Sm90Dialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Ops.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Types.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Attrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// TileType
//===----------------------------------------------------------------------===//

// tile ::= `<` rows `x` cols `x` elt (`of` pitchRows)? `>`
Type TileType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(element))
    return {};
  if (shape.size() != 2) {
    parser.emitError(loc, "a tile has rows and columns");
    return {};
  }
  int64_t pitch = shape[0];
  if (succeeded(parser.parseOptionalKeyword("of")) &&
      parser.parseInteger(pitch))
    return {};
  if (parser.parseGreater())
    return {};
  return parser.getChecked<TileType>(loc, parser.getContext(), shape[0],
                                     shape[1], element, pitch);
}

void TileType::print(AsmPrinter &printer) const {
  printer << "<" << getRows() << "x" << getCols() << "x" << getElementType();
  if (getPitchRows() != getRows())
    printer << " of " << getPitchRows();
  printer << ">";
}

LogicalResult TileType::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t rows, int64_t cols, Type elementType,
                               int64_t pitchRows) {
  if (!elementType.isBF16() && !elementType.isF32() &&
      !isa<Float8E4M3FNType>(elementType))
    return emitError() << "a tile holds bf16, f8E4M3FN or f32, not "
                       << elementType;
  if (rows <= 0 || cols <= 0 || rows % 8 != 0 || pitchRows % 8 != 0 ||
      pitchRows < rows)
    return emitError() << "a tile has a positive multiple of 8 rows within its "
                          "pitch, got "
                       << rows << " of " << pitchRows << " rows, " << cols
                       << " columns";
  return success();
}

//===----------------------------------------------------------------------===//
// RingType
//===----------------------------------------------------------------------===//

LogicalResult RingType::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t stages, ArrayRef<Type> tiles) {
  if (stages < 1 || stages > 16)
    return emitError() << "a ring has 1 to 16 stages, not " << stages;
  int64_t bytes = 0;
  for (Type tile : tiles) {
    auto type = dyn_cast<TileType>(tile);
    if (!type || type.getPitchRows() != type.getRows())
      return emitError() << "a ring holds whole tiles, not " << tile;
    bytes += type.getBytes();
  }
  // The transaction count of an mbarrier has 20 bits.
  if (bytes >= 1 << 20)
    return emitError() << "a stage of " << bytes
                       << " bytes exceeds what an mbarrier can count";
  return success();
}

int64_t RingType::getTileOffset(unsigned i) const {
  int64_t offset = 0;
  for (unsigned t = 0; t < i; ++t)
    offset += getTile(t).getBytes();
  return offset;
}

// Whole tiles are multiples of 8 rows of 128 bytes, so every offset keeps the
// 1024-byte alignment of the swizzle.
int64_t RingType::getStageBytes() const {
  return getTileOffset(getTiles().size());
}
