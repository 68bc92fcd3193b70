// Scalar code of one thread as arith, scf and LLVM dialect ops.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::nvptx {

class SimtBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using mlir::ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  using Value = mlir::Value;
  using Type = mlir::Type;

  //===--- Arithmetic -----------------------------------------------------===//

  Value i64(int64_t value);
  Value i32(int32_t value);
  Value i1(bool value);
  Value f32(float value);
  Value add(Value a, Value c);
  Value sub(Value a, Value c);
  Value mul(Value a, Value c);
  Value both(Value a, Value c); ///< and; a null operand is true
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value c);
  Value select(Value condition, Value a, Value c);
  Value extend(Value value); ///< i32 to i64, unsigned
  Value bitcast(Type type, Value value);

  //===--- Instructions ---------------------------------------------------===//

  Value intrinsic(Type result, llvm::StringRef name, mlir::ValueRange operands);
  void effect(llvm::StringRef name, mlir::ValueRange operands);
  Value threadId();
  Value blockId();
  /// Waits for every thread of a CTA of |threads| threads; orders their
  /// accesses of shared memory.
  void barrier(int64_t threads);
  /// The value of lane (lane xor mask), of 32 or 64 bits.
  Value shuffleXor(Value value, int mask);
  /// The value of lane (lane - delta); a lane below delta keeps its own.
  Value shuffleUp(Value value, int delta);
  Value shuffleIndex(Value value, Value lane);
  /// 2^x, the hardware approximation (2 ulp, subnormal results flushed).
  Value exp2(Value x);
  /// Two floats as bf16 in one word, the first in the low half.
  Value packBF16(Value low, Value high);
  /// Two floats as e4m3 codes in an i16, nearest even, saturating.
  Value packE4M3(Value low, Value high);

  //===--- Memory ---------------------------------------------------------===//

  /// Global memory at an i64 address.
  Value loadGlobal(Type type, Value address, int64_t alignment);
  /// Loads 32 bits where |condition| (i1; null: always) holds, else zero. Other
  /// threads touch no memory.
  Value loadGlobalIf(Type type, Value address, Value condition);
  /// Stores a value of 8 to 64 bits, or 2 or 4 of 32 bits, where |condition| (i1;
  /// null: always) holds. A predicated instruction instead of a branch: threads
  /// of a warp never part ways.
  void storeGlobal(mlir::ValueRange values, Value address, Value condition);
  /// Shared memory at a pointer of address space 3.
  Value loadShared(Type type, Value base, Value byteOffset);
  void storeShared(Value value, Value base, Value byteOffset, Value condition);
  void prepareDependents(); ///< griddepcontrol.launch_dependents
  void waitForPrevious();   ///< griddepcontrol.wait

private:
  void storeIf(llvm::StringRef space, mlir::ValueRange values, Value address,
               Value condition);
  Value shuffle(llvm::StringRef mode, Value value, Value lane, int32_t clamp);
};

} // namespace hadal::nvptx
