#include "compiler/codegen/nvptx/simt/SimtBuilder.h"

using namespace mlir;

namespace hadal::nvptx {

Value SimtBuilder::i64(int64_t value) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(value));
}
Value SimtBuilder::i32(int32_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(value));
}
Value SimtBuilder::i1(bool value) {
  return arith::ConstantOp::create(*this, getBoolAttr(value));
}
Value SimtBuilder::f32(float value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}
Value SimtBuilder::add(Value a, Value c) {
  return createOrFold<arith::AddIOp>(a, c);
}
Value SimtBuilder::sub(Value a, Value c) {
  return createOrFold<arith::SubIOp>(a, c);
}
Value SimtBuilder::mul(Value a, Value c) {
  return createOrFold<arith::MulIOp>(a, c);
}
Value SimtBuilder::both(Value a, Value c) {
  if (!a || !c)
    return a ? a : c;
  return createOrFold<arith::AndIOp>(a, c);
}
Value SimtBuilder::compare(arith::CmpIPredicate predicate, Value a, Value c) {
  return createOrFold<arith::CmpIOp>(predicate, a, c);
}
Value SimtBuilder::select(Value condition, Value a, Value c) {
  return createOrFold<arith::SelectOp>(condition, a, c);
}
Value SimtBuilder::extend(Value value) {
  return createOrFold<arith::ExtUIOp>(getI64Type(), value);
}
Value SimtBuilder::bitcast(Type type, Value value) {
  if (value.getType() == type)
    return value;
  return LLVM::BitcastOp::create(*this, type, value);
}

Value SimtBuilder::intrinsic(Type result, StringRef name,
                             ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name),
                                       operands)
      .getResult(0);
}

void SimtBuilder::effect(StringRef name, ValueRange operands) {
  LLVM::CallIntrinsicOp::create(*this, getStringAttr(name), operands);
}

Value SimtBuilder::threadId() {
  return intrinsic(getI32Type(), "llvm.nvvm.read.ptx.sreg.tid.x", {});
}
Value SimtBuilder::blockId() {
  return intrinsic(getI32Type(), "llvm.nvvm.read.ptx.sreg.ctaid.x", {});
}

void SimtBuilder::barrier(int64_t threads) {
  if (threads == 32)
    effect("llvm.nvvm.bar.warp.sync", {i32(-1)});
  else
    effect("llvm.nvvm.barrier.cta.sync.aligned.all", {i32(0)});
}

Value SimtBuilder::shuffle(StringRef mode, Value value, Value lane,
                           int32_t clamp) {
  Type type = value.getType();
  if (type.isInteger(64)) {
    auto half = [&](Value bits) {
      Value low = arith::TruncIOp::create(*this, getI32Type(), bits);
      return extend(shuffle(mode, low, lane, clamp));
    };
    Value high = half(arith::ShRUIOp::create(*this, value, i64(32)));
    return arith::OrIOp::create(
        *this, half(value), arith::ShLIOp::create(*this, high, i64(32)));
  }
  bool isFloat = type.isF32();
  return intrinsic(type,
                   ("llvm.nvvm.shfl.sync." + mode + (isFloat ? ".f32" : ".i32"))
                       .str(),
                   {i32(-1), value, lane, i32(clamp)});
}

Value SimtBuilder::shuffleXor(Value value, int mask) {
  return shuffle("bfly", value, i32(mask), 31);
}
Value SimtBuilder::shuffleUp(Value value, int delta) {
  return shuffle("up", value, i32(delta), 0);
}
Value SimtBuilder::shuffleIndex(Value value, Value lane) {
  return shuffle("idx", value, lane, 31);
}

Value SimtBuilder::exp2(Value x) {
  return intrinsic(getF32Type(), "llvm.nvvm.ex2.approx.ftz.f", {x});
}

Value SimtBuilder::packBF16(Value low, Value high) {
  Type pair = VectorType::get({2}, getBF16Type());
  return bitcast(getI32Type(),
                 intrinsic(pair, "llvm.nvvm.ff2bf16x2.rn", {high, low}));
}

Value SimtBuilder::packE4M3(Value low, Value high) {
  return intrinsic(getI16Type(), "llvm.nvvm.ff.to.e4m3x2.rn", {high, low});
}

