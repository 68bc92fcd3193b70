#include "runtime/drivers/cuda/CudaCollectives.h"

namespace hadal::cuda {

CudaCollectives::CudaCollectives(const CudaDevice &device,
                                 const LaunchList &list,
                                 const comm::Endpoint *endpoint)
    : device(device), list(list), endpoint(endpoint) {}

CudaCollectives::~CudaCollectives() {
  if (!collectives || !device.enter().ok())
    return;
  (void)device.api().streamSynchronize(collectives);
  for (const std::vector<Event> *list : {&events, &times})
    for (Event event : *list)
      (void)device.api().eventDestroy(event);
  if (reached)
    (void)device.api().memFreeHost(reached);
}

Status CudaCollectives::create(std::vector<Event> &events, size_t count,
                               unsigned flags) const {
  while (events.size() < count) {
    Event event = nullptr;
    HADAL_RETURN_IF_ERROR(
        device.check(device.api().eventCreate(&event, flags), "cuEventCreate"));
    events.push_back(event);
  }
  return {};
}

Status CudaCollectives::initialize() {
  HADAL_ASSIGN_OR_RETURN(collectives, device.collectiveStream());
  HADAL_RETURN_IF_ERROR(
      create(events, list.numEvents + 2, kEventDisableTiming));
  if (timed)
    HADAL_RETURN_IF_ERROR(
        create(times, 2 * list.collectives.size(), kEventDefault));
  if (reached)
    return {};
  void *memory = nullptr;
  HADAL_RETURN_IF_ERROR(
      device.check(device.api().memHostAlloc(&memory, sizeof(*reached), 0),
                   "page-locked memory for the progress of collectives"));
  reached = static_cast<uint32_t *>(memory);
  restart(); // it is not zeroed
  return {};
}

Status CudaCollectives::record(Event event, Stream stream) const {
  return device.check(device.api().eventRecord(event, stream), "cuEventRecord");
}

Status CudaCollectives::wait(Event event, Stream stream) const {
  return device.check(device.api().streamWaitEvent(stream, event, 0),
                      "cuStreamWaitEvent");
}

Status CudaCollectives::note(uint32_t value) const {
  // Page-locked memory has one address for the host and the device.
  return device.check(
      device.api().streamWriteValue32(
          collectives, reinterpret_cast<DevicePointer>(reached), value, 0),
      "cuStreamWriteValue32");
}

Status CudaCollectives::begin(bool timed) {
  this->timed = timed;
  if (empty())
    return {};
  HADAL_RETURN_IF_ERROR(initialize());
  next = 0;
  started = awaited = 0;
  complete.assign(list.numEvents, 0);
  const Event fork = events[list.numEvents];
  HADAL_RETURN_IF_ERROR(record(fork, device.stream()));
  return wait(fork, collectives);
}

Status CudaCollectives::end() {
  if (empty())
    return {};
  const Event join = events[list.numEvents + 1];
  HADAL_RETURN_IF_ERROR(record(join, collectives));
  return wait(join, device.stream());
}

Status CudaCollectives::enqueueBefore(size_t launch,
                                      std::optional<uint32_t> &waits) {
  for (; next < list.commands.size() && list.commands[next].position == launch;
       ++next) {
    const RankCommand &command = list.commands[next];
    switch (command.kind) {
    case RankCommand::Kind::start:
      HADAL_RETURN_IF_ERROR(start(command.index));
      break;
    case RankCommand::Kind::record:
      HADAL_RETURN_IF_ERROR(
          record(events[command.index], streamOf(command.stream)));
      complete[command.index] =
          command.stream == kCollectiveStream ? started : awaited;
      break;
    case RankCommand::Kind::wait:
      HADAL_RETURN_IF_ERROR(
          wait(events[command.index], streamOf(command.stream)));
      if (command.stream == kLaunchStream &&
          complete[command.index] > awaited) {
        awaited = complete[command.index];
        waits = awaited - 1;
      }
      break;
    }
  }
  return {};
}

Status CudaCollectives::start(uint32_t index) {
  const Collective &collective = list.collectives[index];
  ++started;
  HADAL_RETURN_IF_ERROR(note(2 * index + 1));
  if (timed)
    HADAL_RETURN_IF_ERROR(record(begun(index), collectives));
  HADAL_RETURN_IF_ERROR(
      endpoint->communicators[collective.communicator]->enqueue(
          collective.operation, collectives));
  if (timed)
    HADAL_RETURN_IF_ERROR(record(completed(index), collectives));
  return note(2 * index + 2);
}

void CudaCollectives::restart() {
  if (reached)
    __atomic_store_n(reached, 0, __ATOMIC_RELEASE);
}

StatusOr<bool> CudaCollectives::isAt(uint32_t value) const {
  auto come = [&] {
    return __atomic_load_n(reached, __ATOMIC_ACQUIRE) >= value;
  };
  if (come())
    return true;
  // A kernel that fails would be waited for in vain.
  const Result result = device.api().streamQuery(device.stream());
  if (result != kSuccess && result != kNotReady)
    return device.check(result, "kernels beside a collective");
  return come();
}

Status CudaCollectives::await() const {
  // Collectives are in the list as they are started.
  for (uint32_t i = 0; i < list.collectives.size(); ++i) {
    const Collective &collective = list.collectives[i];
    HADAL_RETURN_IF_ERROR(
        endpoint->communicators[collective.communicator]->await(
            collective.operation, [&] { return isAt(2 * i + 1); },
            [&] { return isAt(2 * i + 2); }, endpoint->timeout));
  }
  return {};
}

} // namespace hadal::cuda
