// Emits the instructions of sm_90a that the lowering uses, as LLVM dialect ops
// and inline PTX. One method per instruction form; the caller keeps order.
#pragma once

#include "llvm/ADT/Twine.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::nvptx {

class PtxBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using mlir::ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  // Constants and arithmetic on addresses.
  mlir::Value i64(int64_t v);
  mlir::Value i32(int32_t v);
  mlir::Value i1(bool v);
  mlir::Value f32(float v);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value udiv(mlir::Value a, mlir::Value b);
  mlir::Value urem(mlir::Value a, mlir::Value b);
  mlir::Value bitAnd(mlir::Value a, mlir::Value b);
  mlir::Value bitOr(mlir::Value a, mlir::Value b);
  mlir::Value bitXor(mlir::Value a, mlir::Value b);
  mlir::Value slt(mlir::Value a, mlir::Value b);
  mlir::Value trunc32(mlir::Value v);
  mlir::Value ext64(mlir::Value v);

  // Special registers (i32).
  mlir::Value threadId();
  mlir::Value blockId();

  // Global memory, by i64 address.
  mlir::Value loadGlobal(mlir::Type type, mlir::Value address);
  void storeGlobal(mlir::Value value, mlir::Value address);

  /// cp.async of 16 bytes; |valid| false writes zeros and reads nothing.
  void copyAsync16(mlir::Value smemAddress, mlir::Value address,
                   mlir::Value valid);
  void copyAsyncCommit();
  /// Waits until at most |pending| groups of this thread are in flight.
  void copyAsyncWait(int pending);
  /// Makes generic writes of shared memory visible to wgmma's async proxy.
  void fenceProxyAsync();
  void barrier();

  /// Butterfly exchange of an f32 with the lane whose id differs by |mask|.
  mlir::Value shuffleXor(mlir::Value value, int mask);
  mlir::Value exp2(mlir::Value value);
  mlir::Value rsqrt(mlir::Value value);
  /// Two f32 to packed e4m3 (i16), |low| in bits 7:0; saturating, nearest even.
  mlir::Value toE4m3x2(mlir::Value low, mlir::Value high);

  /// The 64-bit matrix descriptor of an operand in 128-byte swizzle: |address|
  /// i32, |leadingBytes| the distance of 64-element column groups (MN-major).
  mlir::Value descriptor(mlir::Value address, int64_t leadingBytes);

  struct Mma {
    int64_t n = 0, k = 0;       // of one instruction
    llvm::StringRef type;       // "bf16", "e4m3"
    bool accumulate = true;     // scale-d
    bool transposeB = false;    // MN-major B (bf16 only)
  };
  /// wgmma with A from shared memory (|aDesc|) or registers (|aRegs|, four i32).
  void mma(const Mma &mma, llvm::SmallVectorImpl<mlir::Value> &acc,
           mlir::Value aDesc, llvm::ArrayRef<mlir::Value> aRegs,
           mlir::Value bDesc);
  /// wgmma.fence; ties |acc| where other instructions defined it.
  void mmaFence(llvm::SmallVectorImpl<mlir::Value> *acc);
  void mmaCommit();
  /// Waits for every group, tying |acc| and the A registers so that nothing
  /// reads or reuses them while in flight.
  void mmaWait(llvm::SmallVectorImpl<mlir::Value> &acc,
               llvm::ArrayRef<mlir::Value> aRegs);

private:
  mlir::Value inlineAsm(mlir::Type result, const llvm::Twine &text,
                        const llvm::Twine &constraints,
                        mlir::ValueRange operands, bool sideEffects);
  mlir::Value intrinsic(mlir::Type result, llvm::StringRef name,
                        mlir::ValueRange operands);
};

} // namespace hadal::nvptx
