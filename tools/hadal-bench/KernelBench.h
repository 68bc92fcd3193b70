// hadal-bench --kernels: each kernel of an artifact alone.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/device/Driver.h"

namespace hadal::bench {

struct KernelBenchOptions {
  /// ECMAScript regular expression that a kernel's name must hold.
  std::string pattern;
  uint64_t seed = 1;
  /// Seconds of launches that a time is taken from, and how many times.
  double seconds = 0.1;
  unsigned rounds = 3;
  /// Numerics only.
  bool checkOnly = false;
  /// Called after each kernel, so that a run that is cut off, or a device that
  /// hangs, leaves the figures of those before.
  std::function<Status()> checkpoint;
  /// Ends the run between two kernels, with H5016.
  const std::atomic<bool> *interrupt = nullptr;
};

/// Runs every kernel of |artifact| whose name matches on |driver| with random
/// inputs of its bucket (skewed experts, ragged sequences), checks the result
/// against references in double, then times it. Prints a table and adds the
/// figures to |json|. H5011 for a bad pattern or one that no kernel matches,
/// H5019 when a kernel computes something wrong.
Status runKernelBench(Driver &driver, const Artifact &artifact,
                      const KernelBenchOptions &options,
                      nlohmann::ordered_json &json);

} // namespace hadal::bench
