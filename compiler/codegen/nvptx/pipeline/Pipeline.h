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

/// The schedule word swap_ab: weights are the rows of wgmma, tokens its columns.
/// Fails, with an error reported, if it is not true or false.
mlir::FailureOr<bool> swapsOperands(tile::KernelOp kernel);

inline constexpr llvm::StringLiteral kNoContraction = "it has no contraction";

/// Reports at |kernel|, for |reason|, that the lowering which serves it does not
/// know swap_ab, if its schedule asks for that.
mlir::LogicalResult refuseSwap(tile::KernelOp kernel, llvm::StringRef reason);

} // namespace hadal::nvptx
