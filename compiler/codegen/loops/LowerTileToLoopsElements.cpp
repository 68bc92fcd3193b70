// One element at a time: loads and stores in their storage types, conversions,
// exp2, and fused elementwise expressions. Everything is branch-free and free
// of calls so that the innermost loops vectorise.
#include "compiler/codegen/loops/TileToLoops.h"

#include "llvm/Support/SaveAndRestore.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace hadal;

using arith::CmpFPredicate;
using arith::CmpIPredicate;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

Type TileLowering::computeType(Type type) const {
  OpBuilder &builder = const_cast<OpBuilder &>(b);
  if (type.isF32() || type.isBF16())
    return options.f64 ? Type(builder.getF64Type()) : builder.getF32Type();
  if (isa<Float8E4M3FNType>(type) || tile::isInt4(type))
    return builder.getI8Type();
  if (type.isIndex())
    return builder.getI64Type();
  return type;
}

Type TileLowering::storageType(Type type, bool inScratch) const {
  OpBuilder &builder = const_cast<OpBuilder &>(b);
  if (type.isBF16())
    return builder.getI16Type();
  if (type.isF32())
    return inScratch ? computeType(type) : type;
  if (type.isInteger(1))
    return builder.getI8Type();
  return computeType(type);
}

int64_t TileLowering::storageBytes(Type type, bool inScratch) const {
  return storageType(type, inScratch).getIntOrFloatBitWidth() / 8;
}

//===----------------------------------------------------------------------===//
// Constants, loops, memory
//===----------------------------------------------------------------------===//

Value TileLowering::i64(int64_t value) {
  return arith::ConstantIntOp::create(b, loc, value, 64);
}

Value TileLowering::i32(int32_t value) {
  return arith::ConstantIntOp::create(b, loc, value, 32);
}

Value TileLowering::floatConstant(double value) {
  Type type = computeType(b.getF32Type());
  return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, value));
}

Value TileLowering::gep(Value base, Type type, Value index) {
  return LLVM::GEPOp::create(b, loc, base.getType(), type, base,
                             ArrayRef<LLVM::GEPArg>{index});
}

Value TileLowering::load(Type type, Value ptr) {
  return LLVM::LoadOp::create(b, loc, type, ptr);
}

void TileLowering::store(Value value, Value ptr) {
  LLVM::StoreOp::create(b, loc, value, ptr);
}

