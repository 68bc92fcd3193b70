// The bf16 matrix product of cuBLASLt, opened at run time: what a GPU reaches
// with NVIDIA's own code, as a yardstick.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/Driver.h"
#include "runtime/drivers/cuda/CudaDevice.h"

namespace hadal::bench {

namespace cublaslt {

// Values of cublasLt.h and library_types.h; a test compares them where a CUDA
// toolkit has these.
inline constexpr int kCompute32F = 68;
inline constexpr int kReal32F = 0;
inline constexpr int kReal16BF = 14;
inline constexpr int kDescTransposeA = 3;
inline constexpr int kPreferenceMaxWorkspace = 1;
inline constexpr int kTranspose = 1;

/// cublasLtMatmulHeuristicResult_t.
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96);

} // namespace cublaslt

/// One product D[n, m] = B[n, k] . A[m, k]^T, all row-major bf16, accumulated in
/// f32.
class CublasLtGemm {
public:
  /// Opens |path|; empty: what HADAL_CUBLASLT names, else libcublasLt.so.13 or
  /// .12. Chooses the first algorithm that cuBLASLt proposes. H5007 if there is
  /// no library, H5017 if it refuses the product. |driver| must be the cuda
  /// driver and outlive the result.
  static StatusOr<std::unique_ptr<CublasLtGemm>>
  create(Driver &driver, uint64_t m, uint64_t n, uint64_t k,
         std::string path = "");
  ~CublasLtGemm();

  /// Puts the product on the device's stream. H5017.
  Status enqueue(DeviceAddress a, DeviceAddress b, DeviceAddress d);
  /// "13.1.0"
  const std::string &version() const { return version_; }

private:
  struct Functions;
  CublasLtGemm();
  Status initialize(Driver &driver, uint64_t m, uint64_t n, uint64_t k,
                    const std::string &path);

  std::unique_ptr<Functions> functions;
  std::string version_;
  cuda::Stream stream = nullptr;
  void *handle = nullptr, *operation = nullptr, *preference = nullptr;
  void *layoutA = nullptr, *layoutB = nullptr, *layoutD = nullptr;
  cublaslt::Heuristic choice = {};
  DeviceBuffer workspace;
};

} // namespace hadal::bench
