// How ranks share a model: what a layout needs of it.
#pragma once

#include "dialects/Dsv3/IR/Dsv3.h"
#include "frontend/ModelConfig.h"
#include "options/CompileOptions.h"

namespace hadal {

/// Completes the layout of |options| (ep 0 becomes a number) and refuses what
/// the model cannot be shared as: H2006. |warnings|: what is possible and slow.
llvm::Error resolveLayout(const ModelConfig &config, CompileOptions &options,
                          std::vector<std::string> &warnings);

/// The mesh of resolved |options|.
dsv3::MeshAttr meshOf(mlir::MLIRContext *context, const ModelConfig &config,
                      const CompileOptions &options);

} // namespace hadal
