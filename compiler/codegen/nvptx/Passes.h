// The passes of the sm_90a target.
#pragma once

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace hadal::nvptx {

#define GEN_PASS_DECL
#include "compiler/codegen/nvptx/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/codegen/nvptx/Passes.h.inc"

} // namespace hadal::nvptx
