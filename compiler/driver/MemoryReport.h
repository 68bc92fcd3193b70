// "Will it fit?": what an artifact needs at run time, from its plan. Printed by
// --plan-only before code generation and by a compilation after it, from the
// same numbers.
#pragma once

#include "compiler/codegen/Target.h"
#include "llvm/Support/raw_ostream.h"

namespace hadal {

/// What the kernels of |code| need.
MemoryByKernel memoryOf(const TargetCode &code);

/// Prints weights by dtype (mapped and copied), the latent cache at full batch
/// and length, the states, the arena of each entry of |module| (after phase
/// plan), and what its kernels need: the scratch of a worker thread is that of
/// the kernel with most, the workspaces of all kernels exist at once, each for
/// the largest launch. Of several ranks it is what each needs, and the exchange
/// buffers, which the arenas include, have a line of their own. Nothing is printed if a sum exceeds 64 bits: H2003.
llvm::Error printMemoryReport(mlir::ModuleOp module,
                              const MemoryByKernel &memory,
                              llvm::raw_ostream &os);

} // namespace hadal