void TileLowering::forLoop(Value lo, Value hi, int64_t step,
                           function_ref<void(Value)> body) {
  forLoop(lo, hi, step, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

SmallVector<Value> TileLowering::forLoop(
    Value lo, Value hi, int64_t step, ValueRange inits,
    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, lo, hi, i64(step), inits);
  OpBuilder::InsertionGuard guard(b);
  Block *block = loop.getBody();
  if (!block->empty())
    block->back().erase();
  b.setInsertionPointToEnd(block);
  SmallVector<Value> next = body(loop.getInductionVar(),
                                 loop.getRegionIterArgs());
  b.setInsertionPointToEnd(block);
  scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(loop.getResults());
}

void TileLowering::loopNest(ArrayRef<int64_t> shape, ElementFn body) {
  SmallVector<Value> at(shape.size());
  std::function<void(size_t)> descend = [&](size_t d) {
    if (d == shape.size())
      return body(at);
    if (shape[d] == 1) {
      at[d] = i64(0);
      return descend(d + 1);
    }
    elementLoop(i64(0), i64(shape[d]), [&](Value iv) {
      at[d] = iv;
      descend(d + 1);
    });
  };
  descend(0);
}

void TileLowering::elementLoop(Value lo, Value hi,
                               function_ref<void(Value)> body) {
  forLoop(lo, hi, 1, [&](Value iv) {
    llvm::SaveAndRestore inner(innermost,
                               iv.getParentBlock()->getParentOp());
    body(iv);
  });
}

Value TileLowering::address(const TileBuffer &buffer, ValueRange indices) {
  Value index;
  for (auto [d, at] : llvm::enumerate(indices)) {
    int64_t stride = buffer.strides[d];
    if (stride == 0 || buffer.shape[d] == 1)
      continue;
    Value term =
        stride == 1 ? at : Value(arith::MulIOp::create(b, loc, at, i64(stride)));
    index = index ? Value(arith::AddIOp::create(b, loc, index, term)) : term;
  }
  if (buffer.offset != 0)
    index = index ? Value(arith::AddIOp::create(b, loc, index,
                                                i64(buffer.offset)))
                  : i64(buffer.offset);
  Type type = storageType(buffer.elementType, /*inScratch=*/true);
  return index ? gep(buffer.ptr, type, index) : buffer.ptr;
}

Value TileLowering::loadInt4(Value row, Value index) {
  Value byte = arith::ShRUIOp::create(b, loc, index, i64(1));
  Value pair = load(b.getI8Type(), gep(row, b.getI8Type(), byte));
  Value odd = arith::TruncIOp::create(b, loc, b.getI8Type(), index);
  auto i8 = [&](int64_t value) -> Value {
    return arith::ConstantIntOp::create(b, loc, value, 8);
  };
  odd = arith::AndIOp::create(b, loc, odd, i8(1));
  Value shift = arith::ShLIOp::create(b, loc, odd, i8(2));
  Value code = arith::ShRUIOp::create(b, loc, pair, shift);
  return arith::AndIOp::create(b, loc, code, i8(15));
}

Value TileLowering::decodeInt4(Value code) {
  Value wide = arith::ExtUIOp::create(b, loc, b.getI32Type(), code);
  wide = arith::SubIOp::create(b, loc, wide, i32(8));
  return arith::SIToFPOp::create(b, loc, computeType(b.getF32Type()), wide);
}

Value TileLowering::loadElement(const TileBuffer &buffer, ValueRange indices) {
  Type type = storageType(buffer.elementType, /*inScratch=*/true);
  auto value = LLVM::LoadOp::create(b, loc, type, address(buffer, indices));
  if (buffer.inPlace)
    value.setAliasScopesAttr(inPlaceScope());
  return decode(value, buffer.elementType);
}

void TileLowering::storeElement(const TileBuffer &buffer, ValueRange indices,
                                Value value) {
  Value stored = encode(value, buffer.elementType, /*inScratch=*/true);
  auto op = LLVM::StoreOp::create(b, loc, stored, address(buffer, indices));
  op.setNoaliasScopesAttr(inPlaceScope());
}

//===----------------------------------------------------------------------===//
// Number formats
//===----------------------------------------------------------------------===//

Value TileLowering::decode(Value stored, Type type) {
  Type f32 = b.getF32Type();
  if (type.isBF16()) {
    Value wide = arith::ExtUIOp::create(b, loc, b.getI32Type(), stored);
    wide = arith::ShLIOp::create(b, loc, wide, i32(16));
    stored = arith::BitcastOp::create(b, loc, f32, wide);
  }
  if (stored.getType().isF32() && options.f64)
    return arith::ExtFOp::create(b, loc, b.getF64Type(), stored);
  if (type.isInteger(1))
    return arith::TruncIOp::create(b, loc, b.getI1Type(), stored);
  return stored;
}

Value TileLowering::encode(Value value, Type type, bool inScratch) {
  Type f32 = b.getF32Type();
  if (type.isF32() && !inScratch && options.f64)
    return arith::TruncFOp::create(b, loc, f32, value);
  if (type.isBF16()) {
    // A compute value of type bf16 is exactly a bf16: dropping bits is exact.
    if (options.f64)
      value = arith::TruncFOp::create(b, loc, f32, value);
    Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), value);
    bits = arith::ShRUIOp::create(b, loc, bits, i32(16));
    return arith::TruncIOp::create(b, loc, b.getI16Type(), bits);
  }
  if (type.isInteger(1))
    return arith::ExtUIOp::create(b, loc, b.getI8Type(), value);
  return value;
}

