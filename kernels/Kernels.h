// The fused kernels in tile form: one builder per kernel.
//
// Each builder appends one tile.kernel to |builder|'s insertion point.
#pragma once

#include <string>

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/KernelSpecs.h"
#include "schedule/Words.h"

namespace hadal::kernels {

/// tile::KernelOp build<Kernel>(builder, loc, name, spec, schedule), and a name
/// that two specs share iff they describe the same kernel (a valid symbol). A
/// spec that the kernel cannot serve is reported at loc; the result is then null.
#define HADAL_DECLARE_KERNEL(K)                                                \
  tile::KernelOp build##K(mlir::OpBuilder &builder, mlir::Location loc,        \
                          llvm::StringRef name, const K##Spec &spec,           \
                          const schedule::Schedule &schedule);                 \
  std::string kernelName(const K##Spec &spec);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_KERNEL)
#undef HADAL_DECLARE_KERNEL

} // namespace hadal::kernels
