#include "compiler/target/nvptx/PtxBuilder.h"

using namespace mlir;

namespace hadal::nvptx {

Value PtxBuilder::i64(int64_t v) {
  return arith::ConstantOp::create(*this, getI64IntegerAttr(v));
}
Value PtxBuilder::i32(int32_t v) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(v));
}
Value PtxBuilder::i1(bool v) {
  return arith::ConstantOp::create(*this, getBoolAttr(v));
}
Value PtxBuilder::f32(float v) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(v));
}
Value PtxBuilder::add(Value a, Value b) {
  return arith::AddIOp::create(*this, a, b);
}
Value PtxBuilder::mul(Value a, Value b) {
  return arith::MulIOp::create(*this, a, b);
}
Value PtxBuilder::udiv(Value a, Value b) {
  return arith::DivUIOp::create(*this, a, b);
}
Value PtxBuilder::urem(Value a, Value b) {
  return arith::RemUIOp::create(*this, a, b);
}
Value PtxBuilder::bitAnd(Value a, Value b) {
  return arith::AndIOp::create(*this, a, b);
}
Value PtxBuilder::bitOr(Value a, Value b) {
  return arith::OrIOp::create(*this, a, b);
}
Value PtxBuilder::bitXor(Value a, Value b) {
  return arith::XOrIOp::create(*this, a, b);
}
Value PtxBuilder::slt(Value a, Value b) {
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::slt, a, b);
}
Value PtxBuilder::trunc32(Value v) {
  return arith::TruncIOp::create(*this, getI32Type(), v);
}
Value PtxBuilder::ext64(Value v) {
  return arith::ExtUIOp::create(*this, getI64Type(), v);
}

Value PtxBuilder::intrinsic(Type result, StringRef name, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(*this, result, getStringAttr(name),
                                       operands)
      .getResult(0);
}