Value TileLowering::roundToBf16(Value x) {
  Type f32 = b.getF32Type(), i32Type = b.getI32Type();
  Value single = x;
  if (options.f64) {
    // Two roundings to nearest differ from one only where the first lands on
    // a tie of the second; step back to the side of the exact value there.
    single = arith::TruncFOp::create(b, loc, f32, x);
    Value back = arith::ExtFOp::create(b, loc, b.getF64Type(), single);
    Value bits = arith::BitcastOp::create(b, loc, i32Type, single);
    Value low = arith::AndIOp::create(b, loc, bits, i32(0xffff));
    Value tie = arith::CmpIOp::create(b, loc, CmpIPredicate::eq, low,
                                      i32(0x8000));
    Value above = arith::CmpFOp::create(
        b, loc, CmpFPredicate::OGT,
        Value(math::AbsFOp::create(b, loc, back)),
        Value(math::AbsFOp::create(b, loc, x)));
    Value below = arith::CmpFOp::create(
        b, loc, CmpFPredicate::OLT,
        Value(math::AbsFOp::create(b, loc, back)),
        Value(math::AbsFOp::create(b, loc, x)));
    Value nudge = arith::SelectOp::create(b, loc, below, i32(1), i32(0));
    nudge = arith::SelectOp::create(b, loc, above, i32(-1), nudge);
    nudge = arith::SelectOp::create(b, loc, tie, nudge, i32(0));
    bits = arith::AddIOp::create(b, loc, bits, nudge);
    single = arith::BitcastOp::create(b, loc, f32, bits);
  }
  Value bits = arith::BitcastOp::create(b, loc, i32Type, single);
  Value odd = arith::AndIOp::create(
      b, loc, Value(arith::ShRUIOp::create(b, loc, bits, i32(16))), i32(1));
  Value rounded = arith::AddIOp::create(b, loc, bits, odd);
  rounded = arith::AddIOp::create(b, loc, rounded, i32(0x7fff));
  // A NaN must not round to infinity: keep it, quiet, with its top bits.
  Value nan = arith::CmpFOp::create(b, loc, CmpFPredicate::UNO, single, single);
  Value quiet = arith::OrIOp::create(b, loc, bits, i32(0x400000));
  bits = arith::SelectOp::create(b, loc, nan, quiet, rounded);
  bits = arith::AndIOp::create(b, loc, bits, i32(-65536));
  Value result = arith::BitcastOp::create(b, loc, f32, bits);
  if (options.f64)
    result = arith::ExtFOp::create(b, loc, b.getF64Type(), result);
  return result;
}

Value TileLowering::decodeFp8(Value code) {
  Type f32 = b.getF32Type(), i32Type = b.getI32Type();
  Value wide = arith::ExtUIOp::create(b, loc, i32Type, code);
  Value magnitude = arith::AndIOp::create(b, loc, wide, i32(0x7f));
  // Exponent and mantissa land in place; 2^120 moves the bias 7 to 127 and
  // normalises subnormals exactly.
  Value bits = arith::ShLIOp::create(b, loc, magnitude, i32(20));
  Value value = arith::BitcastOp::create(b, loc, f32, bits);
  Value scale = arith::ConstantOp::create(
      b, loc, b.getF32FloatAttr(0x1p120f));
  value = arith::MulFOp::create(b, loc, value, scale);
  bits = arith::BitcastOp::create(b, loc, i32Type, value);
  Value nan = arith::CmpIOp::create(b, loc, CmpIPredicate::eq, magnitude,
                                    i32(0x7f));
  bits = arith::SelectOp::create(b, loc, nan, i32(0x7fc00000), bits);
  Value sign = arith::AndIOp::create(b, loc, wide, i32(0x80));
  sign = arith::ShLIOp::create(b, loc, sign, i32(24));
  bits = arith::OrIOp::create(b, loc, bits, sign);
  value = arith::BitcastOp::create(b, loc, f32, bits);
  if (options.f64)
    value = arith::ExtFOp::create(b, loc, b.getF64Type(), value);
  return value;
}

