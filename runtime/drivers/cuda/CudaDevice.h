// One GPU: its context, its stream and its facts.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "runtime/drivers/cuda/CudaLibrary.h"

namespace hadal::cuda {

/// What sm_90a code runs on: it is not forward compatible.
inline constexpr int kCapabilityMajor = 9;
inline constexpr int kCapabilityMinor = 0;
/// Programmatic dependent launches inside a graph need CUDA 12.3.
inline constexpr int kMinimumDriver = 12030;

class CudaDevice {
public:
  /// Opens device |ordinal|, or with -1 the |nth| of those of compute capability
  /// 9.0; one that is there alone is everybody's.
  /// H5007: the driver is a stub or too old, there is no device, no such
  /// ordinal, none of that capability (those found are named), or several and
  /// no |nth|.
  static StatusOr<std::unique_ptr<CudaDevice>>
  open(CudaLibrary library, int ordinal, unsigned nth = 0);
  ~CudaDevice();
  CudaDevice(const CudaDevice &) = delete;
  CudaDevice &operator=(const CudaDevice &) = delete;

  const CudaLibrary &library() const { return library_; }
  const Api &api() const { return library_.api(); }
  Status check(Result result, const char *what) const {
    return library_.check(result, what);
  }

  /// Makes the context current in the calling thread. Every entry into the
  /// driver does it first: a session may be stepped from any thread.
  Status enter() const;
  /// The stream of all work of this device but collectives.
  Stream stream() const { return stream_; }
  /// That of collectives; made at the first call. For a thread that has entered
  /// and holds the lock. H5017.
  StatusOr<Stream> collectiveStream() const;
  /// Held by a thread while it puts several things on the stream that belong
  /// together, or changes what threads share: a capture, which would take in
  /// another's memset; the staging ring; the table of loaded kernels. Sessions
  /// are created by several threads, also while one steps.
  std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  /// Waits for the stream; errors of kernels appear here, as H5017.
  Status synchronize(const std::string &what) const;

  const std::string &name() const { return name_; } // "NVIDIA H100 80GB HBM3"
  int ordinal() const { return ordinal_; }
  unsigned multiprocessors() const { return multiprocessors_; }
  /// Bytes of shared memory that a block can opt in to.
  uint64_t sharedBytes() const { return sharedBytes_; }
  uint64_t l2Bytes() const { return l2Bytes_; }
  int driverVersion() const { return driverVersion_; }

private:
  explicit CudaDevice(CudaLibrary library) : library_(std::move(library)) {}
  Status initialize(int ordinal, unsigned nth);
  Status choose(int ordinal, unsigned nth, int count);

  CudaLibrary library_;
  mutable std::mutex mutex_;
  int driverVersion_ = 0;
  int ordinal_ = -1;
  Device device_ = 0;
  std::string name_;
  unsigned multiprocessors_ = 0;
  uint64_t sharedBytes_ = 0, l2Bytes_ = 0;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
  mutable Stream collectiveStream_ = nullptr;
};

} // namespace hadal::cuda
