// Times on the GPU's own clock, for benchmarks.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/device/Driver.h"
#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::cuda {

/// Times work between two events. Before each run the L2 cache is emptied by
/// reads: after writes the work would pay for writing back what they left.
class CudaTimer {
public:
  /// |driver| must be one that createCudaDriver() made, and outlive the result.
  /// H5006 for the buffers that empty the cache.
  static StatusOr<std::unique_ptr<CudaTimer>> create(Driver &driver);
  ~CudaTimer();

  /// The seconds of each of |repeats| runs of what |enqueue| puts on the
  /// device's stream, after one that is not timed. Waits for all of them.
  StatusOr<std::vector<double>>
  time(const std::function<Status()> &enqueue, unsigned repeats);
  /// The same of |entry|, which an executable of this driver prepared.
  StatusOr<std::vector<double>> time(PreparedEntry &entry, unsigned repeats);

  const CudaDevice &device() const { return device_; }

private:
  explicit CudaTimer(const CudaDevice &device) : device_(device) {}
  Status record(size_t index);
  Status emptyCache();

  const CudaDevice &device_;
  DeviceBuffer source, sink;
  std::vector<Event> events;
};

} // namespace hadal::cuda
