#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

using namespace mlir;

namespace hadal::sm90 {

Value AsmBuilder::i64(int64_t v) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(v));
}
Value AsmBuilder::i32(int32_t v) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(v));
}
Value AsmBuilder::add(Value a, Value b) {
  return arith::AddIOp::create(*this, a, b);
}
Value AsmBuilder::mul(Value a, Value b) {
  return arith::MulIOp::create(*this, a, b);
}
Value AsmBuilder::udiv(Value a, Value b) {
  return arith::DivUIOp::create(*this, a, b);
}
Value AsmBuilder::urem(Value a, Value b) {
  return arith::RemUIOp::create(*this, a, b);
}
Value AsmBuilder::bitAnd(Value a, Value b) {
  return arith::AndIOp::create(*this, a, b);
}
Value AsmBuilder::bitOr(Value a, Value b) {
  return arith::OrIOp::create(*this, a, b);
}
Value AsmBuilder::bitXor(Value a, Value b) {
  return arith::XOrIOp::create(*this, a, b);
}
Value AsmBuilder::shr(Value a, int32_t bits) {
  return arith::ShRUIOp::create(*this, a, i32(bits));
}
Value AsmBuilder::shl(Value a, int32_t bits) {
  return arith::ShLIOp::create(*this, a, i32(bits));
}
Value AsmBuilder::cmp(arith::CmpIPredicate predicate, Value a, Value b) {
  return arith::CmpIOp::create(*this, predicate, a, b);
}
Value AsmBuilder::trunc32(Value v) {
  return arith::TruncIOp::create(*this, getI32Type(), v);
}

Value AsmBuilder::tid() {
  return intrinsic("llvm.nvvm.read.ptx.sreg.tid.x", getI32Type(), {});
}

// One symbol for all dynamic shared memory: offsets are planned by ConvertSm90
// (planShared) and the launch gives the size. 1024 bytes is what a tile of the
// 128-byte swizzle must be aligned to: eight rows of 128 bytes.
Value AsmBuilder::sharedAddress(Operation *op, int64_t offset) {
  auto module = op->getParentOfType<ModuleOp>();
  auto shared = module.lookupSymbol<LLVM::GlobalOp>("hadal_shared");
  if (!shared) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToStart(module.getBody());
    shared = LLVM::GlobalOp::create(
        *this, LLVM::LLVMArrayType::get(getI8Type(), 0), /*isConstant=*/false,
        LLVM::Linkage::External, "hadal_shared", Attribute(),
        /*alignment=*/1024, /*addrSpace=*/3);
  }
  Value address = LLVM::AddressOfOp::create(*this, shared);
  Value base = LLVM::PtrToIntOp::create(*this, getI32Type(), address);
  return offset ? add(base, i32(offset)) : base;
}

Value AsmBuilder::inlineAsm(const Twine &text, Type result,
                            const Twine &constraints, ValueRange operands,
                            bool sideEffects) {
  SmallVector<Type> results;
  if (result)
    results.push_back(result);
  auto op = LLVM::InlineAsmOp::create(
      *this, results, operands, getStringAttr(text),
      getStringAttr(constraints), /*has_side_effects=*/sideEffects,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
  return result ? op.getResult(0) : Value();
}

// Memory is clobbered: neither LLVM nor ptxas may move a load or a store across
// an instruction that orders it (mbarrier, fence, bulk copy, wgmma). Several
// results come as a struct, which is taken apart at once.
SmallVector<Value> AsmBuilder::ptx(const Twine &text, ArrayRef<Type> results,
                                   const Twine &constraints,
                                   ValueRange operands) {
  std::string full = constraints.str();
  full += full.empty() ? "~{memory}" : ",~{memory}";
  if (results.empty()) {
    inlineAsm(text, {}, full, operands, true);
    return {};
  }
  if (results.size() == 1)
    return {inlineAsm(text, results[0], full, operands, true)};
  auto type = LLVM::LLVMStructType::getLiteral(getContext(), results);
  Value packed = inlineAsm(text, type, full, operands, true);
  SmallVector<Value> values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(
        *this, packed, ArrayRef<int64_t>(static_cast<int64_t>(i))));
  return values;
}

// Without side effects: equal calls may become one, unused ones go.
Value AsmBuilder::pure(const Twine &text, Type result, const Twine &constraints,
                       ValueRange operands) {
  return inlineAsm(text, result, constraints, operands, false);
}

Value AsmBuilder::intrinsic(StringRef name, Type result, ValueRange operands) {
  auto op = result ? LLVM::CallIntrinsicOp::create(
                         *this, result, getStringAttr(name), operands)
                   : LLVM::CallIntrinsicOp::create(*this, getStringAttr(name),
                                                   operands);
  return result ? op.getResult(0) : Value();
}

// Element by element with constant positions: LLVM's scalariser dissolves both
// directions, and no vector of accumulators ever lies in local memory.
SmallVector<Value> AsmBuilder::unpack(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  SmallVector<Value> elements;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    elements.push_back(LLVM::ExtractElementOp::create(*this, vector, i32(i)));
  return elements;
}

Value AsmBuilder::pack(ValueRange elements, Type vectorType) {
  Value vector = LLVM::PoisonOp::create(*this, vectorType);
  for (auto [i, element] : llvm::enumerate(elements))
    vector = LLVM::InsertElementOp::create(*this, vector, element, i32(i));
  return vector;
}

} // namespace hadal::sm90
