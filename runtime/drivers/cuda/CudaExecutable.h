// The kernels of one artifact on a GPU.
#pragma once

#include "runtime/device/Driver.h"
#include "runtime/device/GpuProgram.h"
#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::cuda {

/// Modules are loaded when the first entry that launches their kernel is
/// prepared.
class CudaExecutable final : public Executable {
public:
  /// H5007 if |artifact| needs a newer driver or a kernel more shared memory
  /// than a block can have, H5006 for the workspace.
  static StatusOr<std::unique_ptr<Executable>>
  load(Driver &driver, const CudaDevice &device, const Artifact &artifact);
  ~CudaExecutable() override;

  std::string_view variant() const override { return variant_; }
  using Executable::prepare;
  StatusOr<std::unique_ptr<PreparedEntry>>
  prepare(std::string name, const LaunchList &list, bool replayed,
          const comm::Endpoint *endpoint) override;
  void setProfiling(bool enabled) override;
  std::span<const KernelTime> profile() const override { return times; }

private:
  friend class CudaPreparedEntry;
  struct LoadedKernel {
    Module module = nullptr;
    Function function = nullptr;
    std::vector<uint32_t> offsets; // of its parameters
  };

  CudaExecutable(const CudaDevice &device, const Artifact &artifact)
      : Executable(artifact), device(device) {}
  Status initialize(Driver &driver);
  /// Whether kernel |index| runs from its cubin: it has one, and the driver is
  /// of the ptxas' major version or newer. Else the driver compiles its PTX.
  bool usesCubin(unsigned index) const;
  Status loadKernel(unsigned index);
  Status loadModule(unsigned index, std::string_view variant, Module &module);

  const CudaDevice &device;
  std::string variant_;
  WorkspaceLayout layout;
  DeviceBuffer workspace;
  std::vector<LoadedKernel> kernels;
  bool profiling = false;
  std::vector<KernelTime> times;
};

/// Encodes |request| as cuTensorMapEncodeTiled does; H5017.
Status encodeTensorMap(const CudaDevice &device,
                       const TensorMapRequest &request, uint8_t *map);

} // namespace hadal::cuda