Value PtxBuilder::inlineAsm(Type result, const Twine &text,
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

Value PtxBuilder::threadId() {
  return intrinsic(getI32Type(), "llvm.nvvm.read.ptx.sreg.tid.x", {});
}
Value PtxBuilder::blockId() {
  return intrinsic(getI32Type(), "llvm.nvvm.read.ptx.sreg.ctaid.x", {});
}

Value PtxBuilder::loadGlobal(Type type, Value address) {
  auto pointer = LLVM::LLVMPointerType::get(getContext(), 1);
  Value p = LLVM::IntToPtrOp::create(*this, pointer, address);
  return LLVM::LoadOp::create(*this, type, p);
}

void PtxBuilder::storeGlobal(Value value, Value address) {
  auto pointer = LLVM::LLVMPointerType::get(getContext(), 1);
  Value p = LLVM::IntToPtrOp::create(*this, pointer, address);
  LLVM::StoreOp::create(*this, value, p);
}

void PtxBuilder::copyAsync16(Value smemAddress, Value address, Value valid) {
  Value bytes = arith::SelectOp::create(*this, valid, i32(16), i32(0));
  inlineAsm({}, "cp.async.cg.shared.global [$0], [$1], 16, $2;",
            "r,l,r,~{memory}", {smemAddress, address, bytes}, true);
}

void PtxBuilder::copyAsyncCommit() {
  inlineAsm({}, "cp.async.commit_group;", "~{memory}", {}, true);
}

void PtxBuilder::copyAsyncWait(int pending) {
  inlineAsm({}, "cp.async.wait_group " + Twine(pending) + ";", "~{memory}", {},
            true);
}

void PtxBuilder::fenceProxyAsync() {
  inlineAsm({}, "fence.proxy.async.shared::cta;", "~{memory}", {}, true);
}

void PtxBuilder::barrier() {
  inlineAsm({}, "bar.sync 0;", "~{memory}", {}, true);
}

Value PtxBuilder::shuffleXor(Value value, int mask) {
  return inlineAsm(getF32Type(),
                   "shfl.sync.bfly.b32 $0, $1, " + Twine(mask) +
                       ", 31, 0xffffffff;",
                   "=f,f", {value}, true);
}

Value PtxBuilder::exp2(Value value) {
  return intrinsic(getF32Type(), "llvm.nvvm.ex2.approx.ftz.f", {value});
}

Value PtxBuilder::rsqrt(Value value) {
  return intrinsic(getF32Type(), "llvm.nvvm.rsqrt.approx.ftz.f", {value});
}

Value PtxBuilder::toE4m3x2(Value low, Value high) {
  return inlineAsm(getI16Type(), "cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;",
                   "=h,f,f", {high, low}, false);
}

Value PtxBuilder::descriptor(Value address, int64_t leadingBytes) {
  // Bits 13:0 address/16, 29:16 leading offset/16, 45:32 stride offset/16 (1024
  // bytes between groups of eight rows), 63:62 = 1: 128-byte swizzle.
  Value field = ext64(arith::ShRUIOp::create(
      *this, bitAnd(address, i32(0x3FFFF)), i32(4)));
  uint64_t fixed = (uint64_t(1) << 62) | (uint64_t(1024 >> 4) << 32) |
                   (uint64_t((leadingBytes >> 4) & 0x3FFF) << 16);
  return bitOr(field, i64(static_cast<int64_t>(fixed)));
}

/// The f32 registers of a struct result.
static void unpack(PtxBuilder &b, Value packed,
                   SmallVectorImpl<Value> &registers) {
  for (size_t i = 0; i < registers.size(); ++i)
    registers[i] =
        LLVM::ExtractValueOp::create(b, packed, ArrayRef<int64_t>(i));
}

static std::string tiedConstraints(size_t floats, size_t ints) {
  std::string text;
  for (size_t i = 0; i < floats; ++i)
    text += "=f,";
  for (size_t i = 0; i < ints; ++i)
    text += "=r,";
  for (size_t i = 0; i < floats + ints; ++i)
    text += std::to_string(i) + ",";
  return text;
}

void PtxBuilder::mma(const Mma &mma, SmallVectorImpl<Value> &acc, Value aDesc,
                     ArrayRef<Value> aRegs, Value bDesc) {
  size_t n = acc.size();
  std::string text = "wgmma.mma_async.sync.aligned.m64n" +
                     std::to_string(mma.n) + "k" + std::to_string(mma.k) +
                     ".f32." + mma.type.str() + "." + mma.type.str() + " {";
  for (size_t i = 0; i < n; ++i)
    text += (i ? ", $" : "$") + std::to_string(i);
  text += "}, ";
  size_t next = 2 * n; // outputs, then the tied inputs
  std::string constraints = tiedConstraints(n, 0);
  SmallVector<Value> operands(acc.begin(), acc.end());
  if (aDesc) {
    text += "$" + std::to_string(next++);
    constraints += "l,";
    operands.push_back(aDesc);
  } else {
    text += "{";
    for (size_t i = 0; i < aRegs.size(); ++i)
      text += (i ? ", $" : "$") + std::to_string(next++);
    text += "}";
    for (Value reg : aRegs) {
      constraints += "r,";
      operands.push_back(reg);
    }
  }
  text += ", $" + std::to_string(next) + ", " +
          (mma.accumulate ? "1" : "0") + ", 1, 1";
  constraints += "l";
  operands.push_back(bDesc);
  if (mma.type == "bf16") // the transpose flags exist for 16-bit types only
    text += std::string(aDesc ? ", 0" : "") + (mma.transposeB ? ", 1" : ", 0");
  text += ";";
  auto type = LLVM::LLVMStructType::getLiteral(
      getContext(), SmallVector<Type>(n, getF32Type()));
  unpack(*this, inlineAsm(type, text, constraints, operands, true), acc);
}

void PtxBuilder::mmaFence(SmallVectorImpl<Value> *acc) {
  if (!acc) {
    inlineAsm({}, "wgmma.fence.sync.aligned;", "~{memory}", {}, true);
    return;
  }
  auto type = LLVM::LLVMStructType::getLiteral(
      getContext(), SmallVector<Type>(acc->size(), getF32Type()));
  SmallVector<Value> operands(acc->begin(), acc->end());
  Value tied = inlineAsm(type, "wgmma.fence.sync.aligned;",
                         tiedConstraints(acc->size(), 0) + "~{memory}",
                         operands, true);
  unpack(*this, tied, *acc);
}

void PtxBuilder::mmaCommit() {
  inlineAsm({}, "wgmma.commit_group.sync.aligned;", "~{memory}", {}, true);
}

void PtxBuilder::mmaWait(SmallVectorImpl<Value> &acc, ArrayRef<Value> aRegs) {
  SmallVector<Type> types(acc.size(), getF32Type());
  types.append(aRegs.size(), getI32Type());
  auto type = LLVM::LLVMStructType::getLiteral(getContext(), types);
  SmallVector<Value> operands(acc.begin(), acc.end());
  operands.append(aRegs.begin(), aRegs.end());
  Value tied = inlineAsm(
      type, "wgmma.wait_group.sync.aligned 0;",
      tiedConstraints(acc.size(), aRegs.size()) + "~{memory}", operands, true);
  unpack(*this, tied, acc);
}

} // namespace hadal::nvptx
