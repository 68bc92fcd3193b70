// The arguments of a kernel case in a device's memory.
#pragma once

#include <deque>

#include "runtime/device/Driver.h"
#include "tools/hadal-bench/kernels/KernelCase.h"

namespace hadal::bench {

class DeviceArguments {
public:
  /// Brings |arguments|, which must outlive the result, to |driver|'s memory as
  /// kernels of its target read them (docs/artifact.md): in place, with pointer
  /// tables, where it is the host's (kernels then write into |arguments|); else
  /// copied, rows of bf16 and e4m3fn padded to 16 bytes. H5006.
  static StatusOr<DeviceArguments> create(Driver &driver,
                                          Arguments &arguments);

  /// The 8 bytes of slot |name| ("x", "x.scale"); nullopt for a name that is no
  /// argument of the case.
  std::optional<uint64_t> slot(std::string_view name) const;
  /// Argument |name| as it is now.
  StatusOr<Tensor> read(std::string_view name) const;
private:
  Status add(const std::string &name, const Tensor &tensor);
  StatusOr<uint64_t> copyOf(std::string_view name, uint64_t bytes,
                            const Driver::FillFunction &fill);
  StatusOr<uint64_t> table(const std::vector<uint64_t> &pointers);

  Driver *driver = nullptr;
  const Arguments *source = nullptr;
  std::deque<DeviceBuffer> buffers;
  struct Place {
    uint64_t data = 0, scale = 0;         // what the slots hold
    uint64_t dataBlock = 0, scaleBlock = 0; // where the bytes are
  };
  std::map<std::string, Place, std::less<>> places;
};

/// Bytes from row to row of |tensor| on |driver|'s target.
uint64_t rowPitch(const Driver &driver, const Tensor &tensor);

} // namespace hadal::bench
