#include "test/runtime/drivers/cuda/FakeCuda.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>

using namespace hadal::cuda;

namespace {

using Operation = std::function<void()>;

/// A stream's clock goes on by this much with each event.
constexpr float kMillisecondsAnEvent = 0.25f;

struct FakeEvent {
  unsigned recorded = 0, completed = 0;
  float milliseconds = 0; ///< of its stream, when it was completed
};
struct FakeModule {
  std::shared_ptr<const std::string> ptx;
  std::map<std::string, std::vector<size_t>> entries; // parameter sizes
};
struct FakeFunction {
  std::string name;
  std::shared_ptr<const std::string> ptx;
  std::vector<size_t> sizes;
  int sharedLimit = 48 << 10;
};

/// What a captured stream runs: work, or a wait until another of the graph's
/// streams has come to |position|.
struct FakeNode {
  FakeWork work;
  size_t stream = 0, position = 0;
  const void *owner = nullptr;
};
/// By stream; that which is launched into is the first.
using FakeNodes = std::vector<std::vector<FakeNode>>;
struct FakeGraph {
  std::shared_ptr<const FakeNodes> nodes;
  std::set<const void *> owners() const {
    std::set<const void *> result;
    for (const std::vector<FakeNode> &list : *nodes)
      for (const FakeNode &node : list)
        if (node.owner)
          result.insert(node.owner);
    return result;
  }
};

struct FakeStream;
struct FakeCapture {
  std::vector<FakeStream *> streams;
  FakeNodes nodes;
  /// By stream: up to where the first one has waited for it.
  std::vector<size_t> joined;
  /// Where events were recorded.
  std::map<const FakeEvent *, std::pair<size_t, size_t>> events;
};
struct FakeStream {
  int device = 0;
  std::deque<FakeWork> queue;
  std::shared_ptr<FakeCapture> capture;
  size_t place = 0; ///< among the streams of the capture
  bool waitedLast = false;
  float milliseconds = 0;
};

FakeCuda state;
std::set<FakeStream *> streams;
std::map<unsigned long long, size_t> deviceAllocations;
std::map<uintptr_t, size_t> hostAllocations;
std::deque<FakeFunction> functions;
/// By owner: the stream of the graph that runs work of it, and whether it is
/// done.
std::map<const void *, std::pair<FakeStream *, std::shared_ptr<bool>>>
    graphOfOwner;
thread_local int current = -1;
thread_local int capturing = 0; ///< captures that this thread has begun
std::recursive_mutex calls;

constexpr Result kInvalidValue = 1, kInvalidContext = 201, kNotReadyYet = 600,
                 kCaptureUnsupported = 900, kCaptureUnjoined = 904,
                 kCaptureIsolation = 905;

FakeStream &of(Stream stream) {
  return *reinterpret_cast<FakeStream *>(stream);
}

void put(FakeStream &stream, FakeWork work, const void *owner = nullptr) {
  stream.waitedLast = false;
  if (stream.capture)
    stream.capture->nodes[stream.place].push_back(
        {std::move(work), 0, 0, owner});
  else
    stream.queue.push_back(std::move(work));
}
void enqueue(Stream stream, Operation operation) {
  put(of(stream), [operation = std::move(operation)]() {
    operation();
    return true;
  });
}

bool moved = false; ///< something was run since it was set

/// Lets each stream run one thing, if it can. A caller that asks often sees
/// every state on the way.
void progress() {
  moved = false;
  for (FakeStream *stream : streams)
    if (!stream->queue.empty() && stream->queue.front()()) {
      stream->queue.pop_front();
      moved = true;
    }
}

/// Lets streams run until |done|; others may call meanwhile.
void runUntil(std::unique_lock<std::recursive_mutex> &held,
              const std::function<bool()> &done) {
  for (progress(); !done(); progress()) {
    if (moved)
      continue;
    held.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    held.lock();
  }
}

/// A run of a graph: its streams side by side.
FakeWork runOf(std::shared_ptr<const FakeNodes> nodes,
               std::shared_ptr<bool> done) {
  auto at = std::make_shared<std::vector<size_t>>(nodes->size());
  return [nodes, at, done] {
    bool isDone = true;
    for (size_t s = 0; s < nodes->size(); ++s) {
      const std::vector<FakeNode> &list = (*nodes)[s];
      if ((*at)[s] < list.size()) {
        const FakeNode &node = list[(*at)[s]];
        if (node.work ? node.work() : (*at)[node.stream] >= node.position) {
          ++(*at)[s];
          moved = true;
        }
      }
      isDone &= (*at)[s] == list.size();
    }
    return *done = isDone;
  };
}

/// The parameter sizes of each `.entry` of PTX.
std::map<std::string, std::vector<size_t>>
parseEntries(const std::string &ptx) {
  std::map<std::string, std::vector<size_t>> entries;
  constexpr std::string_view key = ".entry ";
  for (size_t at = ptx.find(key); at != std::string::npos;
       at = ptx.find(key, at + 1)) {
    size_t open = ptx.find('(', at), close = ptx.find(')', at);
    std::string name = ptx.substr(at + key.size(), open - at - key.size());
    std::string list = ptx.substr(open, close - open);
    std::vector<size_t> sizes;
    for (size_t p = list.find(".param"); p != std::string::npos;
         p = list.find(".param", p + 1)) {
      size_t array = list.find('[', p), end = list.find(".param", p + 1);
      sizes.push_back(array < end ? std::stoul(list.substr(array + 1)) : 8);
    }
    entries[name] = sizes;
  }
  return entries;
}

/// Memory on the host, 0xcd at first.
class HostMemory final : public FakeMemory {
public:
  DevicePointer allocate(size_t bytes) override {
    void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(memory, 0xcd, bytes);
    return reinterpret_cast<DevicePointer>(memory);
  }
  void release(DevicePointer pointer) override { std::free(at(pointer)); }
  void write(DevicePointer to, const void *from, size_t bytes) override {
    std::memcpy(at(to), from, bytes);
  }
  void read(void *to, DevicePointer from, size_t bytes) override {
    std::memcpy(to, at(from), bytes);
  }
  void fill(DevicePointer to, uint8_t value, size_t bytes) override {
    std::memset(at(to), value, bytes);
  }

private:
  static void *at(DevicePointer pointer) {
    return reinterpret_cast<void *>(pointer);
  }
};

FakeMemory &memory() {
  static HostMemory host;
  return state.memory ? *state.memory : host;
}

bool contains(const auto &table, auto address, size_t bytes) {
  auto found = table.upper_bound(address);
  if (found == table.begin())
    return false;
  --found;
  return address + bytes <= found->first + found->second;
}

} // namespace

