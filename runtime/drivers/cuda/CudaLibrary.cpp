#include "runtime/drivers/cuda/CudaLibrary.h"

#include <cstdlib>
#include <dlfcn.h>

namespace hadal::cuda {

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

StatusOr<CudaLibrary> CudaLibrary::open(std::string path) {
  if (const char *named = std::getenv("HADAL_LIBCUDA"); path.empty() && named)
    path = named;
  if (path.empty())
    path = "libcuda.so.1";
  CudaLibrary library;
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    return error(5007, "no NVIDIA driver: {}; install one, or use --device sim",
                 why ? why : path);
  }
  const char *missing = nullptr;
  auto resolve = [&](auto &member, const char *symbol) {
    member = reinterpret_cast<std::remove_reference_t<decltype(member)>>(
        dlsym(handle, symbol));
    if (!member && !missing)
      missing = symbol;
  };
#define HADAL_CUDA_FUNCTION(member, symbol, parameters)                        \
  resolve(library.api_.member, symbol);
  HADAL_CUDA_FUNCTIONS(HADAL_CUDA_FUNCTION)
#undef HADAL_CUDA_FUNCTION
  if (missing) {
    int version = 0;
    if (library.api_.driverGetVersion)
      library.api_.driverGetVersion(&version);
    return error(5007,
                 "'{}' has no function {}: the NVIDIA driver supports CUDA {}, "
                 "12.3 or newer is needed; update it, or use --device sim",
                 path, missing, version ? versionText(version) : "unknown");
  }
  return library;
}

std::string CudaLibrary::describe(Result result) const {
  const char *name = nullptr, *text = nullptr;
  if (api_.getErrorName(result, &name) != kSuccess || !name)
    return fmt::format("CUDA error {}", result);
  if (api_.getErrorString(result, &text) != kSuccess || !text)
    return name;
  return fmt::format("{}: {}", name, text);
}

Status CudaLibrary::check(Result result, const char *what) const {
  if (result == kSuccess)
    return {};
  if (result == kOutOfMemory)
    return error(5006,
                 "{}: the device is out of memory; use a smaller batch "
                 "or sequence length",
                 what);
  return error(5017, "{}: {}", what, describe(result));
}

} // namespace hadal::cuda
