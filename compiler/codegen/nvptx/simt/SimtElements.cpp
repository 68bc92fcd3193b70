// Elementwise operations on registers, and the two narrow formats.
#include "compiler/codegen/nvptx/simt/SimtEmitter.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace hadal::nvptx {

using namespace hadal::tile;

static Type elementOf(Type type) { return getElementTypeOrSelf(type); }

bool SimtEmitter::isElementwise(Operation *op) {
  StringRef dialect = op->getName().getDialectNamespace();
  return (dialect == "arith" || dialect == "math") &&
         op->getNumResults() == 1 && op->getNumOperands() > 0 &&
         op->getNumRegions() == 0;
}

Value SimtEmitter::roundToBF16(Value x) {
  SimtBuilder &b = *builder;
  Value narrow = arith::TruncFOp::create(b, b.getBF16Type(), x);
  return arith::ExtFOp::create(b, b.getF32Type(), narrow);
}

Value SimtEmitter::refuse(Operation *op, Type type, const Twine &why) {
  // Once: each element of a tile would say it again.
  if (!failedEmission)
    op->emitOpError("has no sm_90a lowering: ") << why;
  failedEmission = true;
  return LLVM::PoisonOp::create(*builder, type);
}

Value SimtEmitter::constantElement(arith::ConstantOp op, TileIndex e) {
  SimtBuilder &b = *builder;
  Attribute value = op.getValue();
  Type elementType = elementOf(op.getType());
  Type type = computeType(elementType);
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    if (dense.isSplat()) {
      value = dense.getSplatValue<Attribute>();
    } else if (e.isUniform() && e.constant < dense.getNumElements()) {
      value = dense.getValues<Attribute>()[e.constant];
    } else {
      return refuse(op, type, "a table of constants");
    }
  }
  if (auto number = dyn_cast<FloatAttr>(value)) {
    if (isa<Float8E4M3FNType>(elementType))
      return arith::ConstantOp::create(
          b, b.getI8IntegerAttr(
                 number.getValue().bitcastToAPInt().getZExtValue()));
    bool lossy;
    APFloat copy = number.getValue();
    copy.convert(cast<FloatType>(type).getFloatSemantics(),
                 APFloat::rmNearestTiesToEven, &lossy);
    return arith::ConstantOp::create(b, FloatAttr::get(type, copy));
  }
  APInt bits = cast<IntegerAttr>(value).getValue();
  return arith::ConstantOp::create(
      b, IntegerAttr::get(type, bits.sextOrTrunc(type.getIntOrFloatBitWidth())));
}

Value SimtEmitter::emitElement(Operation *op, ValueRange operands) {
  SimtBuilder &b = *builder;
  Type from = elementOf(op->getOperand(0).getType());
  Type to = elementOf(op->getResult(0).getType());
  Type type = computeType(to);
  if (isa<Float8E4M3FNType>(from) || isa<Float8E4M3FNType>(to))
    return refuse(op, type, "codes are made by tile.quantize and only stored");
  if (isa<arith::ExtFOp>(op) && from.isBF16() && to.isF32())
    return operands[0];
  if (isa<arith::TruncFOp>(op) && from.isF32() && to.isBF16())
    return roundToBF16(operands[0]);
  if (from.isF64() || to.isF64())
    return refuse(op, type, "f64");
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    unsigned width = operands[0].getType().getIntOrFloatBitWidth(),
             wanted = type.getIntOrFloatBitWidth();
    if (width == wanted)
      return operands[0];
    if (width > wanted)
      return arith::TruncIOp::create(b, type, operands[0]);
    if (isa<arith::IndexCastUIOp>(op))
      return arith::ExtUIOp::create(b, type, operands[0]);
    return arith::ExtSIOp::create(b, type, operands[0]);
  }
  Value result;
  if (isa<math::Exp2Op>(op)) {
    result = b.exp2(operands[0]);
  } else if (isa<math::SqrtOp, math::RsqrtOp>(op)) {
    result = LLVM::SqrtOp::create(b, operands[0]);
    if (isa<math::RsqrtOp>(op))
      result = arith::DivFOp::create(b, b.f32(1.0f), result);
  } else if (isa<math::AbsFOp>(op)) {
    result = LLVM::FAbsOp::create(b, operands[0]);
  } else if (isa<math::FmaOp>(op)) {
    result = LLVM::FMAOp::create(b, operands[0], operands[1], operands[2]);
  } else if (!isa<arith::ArithDialect>(op->getDialect())) {
    return refuse(op, type, "no instruction for it");
  } else if (isa<arith::BitcastOp>(op) && (from.isBF16() || to.isBF16())) {
    return refuse(op, type, "bits of a bf16");
  } else {
    // Operations on constants fold, so that what is known of an index stays
    // known.
    OperationState state(b.getLoc(), op->getName(), operands, {type},
                         op->getAttrs());
    Operation *clone = b.create(state);
    SmallVector<OpFoldResult> folded;
    if (succeeded(clone->fold(folded)) && folded.size() == 1) {
      if (auto known = dyn_cast<Value>(folded[0])) {
        clone->erase();
        return known;
      }
      auto attribute = dyn_cast<TypedAttr>(cast<Attribute>(folded[0]));
      if (attribute && attribute.getType() == type) {
        clone->erase();
        return arith::ConstantOp::create(b, attribute);
      }
    }
    result = clone->getResult(0);
    if (isa<arith::SelectOp, arith::NegFOp>(op))
      return result;
  }
  return to.isBF16() ? roundToBF16(result) : result;
}

Value SimtEmitter::fromWord(Value word, Type elementType, int64_t part) {
  SimtBuilder &b = *builder;
  if (elementType.isBF16()) {
    // A bf16 is the high half of its f32.
    Value bits = part == 0
                     ? Value(arith::ShLIOp::create(b, word, b.i32(16)))
                     : Value(arith::AndIOp::create(b, word, b.i32(-65536)));
    return b.bitcast(b.getF32Type(), bits);
  }
  if (part)
    word = arith::ShRUIOp::create(b, word, b.i32(8 * part));
  return arith::TruncIOp::create(b, b.getI8Type(), word);
}

Value SimtEmitter::packed(Value tile, TileIndex e) {
  SimtBuilder &b = *builder;
  auto known = tiles[tile].words.find(e.simplified(threads).key());
  if (known != tiles[tile].words.end())
    return known->second;
  if (typeOf(tile).getElementType().isBF16()) {
    // The conversion rounds, so a rounding just before it is left out.
    Value source = tile;
    if (auto round = tile.getDefiningOp<arith::TruncFOp>())
      source = round.getIn();
    return b.packBF16(element(source, e), element(source, e.plus(1)));
  }
  Value word;
  for (int64_t i = 0; i < 4; ++i) {
    Value byte =
        arith::ExtUIOp::create(b, b.getI32Type(), element(tile, e.plus(i)));
    if (i)
      byte = arith::ShLIOp::create(b, byte, b.i32(8 * i));
    word = word ? Value(arith::OrIOp::create(b, word, byte)) : byte;
  }
  return word;
}

} // namespace hadal::nvptx
