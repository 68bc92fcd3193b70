// The fused kernels in tile form: one builder per kernel.
//
// Each builder appends one tile.kernel to |builder|'s insertion point.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/KernelSpecs.h"

namespace hadal::schedule {
struct GemmSchedule;
}

namespace hadal::kernels {

/// tile::KernelOp build<Kernel>(builder, loc, name, spec): the kernel |name| with
/// |spec| as its attribute. A spec that the kernel cannot serve is reported at
/// loc; the result is then null.
#define HADAL_DECLARE_KERNEL(K)                                                \
  tile::KernelOp build##K(mlir::OpBuilder &builder, mlir::Location loc,        \
                          llvm::StringRef name, const K##Spec &spec);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_KERNEL)
#undef HADAL_DECLARE_KERNEL

/// The builder of |spec|'s kind.
tile::KernelOp buildKernel(mlir::OpBuilder &builder, mlir::Location loc,
                           llvm::StringRef name, const AnySpec &spec);

/// buildGemm with a schedule of the caller's choice: it computes the same.
tile::KernelOp buildScheduledGemm(mlir::OpBuilder &builder, mlir::Location loc,
                                  llvm::StringRef name, const GemmSpec &spec,
                                  const schedule::GemmSchedule &schedule);

} // namespace hadal::kernels
