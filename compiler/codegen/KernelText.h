// A kernel as text: what it is compiled from, in a worker's own context, and
// found by in the kernel cache.
#pragma once

#include <string>

#include "mlir/IR/Operation.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/Support/raw_ostream.h"

namespace hadal {

/// |kernel| without locations: where it comes from is no part of what it is.
/// The default flags would follow --mlir-print-debuginfo, and number the values
/// of the whole module for each kernel.
inline std::string printKernel(mlir::Operation *kernel) {
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, mlir::OpPrintingFlags()
                        .useLocalScope()
                        .enableDebugInfo(false)
                        .printNameLocAsPrefix(false));
  return text;
}

} // namespace hadal
