// From tile kernels to PTX text for sm_90a.
#pragma once

#include <string>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace hadal::nvptx {

/// The pass --hadal-lower-tile-to-sm90: each tile.kernel becomes an llvm.func of
/// kernel calling convention with the attributes hadal.shared_bytes and
/// hadal.threads; structured control flow and arith remain.
std::unique_ptr<mlir::Pass> createLowerTileToSm90Pass();
void registerLowerTileToSm90Pass();

/// Lowers every tile.kernel of a copy of |module| and returns the PTX of all.
/// Errors have been reported on the kernels' locations.
mlir::FailureOr<std::string> emitPtx(mlir::ModuleOp module);

} // namespace hadal::nvptx
