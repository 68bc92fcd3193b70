// The warp-specialised pipeline: kernels with contractions.
#pragma once

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

struct Chip;

/// Lowers |kernel| to an sm90.kernel at |builder|'s insertion point; |kernel| is
/// not changed. On failure an error has been reported at the op that has no
/// lowering.
mlir::FailureOr<sm90::KernelOp> lowerPipeline(tile::KernelOp kernel,
                                              const Chip &chip,
                                              mlir::OpBuilder &builder);

} // namespace hadal::nvptx
