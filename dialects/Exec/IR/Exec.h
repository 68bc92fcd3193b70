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
#define GET_ATTRDEF_CLASSES
#include "dialects/Exec/IR/ExecAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Exec/IR/ExecTypes.h.inc"

namespace hadal::exec {

/// Attributes of the module (see the dialect's description).
inline constexpr llvm::StringLiteral kModelAttr = "exec.model";
/// Of kModelAttr: dsv3::kDeterministic, which is handed through.
inline constexpr llvm::StringLiteral kDeterministic = "deterministic";
inline constexpr llvm::StringLiteral kOptionsAttr = "exec.options";
inline constexpr llvm::StringLiteral kRemarksAttr = "exec.remarks";
/// On the module behind phase lower: the lines of the database of schedules that
/// its kernels were chosen by (docs/tuning.md).
inline constexpr llvm::StringLiteral kTunedAttr = "exec.tuned";
/// A MeshAttr; absent where the program is one rank's.
inline constexpr llvm::StringLiteral kMeshAttr = "exec.mesh";

/// The streams of a program: kernels run on one, collectives on the other.
inline constexpr int64_t kLaunchStream = 0;
inline constexpr int64_t kCollectiveStream = 1;

/// The key of `exec.model` that is there, with the bytes that a row of a matrix
/// begins at a multiple of, where rows have a pitch.
inline constexpr llvm::StringLiteral kRowAlignment = "row_alignment";
/// True if the program of |module| is for a machine on which rows of matrices
/// have a pitch (tile::rowPitchBytes) and tables of pointers do not exist: a
/// GPU.
bool hasRowPitch(mlir::ModuleOp module);

/// Alignment of a buffer's offset and of an arena's size, in bytes.
inline constexpr int64_t kBufferAlign = 64;

/// One array of a collective: what each rank sends and where it receives.
struct CollectivePart {
  mlir::Value send, receive;
  int64_t rows = 0; ///< of each peer's block
  int64_t rowBytes = 0;
  /// Column of the counts that says how many of the rows are meant; -1: all.
  int64_t countColumn = -1;
};

/// Ranks that a program may be for.
inline constexpr int64_t kMaxRanks = 65536;
/// Most counts that a collective has for each rank.
inline constexpr int64_t kMaxCountStride = 64;

/// What |module| says of its ranks; null if it is a program of one.
MeshAttr getMesh(mlir::ModuleOp module);

} // namespace hadal::exec

#define GET_OP_CLASSES
#include "dialects/Exec/IR/ExecOps.h.inc"
