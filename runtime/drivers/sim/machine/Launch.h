// Launching a kernel on the simulator.
#pragma once

#include <span>

#include "runtime/drivers/sim/memory/Memory.h"
#include "runtime/drivers/sim/monitors/Report.h"
#include "runtime/drivers/sim/ptx/Ptx.h"

namespace hadal::sim {

/// When a queued asynchronous operation (TMA, wgmma, bulk copy, cp.async) takes
/// effect. Every test runs both: eager catches missing waits for *empty*
/// stages, lazy catches missing waits for *full* ones.
enum class AsyncPolicy : uint8_t {
  eager, ///< at issue
  lazy,  ///< when a wait needs it, or nothing else can run
};

/// How FP8 wgmma accumulates.
enum class Fp8Accumulate : uint8_t {
  exact,    ///< the exact sum of the products and c, rounded once to f32
  hopper13, ///< aligned to the largest exponent, truncated to 13 bits
};

struct LaunchConfig {
  uint32_t grid[3] = {1, 1, 1};
  uint32_t block[3] = {1, 1, 1};
  uint32_t sharedBytes = 0; ///< dynamic
  uint32_t cluster[3] = {1, 1, 1};
  /// Launched with programmatic stream serialization: until
  /// griddepcontrol.wait nothing that the previous launches wrote may be
  /// touched; without it the launch starts after everything before it.
  bool pdl = false;
};

struct Options {
  AsyncPolicy policy = AsyncPolicy::eager;
  Fp8Accumulate fp8Accumulate = Fp8Accumulate::exact;
  uint64_t seed = 0;         ///< permutes the order of the CTAs
  bool checkRaces = true;    ///< race and proxy checks
  uint64_t instructionLimit = 4'000'000'000; ///< warp instructions per CTA
  /// Host threads that run CTAs of a kernel without atomics, strong accesses or
  /// reductions of global memory; others run on one. Results and findings do
  /// not depend on it unless CTAs race.
  unsigned threads = 1;
};

/// Runs |kernel| of |module| to its end and reports. |parameters| is the
/// parameter block, laid out as Kernel::parameters says. Findings do not stop a
/// launch; a CTA that deadlocks, traps or runs too long is abandoned, and then
/// the launch ends.
///
/// Errors: H5021 no such kernel; H5022 a configuration that no GPU accepts
/// (block over 1024 threads or not the kernel's .reqntid, shared memory over
/// sm90a::kMaxSharedBytes, wrong parameter size, empty grid).
StatusOr<Report> launch(const PtxModule &module, std::string_view kernel,
                        const LaunchConfig &config,
                        std::span<const uint8_t> parameters, Memory &memory,
                        const Options &options);

} // namespace hadal::sim
