// From fused dsv3 functions to tile kernels and an exec program.
#pragma once

#include <memory>

#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Dsv3ToExec/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Dsv3ToExec/Passes.h.inc"

} // namespace hadal
