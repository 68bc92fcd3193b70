// Between the driver and the sm_90a target: which models it takes, and what the
// artifact says about its kernels.
#pragma once

#include <optional>

#include "compiler/artifact/Writer.h"
#include "compiler/target/nvptx/Sm90Module.h"
#include "frontend/ModelConfig.h"

namespace hadal {

/// Refuses a model whose sizes the kernels of sm_90a cannot address (H3004).
llvm::Error checkSm90aModel(const ModelConfig &config);

/// |kernels|, made with |ptxas| (none: PTX only), as the writer takes them.
TargetCode describeSm90a(const nvptx::Sm90Module &kernels,
                         const std::optional<nvptx::Ptxas> &ptxas);

} // namespace hadal
