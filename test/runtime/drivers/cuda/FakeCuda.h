// A libcuda for tests: keeps "device" memory on the host, runs queued work only
// when it is waited for, refuses what the real one refuses, and records calls.
#pragma once

#include <cstring>
#include <dlfcn.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/drivers/cuda/CudaApi.h"

namespace hadal::cuda {

struct FakeDevice {
  std::string name;
  int major, minor;
};

/// One launch as it was made.
struct FakeLaunch {
  std::string kernel;
  unsigned grid, threads, shared;
  bool overlaps; // with the programmatic attribute
  bool captured; // into a graph
  bool joins;    // its stream waits for an event right before it
  std::shared_ptr<const std::string> ptx;
  std::vector<size_t> parameterBytes;
};

/// The arguments of cuTensorMapEncodeTiled.
struct FakeTensorMap {
  int dataType;
  uint32_t rank;
  DevicePointer address;
  std::vector<uint64_t> extents, strides;
  std::vector<uint32_t> box;
  int swizzle;
};

/// Device memory; its functions are called when the device runs, in order.
class FakeMemory {
public:
  virtual ~FakeMemory() = default;
  virtual DevicePointer allocate(size_t bytes) = 0;
  virtual void release(DevicePointer pointer) = 0;
  virtual void write(DevicePointer to, const void *from, size_t bytes) = 0;
  virtual void read(void *to, DevicePointer from, size_t bytes) = 0;
  virtual void fill(DevicePointer to, uint8_t value, size_t bytes) = 0;

  // ---- What another device reads and writes; masks have a byte for each byte:
  // 1 if it is defined, where the memory knows.

  virtual void copyOut(DevicePointer from, size_t bytes, uint8_t *data,
                       uint8_t *mask) {
    read(data, from, bytes);
    std::memset(mask, 1, bytes);
  }
  virtual void copyIn(DevicePointer to, size_t bytes, const uint8_t *data,
                      const uint8_t *) {
    write(to, data, bytes);
  }
  /// Nobody may read it until it is written.
  virtual void undefine(DevicePointer, size_t) {}
};

/// What a stream runs when it comes to it: called again until it returns true.
using FakeWork = std::function<bool()>;

/// Objects that exist.
struct FakeCounts {
  int contexts = 0, streams = 0, events = 0, modules = 0, graphs = 0,
      executables = 0, hostAllocations = 0, deviceAllocations = 0;
  bool operator==(const FakeCounts &) const = default;
};

struct FakeCuda {
  // What it is. Read at every call.
  Result initResult = kSuccess;
  int driverVersion = 12040;
  std::vector<FakeDevice> devices = {{"Fake H100", 9, 0}};
  size_t totalMemory = size_t(1) << 30;
  int sharedOptin = 232448;
  int multiprocessors = 132;
  int l2Bytes = 1 << 20;
  // What fails.
  Result moduleResult = kSuccess;
  std::string jitLog;
  Result launchResult = kSuccess;
  Result waitResult = kSuccess; // of streamSynchronize
  Result tensorMapResult = kSuccess;
  Result hostAllocResult = kSuccess;
  // What happened.
  std::vector<FakeLaunch> launches;
  std::vector<std::string> images; // first 4 bytes of each module
  unsigned graphLaunches = 0, captures = 0, waits = 0;
  unsigned graphsAtOnce = 0; // refused
  std::vector<int> optIns; // bytes of shared memory
  unsigned pageableCopies = 0;
  std::vector<size_t> deviceCopies; // bytes of each copy within the device
  std::vector<std::string> tensorMaps;
  FakeCounts counts;
  size_t usedMemory = 0;
  /// Null: the host's, and device addresses are pointers.
  std::shared_ptr<FakeMemory> memory;
  /// Empty: the map holds its address and its number.
  std::function<Result(const FakeTensorMap &, TensorMapBytes *)> encode;
  /// Runs a kernel, with a pointer to each parameter.
  std::function<void(const FakeLaunch &launch, void *const *parameters)>
      execute;
};

} // namespace hadal::cuda

/// The state, which is as new after reset. Exported by the library.
extern "C" hadal::cuda::FakeCuda *fakeCuda();
extern "C" void fakeCudaReset();

// What a library of the same device uses.

/// Puts |work| on |stream|, or into the graph that is captured from it: then
/// true. Graphs with work of one |owner| must not run at once.
extern "C" bool fakeCudaEnqueue(hadal::cuda::Stream stream, const void *owner,
                                const hadal::cuda::FakeWork &work);
/// The ordinal of the device that is current in this thread; -1: none.
extern "C" int fakeCudaCurrentDevice();
extern "C" hadal::cuda::FakeMemory *fakeCudaMemory();
/// Called by cuInit where a library that contains the fake defines it.
extern "C" void fakeCudaInstall() __attribute__((weak));

/// The state of the fake in |library|, which is opened if nobody has.
inline hadal::cuda::FakeCuda &openFakeCuda(const char *library) {
  void *handle = dlopen(library, RTLD_NOW);
  return *reinterpret_cast<hadal::cuda::FakeCuda *(*)()>(
      dlsym(handle, "fakeCuda"))();
}
