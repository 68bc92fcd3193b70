// What the machine itself can do, measured in the same run as the kernels.
#pragma once

#include <optional>

#include "runtime/device/Driver.h"

namespace hadal::bench {

struct MachineRates {
  /// Bytes read plus bytes written per second by a copy larger than any cache.
  double copyBytesPerSecond = 0;
  /// Of a bf16 contraction in registers: multiply and add count as two.
  double bf16FlopsPerSecond = 0;
};

/// Nullopt for a device that has no rates of its own (the simulator).
StatusOr<std::optional<MachineRates>> measureRates(Driver &driver);

} // namespace hadal::bench
