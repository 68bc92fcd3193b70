// What code generation made of one kernel, and its form in the kernel cache.
#pragma once

#include <optional>
#include <string>

#include "compiler/codegen/KernelCache.h"
#include "compiler/codegen/nvptx/Ptxas.h"
#include "compiler/codegen/nvptx/Sm90Kernels.h"

namespace hadal::nvptx {

/// A kernel with what ptxas made of it; no cubin and no facts without ptxas.
struct CompiledKernel {
  Sm90Kernel kernel;
  std::string cubin;
  std::optional<PtxasFacts> facts;
};

/// The key of the kernel |tileText| (printed, schedule included) for |chip|,
/// assembled by |ptxas| (null: none).
KernelKey keyOf(llvm::StringRef tileText, const Chip &chip, const Ptxas *ptxas);

/// |kernel| as the content of a cache entry, and back; nothing if |content| is
/// not all of one.
std::string encodeKernel(const CompiledKernel &kernel);
std::optional<CompiledKernel> decodeKernel(llvm::StringRef content);

} // namespace hadal::nvptx
