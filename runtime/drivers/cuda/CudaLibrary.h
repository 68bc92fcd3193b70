// libcuda, opened at run time.
#pragma once

#include <string>

#include "runtime/base/Status.h"
#include "runtime/drivers/cuda/CudaApi.h"

namespace hadal::cuda {

/// An opened libcuda. It stays loaded until the process ends: it starts threads
/// and exit handlers of its own.
class CudaLibrary {
public:
  /// Opens |path|; empty: what HADAL_LIBCUDA names, else libcuda.so.1. H5007 if
  /// it is not there or lacks a function (a driver that is too old, named).
  static StatusOr<CudaLibrary> open(std::string path = "");

  const Api &api() const { return api_; }

  /// "CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid".
  std::string describe(Result result) const;
  /// ok, or H5017 (H5006 for exhausted memory): "<what> failed: <description>".
  Status check(Result result, const char *what) const;

private:
  CudaLibrary() = default;

  Api api_;
};

/// A driver's version as people read it: 12030 -> "12.3".
std::string versionText(int version);

} // namespace hadal::cuda