Value SimtBuilder::loadGlobal(Type type, Value address, int64_t alignment) {
  Value pointer = LLVM::IntToPtrOp::create(
      *this, LLVM::LLVMPointerType::get(getContext(), 1), address);
  return LLVM::LoadOp::create(*this, type, pointer, alignment);
}

// The result is written (mov) before address and predicate are read: it must
// not share a register with them (=&).
Value SimtBuilder::loadGlobalIf(Type type, Value address, Value condition) {
  if (!condition)
    return loadGlobal(type, address, 4);
  return LLVM::InlineAsmOp::create(
             *this, TypeRange(type), ValueRange{address, condition},
             getStringAttr("mov.b32 $0, 0; @$2 ld.global.b32 $0, [$1];"),
             getStringAttr(type.isF32() ? "=&f,l,b,~{memory}"
                                        : "=&r,l,b,~{memory}"),
             /*has_side_effects=*/true, /*is_align_stack=*/false,
             LLVM::TailCallKind::None,
             LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
             /*operand_attrs=*/ArrayAttr())
      .getResult(0);
}

void SimtBuilder::storeIf(StringRef space, ValueRange values, Value address,
                          Value condition) {
  Type type = values.front().getType();
  unsigned bits = type.getIntOrFloatBitWidth();
  std::string text = ("@$0 st." + space).str(), constraints = "b,l";
  if (values.size() > 1)
    text += ".v" + std::to_string(values.size());
  text += ".b" + std::to_string(bits) + " [$1], ";
  if (values.size() > 1)
    text += "{";
  SmallVector<Value> operands{condition, address};
  for (Value value : values) {
    text += (operands.size() > 2 ? ", $" : "$") +
            std::to_string(operands.size());
    // There is no register of 8 bits; a store takes the low ones of 16.
    if (bits == 8)
      value = arith::ExtUIOp::create(*this, getI16Type(), value);
    operands.push_back(bits == 16 ? bitcast(getI16Type(), value) : value);
    constraints += type.isF32() ? ",f" : bits == 64 ? ",l" : bits == 32 ? ",r"
                                                                        : ",h";
  }
  text += values.size() > 1 ? "};" : ";";
  LLVM::InlineAsmOp::create(
      *this, TypeRange(), operands, getStringAttr(text),
      getStringAttr(constraints + ",~{memory}"),
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
}

void SimtBuilder::storeGlobal(ValueRange values, Value address,
                              Value condition) {
  if (condition)
    return storeIf("global", values, address, condition);
  Value pointer = LLVM::IntToPtrOp::create(
      *this, LLVM::LLVMPointerType::get(getContext(), 1), address);
  Type type = values.front().getType();
  int64_t bytes = values.size() * type.getIntOrFloatBitWidth() / 8;
  Value value = values.front();
  if (values.size() > 1) {
    value = LLVM::PoisonOp::create(
        *this, VectorType::get({static_cast<int64_t>(values.size())}, type));
    for (auto [i, part] : llvm::enumerate(values))
      value = LLVM::InsertElementOp::create(*this, value, part,
                                            i32(static_cast<int32_t>(i)));
  }
  LLVM::StoreOp::create(*this, value, pointer, bytes);
}

Value SimtBuilder::loadShared(Type type, Value base, Value byteOffset) {
  Value pointer = LLVM::GEPOp::create(*this, base.getType(), getI8Type(), base,
                                      ArrayRef<LLVM::GEPArg>{byteOffset});
  return LLVM::LoadOp::create(*this, type, pointer);
}

void SimtBuilder::storeShared(Value value, Value base, Value byteOffset,
                              Value condition) {
  Value pointer = LLVM::GEPOp::create(*this, base.getType(), getI8Type(), base,
                                      ArrayRef<LLVM::GEPArg>{byteOffset});
  if (!condition) {
    LLVM::StoreOp::create(*this, value, pointer);
    return;
  }
  storeIf("shared", value,
          LLVM::PtrToIntOp::create(*this, getI64Type(), pointer), condition);
}

void SimtBuilder::prepareDependents() {
  effect("llvm.nvvm.griddepcontrol.launch.dependents", {});
}

// LLVM takes the intrinsic of this instruction for one that touches no memory,
// and would move loads across it.
void SimtBuilder::waitForPrevious() {
  LLVM::InlineAsmOp::create(
      *this, TypeRange(), ValueRange(),
      getStringAttr("griddepcontrol.wait;"), getStringAttr("~{memory}"),
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
}

} // namespace hadal::nvptx