Value TileLowering::encodeFp8(Value x) {
  Type f32 = b.getF32Type(), i32Type = b.getI32Type();
  Value bits = arith::BitcastOp::create(b, loc, i32Type, x);
  Value sign = arith::AndIOp::create(
      b, loc, Value(arith::ShRUIOp::create(b, loc, bits, i32(24))), i32(0x80));
  Value magnitude = arith::AndIOp::create(b, loc, bits, i32(0x7fffffff));
  Value nan = arith::CmpIOp::create(b, loc, CmpIPredicate::sgt, magnitude,
                                    i32(0x7f800000));
  Value clamped =
      arith::MinSIOp::create(b, loc, magnitude, i32(0x43e00000)); // 448
  // Normal: round at bit 20, then rebias 127 to 7.
  Value odd = arith::AndIOp::create(
      b, loc, Value(arith::ShRUIOp::create(b, loc, clamped, i32(20))), i32(1));
  Value normal = arith::AddIOp::create(b, loc, clamped, odd);
  normal = arith::AddIOp::create(b, loc, normal, i32(0x7ffff));
  normal = arith::ShRUIOp::create(b, loc, normal, i32(20));
  normal = arith::SubIOp::create(b, loc, normal, i32(120 << 3));
  // Subnormal: one unit in the last place of 2^14 is 2^-9, the smallest code.
  Value small = arith::BitcastOp::create(b, loc, f32, clamped);
  Value magic = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(16384.0f));
  small = arith::AddFOp::create(b, loc, small, magic);
  Value subnormal = arith::SubIOp::create(
      b, loc, Value(arith::BitcastOp::create(b, loc, i32Type, small)),
      i32(0x46800000));
  Value isSmall = arith::CmpIOp::create(b, loc, CmpIPredicate::slt, clamped,
                                        i32(0x3c800000)); // 2^-6
  Value code = arith::SelectOp::create(b, loc, isSmall, subnormal, normal);
  code = arith::SelectOp::create(b, loc, nan, i32(0x7f), code);
  code = arith::OrIOp::create(b, loc, code, sign);
  return arith::TruncIOp::create(b, loc, b.getI8Type(), code);
}

