// The kernels of one artifact on the simulator.
#pragma once

#include <mutex>

#include "runtime/device/GpuProgram.h"
#include "runtime/drivers/sim/SimDriver.h"

namespace hadal::sim {

/// A kernel's PTX is parsed when it is first launched.
class SimExecutable final : public Executable {
public:
  /// |memoryMutex| is held while an entry runs. H5006 for the workspace.
  static StatusOr<std::unique_ptr<Executable>>
  load(Driver &driver, Memory &memory, std::mutex &memoryMutex,
       const Artifact &artifact, const SimOptions &options);

  std::string_view variant() const override { return "sm_90a PTX"; }
  using Executable::prepare;
  StatusOr<std::unique_ptr<PreparedEntry>>
  prepare(std::string name, const LaunchList &list, bool replayed,
          const comm::Endpoint *endpoint) override;
  void setProfiling(bool enabled) override;
  std::span<const KernelTime> profile() const override { return times; }

private:
  friend class SimPreparedEntry;

  SimExecutable(Memory &memory, std::mutex &memoryMutex,
                const Artifact &artifact, const SimOptions &options)
      : Executable(artifact), memory(memory), memoryMutex(memoryMutex),
        options(options) {}
  /// The module of kernel |index|; H5021 for PTX that sim does not model.
  StatusOr<const PtxModule *> module(unsigned index);
  /// |spans| takes when it ran, while profiling.
  Status launchOne(const std::string &entry, const GpuProgram &program,
                   size_t index, Timeline &spans);

  /// H5018 if |launched| has left a ticket of its workspace that is not 0.
  Status checkTickets(const GpuLaunch &launched, const std::string &where);

  Memory &memory;
  std::mutex &memoryMutex;
  SimOptions options;
  WorkspaceLayout layout;
  DeviceBuffer workspace;
  std::vector<std::shared_ptr<const PtxModule>> modules; // by kernel
  uint64_t runs = 0;
  bool profiling = false;
  std::vector<KernelTime> times;
};

} // namespace hadal::sim