#define FAKE(name, ...) extern "C" Result name(__VA_ARGS__)
/// One call at a time: a real libcuda may be called by several threads, and it
/// is their callers' use of it that tests look at.
#define NEED_CONTEXT                                                           \
  if (current < 0)                                                             \
    return kInvalidContext;                                                    \
  std::unique_lock<std::recursive_mutex> held(calls)
#define NOT_WHILE_CAPTURING                                                    \
  if (capturing)                                                               \
  return kCaptureUnsupported

extern "C" FakeCuda *fakeCuda() { return &state; }
extern "C" void fakeCudaReset() {
  std::lock_guard held(calls);
  state = {};
  for (FakeStream *stream : streams) {
    stream->queue.clear();
    stream->capture.reset();
  }
  graphOfOwner.clear();
  capturing = 0;
}
extern "C" bool fakeCudaEnqueue(Stream stream, const void *owner,
                                const FakeWork &work) {
  std::lock_guard held(calls);
  put(of(stream), work, owner);
  return of(stream).capture != nullptr;
}
extern "C" int fakeCudaCurrentDevice() { return current; }
extern "C" FakeMemory *fakeCudaMemory() { return &memory(); }

FAKE(cuInit, unsigned) {
  if (fakeCudaInstall)
    fakeCudaInstall();
  return state.initResult;
}
FAKE(cuDriverGetVersion, int *version) {
  *version = state.driverVersion;
  return kSuccess;
}
FAKE(cuGetErrorName, Result error, const char **name) {
  static std::map<Result, std::string> names;
  *name = (names[error] = fmt::format("CUDA_ERROR_{}", error)).c_str();
  return kSuccess;
}
FAKE(cuGetErrorString, Result, const char **text) {
  *text = "as the test asked";
  return kSuccess;
}
FAKE(cuDeviceGetCount, int *count) {
  *count = static_cast<int>(state.devices.size());
  return kSuccess;
}
FAKE(cuDeviceGet, Device *device, int ordinal) {
  *device = ordinal + 100;
  return kSuccess;
}
FAKE(cuDeviceGetName, char *name, int length, Device device) {
  std::snprintf(name, static_cast<size_t>(length), "%s",
                state.devices.at(device - 100).name.c_str());
  return kSuccess;
}
FAKE(cuDeviceGetAttribute, int *value, int attribute, Device device) {
  const FakeDevice &d = state.devices.at(device - 100);
  *value = attribute == kComputeCapabilityMajor         ? d.major
           : attribute == kComputeCapabilityMinor       ? d.minor
           : attribute == kMultiprocessorCount          ? state.multiprocessors
           : attribute == kL2CacheSize                  ? state.l2Bytes
           : attribute == kMaxSharedMemoryPerBlockOptin ? state.sharedOptin
                                                        : -1;
  return *value < 0 ? kInvalidValue : kSuccess;
}
FAKE(cuDevicePrimaryCtxRetain, Context *context, Device device) {
  *context = reinterpret_cast<Context>(intptr_t(device));
  ++state.counts.contexts;
  return kSuccess;
}
FAKE(cuDevicePrimaryCtxRelease_v2, Device) {
  --state.counts.contexts;
  return kSuccess;
}
FAKE(cuCtxSetCurrent, Context context) {
  current = context ? int(reinterpret_cast<intptr_t>(context)) - 100 : -1;
  return kSuccess;
}
FAKE(cuMemGetInfo_v2, size_t *free, size_t *total) {
  NEED_CONTEXT;
  *total = state.totalMemory;
  *free = state.totalMemory - state.usedMemory;
  return kSuccess;
}
FAKE(cuMemAlloc_v2, DevicePointer *pointer, size_t bytes) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  if (!bytes)
    return kInvalidValue;
  if (bytes > state.totalMemory - state.usedMemory)
    return kOutOfMemory;
  *pointer = memory().allocate(bytes);
  if (!*pointer)
    return kOutOfMemory;
  deviceAllocations[*pointer] = bytes;
  state.usedMemory += bytes;
  ++state.counts.deviceAllocations;
  return kSuccess;
}
FAKE(cuMemFree_v2, DevicePointer pointer) {
  NEED_CONTEXT;
  // Freeing waits for the device.
  runUntil(held, [device = current] {
    return std::all_of(streams.begin(), streams.end(), [&](FakeStream *s) {
      return s->device != device || s->queue.empty();
    });
  });
  auto found = deviceAllocations.find(pointer);
  if (found == deviceAllocations.end())
    return kInvalidValue;
  state.usedMemory -= found->second;
  deviceAllocations.erase(found);
  memory().release(pointer);
  --state.counts.deviceAllocations;
  return kSuccess;
}
FAKE(cuMemsetD8Async, DevicePointer pointer, unsigned char value, size_t bytes,
     Stream stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, pointer, bytes))
    return kInvalidValue;
  enqueue(stream, [=] { memory().fill(pointer, value, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyHtoDAsync_v2, DevicePointer to, const void *from, size_t bytes,
     Stream stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, to, bytes))
    return kInvalidValue;
  if (!contains(hostAllocations, reinterpret_cast<uintptr_t>(from), bytes))
    ++state.pageableCopies;
  enqueue(stream, [=] { memory().write(to, from, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyDtoHAsync_v2, void *to, DevicePointer from, size_t bytes,
     Stream stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, from, bytes))
    return kInvalidValue;
  if (!contains(hostAllocations, reinterpret_cast<uintptr_t>(to), bytes))
    ++state.pageableCopies;
  enqueue(stream, [=] { memory().read(to, from, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyDtoDAsync_v2, DevicePointer to, DevicePointer from, size_t bytes,
     Stream stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, to, bytes) ||
      !contains(deviceAllocations, from, bytes))
    return kInvalidValue;
  state.deviceCopies.push_back(bytes);
  enqueue(stream, [=] {
    std::vector<uint8_t> moved(bytes);
    memory().read(moved.data(), from, bytes);
    memory().write(to, moved.data(), bytes);
  });
  return kSuccess;
}
FAKE(cuMemHostAlloc, void **pointer, size_t bytes, unsigned) {
  NEED_CONTEXT;
  if (state.hostAllocResult != kSuccess)
    return state.hostAllocResult;
  *pointer = std::malloc(bytes);
  hostAllocations[reinterpret_cast<uintptr_t>(*pointer)] = bytes;
  ++state.counts.hostAllocations;
  return kSuccess;
}
FAKE(cuMemFreeHost, void *pointer) {
  NEED_CONTEXT;
  if (!hostAllocations.erase(reinterpret_cast<uintptr_t>(pointer)))
    return kInvalidValue;
  std::free(pointer);
  --state.counts.hostAllocations;
  return kSuccess;
}
FAKE(cuStreamCreate, Stream *stream, unsigned) {
  NEED_CONTEXT;
  auto *created = new FakeStream{.device = current};
  streams.insert(created);
  *stream = reinterpret_cast<Stream>(created);
  ++state.counts.streams;
  return kSuccess;
}
FAKE(cuStreamDestroy_v2, Stream stream) {
  NEED_CONTEXT;
  streams.erase(&of(stream));
  delete &of(stream);
  --state.counts.streams;
  return kSuccess;
}
FAKE(cuStreamSynchronize, Stream stream) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  if (of(stream).capture)
    return kCaptureUnsupported;
  ++state.waits;
  runUntil(held, [&] { return of(stream).queue.empty(); });
  return state.waitResult;
}
FAKE(cuStreamQuery, Stream stream) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  if (of(stream).capture)
    return kCaptureUnsupported;
  progress();
  if (state.waitResult != kSuccess)
    return state.waitResult;
  return of(stream).queue.empty() ? kSuccess : kNotReadyYet;
}
FAKE(cuStreamWaitEvent, Stream stream, Event event, unsigned flags) {
  NEED_CONTEXT;
  if (flags)
    return kInvalidValue;
  const auto *e = reinterpret_cast<FakeEvent *>(event);
  FakeStream &waiting = of(stream);
  std::shared_ptr<FakeCapture> capture = waiting.capture;
  for (FakeStream *other : streams)
    if (!capture && other->capture && other->capture->events.contains(e)) {
      // It is forked into the capture.
      capture = waiting.capture = other->capture;
      waiting.place = capture->streams.size();
      capture->streams.push_back(&waiting);
      capture->nodes.emplace_back();
      capture->joined.push_back(0);
    }
  if (!capture) {
    put(waiting, [e, &waiting, number = e->recorded] {
      if (e->completed < number)
        return false;
      waiting.milliseconds = std::max(waiting.milliseconds, e->milliseconds);
      return true;
    });
    waiting.waitedLast = true;
    return kSuccess;
  }
  if (!capture->events.contains(e))
    return kCaptureIsolation;
  const auto [from, position] = capture->events.at(e);
  capture->nodes[waiting.place].push_back({{}, from, position});
  if (waiting.place == 0)
    capture->joined[from] = std::max(capture->joined[from], position);
  waiting.waitedLast = true;
  return kSuccess;
}
FAKE(cuStreamWriteValue32_v2, Stream stream, DevicePointer to, uint32_t value,
     unsigned flags) {
  NEED_CONTEXT;
  if (flags || !contains(hostAllocations, uintptr_t(to), sizeof(value)))
    return kInvalidValue;
  enqueue(stream, [=] {
    __atomic_store_n(reinterpret_cast<uint32_t *>(to), value, __ATOMIC_RELEASE);
  });
  return kSuccess;
}
FAKE(cuStreamBeginCapture_v2, Stream stream, int mode) {
  NEED_CONTEXT;
  if (of(stream).capture || mode != kCaptureModeThreadLocal)
    return kInvalidValue;
  auto capture = std::make_shared<FakeCapture>();
  capture->streams = {&of(stream)};
  capture->nodes.resize(1);
  capture->joined.resize(1);
  of(stream).place = 0;
  of(stream).waitedLast = false;
  of(stream).capture = std::move(capture);
  ++capturing;
  ++state.captures;
  return kSuccess;
}
FAKE(cuStreamEndCapture, Stream stream, Graph *graph) {
  NEED_CONTEXT;
  const std::shared_ptr<FakeCapture> capture = of(stream).capture;
  if (!capture || of(stream).place != 0)
    return kInvalidValue;
  --capturing;
  for (FakeStream *member : capture->streams)
    member->capture.reset();
  for (size_t i = 1; i < capture->nodes.size(); ++i)
    if (capture->joined[i] < capture->nodes[i].size())
      return kCaptureUnjoined;
  *graph = reinterpret_cast<Graph>(new FakeGraph{
      std::make_shared<const FakeNodes>(std::move(capture->nodes))});
  ++state.counts.graphs;
  return kSuccess;
}
FAKE(cuEventCreate, Event *event, unsigned) {
  NEED_CONTEXT;
  *event = reinterpret_cast<Event>(new FakeEvent);
  ++state.counts.events;
  return kSuccess;
}
FAKE(cuEventRecord, Event event, Stream stream) {
  NEED_CONTEXT;
  auto *e = reinterpret_cast<FakeEvent *>(event);
  if (FakeCapture *capture = of(stream).capture.get()) {
    const size_t place = of(stream).place;
    capture->events[e] = {place, capture->nodes[place].size()};
    return kSuccess;
  }
  const unsigned number = ++e->recorded;
  enqueue(stream, [=] {
    e->completed = number;
    e->milliseconds = of(stream).milliseconds += kMillisecondsAnEvent;
  });
  return kSuccess;
}
FAKE(cuEventSynchronize, Event event) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  auto *e = reinterpret_cast<FakeEvent *>(event);
  runUntil(held, [&] { return e->completed >= e->recorded; });
  return kSuccess;
}
FAKE(cuEventElapsedTime, float *milliseconds, Event begin, Event end) {
  auto *b = reinterpret_cast<FakeEvent *>(begin),
       *e = reinterpret_cast<FakeEvent *>(end);
  if (!b->recorded || b->completed != b->recorded || !e->recorded ||
      e->completed != e->recorded)
    return 600; // CUDA_ERROR_NOT_READY
  *milliseconds = e->milliseconds - b->milliseconds;
  return kSuccess;
}
FAKE(cuEventDestroy_v2, Event event) {
  NEED_CONTEXT;
  delete reinterpret_cast<FakeEvent *>(event);
  --state.counts.events;
  return kSuccess;
}
FAKE(cuModuleLoadDataEx, Module *module, const void *image, unsigned count,
     int *names, void **values) {
  NEED_CONTEXT;
  const char *text = static_cast<const char *>(image);
  state.images.emplace_back(text, strnlen(text, 4));
  if (state.moduleResult != kSuccess) {
    for (unsigned i = 0; i < count; ++i)
      if (names[i] == kJitErrorLogBuffer)
        std::strcpy(static_cast<char *>(values[i]), state.jitLog.c_str());
    return state.moduleResult;
  }
  auto *loaded = new FakeModule{std::make_shared<const std::string>(text),
                                parseEntries(text)};
  if (loaded->entries.empty()) {
    delete loaded;
    return kInvalidImage;
  }
  *module = reinterpret_cast<Module>(loaded);
  ++state.counts.modules;
  return kSuccess;
}
FAKE(cuModuleUnload, Module module) {
  NEED_CONTEXT;
  delete reinterpret_cast<FakeModule *>(module);
  --state.counts.modules;
  return kSuccess;
}
FAKE(cuModuleGetFunction, Function *function, Module module, const char *name) {
  NEED_CONTEXT;
  const auto &loaded = *reinterpret_cast<FakeModule *>(module);
  const auto &entries = loaded.entries;
  auto found = entries.find(name);
  if (found == entries.end())
    return kNotFound;
  functions.push_back({name, loaded.ptx, found->second});
  *function = reinterpret_cast<Function>(&functions.back());
  return kSuccess;
}
FAKE(cuFuncSetAttribute, Function function, int attribute, int value) {
  NEED_CONTEXT;
  if (attribute != kMaxDynamicSharedSizeBytes || value > state.sharedOptin)
    return kInvalidValue;
  reinterpret_cast<FakeFunction *>(function)->sharedLimit = value;
  state.optIns.push_back(value);
  return kSuccess;
}
FAKE(cuLaunchKernelEx, const LaunchConfig *config, Function function,
     void **parameters, void **extra) {
  NEED_CONTEXT;
  if (state.launchResult != kSuccess)
    return state.launchResult;
  const auto &f = *reinterpret_cast<FakeFunction *>(function);
  if (!config->gridX || config->gridY != 1 || config->gridZ != 1 ||
      !config->blockX || config->blockX > 1024 || config->blockY != 1 ||
      config->blockZ != 1 || extra ||
      config->sharedBytes > static_cast<unsigned>(f.sharedLimit))
    return kInvalidValue;
  FakeStream &stream = of(config->stream);
  FakeLaunch launch{.kernel = f.name,
                    .grid = config->gridX,
                    .threads = config->blockX,
                    .shared = config->sharedBytes,
                    .overlaps = false,
                    .captured = stream.capture != nullptr,
                    .joins = stream.waitedLast,
                    .ptx = f.ptx,
                    .parameterBytes = f.sizes};
  for (unsigned i = 0; i < config->numAttributes; ++i)
    launch.overlaps |=
        config->attributes[i].id == kProgrammaticStreamSerialization &&
        config->attributes[i].value.flag == 1;
  state.launches.push_back(launch);
  // Parameters are copied when the launch is made, also into a graph.
  std::vector<std::vector<uint8_t>> values;
  for (size_t i = 0; i < f.sizes.size(); ++i) {
    const auto *bytes = static_cast<const uint8_t *>(parameters[i]);
    values.emplace_back(bytes, bytes + f.sizes[i]);
  }
  enqueue(config->stream, [launch, values]() mutable {
    std::vector<void *> pointers;
    for (auto &value : values)
      pointers.push_back(value.data());
    if (state.execute)
      state.execute(launch, pointers.data());
  });
  return kSuccess;
}
FAKE(cuGraphInstantiateWithFlags, GraphExec *exec, Graph graph,
     unsigned long long) {
  NEED_CONTEXT;
  *exec = reinterpret_cast<GraphExec>(
      new FakeGraph(*reinterpret_cast<FakeGraph *>(graph)));
  ++state.counts.executables;
  return kSuccess;
}
FAKE(cuGraphLaunch, GraphExec exec, Stream stream) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  const auto &graph = *reinterpret_cast<FakeGraph *>(exec);
  auto done = std::make_shared<bool>(false);
  for (const void *owner : graph.owners()) {
    // On one stream they run one after the other.
    auto &[its, ended] = graphOfOwner[owner];
    if (its && its != &of(stream) && !*ended) {
      ++state.graphsAtOnce;
      return kInvalidValue;
    }
    its = &of(stream);
    ended = done;
  }
  ++state.graphLaunches;
  put(of(stream), runOf(graph.nodes, done));
  return kSuccess;
}
FAKE(cuGraphExecDestroy, GraphExec exec) {
  NEED_CONTEXT;
  delete reinterpret_cast<FakeGraph *>(exec);
  --state.counts.executables;
  return kSuccess;
}
FAKE(cuGraphDestroy, Graph graph) {
  NEED_CONTEXT;
  delete reinterpret_cast<FakeGraph *>(graph);
  --state.counts.graphs;
  return kSuccess;
}
FAKE(cuTensorMapEncodeTiled, TensorMapBytes *map, int dataType, uint32_t rank,
     void *address, const uint64_t *extents, const uint64_t *strides,
     const uint32_t *box, const uint32_t *elementStrides, int interleave,
     int swizzle, int l2Promotion, int oobFill) {
  if (reinterpret_cast<uintptr_t>(map) % 64)
    return kInvalidValue;
  if (state.tensorMapResult != kSuccess)
    return state.tensorMapResult;
  state.tensorMaps.push_back(fmt::format(
      "type {} rank {} extents {} strides {} box {} steps {} interleave {} "
      "swizzle {} l2 {} fill {}",
      dataType, rank, fmt::join(extents, extents + rank, "x"),
      fmt::join(strides, strides + rank - 1, "x"),
      fmt::join(box, box + rank, "x"),
      fmt::join(elementStrides, elementStrides + rank, "x"), interleave,
      swizzle, l2Promotion, oobFill));
  if (state.encode)
    return state.encode({dataType,
                         rank,
                         reinterpret_cast<DevicePointer>(address),
                         {extents, extents + rank},
                         {strides, strides + rank - 1},
                         {box, box + rank},
                         swizzle},
                        map);
  std::memset(map->opaque, 0, sizeof(map->opaque));
  std::memcpy(map->opaque, &address, sizeof(address));
  map->opaque[127] = static_cast<uint8_t>(state.tensorMaps.size());
  return kSuccess;
}
