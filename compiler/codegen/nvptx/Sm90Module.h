// All kernels of a program for sm_90a: compiled in parallel, taken from the
// cache where it has them, assembled if there is a ptxas.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "compiler/codegen/nvptx/CompiledKernel.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"

namespace hadal::nvptx {

struct Sm90Options {
  const Chip *chip = nullptr;
  /// Compiler threads; 0: one per core. The results do not depend on it.
  unsigned threads = 0;
  /// None: the kernels stay PTX.
  std::optional<Ptxas> ptxas;
  /// Without one (the default), every kernel is compiled.
  KernelCache cache;
  /// What compileKernel does; replaced by tests.
  std::function<mlir::FailureOr<Sm90Kernel>(tile::KernelOp, const Chip &)>
      compile = compileKernel;
};

struct Sm90Module {
  /// In the order of the module.
  std::vector<CompiledKernel> kernels;
  /// How many of them came from the cache.
  unsigned cached = 0;
  /// Why the cache could not keep a kernel, if so; the first reason.
  std::string cacheProblem;
};

/// Compiles every tile.kernel of |module|, which is left unchanged. Every kernel
/// that fails is reported: the error at its op, H3005 for ptxas. |registry|
/// holds the dialects of the kernels.
mlir::LogicalResult compileSm90Kernels(mlir::ModuleOp module,
                                       const mlir::DialectRegistry &registry,
                                       const Sm90Options &options,
                                       Sm90Module &out);

} // namespace hadal::nvptx
