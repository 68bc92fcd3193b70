// The kernels that a tuning session is about.
#pragma once

#include "compiler/driver/Compiler.h"
#include "kernels/KernelSpecs.h"
#include "runtime/base/Status.h"
#include "schedule/Space.h"

namespace hadal::tune {

struct TunedKernel {
  std::string name; ///< symbol
  kernels::AnySpec spec;
  schedule::Words words; ///< as the program has them
};

struct KernelSet {
  schedule::Target target = schedule::allTargets().front();
  const nvptx::Chip *chip = nullptr; ///< null where the target has none
  std::vector<TunedKernel> kernels;  ///< in the program's order
  size_t specless = 0;               ///< written by hand: no schedules
};

struct InputOptions {
  /// A model directory or config file, an IR file of phase lower (*.mlir), or
  /// an artifact (*.hadal).
  std::string input;
  /// Of a model directory: hadal-compile's options of these names; an IR file
  /// or an artifact says them itself.
  std::string target, chip;
  std::string only; ///< regular expression on the names
  bool quiet = false;
};

/// Reads the kernels of |options|.input. H5011 where |only| is no regular
/// expression or matches none; else the errors of compiler and artifact. The
/// compiler's progress goes to stderr unless |quiet|.
StatusOr<KernelSet> readKernels(const InputOptions &options);

/// Whether the compiler makes |options|.input into kernels: no artifact.
bool isCompiled(const InputOptions &options);
/// What the compiler is asked for of such an input.
CompileRequest requestOf(const InputOptions &options);
/// Runs the compiler; its error.
Status runCompiler(const CompileRequest &request, bool quiet);
/// Adds the kernels of |module|, which has been through phase lower.
Status readModule(mlir::ModuleOp module, KernelSet &set);
/// Leaves those that |options|.only matches. H5011 where it is no regular
/// expression or matches none.
Status selectKernels(const InputOptions &options, KernelSet &set);

} // namespace hadal::tune
