#include "runtime/drivers/CreateDriver.h"

#include <charconv>
#include <cstdlib>

#include "runtime/drivers/cpu/CpuDriver.h"
#include "runtime/drivers/cuda/CudaDriver.h"
#include "runtime/drivers/sim/SimDriver.h"

namespace hadal {

const char *const kDeviceNames = "cpu, cuda, cuda:N or sim";

namespace {

Status unknownDevice(const std::string &name) {
  return error(5011, "--device {} is not known; expected {}", name,
               kDeviceNames);
}

/// The number in "cuda:N"; -1 for "cuda".
StatusOr<int> ordinalOf(const std::string &name) {
  constexpr std::string_view prefix = "cuda:";
  if (name == "cuda")
    return -1;
  if (!name.starts_with(prefix))
    return unknownDevice(name);
  int ordinal = -1;
  const char *end = name.data() + name.size();
  auto [next, failure] =
      std::from_chars(name.data() + prefix.size(), end, ordinal);
  if (failure != std::errc() || next != end || ordinal < 0)
    return unknownDevice(name);
  return ordinal;
}

} // namespace

std::string deviceFor(const DeviceOptions &options, const Artifact &artifact) {
  return !options.device.empty()      ? options.device
         : artifact.target() == "cpu" ? "cpu"
                                      : "cuda";
}

bool isGpu(const std::string &device) { return device.starts_with("cuda"); }

StatusOr<std::unique_ptr<Driver>> createDriver(const DeviceOptions &options,
                                               const Artifact &artifact) {
  const std::string name = deviceFor(options, artifact);
  const std::string_view target = name == "cpu" ? "cpu" : "sm_90a";
  int ordinal = -1;
  if (name != "cpu" && name != "sim") {
    HADAL_ASSIGN_OR_RETURN(ordinal, ordinalOf(name));
  }
  // Before a device is looked for: another one would not help.
  if (artifact.target() != target)
    return error(4007,
                 "artifact '{}' was built for target '{}', device '{}' runs "
                 "'{}'; compile with --target={}",
                 artifact.path(), artifact.target(), name, target, target);
  if (name == "cpu")
    return cpu::createCpuDriver({.threads = options.threads, .variant = {}});
  if (name == "sim") {
    const char *environment = std::getenv("HADAL_SIM");
    HADAL_ASSIGN_OR_RETURN(sim::SimOptions simOptions,
                           sim::parseSimOptions(!options.sim.empty()
                                                    ? options.sim
                                                : environment ? environment
                                                              : ""));
    return sim::createSimDriver(simOptions);
  }
  return cuda::createCudaDriver(
      {.ordinal = ordinal, .nth = options.localRank, .library = {}});
}

} // namespace hadal
