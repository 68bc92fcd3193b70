#include "compiler/codegen/nvptx/common/Codes.h"

using namespace mlir;

namespace hadal::nvptx {

Value emitScales(sm90::AsmBuilder &b, Value amax, tile::QuantizeOp op) {
  auto type = cast<VectorType>(amax.getType());
  auto constant = [&](float value) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type, value));
  };
  amax = arith::MaximumFOp::create(b, amax,
                                   constant(op.getFloor().convertToFloat()));
  Value scales = arith::DivFOp::create(b, amax, constant(448.0f));
  if (op.getFormat() != tile::ScaleFormat::UE8M0)
    return scales;
  // Up to a power of two by the bits: exponent + (mantissa != 0).
  auto bitsType = VectorType::get(type.getShape(), b.getI32Type());
  auto word = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b,
                                     DenseElementsAttr::get(bitsType, value));
  };
  Value bits = arith::BitcastOp::create(b, bitsType, scales);
  bits = b.bitAnd(b.add(bits, word(0x007FFFFF)), word(0x7F800000));
  return arith::BitcastOp::create(b, type, bits);
}

SmallVector<Value> orderCodes(sm90::AsmBuilder &b, ArrayRef<Value> words) {
  Value low = b.i32(0xFFFF), high = b.i32(-65536);
  return {b.bitOr(b.bitAnd(words[0], low), b.shl(words[1], 16)),
          b.bitOr(b.bitAnd(words[2], low), b.shl(words[3], 16)),
          b.bitOr(b.shr(words[0], 16), b.bitAnd(words[1], high)),
          b.bitOr(b.shr(words[2], 16), b.bitAnd(words[3], high))};
}

} // namespace hadal::nvptx
