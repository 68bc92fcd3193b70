// The exec dialect: the program that the runtime executes.
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Exec/IR/ExecDialect.h.inc"
#include "dialects/Exec/IR/ExecEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Exec/IR/ExecTypes.h.inc"

namespace hadal::exec {

/// Attributes of the module (see the dialect's description).
inline constexpr llvm::StringLiteral kModelAttr = "exec.model";
inline constexpr llvm::StringLiteral kOptionsAttr = "exec.options";
inline constexpr llvm::StringLiteral kRemarksAttr = "exec.remarks";

/// The key of `exec.model` that is there, with the bytes that a row of a matrix
/// begins at a multiple of, where rows have a pitch.
inline constexpr llvm::StringLiteral kRowAlignment = "row_alignment";
/// True if the program of |module| is for a machine on which rows of matrices
/// have a pitch (tile::rowPitchBytes) and tables of pointers do not exist: a
/// GPU.
bool hasRowPitch(mlir::ModuleOp module);

/// Alignment of a buffer's offset and of an arena's size, in bytes.
inline constexpr int64_t kBufferAlign = 64;

} // namespace hadal::exec

#define GET_OP_CLASSES
#include "dialects/Exec/IR/ExecOps.h.inc"
