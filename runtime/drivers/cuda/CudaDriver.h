// The CUDA driver: launches the cubins (or the PTX) of an sm_90a artifact on a
// GPU of compute capability 9.0.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/Driver.h"
#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::cuda {

struct CudaOptions {
  /// Which device; -1: the nth of those that run sm_90a, or the only one.
  int ordinal = -1;
  unsigned nth = 0;
  /// The libcuda to open; empty: what HADAL_LIBCUDA names, else libcuda.so.1.
  std::string library;
};

/// H5007 where there is no driver, no device, or none that runs sm_90a.
StatusOr<std::unique_ptr<Driver>> createCudaDriver(const CudaOptions &options);

/// The device of |driver|, which must be one that createCudaDriver() made.
const CudaDevice &deviceOf(const Driver &driver);

} // namespace hadal::cuda
