// Page-locked staging memory for copies between host and device.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::cuda {

/// A few pinned slots used in turn: while one is on its way to the device, the
/// next is filled. Allocated at first use.
class PinnedRing {
public:
  static constexpr uint64_t kSlotBytes = uint64_t(4) << 20;
  static constexpr unsigned kSlots = 4;

  explicit PinnedRing(const CudaDevice &device) : device(device) {}
  ~PinnedRing();
  PinnedRing(const PinnedRing &) = delete;
  PinnedRing &operator=(const PinnedRing &) = delete;

  using FillFunction =
      std::function<void(uint8_t *staging, uint64_t begin, uint64_t end)>;
  /// Copies |bytes| produced by |fill| to |to|, in order on the stream. Returns
  /// when all of it has been produced; later work of the stream sees it.
  Status upload(DevicePointer to, uint64_t bytes, const FillFunction &fill);
  /// Copies |bytes| at |from| to the host, after all earlier work.
  Status download(void *to, DevicePointer from, uint64_t bytes);

private:
  struct Slot {
    uint8_t *memory = nullptr;
    Event done = nullptr;
    bool busy = false;
  };
  Status initialize();
  /// The next slot, when the device has read what was in it.
  StatusOr<Slot *> acquire();

  const CudaDevice &device;
  std::vector<Slot> slots;
  unsigned next = 0;
};

} // namespace hadal::cuda
