// Compiled kernels as the artifact's writer takes them.
#pragma once

#include <optional>

#include "compiler/artifact/Writer.h"
#include "compiler/codegen/nvptx/Sm90Module.h"

namespace hadal::nvptx {

/// |kernels|, made with |ptxas| (none: PTX only).
TargetCode describeKernels(const Sm90Module &kernels,
                           const std::optional<Ptxas> &ptxas);

} // namespace hadal::nvptx
