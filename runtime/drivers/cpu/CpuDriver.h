// The CPU driver: runs machine code of the artifact on a thread pool.
#pragma once

#include <memory>

#include "runtime/device/Driver.h"

namespace hadal::cpu {

struct CpuOptions {
  /// 0: as many as the process may run on.
  unsigned threads = 0;
  /// The best image variant to use; empty: what HADAL_CPU_VARIANT says, else
  /// the best that the CPU runs.
  std::string variant;
};

/// H5007 if the CPU runs no variant or not the one asked for, H5005/H5006 for
/// the threads.
StatusOr<std::unique_ptr<Driver>> createCpuDriver(const CpuOptions &options);

/// Runs |body| on the pool of |driver|, which must be a CPU driver: for
/// measurements beside the kernels.
void parallelFor(Driver &driver, uint64_t items,
                 void (*body)(void *context, uint64_t begin, uint64_t end,
                              unsigned thread),
                 void *context);

} // namespace hadal::cpu
