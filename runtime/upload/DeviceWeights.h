// The parameters of an artifact in the memory of a device that does not share
// the host's.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "runtime/device/Driver.h"
#include "runtime/weights/WeightStore.h"

namespace hadal {

/// What the weight store must resolve on the host for |specs|: element i for
/// parameter i, with the codes of a dequantised one and the float32 of a
/// rounded one as they are in the file, then the scales of the codes.
std::vector<ParameterSpec> hostSpecs(std::span<const ParameterSpec> specs);

/// Bytes that |specs| take of the memory of |driver|. H5006 if they exceed 64
/// bits.
StatusOr<uint64_t> deviceWeightBytes(const Driver &driver,
                                     std::span<const ParameterSpec> specs);

/// Owns one allocation for each parameter.
class DeviceWeights {
public:
  /// Brings |specs| into the memory of |driver| by their upload steps, with
  /// progress, and a line where float32 is rounded to bf16, on stderr unless
  /// |quiet|. |host| has resolved hostSpecs(specs) and is not needed afterwards.
  /// H5006 where memory lacks, H5016 when |interrupt| is set.
  static StatusOr<DeviceWeights> upload(Driver &driver, const WeightStore &host,
                                        std::span<const ParameterSpec> specs,
                                        bool quiet,
                                        const std::atomic<bool> *interrupt =
                                            nullptr);

  size_t size() const { return buffers_.size(); }
  /// The kernel argument of parameter |index|: where its data starts.
  DeviceAddress argument(size_t index) const {
    return buffers_[index].address();
  }
  /// Bytes of all parameters on the device.
  uint64_t bytes() const { return bytes_; }

private:
  std::vector<DeviceBuffer> buffers_;
  uint64_t bytes_ = 0;
};

} // namespace hadal
