// From tile kernels to PTX text for sm_90a.
#pragma once

#include <string>

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Support/LLVM.h"

namespace hadal::nvptx {

/// The PTX ISA that emitPtx writes, and the first CUDA driver to read it (as
/// cuDriverGetVersion has it): the lowest with every form that we emit.
inline constexpr const char *kPtxIsa = "8.0";
inline constexpr unsigned kPtxDriverMinimum = 12000;

/// Brings |module|, which holds sm90 kernels (or functions of the llvm dialect
/// in kernel convention), to the llvm dialect and returns its PTX. Errors have
/// been reported.
mlir::FailureOr<std::string> emitPtx(mlir::ModuleOp module);

} // namespace hadal::nvptx
