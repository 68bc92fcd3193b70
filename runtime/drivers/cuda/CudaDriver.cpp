#include "runtime/drivers/cuda/CudaDriver.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/Checked.h"
#include "runtime/base/Progress.h"
#include "runtime/drivers/cuda/CudaExecutable.h"
#include "runtime/drivers/cuda/PinnedRing.h"

namespace hadal::cuda {

namespace {

constexpr uint64_t kPageBytes = uint64_t(2) << 20;
/// Modules of some 100 kernels and graphs of some 1000 launches a decode
/// bucket, each with up to 4 KiB of parameters, with room to spare.
constexpr uint64_t kOverheadBytes = uint64_t(256) << 20;

class CudaDriver final : public Driver {
public:
  explicit CudaDriver(std::unique_ptr<CudaDevice> opened)
      : device(std::move(opened)), ring(*device) {}

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    return fmt::format("cuda:{}, {}", device->ordinal(), device->name());
  }
  std::string_view target() const override { return "sm_90a"; }
  bool sharesHostMemory() const override { return false; }

  Status enter() override { return device->enter(); }

  StatusOr<DeviceMemory> memory() override {
    HADAL_RETURN_IF_ERROR(device->enter());
    size_t free = 0, total = 0;
    HADAL_RETURN_IF_ERROR(
        device->check(device->api().memGetInfo(&free, &total), "cuMemGetInfo"));
    return DeviceMemory{free, total};
  }

  uint64_t footprint(uint64_t bytes) const override {
    // Large allocations are whole pages of 2 MiB, small ones share them.
    const uint64_t unit = bytes > kPageBytes / 2 ? kPageBytes : 512;
    return checkedAlignUp(bytes, unit).value_or(bytes);
  }
  uint64_t overhead() const override { return kOverheadBytes; }
  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse,
                                   std::string_view name) override {
    HADAL_RETURN_IF_ERROR(device->enter());
    auto held = device->lock();
    DevicePointer pointer = 0;
    Result result =
        device->api().memAlloc(&pointer, std::max<uint64_t>(bytes, 1));
    if (result == kOutOfMemory) {
      HADAL_ASSIGN_OR_RETURN(DeviceMemory now, memory());
      return error(5006,
                   "cannot allocate {} for {} on {}: {} of {} are free; use a "
                   "smaller batch or sequence length",
                   formatBytes(bytes), name, description(),
                   formatBytes(now.freeBytes), formatBytes(now.totalBytes));
    }
    HADAL_RETURN_IF_ERROR(device->check(result, "cuMemAlloc"));
    Status zeroed = device->check(
        device->api().memsetD8Async(pointer, 0, std::max<uint64_t>(bytes, 1),
                                    device->stream()),
        "cuMemsetD8Async");
    if (!zeroed.ok()) {
      (void)device->api().memFree(pointer);
      return zeroed;
    }
    return pointer;
  }

  void release(DeviceAddress address, uint64_t) override {
    // A device that failed reports it again here; it has been said.
    if (!device->enter().ok())
      return;
    auto held = device->lock();
    (void)device->api().memFree(address);
  }

  Status write(DeviceAddress to, const void *from, uint64_t bytes) override {
    return upload(
        to, bytes, [&](uint8_t *staging, uint64_t begin, uint64_t end) {
          std::memcpy(staging, static_cast<const uint8_t *>(from) + begin,
                      end - begin);
        });
  }
  Status upload(DeviceAddress to, uint64_t bytes,
                const FillFunction &fill) override {
    HADAL_RETURN_IF_ERROR(device->enter());
    auto held = device->lock();
    return ring.upload(to, bytes, fill);
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    HADAL_RETURN_IF_ERROR(device->enter());
    auto held = device->lock();
    return ring.download(to, from, bytes);
  }

  StatusOr<std::unique_ptr<Executable>>
  load(const Artifact &artifact) override {
    if (artifact.target() != target())
      return error(4007,
                   "artifact '{}' was built for target '{}', device 'cuda' "
                   "runs 'sm_90a'; compile with --target=sm_90a",
                   artifact.path(), artifact.target());
    HADAL_RETURN_IF_ERROR(device->enter());
    return CudaExecutable::load(*this, *device, artifact);
  }

  const CudaDevice &openedDevice() const { return *device; }

private:
  // In this order: the ring uses the device until it is gone.
  std::unique_ptr<CudaDevice> device;
  PinnedRing ring;
};

} // namespace

StatusOr<std::unique_ptr<Driver>> createCudaDriver(const CudaOptions &options) {
  HADAL_ASSIGN_OR_RETURN(CudaLibrary library,
                         CudaLibrary::open(options.library));
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<CudaDevice> device,
      CudaDevice::open(std::move(library), options.ordinal, options.nth));
  return std::unique_ptr<Driver>(
      std::make_unique<CudaDriver>(std::move(device)));
}

const CudaDevice &deviceOf(const Driver &driver) {
  return static_cast<const CudaDriver &>(driver).openedDevice();
}

} // namespace hadal::cuda
