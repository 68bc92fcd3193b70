// hadal-bench --tune-plan: the candidates of an artifact, checked and timed
// against their defaults, in a process without a compiler.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/device/Driver.h"
#include "runtime/tune/Session.h"

namespace hadal::bench {

struct TuneBenchOptions {
  std::string plan; ///< file
  uint64_t seed = 1;
  double budget = 0; ///< seconds; 0: no limit
  /// Called after each kernel, so that what is decided is kept.
  std::function<Status()> checkpoint;
  const std::atomic<bool> *interrupt = nullptr;
};

/// Runs the plan, kernels of the most operations in a step first; prints a line
/// a kernel, and for each winner the option of hadal-compile that asks for it;
/// adds everything to |json|. Needs a driver that works in the host's memory.
/// H5011 for a plan that is not of |artifact|, H5016 if it was interrupted,
/// H5019 if a default is wrong.
Status runTuneBench(Driver &driver, const Artifact &artifact,
                    const TuneBenchOptions &options,
                    nlohmann::ordered_json &json);

} // namespace hadal::bench
