#include "runtime/drivers/cuda/PinnedRing.h"

#include <algorithm>
#include <cstring>

namespace hadal::cuda {

PinnedRing::~PinnedRing() {
  if (slots.empty() || !device.enter().ok())
    return;
  (void)device.api().streamSynchronize(device.stream());
  for (Slot &slot : slots) {
    if (slot.done)
      (void)device.api().eventDestroy(slot.done);
    if (slot.memory)
      (void)device.api().memFreeHost(slot.memory);
  }
}

Status PinnedRing::initialize() {
  if (slots.size() == kSlots)
    return {};
  while (slots.size() < kSlots) {
    Slot &slot = slots.emplace_back();
    void *memory = nullptr;
    Result result = device.api().memHostAlloc(&memory, kSlotBytes, 0);
    if (result == kSuccess) {
      slot.memory = static_cast<uint8_t *>(memory);
      result = device.api().eventCreate(&slot.done, kEventDisableTiming);
    }
    if (result != kSuccess) {
      if (slot.memory)
        (void)device.api().memFreeHost(slot.memory);
      slots.pop_back();
      return device.check(result, "page-locked staging memory");
    }
  }
  return {};
}

StatusOr<PinnedRing::Slot *> PinnedRing::acquire() {
  HADAL_RETURN_IF_ERROR(initialize());
  Slot &slot = slots[next];
  next = (next + 1) % kSlots;
  if (slot.busy)
    HADAL_RETURN_IF_ERROR(device.check(device.api().eventSynchronize(slot.done),
                                       "a copy to the device"));
  slot.busy = false;
  return &slot;
}

Status PinnedRing::upload(DevicePointer to, uint64_t bytes,
                          const FillFunction &fill) {
  for (uint64_t begin = 0; begin < bytes; begin += kSlotBytes) {
    const uint64_t end = std::min(bytes, begin + kSlotBytes);
    HADAL_ASSIGN_OR_RETURN(Slot * slot, acquire());
    fill(slot->memory, begin, end);
    HADAL_RETURN_IF_ERROR(
        device.check(device.api().memcpyHtoDAsync(to + begin, slot->memory,
                                                  end - begin, device.stream()),
                     "a copy to the device"));
    HADAL_RETURN_IF_ERROR(
        device.check(device.api().eventRecord(slot->done, device.stream()),
                     "cuEventRecord"));
    slot->busy = true;
  }
  return {};
}

Status PinnedRing::download(void *to, DevicePointer from, uint64_t bytes) {
  for (uint64_t begin = 0; begin < bytes; begin += kSlotBytes) {
    const uint64_t size = std::min(bytes - begin, kSlotBytes);
    HADAL_ASSIGN_OR_RETURN(Slot * slot, acquire());
    HADAL_RETURN_IF_ERROR(
        device.check(device.api().memcpyDtoHAsync(slot->memory, from + begin,
                                                  size, device.stream()),
                     "a copy from the device"));
    HADAL_RETURN_IF_ERROR(device.synchronize("a copy from the device"));
    std::memcpy(static_cast<uint8_t *>(to) + begin, slot->memory, size);
  }
  return {};
}

} // namespace hadal::cuda
