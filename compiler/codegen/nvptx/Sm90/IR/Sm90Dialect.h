// The sm90 dialect: one CTA's code, per thread, between tile and llvm.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Pass/Pass.h"
#include "runtime/schemas/Sm90aLimits.h"

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h.inc"
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Enums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Attrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Types.h.inc"
#define GET_OP_CLASSES
#include "compiler/codegen/nvptx/Sm90/IR/Sm90Ops.h.inc"

namespace hadal::sm90 {

/// Shared memory of one CTA on sm_90, in bytes.
inline constexpr int64_t kMaxSharedBytes = sm90a::kMaxSharedBytes;
/// Accumulator registers that may be live at once in a thread: more spill
/// (measured with ptxas 13.0).
inline constexpr int64_t kMaxAccumulatorRegisters = 200;

/// What the pass hadal-verify-sm90 checks (Passes.td), of one kernel.
mlir::LogicalResult verifySm90(KernelOp kernel);

} // namespace hadal::sm90
