// What the session needs of a device. Implementations: runtime/drivers/*; all
// pass the suite in runtime/cts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/artifact/Artifact.h"
#include "runtime/base/Status.h"
#include "runtime/device/Program.h"
#include "runtime/device/Timeline.h"

namespace hadal {

/// Time spent in one kernel since profiling was switched on.
struct KernelTime {
  uint64_t launches = 0;
  double seconds = 0;
};

/// Memory of a device, in bytes.
struct DeviceMemory {
  uint64_t freeBytes = 0;
  uint64_t totalBytes = 0;
};

/// One entry, unrolled and bound to addresses: running it allocates nothing.
class PreparedEntry {
public:
  virtual ~PreparedEntry() = default;
  /// Runs every launch in order, the collectives beside them, and returns when
  /// all have finished. H5017 if the device fails, H5018 if it is the simulator
  /// and a kernel breaks a rule, H6001, H6006 or H6007 if a collective fails.
  virtual Status run() = 0;
  /// When each command of the last run ran, if profiling was on and the device
  /// can tell; else empty. Names live as long as the entry and its artifact.
  virtual std::span<const CommandSpan> timeline() const { return {}; }
};

/// The kernels of one artifact, loaded.
class Executable {
public:
  explicit Executable(const Artifact &artifact) : artifact(artifact) {}
  virtual ~Executable() = default;
  /// The image in use, e.g. "v4+bf16+vbmi".
  virtual std::string_view variant() const = 0;
  /// Binds entry |index| of the artifact. One with collectives runs them by
  /// |endpoint|, which must outlive the result; H6004 if there is none, or if
  /// its communicators are not those of the artifact. Collectives run in the
  /// memory that is bound: no other entry runs while this one does.
  StatusOr<std::unique_ptr<PreparedEntry>>
  prepare(unsigned index, const Bindings &bindings,
          const comm::Endpoint *endpoint = nullptr);
  /// Binds launches of the artifact's kernels; |name| is for messages.
  /// |replayed|: they will run often, one way or another the same. |endpoint|
  /// is null only of a list without collectives. H6005 if the device does not
  /// work with its communicators.
  virtual StatusOr<std::unique_ptr<PreparedEntry>>
  prepare(std::string name, const LaunchList &list, bool replayed,
          const comm::Endpoint *endpoint) = 0;
  /// Starts (and clears) or stops timing of each kernel.
  virtual void setProfiling(bool enabled) = 0;
  /// By kernel index; empty before profiling was switched on.
  virtual std::span<const KernelTime> profile() const = 0;

protected:
  const Artifact &artifact;
};

/// H6005 if the communicators of |endpoint| are not of the kind that the device
/// works with, and |list|, of entry |name|, has collectives.
Status checkCommunicators(std::string_view name, const LaunchList &list,
                          const comm::Endpoint *endpoint, bool hostOrdered);

/// How memory is used: `Sparse` memory is committed when it is touched (a cache
/// of which most pages stay unused).
enum class MemoryUse : uint8_t { Dense, Sparse };

class Driver {
public:
  virtual ~Driver() = default;

  /// "cpu", "cuda", "sim": the name `--device` takes.
  virtual std::string_view name() const = 0;
  /// For people, e.g. "cpu, 2 threads".
  virtual std::string description() const = 0;
  /// The target whose artifacts it runs.
  virtual std::string_view target() const = 0;
  /// True if host pointers are device addresses, so that weights are used where
  /// they are mapped.
  virtual bool sharesHostMemory() const = 0;

  /// Makes the device current in the calling thread, for libraries that take the
  /// current one (NCCL, when a communicator is made). The driver's own functions
  /// do it themselves.
  virtual Status enter() { return {}; }

  /// What can be allocated now.
  virtual StatusOr<DeviceMemory> memory() = 0;
  /// What an allocation of |bytes| takes of it.
  virtual uint64_t footprint(uint64_t bytes) const { return bytes; }
  /// What the driver takes of it besides allocations: code and recorded launches.
  virtual uint64_t overhead() const { return 0; }
  /// |bytes| of zeroed memory, 64-byte aligned (256 where memory is not the
  /// host's), at least one byte. |name| is for messages. H5006.
  virtual StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse use,
                                           std::string_view name) = 0;
  virtual void release(DeviceAddress address, uint64_t bytes) = 0;
  /// Copies between the host and the device; both return when it is done.
  virtual Status write(DeviceAddress to, const void *from, uint64_t bytes) = 0;
  virtual Status read(void *to, DeviceAddress from, uint64_t bytes) = 0;

  /// Writes bytes [begin, end) of an upload to |staging|.
  using FillFunction =
      std::function<void(uint8_t *staging, uint64_t begin, uint64_t end)>;
  /// Writes |bytes| at |to|, produced by |fill| in ascending pieces, so that
  /// producing one overlaps with the transfer of another.
  virtual Status upload(DeviceAddress to, uint64_t bytes,
                        const FillFunction &fill);

  /// Loads the kernels of |artifact|, which must outlive the result. H4007 if
  /// it was built for another target, H5007 if it holds no image that this
  /// device runs.
  virtual StatusOr<std::unique_ptr<Executable>>
  load(const Artifact &artifact) = 0;
};

/// Device memory that is released with its owner.
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceBuffer &&other) noexcept { swap(other); }
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept {
    DeviceBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~DeviceBuffer() {
    if (driver_)
      driver_->release(address_, bytes_);
  }

  static StatusOr<DeviceBuffer> create(Driver &driver, uint64_t bytes,
                                       std::string_view name = "a buffer",
                                       MemoryUse use = MemoryUse::Dense) {
    DeviceBuffer buffer;
    HADAL_ASSIGN_OR_RETURN(buffer.address_, driver.allocate(bytes, use, name));
    buffer.driver_ = &driver;
    buffer.bytes_ = bytes;
    return buffer;
  }

  DeviceAddress address() const { return address_; }
  uint64_t bytes() const { return bytes_; }

private:
  void swap(DeviceBuffer &other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
  }

  Driver *driver_ = nullptr;
  DeviceAddress address_ = 0;
  uint64_t bytes_ = 0;
};

} // namespace hadal
