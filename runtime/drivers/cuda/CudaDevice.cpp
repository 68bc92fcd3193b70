#include "runtime/drivers/cuda/CudaDevice.h"

#include <vector>

namespace hadal::cuda {

StatusOr<std::unique_ptr<CudaDevice>>
CudaDevice::open(CudaLibrary library, int ordinal, unsigned nth) {
  std::unique_ptr<CudaDevice> device(new CudaDevice(std::move(library)));
  HADAL_RETURN_IF_ERROR(device->initialize(ordinal, nth));
  return device;
}

Status CudaDevice::initialize(int ordinal, unsigned nth) {
  Result result = api().init(0);
  if (result == kNoDevice)
    return error(5007, "no GPU: the NVIDIA driver finds no device; use "
                       "--device sim");
  if (result != kSuccess)
    return error(5007, "the NVIDIA driver does not start: {}; use --device sim",
                 library_.describe(result));
  HADAL_RETURN_IF_ERROR(
      check(api().driverGetVersion(&driverVersion_), "cuDriverGetVersion"));
  if (driverVersion_ < kMinimumDriver)
    return error(5007,
                 "the NVIDIA driver supports CUDA {}, {} or newer is needed; "
                 "update it, or use --device sim",
                 versionText(driverVersion_), versionText(kMinimumDriver));
  int count = 0;
  HADAL_RETURN_IF_ERROR(
      check(api().deviceGetCount(&count), "cuDeviceGetCount"));
  HADAL_RETURN_IF_ERROR(choose(ordinal, nth, count));

  int value = 0;
  HADAL_RETURN_IF_ERROR(
      check(api().deviceGetAttribute(&value, kMultiprocessorCount, device_),
            "cuDeviceGetAttribute"));
  multiprocessors_ = static_cast<unsigned>(value);
  HADAL_RETURN_IF_ERROR(check(
      api().deviceGetAttribute(&value, kMaxSharedMemoryPerBlockOptin, device_),
      "cuDeviceGetAttribute"));
  sharedBytes_ = static_cast<uint64_t>(value);
  HADAL_RETURN_IF_ERROR(
      check(api().deviceGetAttribute(&value, kL2CacheSize, device_),
            "cuDeviceGetAttribute"));
  l2Bytes_ = static_cast<uint64_t>(value);
  HADAL_RETURN_IF_ERROR(check(api().primaryCtxRetain(&context_, device_),
                              "cuDevicePrimaryCtxRetain"));
  HADAL_RETURN_IF_ERROR(enter());
  return check(api().streamCreate(&stream_, kStreamNonBlocking),
               "cuStreamCreate");
}

Status CudaDevice::choose(int ordinal, unsigned nth, int count) {
  if (count <= 0)
    return error(5007, "no GPU: the NVIDIA driver finds no device; use "
                       "--device sim");
  if (ordinal >= count)
    return error(5007, "no device cuda:{}: there are {}, numbered from 0",
                 ordinal, count);
  std::string found;
  struct Fitting {
    Device device;
    std::string name;
    int ordinal;
  };
  std::vector<Fitting> fitting;
  const int first = ordinal < 0 ? 0 : ordinal;
  const int end = ordinal < 0 ? count : ordinal + 1;
  for (int i = first; i < end; ++i) {
    Device device = 0;
    char name[256] = {};
    int major = 0, minor = 0;
    HADAL_RETURN_IF_ERROR(check(api().deviceGet(&device, i), "cuDeviceGet"));
    HADAL_RETURN_IF_ERROR(
        check(api().deviceGetName(name, sizeof(name) - 1, device),
              "cuDeviceGetName"));
    HADAL_RETURN_IF_ERROR(
        check(api().deviceGetAttribute(&major, kComputeCapabilityMajor, device),
              "cuDeviceGetAttribute"));
    HADAL_RETURN_IF_ERROR(
        check(api().deviceGetAttribute(&minor, kComputeCapabilityMinor, device),
              "cuDeviceGetAttribute"));
    if (major == kCapabilityMajor && minor == kCapabilityMinor) {
      fitting.push_back({device, name, i});
      continue;
    }
    found += fmt::format("{}cuda:{} '{}' has {}.{}", found.empty() ? "" : ", ",
                         i, name, major, minor);
  }
  // One alone: the launcher has given each rank one of its own to see. (If
  // ranks do share it, NCCL refuses the second.)
  if (fitting.size() > 1 && nth >= fitting.size())
    return error(5007,
                 "rank {} of this machine has no GPU of its own: there are {} "
                 "of compute capability 9.0; start {} ranks on a machine at "
                 "most",
                 nth, fitting.size(), fitting.size());
  if (!fitting.empty()) {
    const Fitting &chosen = fitting[fitting.size() == 1 ? 0 : nth];
    device_ = chosen.device;
    name_ = chosen.name;
    ordinal_ = chosen.ordinal;
    return {};
  }
  return error(5007,
               "sm_90a code runs on compute capability 9.0 alone (H100, H200); "
               "{}; use --device sim",
               found);
}

CudaDevice::~CudaDevice() {
  if (!context_)
    return;
  // Nothing can be done about failures here.
  (void)enter();
  for (Stream stream : {collectiveStream_, stream_})
    if (stream) {
      (void)api().streamSynchronize(stream);
      (void)api().streamDestroy(stream);
    }
  (void)api().ctxSetCurrent(nullptr);
  (void)api().primaryCtxRelease(device_);
}

Status CudaDevice::enter() const {
  return check(api().ctxSetCurrent(context_), "cuCtxSetCurrent");
}

StatusOr<Stream> CudaDevice::collectiveStream() const {
  if (!collectiveStream_)
    HADAL_RETURN_IF_ERROR(
        check(api().streamCreate(&collectiveStream_, kStreamNonBlocking),
              "cuStreamCreate"));
  return collectiveStream_;
}

Status CudaDevice::synchronize(const std::string &what) const {
  return check(api().streamSynchronize(stream_), what.c_str());
}

} // namespace hadal::cuda
