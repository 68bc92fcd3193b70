#include "runtime/drivers/cuda/CudaPreparedEntry.h"

namespace hadal::cuda {

CudaPreparedEntry::CudaPreparedEntry(CudaExecutable &executable,
                                     std::string name, bool replayed,
                                     const LaunchList &list, GpuProgram program,
                                     const comm::Endpoint *endpoint)
    : executable(executable), device(executable.device), name(std::move(name)),
      replayed(replayed), list(list), program(std::move(program)),
      collectives(device, this->list, endpoint) {
  // They are in the program.
  this->list.launches = {};
  this->list.args = {};
}

CudaPreparedEntry::~CudaPreparedEntry() {
  if ((!graph && events.empty()) || !device.enter().ok())
    return;
  (void)device.api().streamSynchronize(device.stream());
  if (graph)
    (void)device.api().graphExecDestroy(graph);
  for (Event event : events)
    (void)device.api().eventDestroy(event);
}

Status CudaPreparedEntry::failed(const GpuLaunch &launch, Result result) const {
  const schema::Kernel &kernel =
      *executable.artifact.root().kernels()->Get(launch.kernel);
  return error(5017,
               "kernel '{}' of entry '{}' cannot be launched with {} blocks of "
               "{} threads and {} bytes of shared memory: {}",
               kernel.name()->string_view(), name, launch.grid,
               kernel.threads(), kernel.shared_bytes(),
               device.library().describe(result));
}

Status CudaPreparedEntry::launch(const GpuLaunch &launch, bool overlaps) {
  const schema::Kernel &kernel =
      *executable.artifact.root().kernels()->Get(launch.kernel);
  const auto &loaded = executable.kernels[launch.kernel];
  arguments.clear();
  for (uint32_t offset : loaded.offsets)
    arguments.push_back(program.parameters.data() + launch.firstByte + offset);
  LaunchAttribute attribute = {};
  attribute.id = kProgrammaticStreamSerialization;
  attribute.value.flag = 1;
  LaunchConfig config = {};
  config.gridX = launch.grid;
  config.blockX = kernel.threads();
  config.gridY = config.gridZ = config.blockY = config.blockZ = 1;
  config.sharedBytes = static_cast<unsigned>(kernel.shared_bytes());
  config.stream = device.stream();
  config.attributes = overlaps ? &attribute : nullptr;
  config.numAttributes = overlaps;
  Result result = device.api().launchKernelEx(&config, loaded.function,
                                              arguments.data(), nullptr);
  return result == kSuccess ? Status() : failed(launch, result);
}

Status CudaPreparedEntry::launchAll(bool overlaps) {
  HADAL_RETURN_IF_ERROR(collectives.begin());
  for (size_t i = 0; i < program.launches.size(); ++i) {
    // Programmatic serialisation covers the launch before and no collective.
    std::optional<uint32_t> waits;
    HADAL_RETURN_IF_ERROR(collectives.enqueueBefore(i, waits));
    HADAL_RETURN_IF_ERROR(launch(program.launches[i], overlaps && !waits));
  }
  std::optional<uint32_t> waits;
  HADAL_RETURN_IF_ERROR(
      collectives.enqueueBefore(program.launches.size(), waits));
  return collectives.end();
}

Status CudaPreparedEntry::runDirectly() {
  auto held = device.lock();
  collectives.restart();
  return launchAll(/*overlaps=*/true);
}

Status CudaPreparedEntry::enqueue() { return launchAll(/*overlaps=*/false); }

Status CudaPreparedEntry::capture() {
  auto held = device.lock();
  HADAL_RETURN_IF_ERROR(device.check(
      device.api().streamBeginCapture(device.stream(), kCaptureModeThreadLocal),
      "cuStreamBeginCapture"));
  Status launched = launchAll(/*overlaps=*/true);
  // Ends the capture also when a launch failed: the stream must be usable.
  Graph captured = nullptr;
  Result ended = device.api().streamEndCapture(device.stream(), &captured);
  if (launched.ok())
    launched = device.check(ended, "cuStreamEndCapture");
  if (launched.ok())
    launched = device.check(device.api().graphInstantiate(&graph, captured, 0),
                            "cuGraphInstantiateWithFlags");
  if (ended == kSuccess && captured)
    (void)device.api().graphDestroy(captured);
  return launched;
}

Status CudaPreparedEntry::runProfiled() {
  const Api &api = device.api();
  const size_t launches = program.launches.size();
  while (events.size() < 2 * launches + 1) {
    Event event = nullptr;
    HADAL_RETURN_IF_ERROR(
        device.check(api.eventCreate(&event, kEventDefault), "cuEventCreate"));
    events.push_back(event);
  }
  auto record = [&](size_t i) {
    return device.check(api.eventRecord(events[i], device.stream()),
                        "cuEventRecord");
  };
  std::vector<std::optional<uint32_t>> waits(launches + 1);
  Clock::time_point begin;
  {
    auto held = device.lock();
    HADAL_RETURN_IF_ERROR(record(0));
    // The device is idle: its clock and the host's meet here.
    HADAL_RETURN_IF_ERROR(
        device.check(api.eventSynchronize(events[0]), "cuEventSynchronize"));
    begin = Clock::now();
    collectives.restart();
    HADAL_RETURN_IF_ERROR(collectives.begin(/*timed=*/true));
    for (size_t i = 0; i < launches; ++i) {
      // The time of a kernel includes none in which its stream waits.
      HADAL_RETURN_IF_ERROR(collectives.enqueueBefore(i, waits[i]));
      HADAL_RETURN_IF_ERROR(record(2 * i + 1));
      HADAL_RETURN_IF_ERROR(launch(program.launches[i], /*overlaps=*/false));
      HADAL_RETURN_IF_ERROR(record(2 * i + 2));
    }
    HADAL_RETURN_IF_ERROR(collectives.enqueueBefore(launches, waits[launches]));
    HADAL_RETURN_IF_ERROR(collectives.end());
  }
  HADAL_RETURN_IF_ERROR(collectives.await());
  connected = true;
  HADAL_RETURN_IF_ERROR(device.synchronize(fmt::format("entry '{}'", name)));
  return describe(begin, waits);
}

StatusOr<CudaPreparedEntry::Clock::time_point>
CudaPreparedEntry::timeOf(Event event, Clock::time_point begin) const {
  float milliseconds = 0;
  HADAL_RETURN_IF_ERROR(device.check(
      device.api().eventElapsedTime(&milliseconds, events[0], event),
      "cuEventElapsedTime"));
  return begin + std::chrono::duration_cast<Clock::duration>(
                     std::chrono::duration<float, std::milli>(milliseconds));
}

/// Writes the times of kernels and the spans of the run. |waits|: by launch,
/// the last collective that its stream has waited for before it.
Status
CudaPreparedEntry::describe(Clock::time_point begin,
                            const std::vector<std::optional<uint32_t>> &waits) {
  using Kind = CommandSpan::Kind;
  const auto &kernels = *executable.artifact.root().kernels();
  spans.clear();
  Clock::time_point last = begin;
  uint32_t finished = 0;
  for (uint32_t i = 0; i < program.launches.size(); ++i) {
    const uint32_t kernel = program.launches[i].kernel;
    HADAL_ASSIGN_OR_RETURN(const Clock::time_point from,
                           timeOf(events[2 * i + 1], begin));
    HADAL_ASSIGN_OR_RETURN(const Clock::time_point to,
                           timeOf(events[2 * i + 2], begin));
    if (waits[i])
      spans.push_back({Kind::wait, *waits[i],
                       list.collectives[*waits[i]].operation.label, last,
                       from});
    for (; waits[i] && finished <= *waits[i]; ++finished) {
      HADAL_ASSIGN_OR_RETURN(const Clock::time_point started,
                             timeOf(collectives.begun(finished), begin));
      HADAL_ASSIGN_OR_RETURN(const Clock::time_point complete,
                             timeOf(collectives.completed(finished), begin));
      spans.push_back({Kind::collective, finished,
                       list.collectives[finished].operation.label, started,
                       complete});
    }
    spans.push_back({Kind::launch, i,
                     kernels.Get(kernel)->name()->string_view(), from, to});
    float milliseconds = 0;
    HADAL_RETURN_IF_ERROR(
        device.check(device.api().eventElapsedTime(
                         &milliseconds, events[2 * i + 1], events[2 * i + 2]),
                     "cuEventElapsedTime"));
    executable.times[kernel].launches += 1;
    executable.times[kernel].seconds += milliseconds * 1e-3;
    last = to;
  }
  return {};
}

Status CudaPreparedEntry::run() {
  HADAL_RETURN_IF_ERROR(device.enter());
  spans.clear();
  if (executable.profiling)
    return runProfiled();
  if (replayed && (collectives.empty() || connected)) {
    if (!graph)
      HADAL_RETURN_IF_ERROR(capture());
    collectives.restart();
    HADAL_RETURN_IF_ERROR(device.check(
        device.api().graphLaunch(graph, device.stream()), "cuGraphLaunch"));
  } else {
    HADAL_RETURN_IF_ERROR(runDirectly());
  }
  HADAL_RETURN_IF_ERROR(collectives.await());
  connected = true;
  return device.synchronize(fmt::format("entry '{}'", name));
}

} // namespace hadal::cuda
