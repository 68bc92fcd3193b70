#include "test/runtime/drivers/cuda/FakeCuda.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>

using namespace hadal::cuda;

namespace {

using Operation = std::function<void()>;

struct FakeEvent {
  unsigned recorded = 0, completed = 0;
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
struct FakeGraph {
  std::vector<Operation> operations;
};

FakeCuda state;
std::deque<Operation> queue;
bool capturing = false;
std::vector<Operation> captured;
std::map<unsigned long long, size_t> deviceAllocations;
std::map<uintptr_t, size_t> hostAllocations;
std::deque<FakeFunction> functions;
thread_local bool current = false;
std::recursive_mutex calls;

constexpr Result kInvalidValue = 1, kInvalidContext = 201,
                 kCaptureUnsupported = 900;

void enqueue(Operation operation) {
  (capturing ? static_cast<void>(captured.push_back(std::move(operation)))
             : static_cast<void>(queue.push_back(std::move(operation))));
}
void runOne() {
  Operation operation = std::move(queue.front());
  queue.pop_front();
  operation();
}
void runAll() {
  while (!queue.empty())
    runOne();
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
  if (!current)                                                                \
    return kInvalidContext;                                                    \
  std::lock_guard<std::recursive_mutex> held(calls)
#define NOT_WHILE_CAPTURING                                                    \
  if (capturing)                                                               \
  return kCaptureUnsupported

extern "C" FakeCuda *fakeCuda() { return &state; }
extern "C" void fakeCudaReset() {
  state = {};
  queue.clear();
  captured.clear();
  capturing = false;
}

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
  current = context != nullptr;
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
  runAll(); // freeing waits for the device
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
     Stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, pointer, bytes))
    return kInvalidValue;
  enqueue([=] { memory().fill(pointer, value, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyHtoDAsync_v2, DevicePointer to, const void *from, size_t bytes,
     Stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, to, bytes))
    return kInvalidValue;
  if (!contains(hostAllocations, reinterpret_cast<uintptr_t>(from), bytes))
    ++state.pageableCopies;
  enqueue([=] { memory().write(to, from, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyDtoHAsync_v2, void *to, DevicePointer from, size_t bytes, Stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, from, bytes))
    return kInvalidValue;
  if (!contains(hostAllocations, reinterpret_cast<uintptr_t>(to), bytes))
    ++state.pageableCopies;
  enqueue([=] { memory().read(to, from, bytes); });
  return kSuccess;
}
FAKE(cuMemcpyDtoDAsync_v2, DevicePointer to, DevicePointer from, size_t bytes,
     Stream) {
  NEED_CONTEXT;
  if (!contains(deviceAllocations, to, bytes) ||
      !contains(deviceAllocations, from, bytes))
    return kInvalidValue;
  state.deviceCopies.push_back(bytes);
  enqueue([=] {
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
  *stream = reinterpret_cast<Stream>(0x5000);
  ++state.counts.streams;
  return kSuccess;
}
FAKE(cuStreamDestroy_v2, Stream) {
  NEED_CONTEXT;
  --state.counts.streams;
  return kSuccess;
}
FAKE(cuStreamSynchronize, Stream) {
  NEED_CONTEXT;
  NOT_WHILE_CAPTURING;
  ++state.waits;
  runAll();
  return state.waitResult;
}
FAKE(cuStreamBeginCapture_v2, Stream, int mode) {
  NEED_CONTEXT;
  if (capturing || mode != kCaptureModeThreadLocal)
    return kInvalidValue;
  capturing = true;
  captured.clear();
  ++state.captures;
  return kSuccess;
}
FAKE(cuStreamEndCapture, Stream, Graph *graph) {
  NEED_CONTEXT;
  if (!capturing)
    return kInvalidValue;
  capturing = false;
  *graph = reinterpret_cast<Graph>(new FakeGraph{captured});
  ++state.counts.graphs;
  return kSuccess;
}
FAKE(cuEventCreate, Event *event, unsigned) {
  NEED_CONTEXT;
  *event = reinterpret_cast<Event>(new FakeEvent);
  ++state.counts.events;
  return kSuccess;
}
FAKE(cuEventRecord, Event event, Stream) {
  NEED_CONTEXT;
  auto *e = reinterpret_cast<FakeEvent *>(event);
  const unsigned number = ++e->recorded;
  enqueue([=] { e->completed = number; });
  return kSuccess;
}
FAKE(cuEventSynchronize, Event event) {
  NEED_CONTEXT;
  auto *e = reinterpret_cast<FakeEvent *>(event);
  while (e->completed < e->recorded && !queue.empty())
    runOne();
  return kSuccess;
}
FAKE(cuEventElapsedTime, float *milliseconds, Event begin, Event end) {
  auto *b = reinterpret_cast<FakeEvent *>(begin),
       *e = reinterpret_cast<FakeEvent *>(end);
  if (!b->recorded || b->completed != b->recorded || !e->recorded ||
      e->completed != e->recorded)
    return 600; // CUDA_ERROR_NOT_READY
  *milliseconds = 0.25f;
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
  FakeLaunch launch{f.name, config->gridX, config->blockX, config->sharedBytes,
                    false,  capturing,      f.ptx,          f.sizes};
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
  enqueue([launch, values]() mutable {
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
FAKE(cuGraphLaunch, GraphExec exec, Stream) {
  NEED_CONTEXT;
  ++state.graphLaunches;
  for (const Operation &operation :
       reinterpret_cast<FakeGraph *>(exec)->operations)
    enqueue(operation);
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