// 2^x = 2^n * p(x - n), n = round(x). p is the minimax polynomial of relative
// error on [-1/2, 1/2] (Remez): 1.9e-9 at degree 6, 4.1e-20 at degree 12.
// 2^n is applied in two factors so that subnormal results are reached with one
// rounding and overflow gives infinity.
Value TileLowering::exp2(Value x) {
  static const double kSingle[] = {
      1.0,
      0.69314720573719575134,
      0.24022646890645520696,
      0.05550328777105324799,
      0.0096184889563311816196,
      0.0013399931177239737967,
      0.00015345812161311629759};
  static const double kDouble[] = {
      1.0,
      0.6931471805599453084,
      0.24022650695910071601,
      0.055504108664821695016,
      0.0096181291076283081818,
      0.0013333558146391245175,
      0.00015403530393662152848,
      0.000015252733855476380995,
      1.321548658446559568e-6,
      1.0178051520164580618e-7,
      7.0549768723216026199e-9,
      4.456627704570345708e-10,
      2.5623409293273941048e-11};
  bool wide = options.f64;
  ArrayRef<double> p = wide ? ArrayRef(kDouble) : ArrayRef(kSingle);
  // Beyond these the result is 0 or infinity anyway; comparisons keep NaN.
  Value lo = floatConstant(wide ? -1100.0 : -160.0);
  Value hi = floatConstant(wide ? 1100.0 : 160.0);
  Value low = arith::CmpFOp::create(b, loc, CmpFPredicate::OLT, x, lo);
  x = arith::SelectOp::create(b, loc, low, lo, x);
  Value high = arith::CmpFOp::create(b, loc, CmpFPredicate::OGT, x, hi);
  x = arith::SelectOp::create(b, loc, high, hi, x);
  // Adding 1.5 * 2^(mantissa bits) rounds to an integer in the low bits.
  Value magic = floatConstant(wide ? 6755399441055744.0 : 12582912.0);
  Value shifted = arith::AddFOp::create(b, loc, x, magic);
  Value rounded = arith::SubFOp::create(b, loc, shifted, magic);
  Value f = arith::SubFOp::create(b, loc, x, rounded);
  Value result = floatConstant(p.back());
  for (double coefficient : llvm::reverse(p.drop_back()))
    result = math::FmaOp::create(b, loc, result, f, floatConstant(coefficient));
  Type intType = wide ? b.getI64Type() : b.getI32Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(intType, value));
  };
  Value bits = arith::BitcastOp::create(b, loc, intType, shifted);
  Value n = arith::SubIOp::create(
      b, loc, bits, constant(wide ? 0x4338000000000000ll : 0x4b400000ll));
  Value half = arith::ShRSIOp::create(b, loc, n, constant(1));
  Value rest = arith::SubIOp::create(b, loc, n, half);
  for (Value part : {half, rest}) {
    Value field =
        arith::AddIOp::create(b, loc, part, constant(wide ? 1023 : 127));
    field = arith::ShLIOp::create(b, loc, field, constant(wide ? 52 : 23));
    Value factor = arith::BitcastOp::create(b, loc, x.getType(), field);
    result = arith::MulFOp::create(b, loc, result, factor);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Elementwise operations
//===----------------------------------------------------------------------===//

/// One operation of arith or math on lowered scalars; null (and a diagnostic)
/// if it has no lowering.
Value TileLowering::emitScalar(Operation *op, ValueRange operands) {
  auto elementOf = [](Type type) { return getElementTypeOrSelf(type); };
  Type resultType = elementOf(op->getResult(0).getType());
  Type type = computeType(resultType);
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Attribute value = constant.getValue();
    if (auto splat = dyn_cast<SplatElementsAttr>(value))
      value = splat.getSplatValue<Attribute>();
    if (auto number = dyn_cast<FloatAttr>(value)) {
      if (isa<Float8E4M3FNType>(resultType))
        return arith::ConstantIntOp::create(
            b, loc, number.getValue().bitcastToAPInt().getZExtValue(), 8);
      bool lossy;
      llvm::APFloat copy = number.getValue();
      copy.convert(cast<FloatType>(type).getFloatSemantics(),
                   llvm::APFloat::rmNearestTiesToEven, &lossy);
      return arith::ConstantOp::create(b, loc, FloatAttr::get(type, copy));
    }
    return arith::ConstantOp::create(
        b, loc,
        b.getIntegerAttr(
            type, cast<IntegerAttr>(value).getValue().getSExtValue()));
  }
  Type from = op->getNumOperands()
                  ? elementOf(op->getOperand(0).getType())
                  : resultType;
  if (isa<arith::ExtFOp>(op)) {
    if (isa<Float8E4M3FNType>(from))
      return decodeFp8(operands[0]);
    if (operands[0].getType() == type)
      return operands[0];
    return arith::ExtFOp::create(b, loc, type, operands[0]);
  }
  if (isa<arith::TruncFOp>(op)) {
    Value x = operands[0];
    if (isa<Float8E4M3FNType>(resultType)) {
      op->emitOpError("to f8E4M3FN has no lowering to loops; tile.quantize "
                      "defines the saturating conversion");
      failedEmission = true;
      return arith::ConstantIntOp::create(b, loc, 0, 8);
    }
    if (from.isF64() && !options.f64)
      x = arith::TruncFOp::create(b, loc, type, x);
    return resultType.isBF16() ? roundToBf16(x) : x;
  }
  if (isa<math::Exp2Op>(op) || isa<math::RsqrtOp>(op)) {
    if (from.isF64() && !options.f64) {
      op->emitOpError("of f64 has no lowering to loops in f32");
      failedEmission = true;
      return operands[0];
    }
    if (isa<math::Exp2Op>(op))
      return exp2(operands[0]);
    Value root = math::SqrtOp::create(b, loc, operands[0]);
    return arith::DivFOp::create(b, loc, floatConstant(1.0), root);
  }
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value x = operands[0];
    unsigned width = x.getType().getIntOrFloatBitWidth();
    if (width == type.getIntOrFloatBitWidth())
      return x;
    if (width > type.getIntOrFloatBitWidth())
      return arith::TruncIOp::create(b, loc, type, x);
    if (isa<arith::IndexCastUIOp>(op))
      return arith::ExtUIOp::create(b, loc, type, x);
    return arith::ExtSIOp::create(b, loc, type, x);
  }
  bool known =
      isa<math::SqrtOp, math::AbsFOp, math::FmaOp, math::RoundEvenOp,
          math::FloorOp>(op) ||
      (isa<arith::ArithDialect>(op->getDialect()) &&
       !(isa<arith::BitcastOp>(op) &&
         (options.f64 || from.isBF16() || resultType.isBF16() ||
          isa<Float8E4M3FNType>(from) || isa<Float8E4M3FNType>(resultType))));
  if (!known) {
    op->emitOpError("has no lowering to loops");
    failedEmission = true;
    return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  }
  OperationState state(loc, op->getName(), operands, type, op->getAttrs());
  Value result = b.create(state)->getResult(0);
  // Arithmetic on bf16 rounds once; moves and comparisons need not.
  if (resultType.isBF16() &&
      !isa<arith::SelectOp, arith::MaximumFOp, arith::MinimumFOp,
           arith::MaxNumFOp, arith::MinNumFOp, arith::NegFOp, math::AbsFOp>(op))
    result = roundToBf16(result);
  return result;
}

