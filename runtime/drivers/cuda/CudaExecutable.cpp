#include "runtime/drivers/cuda/CudaExecutable.h"

#include <cstdlib>
#include <cstring>

#include "runtime/drivers/cuda/CudaPreparedEntry.h"

namespace hadal::cuda {

namespace {

std::string isaText(uint32_t isa) {
  return fmt::format("{}.{}", isa / 10, isa % 10);
}

int tensorMapDtype(schema::DType dtype) {
  switch (dtype) {
  case schema::DType::f32:
    return kTensorMapFloat32;
  case schema::DType::bf16:
    return kTensorMapBfloat16;
  case schema::DType::i32:
    return kTensorMapInt32;
  case schema::DType::i64:
    return kTensorMapInt64;
  default:
    return kTensorMapUint8; // bytes: FP8 codes have no type of their own
  }
}

int swizzleMode(unsigned bytes) {
  return bytes == 128  ? kSwizzle128B
         : bytes == 64 ? kSwizzle64B
         : bytes == 32 ? kSwizzle32B
                       : kSwizzleNone;
}

} // namespace

Status encodeTensorMap(const CudaDevice &device,
                       const TensorMapRequest &request, uint8_t *map) {
  static constexpr uint32_t ones[TensorMapRequest::kMaxRank] = {1, 1, 1, 1, 1};
  TensorMapBytes bytes;
  Result result = device.api().tensorMapEncodeTiled(
      &bytes, tensorMapDtype(request.dtype), request.rank,
      reinterpret_cast<void *>(request.address), request.extents.data(),
      request.strides.data(), request.box.data(), ones, kInterleaveNone,
      swizzleMode(request.swizzleBytes), kL2Promotion256B, kOobFillZero);
  if (result != kSuccess)
    return error(
        5017,
        "cuTensorMapEncodeTiled refuses address {:#x}, extents "
        "{}, strides {}, box {}: {}",
        request.address,
        fmt::join(request.extents.begin(),
                  request.extents.begin() + request.rank, "x"),
        fmt::join(request.strides.begin(),
                  request.strides.begin() + request.rank - 1, "x"),
        fmt::join(request.box.begin(), request.box.begin() + request.rank, "x"),
        device.library().describe(result));
  std::memcpy(map, bytes.opaque, kTensorMapBytes);
  return {};
}

StatusOr<std::unique_ptr<Executable>>
CudaExecutable::load(Driver &driver, const CudaDevice &device,
                     const Artifact &artifact) {
  std::unique_ptr<CudaExecutable> executable(
      new CudaExecutable(device, artifact));
  HADAL_RETURN_IF_ERROR(executable->initialize(driver));
  return std::unique_ptr<Executable>(std::move(executable));
}

Status CudaExecutable::initialize(Driver &driver) {
  const schema::Provenance &p = *artifact.root().provenance();
  if (p.driver_minimum() > static_cast<uint32_t>(device.driverVersion()))
    return error(5007,
                 "artifact '{}' has PTX ISA {} and needs an NVIDIA driver that "
                 "supports CUDA {}, this one supports {}; update the driver, "
                 "or use --device sim",
                 artifact.path(), isaText(p.ptx_isa()),
                 versionText(static_cast<int>(p.driver_minimum())),
                 versionText(device.driverVersion()));
  const auto &list = *artifact.root().kernels();
  unsigned cubins = 0;
  for (unsigned k = 0; k < list.size(); ++k) {
    cubins += usesCubin(k);
    if (list.Get(k)->shared_bytes() > device.sharedBytes())
      return error(5007,
                   "kernel '{}' of artifact '{}' needs {} bytes of shared "
                   "memory, a block of '{}' can have {}; compile for this chip",
                   list.Get(k)->name()->string_view(), artifact.path(),
                   list.Get(k)->shared_bytes(), device.name(),
                   device.sharedBytes());
  }
  variant_ = cubins == list.size() ? "sm_90a cubin"
             : cubins              ? "sm_90a cubin and PTX"
                                   : "sm_90a PTX";
  kernels.resize(list.size());
  HADAL_ASSIGN_OR_RETURN(layout, layoutWorkspace(artifact.root()));
  if (layout.bytes) {
    HADAL_ASSIGN_OR_RETURN(
        workspace, DeviceBuffer::create(driver, layout.bytes, "the workspace"));
  }
  return {};
}

bool CudaExecutable::usesCubin(unsigned index) const {
  const auto *ptxas = artifact.root().provenance()->ptxas();
  const int major = ptxas ? std::atoi(ptxas->c_str()) : 0;
  return artifact.hasCode(index, "cubin") &&
         major <= device.driverVersion() / 1000;
}

CudaExecutable::~CudaExecutable() {
  if (!device.enter().ok())
    return;
  (void)device.api().streamSynchronize(device.stream());
  for (LoadedKernel &kernel : kernels)
    if (kernel.module)
      (void)device.api().moduleUnload(kernel.module);
}

Status CudaExecutable::loadModule(unsigned index, std::string_view variant,
                                  Module &module) {
  HADAL_ASSIGN_OR_RETURN(std::string image, artifact.code(index, variant));
  // PTX text ends with a zero, which c_str() has.
  char log[2048] = {};
  int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferSizeBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof(log) - 1)};
  Result result =
      device.api().moduleLoadDataEx(&module, image.c_str(), 2, options, values);
  if (result == kSuccess)
    return {};
  module = nullptr;
  std::string_view name =
      artifact.root().kernels()->Get(index)->name()->string_view();
  if (result == kOutOfMemory)
    return device.check(result, "loading kernels");
  if (result == kUnsupportedPtxVersion)
    return error(5007,
                 "the NVIDIA driver (CUDA {}) does not know PTX ISA {} of "
                 "kernel '{}'; update the driver, or compile where ptxas is "
                 "found",
                 versionText(device.driverVersion()),
                 isaText(artifact.root().provenance()->ptx_isa()), name);
  std::string detail(log);
  if (size_t end = detail.find('\n'); end != std::string::npos)
    detail.resize(end);
  return error(5007,
               "the {} of kernel '{}' in '{}' does not load: {}{}{}; "
               "compile the model again",
               variant, name, artifact.path(),
               device.library().describe(result), detail.empty() ? "" : ": ",
               detail);
}

