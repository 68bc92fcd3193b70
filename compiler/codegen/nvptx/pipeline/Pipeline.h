// The lowerings of tile kernels to sm_90a, behind one door.
#pragma once

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

struct Chip;

/// Lowers |kernel| at |builder|'s insertion point by the lowering that serves it:
/// with a contraction to an sm90.kernel, else to an llvm.func with the attributes
/// hadal.threads and hadal.shared_bytes. |kernel| is not changed. On failure an
/// error has been reported at the op that has no lowering.
mlir::FailureOr<mlir::Operation *> lowerKernel(tile::KernelOp kernel,
                                               const Chip &chip,
                                               mlir::OpBuilder &builder);

} // namespace hadal::nvptx