// A loop that stores to scratch and loads the same element of scratch in every
// turn does not vectorise: such a load goes in front of it. An elementLoop stores
// to no tile that it reads, except at the very element that it reads.
Value TileLowering::loadBeforeLoop(const TileBuffer &buffer,
                                   ValueRange indices) {
  Operation *loop = b.getInsertionBlock()->getParentOp();
  if (loop != innermost)
    return loadElement(buffer, indices);
  SmallVector<Value> at(indices);
  for (auto [d, index] : llvm::enumerate(indices)) {
    bool counts = buffer.strides[d] != 0 && buffer.shape[d] != 1;
    if (counts && !getConstantIntValue(index) &&
        loop->isAncestor(index.getParentBlock()->getParentOp()))
      return loadElement(buffer, indices);
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop);
  for (Value &index : at)
    if (auto constant = getConstantIntValue(index))
      index = i64(*constant);
  return loadElement(buffer, at);
}

Value TileLowering::element(Value tile, ValueRange indices) {
  auto it = buffers.find(tile);
  if (it != buffers.end())
    return loadBeforeLoop(it->second, indices);
  Operation *op = tile.getDefiningOp();
  Type elementType = getElementTypeOrSelf(tile.getType());
  if (auto splat = dyn_cast<tile::SplatOp>(op)) {
    Value value = scalar(splat.getScalar());
    if (splat.getScalar().getType().isIndex())
      value = arith::TruncIOp::create(b, loc, b.getI32Type(), value);
    return value;
  }
  if (auto iota = dyn_cast<tile::IotaOp>(op))
    return arith::TruncIOp::create(b, loc, computeType(elementType),
                                   indices[iota.getDim()]);
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType())
                           ? element(operand, indices)
                           : scalar(operand));
  return emitScalar(op, operands);
}

void TileLowering::emitInto(Value tile, const TileBuffer &dest) {
  // The tile may already be registered with |dest| as its buffer (its own
  // definition being emitted): its expression is wanted then, not a copy.
  auto it = buffers.find(tile);
  std::optional<TileBuffer> registered;
  if (it != buffers.end() && it->second.ptr == dest.ptr &&
      it->second.offset == dest.offset) {
    registered = it->second;
    buffers.erase(it);
  }
  auto constant = tile.getDefiningOp<arith::ConstantOp>();
  if (constant && !isGenerator(tile)) {
    auto values = cast<DenseElementsAttr>(constant.getValue());
    for (auto [linear, value] :
         llvm::enumerate(values.getValues<Attribute>())) {
      SmallVector<Value> at(dest.shape.size());
      int64_t rest = linear;
      for (size_t d = dest.shape.size(); d-- > 0;) {
        at[d] = i64(rest % dest.shape[d]);
        rest /= dest.shape[d];
      }
      auto one = arith::ConstantOp::create(b, loc, cast<TypedAttr>(value));
      storeElement(dest, at, emitScalar(one, {}));
      one.erase();
    }
  } else {
    loopNest(dest.shape, [&](ValueRange at) {
      storeElement(dest, at, element(tile, at));
    });
  }
  if (registered)
    buffers[tile] = *registered;
}

//===----------------------------------------------------------------------===//
// Maps
//===----------------------------------------------------------------------===//

Value TileLowering::scalar(Value v) { return scalars.lookup(v); }

void TileLowering::setScalar(Value v, Value lowered) { scalars[v] = lowered; }

void TileLowering::setBuffer(Value tile, TileBuffer buffer) {
  buffers[tile] = std::move(buffer);
}

const ViewInfo &TileLowering::view(Value v) { return views.find(v)->second; }

TileBuffer TileLowering::buffer(Value tile) {
  auto it = buffers.find(tile);
  if (it != buffers.end())
    return it->second;
  auto type = cast<RankedTensorType>(tile.getType());
  TileBuffer result = temporary(type.getElementType(), type.getShape());
  emitInto(tile, result);
  return result;
}
