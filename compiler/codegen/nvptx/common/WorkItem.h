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

/// The capacity of rows that |kernel| was scheduled for (its schedule's word
/// "rows"), if all of them lie in one tile of its first dimension and that is
/// bounded by the number of tokens or of logit rows: then every work item has
/// work unless the launch has none at all.
bool hasOneRowTile(tile::KernelOp kernel);

/// The number behind |key| of |kernel|'s schedule, else |otherwise|.
int64_t scheduleWord(tile::KernelOp kernel, llvm::StringRef key,
                     int64_t otherwise);

} // namespace hadal::nvptx
