// What the machine itself can do, measured in the same run as the kernels.
#pragma once

#include <optional>
#include <string>

#include "runtime/device/Driver.h"
#include "runtime/drivers/cuda/CudaTimer.h"

namespace hadal::bench {

struct MachineRates {
  /// Bytes read plus bytes written per second by a copy larger than any cache,
  /// and what copied.
  double copyBytesPerSecond = 0;
  std::string copyBy;
  /// Operations per second in bf16, multiply and add counted as two, and by
  /// what; 0 if nothing here can tell.
  double bf16FlopsPerSecond = 0;
  std::string bf16By;
};

/// Nullopt for a device that has no rates of its own (the simulator). On a CPU
/// the best of a few runs: a copy by all threads, and a contraction in
/// registers. On a GPU (|timer| is then not null) the medians of a copy within
/// its memory, as any program makes it, and of cuBLASLt's 8192^3 product; where
/// cuBLASLt cannot be used, bf16By says why.
StatusOr<std::optional<MachineRates>> measureRates(Driver &driver,
                                                   cuda::CudaTimer *timer);

} // namespace hadal::bench
