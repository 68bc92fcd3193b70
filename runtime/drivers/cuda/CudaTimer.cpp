#include "runtime/drivers/cuda/CudaTimer.h"

#include <algorithm>

#include "runtime/drivers/cuda/CudaDriver.h"
#include "runtime/drivers/cuda/CudaPreparedEntry.h"

namespace hadal::cuda {

/// What stays dirty in the cache after it was emptied.
static constexpr uint64_t kSinkBytes = uint64_t(4) << 20;

StatusOr<std::unique_ptr<CudaTimer>> CudaTimer::create(Driver &driver) {
  std::unique_ptr<CudaTimer> timer(new CudaTimer(deviceOf(driver)));
  // Both halves of the cache may hold a line.
  const uint64_t pieces =
      std::max<uint64_t>(1, 4 * timer->device_.l2Bytes() / kSinkBytes);
  HADAL_ASSIGN_OR_RETURN(timer->source,
                         DeviceBuffer::create(driver, pieces * kSinkBytes,
                                              "emptying the cache"));
  HADAL_ASSIGN_OR_RETURN(
      timer->sink,
      DeviceBuffer::create(driver, kSinkBytes, "emptying the cache"));
  return timer;
}

CudaTimer::~CudaTimer() {
  if (events.empty() || !device_.enter().ok())
    return;
  (void)device_.api().streamSynchronize(device_.stream());
  for (Event event : events)
    (void)device_.api().eventDestroy(event);
}

Status CudaTimer::record(size_t index) {
  while (events.size() <= index) {
    Event event = nullptr;
    HADAL_RETURN_IF_ERROR(device_.check(
        device_.api().eventCreate(&event, kEventDefault), "cuEventCreate"));
    events.push_back(event);
  }
  return device_.check(
      device_.api().eventRecord(events[index], device_.stream()),
      "cuEventRecord");
}

Status CudaTimer::emptyCache() {
  const Api &api = device_.api();
  // Keeps the device busy while the host queues what follows: a device that
  // waits for the host would count its waiting as the work's.
  HADAL_RETURN_IF_ERROR(device_.check(
      api.memsetD8Async(source.address(), 1, source.bytes(), device_.stream()),
      "cuMemsetD8Async"));
  for (uint64_t at = 0; at < source.bytes(); at += kSinkBytes)
    HADAL_RETURN_IF_ERROR(device_.check(
        api.memcpyDtoDAsync(sink.address(), source.address() + at, kSinkBytes,
                            device_.stream()),
        "cuMemcpyDtoDAsync"));
  return {};
}

StatusOr<std::vector<double>>
CudaTimer::time(const std::function<Status()> &enqueue, unsigned repeats) {
  HADAL_RETURN_IF_ERROR(device_.enter());
  HADAL_RETURN_IF_ERROR(enqueue());
  for (unsigned i = 0; i < repeats; ++i) {
    HADAL_RETURN_IF_ERROR(emptyCache());
    HADAL_RETURN_IF_ERROR(record(2 * i));
    HADAL_RETURN_IF_ERROR(enqueue());
    HADAL_RETURN_IF_ERROR(record(2 * i + 1));
  }
  HADAL_RETURN_IF_ERROR(device_.synchronize("timed work"));
  std::vector<double> seconds;
  for (unsigned i = 0; i < repeats; ++i) {
    float milliseconds = 0;
    HADAL_RETURN_IF_ERROR(
        device_.check(device_.api().eventElapsedTime(
                          &milliseconds, events[2 * i], events[2 * i + 1]),
                      "cuEventElapsedTime"));
    seconds.push_back(milliseconds * 1e-3);
  }
  return seconds;
}

StatusOr<std::vector<double>> CudaTimer::time(PreparedEntry &entry,
                                              unsigned repeats) {
  auto &prepared = static_cast<CudaPreparedEntry &>(entry);
  return time([&] { return prepared.enqueue(); }, repeats);
}

} // namespace hadal::cuda
