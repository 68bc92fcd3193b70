// The kernels that a tuning session is about.
#pragma once

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

} // namespace hadal::tune
