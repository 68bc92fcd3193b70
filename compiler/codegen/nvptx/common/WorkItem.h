// Which point of a kernel's domain a CTA works on, for both lowerings.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::nvptx {

/// The coordinates (i64) of work item |item| (i32) of |kernel|: division by
/// constants, dimension 0 outermost.
llvm::SmallVector<mlir::Value>
emitCoordinates(mlir::ImplicitLocOpBuilder &b, tile::KernelOp kernel,
                mlir::Value item);

/// Whether the point at |coordinates| lies below the true size of every bounded
/// dimension (i1); null if |kernel| has none. |sizeAt| reads entry i (i64) of
/// the sizes as i64.
mlir::Value
emitInside(mlir::ImplicitLocOpBuilder &b, tile::KernelOp kernel,
           llvm::ArrayRef<mlir::Value> coordinates,
           llvm::function_ref<mlir::Value(mlir::Value)> sizeAt);

/// True if |view| is an argument that is marked constant. No kernel writes one, so
/// that it may be read before griddepcontrol.wait; whatever else a view shows may
/// be written by the kernels ahead until then.
bool isConstant(mlir::Value view);

/// Reports at |kernel| a word of its schedule that is not one of |known|: no
/// word is without an effect.
mlir::LogicalResult refuseOtherWords(tile::KernelOp kernel,
                                     llvm::ArrayRef<llvm::StringRef> known);

/// Registers of a producer's and of a consumer's thread; 0: what all have at
/// launch.
struct RoleRegisters {
  int64_t load = 0, mma = 0;
};

/// The word `regs` of |kernel|, whose CTAs have a producer warpgroup and
/// |warpgroups| consumers: "launch", or "LOAD/MMA" in steps of 8 from 24, which
/// together are what the CTA has. Reports at |kernel| if it is neither.
mlir::FailureOr<RoleRegisters> readRegisters(tile::KernelOp kernel,
                                             int64_t warpgroups);

} // namespace hadal::nvptx
