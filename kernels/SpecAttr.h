// Specs as the attribute of tile.kernel, and back.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"
#include "kernels/SpecText.h"

namespace hadal::kernels {

/// Equal iff the specs are.
tile::SpecAttr toAttr(mlir::MLIRContext *context, const AnySpec &spec);

/// The fields of |spec| by name, in the attribute's order.
SpecText toText(tile::SpecAttr spec);

/// The spec of |kernel|. One that no builder takes, or none at all, is reported
/// at the kernel.
mlir::FailureOr<AnySpec> readSpec(tile::KernelOp kernel);

} // namespace hadal::kernels
