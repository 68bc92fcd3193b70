// "Will it fit?": what an artifact needs at run time, from its plan.
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace hadal {

/// Prints weights by dtype (mapped and copied), the latent cache at full batch
/// and length, the states and the arena of each entry of |module| (after phase
/// plan). |scratchBytes| is per worker thread; 0 if not known yet, or none.
/// |workspaceBytes| is of a GPU. H2003, and nothing is printed, where a sum
/// leaves 64 bits.
llvm::Error printMemoryReport(mlir::ModuleOp module, uint64_t scratchBytes,
                              uint64_t workspaceBytes, llvm::raw_ostream &out);

} // namespace hadal
