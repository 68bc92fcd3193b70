// A libcuda whose device is the simulator: what the CUDA driver does with real
// artifacts (modules, parameters, tensor maps, graphs) runs where there is no
// GPU. HADAL_LIBCUDA names it; HADAL_SIM holds the simulator's options. The
// driver calls itself one of CUDA 12, so that PTX is loaded, not cubins.
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "runtime/drivers/sim/SimDriver.h"
#include "runtime/drivers/sim/machine/Launch.h"
#include "runtime/drivers/sim/semantics/TensorMap.h"
#include "test/runtime/drivers/cuda/FakeCuda.h"

using namespace hadal;
using hadal::cuda::DevicePointer;

namespace {

constexpr cuda::Result kInvalidValue = 1, kLaunchFailed = 719;

/// What went wrong on the "device": reported as a failed launch by the next
/// wait, as a GPU does, and in full on stderr.
void fail(const std::string &what) {
  fmt::print(stderr, "SimCuda: {}\n", what);
  fakeCuda()->waitResult = kLaunchFailed;
}
void expect(const Status &status) {
  if (!status.ok())
    fail(status.toString());
}

class SimMemory final : public cuda::FakeMemory {
public:
  DevicePointer allocate(size_t bytes) override {
    StatusOr<uint64_t> address = memory.allocate(bytes, "device memory");
    return address.ok() ? *address : 0;
  }
  void release(DevicePointer pointer) override {
    expect(memory.release(pointer));
  }
  void write(DevicePointer to, const void *from, size_t bytes) override {
    expect(memory.write(to, from, bytes));
  }
  void read(void *to, DevicePointer from, size_t bytes) override {
    expect(memory.read(from, to, bytes));
  }
  void fill(DevicePointer to, uint8_t value, size_t bytes) override {
    expect(memory.fill(to, value, bytes));
  }

  // Definedness travels along.
  void copyOut(DevicePointer from, size_t bytes, uint8_t *data,
               uint8_t *mask) override {
    if (!holds(from, bytes))
      return;
    memory.interrupt();
    std::copy_n(memory.host(from), bytes, data);
    for (size_t i = 0; i < bytes; i += 64) {
      const auto count = static_cast<unsigned>(std::min<size_t>(64, bytes - i));
      const uint64_t bits = memory.definedBits(from + i, count);
      for (unsigned b = 0; b < count; ++b)
        mask[i + b] = bits >> b & 1;
    }
  }
  void copyIn(DevicePointer to, size_t bytes, const uint8_t *data,
              const uint8_t *mask) override {
    if (!holds(to, bytes))
      return;
    memory.synchronize();
    std::copy_n(data, bytes, memory.host(to));
    for (size_t i = 0; i < bytes; i += 64) {
      const auto count = static_cast<unsigned>(std::min<size_t>(64, bytes - i));
      uint64_t bits = 0;
      for (unsigned b = 0; b < count; ++b)
        bits |= uint64_t(mask[i + b] & 1) << b;
      memory.setDefinedBits(to + i, count, bits);
    }
  }
  void undefine(DevicePointer to, size_t bytes) override {
    if (!holds(to, bytes))
      return;
    memory.interrupt();
    memory.markDefined(to, bytes, false);
  }

  sim::Memory memory;

private:
  bool holds(DevicePointer pointer, size_t bytes) const {
    if (memory.find(pointer, bytes))
      return true;
    fail(fmt::format("another device uses {} bytes at {:#x}: {}", bytes,
                     pointer, memory.describe(pointer)));
    return false;
  }
};

class SimDevice {
public:
  explicit SimDevice(const sim::SimOptions &options) : options(options) {}

  void run(const cuda::FakeLaunch &launch, void *const *parameters) {
    std::shared_ptr<const sim::PtxModule> &module = modules[launch.ptx];
    if (!module) {
      auto parsed = sim::PtxModule::parse(*launch.ptx);
      if (!parsed.ok())
        return fail(parsed.status().toString());
      module = *parsed;
    }
    // Each at its natural alignment; tensor maps at multiples of 64.
    std::vector<uint8_t> block;
    for (size_t i = 0; i < launch.parameterBytes.size(); ++i) {
      const size_t bytes = launch.parameterBytes[i],
                   align = bytes > 8 ? 64 : bytes;
      block.resize((block.size() + align - 1) / align * align);
      const auto *value = static_cast<const uint8_t *>(parameters[i]);
      block.insert(block.end(), value, value + bytes);
    }
    sim::LaunchConfig config;
    config.grid[0] = launch.grid;
    config.block[0] = launch.threads;
    config.sharedBytes = launch.shared;
    config.pdl = launch.overlaps;
    sim::Options run;
    run.policy = options.policy == sim::PolicyChoice::Lazy ||
                         (options.policy == sim::PolicyChoice::Alternate &&
                          launches++ % 2)
                     ? sim::AsyncPolicy::lazy
                     : sim::AsyncPolicy::eager;
    run.fp8Accumulate = options.fp8Accumulate;
    run.seed = options.seed;
    run.checkRaces = options.checkRaces;
    auto report =
        sim::launch(*module, launch.kernel, config, block, memory->memory, run);
    if (!report.ok())
      return fail(report.status().toString());
    if (!report->clean())
      fail(fmt::format("kernel '{}': {}", launch.kernel,
                       report->findings[0].toString()));
  }

  std::shared_ptr<SimMemory> memory = std::make_shared<SimMemory>();

private:
  sim::SimOptions options;
  uint64_t launches = 0;
  std::map<std::shared_ptr<const std::string>,
           std::shared_ptr<const sim::PtxModule>>
      modules;
};

cuda::Result encode(const cuda::FakeTensorMap &map, cuda::TensorMapBytes *to) {
  sim::TensorMapDesc desc;
  desc.type = static_cast<sim::TensorMapType>(map.dataType);
  desc.rank = map.rank;
  desc.address = map.address;
  std::copy(map.extents.begin(), map.extents.end(), desc.dims.begin());
  std::copy(map.strides.begin(), map.strides.end(), desc.strides.begin());
  std::copy(map.box.begin(), map.box.end(), desc.box.begin());
  desc.swizzle = static_cast<sim::Swizzle>(map.swizzle);
  auto bytes = sim::encodeTensorMap(desc);
  if (!bytes.ok()) {
    fmt::print(stderr, "SimCuda: {}\n", bytes.status().toString());
    return kInvalidValue;
  }
  std::copy(bytes->begin(), bytes->end(), to->opaque);
  return cuda::kSuccess;
}

} // namespace

extern "C" void fakeCudaInstall() {
  static SimDevice *device = [] {
    const char *text = std::getenv("HADAL_SIM");
    auto options = sim::parseSimOptions(text ? text : "");
    if (!options.ok())
      fmt::print(stderr, "SimCuda: {}\n", options.status().toString());
    return new SimDevice(options.ok() ? *options : sim::SimOptions());
  }();
  cuda::FakeCuda &state = *fakeCuda();
  state.devices = {{"NVIDIA H100 simulated", 9, 0}};
  state.totalMemory = size_t(2) << 30;
  state.memory = device->memory;
  state.encode = encode;
  state.execute = [](const cuda::FakeLaunch &launch, void *const *parameters) {
    device->run(launch, parameters);
  };
}
