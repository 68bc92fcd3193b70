// The row of NVIDIA Hopper in the table of targets.
#pragma once

#include "compiler/codegen/Target.h"
#include "compiler/codegen/nvptx/Sm90Module.h"

namespace hadal::nvptx {

const TargetInfo &sm90aTarget();

/// Writes what the kernels of |module| are between tile and machine code into
/// |directory|: NAME.sm90.mlir, and of those in |compiled| NAME.ptx. A kernel
/// that does not lower is left out. H4006.
llvm::Error dumpKernels(mlir::ModuleOp module, const Chip &chip,
                        const Sm90Module &compiled, llvm::StringRef directory);

} // namespace hadal::nvptx
