#include "runtime/comm/nccl/NcclLibrary.h"

#include <cstdlib>
#include <dlfcn.h>

namespace hadal::comm::nccl {

namespace {

constexpr const char *kDefaultPath = "libnccl.so.2";
constexpr const char *kRemedy =
    "install NCCL 2.18 or newer (libnccl2), or name its library in "
    "HADAL_LIBNCCL";

} // namespace

std::string versionText(int version) {
  // Until 2.8 a version had two digits less.
  return version < 10000 ? fmt::format("{}.{}.{}", version / 1000,
                                       version / 100 % 10, version % 100)
                         : fmt::format("{}.{}.{}", version / 10000,
                                       version / 100 % 100, version % 100);
}

StatusOr<NcclLibrary> NcclLibrary::open(std::string path) {
  if (const char *named = std::getenv("HADAL_LIBNCCL");
      path.empty() && named && *named)
    path = named;
  NcclLibrary library;
  library.path_ = path.empty() ? kDefaultPath : path;
  void *handle = ::dlopen(library.path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return error(6005, "cannot open '{}': {}; {}", library.path_, ::dlerror(),
                 kRemedy);
  const char *missing = nullptr;
  auto resolve = [&](auto &member, const char *symbol, bool isNeeded) {
    member = reinterpret_cast<std::remove_reference_t<decltype(member)>>(
        ::dlsym(handle, symbol));
    if (!member && isNeeded && !missing)
      missing = symbol;
  };
#define HADAL_NCCL_FUNCTION(member, symbol, result, parameters)                \
  resolve(library.api_.member, symbol, true);
  HADAL_NCCL_FUNCTIONS(HADAL_NCCL_FUNCTION)
#undef HADAL_NCCL_FUNCTION
#define HADAL_NCCL_FUNCTION(member, symbol, result, parameters)                \
  resolve(library.api_.member, symbol, false);
  HADAL_NCCL_OPTIONAL_FUNCTIONS(HADAL_NCCL_FUNCTION)
#undef HADAL_NCCL_FUNCTION
  if (library.api_.getVersion &&
      library.api_.getVersion(&library.version_) != kSuccess)
    library.version_ = 0;
  if (missing || library.version_ < kMinimumVersion)
    return error(6005, "'{}' is NCCL {}{}; {}", library.path_,
                 library.version_ ? versionText(library.version_) : "unknown",
                 missing ? fmt::format(", which has no function {}", missing)
                         : "",
                 kRemedy);
  return library;
}

std::string NcclLibrary::description() const {
  return fmt::format("nccl {} ('{}')", versionText(version_), path_);
}

Status NcclLibrary::check(Result result, std::string_view what,
                          Comm comm) const {
  if (result == kSuccess || result == kInProgress)
    return {};
  const char *text = api_.getErrorString(result);
  const char *last = api_.getLastError(comm);
  return error(6007, "{} failed: {}{}{}; NCCL_DEBUG=INFO says more", what,
               text ? text : "unknown error", last && *last ? ": " : "",
               last ? last : "");
}

} // namespace hadal::comm::nccl
