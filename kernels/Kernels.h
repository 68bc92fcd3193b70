// The fused kernels in tile form: one builder per kernel.
//
// Each builder appends one tile.kernel to |builder|'s insertion point.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/KernelSpecs.h"
#include "schedule/Words.h"

namespace hadal::kernels {

/// tile::KernelOp build<Kernel>(builder, loc, name, spec, schedule): the kernel
/// |name| with |spec| and |schedule| as its attributes. A spec that the kernel
/// cannot serve, or a schedule without a word that shapes the body, is reported at
/// loc; the result is then null.
#define HADAL_DECLARE_KERNEL(K)                                                \
  tile::KernelOp build##K(mlir::OpBuilder &builder, mlir::Location loc,        \
                          llvm::StringRef name, const K##Spec &spec,           \
                          const schedule::Schedule &schedule);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_KERNEL)
#undef HADAL_DECLARE_KERNEL

/// The builder of |spec|'s kind.
tile::KernelOp buildKernel(mlir::OpBuilder &builder, mlir::Location loc,
                           llvm::StringRef name, const AnySpec &spec,
                           const schedule::Schedule &schedule);

} // namespace hadal::kernels