Status CudaExecutable::loadKernel(unsigned index) {
  LoadedKernel &loaded = kernels[index];
  if (loaded.function)
    return {};
  const schema::Kernel &kernel = *artifact.root().kernels()->Get(index);
  if (!loaded.module)
    HADAL_RETURN_IF_ERROR(
        loadModule(index, usesCubin(index) ? "cubin" : "ptx", loaded.module));
  Function function = nullptr;
  Result result = device.api().moduleGetFunction(&function, loaded.module,
                                                 kernel.name()->c_str());
  if (result != kSuccess)
    return error(5007,
                 "the code of kernel '{}' in '{}' has no function of that "
                 "name: {}; compile the model again",
                 kernel.name()->string_view(), artifact.path(),
                 device.library().describe(result));
  // Needed above 48 KiB. It also makes the driver load the function now: that
  // must not happen while a graph is captured.
  HADAL_RETURN_IF_ERROR(device.check(
      device.api().funcSetAttribute(function, kMaxDynamicSharedSizeBytes,
                                    static_cast<int>(kernel.shared_bytes())),
      "cuFuncSetAttribute"));
  loaded.offsets = parameterOffsets(kernel);
  loaded.function = function;
  return {};
}

StatusOr<std::unique_ptr<PreparedEntry>>
CudaExecutable::prepare(std::string name, const LaunchList &list, bool replayed,
                        const comm::Endpoint *endpoint) {
  HADAL_RETURN_IF_ERROR(
      checkCommunicators(name, list, endpoint, /*hostOrdered=*/false));
  HADAL_RETURN_IF_ERROR(device.enter());
  GpuContext context{workspace.address(), layout, device.multiprocessors(),
                     [this](const TensorMapRequest &request, uint8_t *map) {
                       return encodeTensorMap(device, request, map);
                     }};
  HADAL_ASSIGN_OR_RETURN(GpuProgram program,
                         flattenForGpu(artifact.root(), list, context));
  {
    auto held = device.lock();
    for (const GpuLaunch &launch : program.launches)
      HADAL_RETURN_IF_ERROR(loadKernel(launch.kernel));
  }
  return std::unique_ptr<PreparedEntry>(std::make_unique<CudaPreparedEntry>(
      *this, std::move(name), replayed, list, std::move(program), endpoint));
}

void CudaExecutable::setProfiling(bool enabled) {
  profiling = enabled;
  if (enabled)
    times.assign(kernels.size(), {});
}

} // namespace hadal::cuda
