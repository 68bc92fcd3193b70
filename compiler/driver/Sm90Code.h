// Between the driver and the sm_90a target: which models it takes, and what the
// artifact says about its kernels.
#pragma once

#include <optional>

#include "compiler/artifact/Writer.h"
#include "compiler/codegen/nvptx/Sm90Module.h"
#include "frontend/ModelConfig.h"

namespace hadal {

/// Refuses a model whose sizes the kernels of sm_90a cannot address (H3004).
llvm::Error checkSm90aModel(const ModelConfig &config);

/// Writes what the kernels of |module| are between tile and machine code into
/// |directory|: NAME.sm90.mlir, and of those in |compiled| NAME.ptx. A kernel that
/// does not lower is left out. H4006.
llvm::Error dumpSm90a(mlir::ModuleOp module, const nvptx::Chip &chip,
                      const nvptx::Sm90Module &compiled,
                      llvm::StringRef directory);

/// Bytes of the workspaces of |module|'s kernels (docs/artifact.md), by those of
/// an item and of a launch that |workspaceOf| gives for a kernel's name.
struct KernelWorkspace {
  uint64_t perItem = 0, fixed = 0;
};
uint64_t workspaceBytes(
    mlir::ModuleOp module,
    llvm::function_ref<KernelWorkspace(llvm::StringRef)> workspaceOf);
/// The same before the kernels are compiled: those with a `split` in their
/// schedule, which alone have a workspace, are lowered as far as it takes.
uint64_t planSm90aWorkspace(mlir::ModuleOp module, const nvptx::Chip &chip);

/// |kernels|, made with |ptxas| (none: PTX only), as the writer takes them.
TargetCode describeSm90a(const nvptx::Sm90Module &kernels,
                         const std::optional<nvptx::Ptxas> &ptxas);

} // namespace hadal
