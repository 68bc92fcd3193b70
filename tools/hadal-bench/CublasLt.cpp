#include "tools/hadal-bench/CublasLt.h"

#include <cstdlib>
#include <dlfcn.h>
#include <vector>

#include <fmt/ranges.h>

#include "runtime/drivers/cuda/CudaDriver.h"

namespace hadal::bench {

using namespace cublaslt;

static constexpr uint64_t kWorkspaceBytes = uint64_t(64) << 20;

/// HADAL_CUBLASLT_FUNCTION(result, name after "cublasLt", parameters).
#define HADAL_CUBLASLT_FUNCTIONS(HADAL_CUBLASLT_FUNCTION)                      \
  HADAL_CUBLASLT_FUNCTION(size_t, GetVersion, ())                              \
  HADAL_CUBLASLT_FUNCTION(int, Create, (void **handle))                        \
  HADAL_CUBLASLT_FUNCTION(int, Destroy, (void *handle))                        \
  HADAL_CUBLASLT_FUNCTION(int, MatmulDescCreate,                               \
                          (void **desc, int compute, int scale))               \
  HADAL_CUBLASLT_FUNCTION(int, MatmulDescDestroy, (void *desc))                \
  HADAL_CUBLASLT_FUNCTION(                                                     \
      int, MatmulDescSetAttribute,                                             \
      (void *desc, int attribute, const void *value, size_t bytes))            \
  HADAL_CUBLASLT_FUNCTION(int, MatrixLayoutCreate,                             \
                          (void **layout, int type, uint64_t rows,             \
                           uint64_t cols, int64_t leading))                    \
  HADAL_CUBLASLT_FUNCTION(int, MatrixLayoutDestroy, (void *layout))            \
  HADAL_CUBLASLT_FUNCTION(int, MatmulPreferenceCreate, (void **preference))    \
  HADAL_CUBLASLT_FUNCTION(int, MatmulPreferenceDestroy, (void *preference))    \
  HADAL_CUBLASLT_FUNCTION(                                                     \
      int, MatmulPreferenceSetAttribute,                                       \
      (void *preference, int attribute, const void *value, size_t bytes))      \
  HADAL_CUBLASLT_FUNCTION(int, MatmulAlgoGetHeuristic,                         \
                          (void *handle, void *desc, void *a, void *b,         \
                           void *c, void *d, void *preference, int wanted,     \
                           Heuristic *results, int *found))                    \
  HADAL_CUBLASLT_FUNCTION(                                                     \
      int, Matmul,                                                             \
      (void *handle, void *desc, const void *alpha, const void *a,             \
       void *layoutA, const void *b, void *layoutB, const void *beta,          \
       const void *c, void *layoutC, void *d, void *layoutD,                   \
       const void *algorithm, void *workspace, size_t workspaceBytes,          \
       void *stream))

struct CublasLtGemm::Functions {
#define HADAL_CUBLASLT_FUNCTION(type, name, parameters)                        \
  type(*name) parameters = nullptr;
  HADAL_CUBLASLT_FUNCTIONS(HADAL_CUBLASLT_FUNCTION)
#undef HADAL_CUBLASLT_FUNCTION
};

CublasLtGemm::CublasLtGemm() : functions(std::make_unique<Functions>()) {}

StatusOr<std::unique_ptr<CublasLtGemm>>
CublasLtGemm::create(Driver &driver, uint64_t m, uint64_t n, uint64_t k,
                     std::string path) {
  std::unique_ptr<CublasLtGemm> gemm(new CublasLtGemm);
  HADAL_RETURN_IF_ERROR(gemm->initialize(driver, m, n, k, path));
  return gemm;
}

/// The first of the libraries that opens. It stays open: it registers itself
/// with the CUDA runtime that is linked into it.
static StatusOr<void *> openLibrary(const std::string &path) {
  const char *named = std::getenv("HADAL_CUBLASLT");
  std::vector<std::string> names = {"libcublasLt.so.13", "libcublasLt.so.12"};
  if (!path.empty() || named)
    names = {!path.empty() ? path : std::string(named)};
  std::vector<std::string> reasons;
  for (const std::string &name : names) {
    if (void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
      return library;
    const char *why = dlerror();
    reasons.push_back(why ? why : name);
  }
  return error(5007, "no cuBLASLt: {}", fmt::join(reasons, "; "));
}

Status CublasLtGemm::initialize(Driver &driver, uint64_t m, uint64_t n,
                                uint64_t k, const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(void *library, openLibrary(path));
  const char *missing = nullptr;
#define HADAL_CUBLASLT_FUNCTION(type, name, parameters)                        \
  functions->name = reinterpret_cast<type(*) parameters>(                      \
      dlsym(library, "cublasLt" #name));                                       \
  if (!functions->name && !missing)                                            \
    missing = "cublasLt" #name;
  HADAL_CUBLASLT_FUNCTIONS(HADAL_CUBLASLT_FUNCTION)
#undef HADAL_CUBLASLT_FUNCTION
  if (missing)
    return error(5007, "no cuBLASLt: the library has no function {}", missing);

  const cuda::CudaDevice &device = cuda::deviceOf(driver);
  HADAL_RETURN_IF_ERROR(device.enter());
  stream = device.stream();
  const size_t v = functions->GetVersion();
  version_ = fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
  HADAL_ASSIGN_OR_RETURN(
      workspace, DeviceBuffer::create(driver, kWorkspaceBytes,
                                      "the workspace of cuBLASLt"));
  const uint64_t workspaceBytes = kWorkspaceBytes;
  const int transpose = kTranspose;
  Functions &f = *functions;
  int found = 0;
  // cuBLAS counts columns first: A is [k, m], transposed, and D is [m, n].
  auto step = [&](int result, const char *what) -> Status {
    if (result)
      return error(5017, "cuBLASLt {}: {} fails with status {}", version_, what,
                   result);
    return {};
  };
  HADAL_RETURN_IF_ERROR(step(f.Create(&handle), "cublasLtCreate"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatmulDescCreate(&operation, kCompute32F, kReal32F),
           "cublasLtMatmulDescCreate"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatmulDescSetAttribute(operation, kDescTransposeA, &transpose,
                                    sizeof(transpose)),
           "cublasLtMatmulDescSetAttribute"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatrixLayoutCreate(&layoutA, kReal16BF, k, m, int64_t(k)),
           "cublasLtMatrixLayoutCreate"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatrixLayoutCreate(&layoutB, kReal16BF, k, n, int64_t(k)),
           "cublasLtMatrixLayoutCreate"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatrixLayoutCreate(&layoutD, kReal16BF, m, n, int64_t(m)),
           "cublasLtMatrixLayoutCreate"));
  HADAL_RETURN_IF_ERROR(step(f.MatmulPreferenceCreate(&preference),
                             "cublasLtMatmulPreferenceCreate"));
  HADAL_RETURN_IF_ERROR(step(
      f.MatmulPreferenceSetAttribute(preference, kPreferenceMaxWorkspace,
                                     &workspaceBytes, sizeof(workspaceBytes)),
      "cublasLtMatmulPreferenceSetAttribute"));
  HADAL_RETURN_IF_ERROR(
      step(f.MatmulAlgoGetHeuristic(handle, operation, layoutA, layoutB,
                                    layoutD, layoutD, preference, 1, &choice,
                                    &found),
           "cublasLtMatmulAlgoGetHeuristic"));
  if (found < 1 || choice.state)
    return error(5017,
                 "cuBLASLt {} has no algorithm for a bf16 product of {}x{}x{}",
                 version_, m, n, k);
  return {};
}

CublasLtGemm::~CublasLtGemm() {
  Functions &f = *functions;
  if (preference)
    (void)f.MatmulPreferenceDestroy(preference);
  for (void *layout : {layoutA, layoutB, layoutD})
    if (layout)
      (void)f.MatrixLayoutDestroy(layout);
  if (operation)
    (void)f.MatmulDescDestroy(operation);
  if (handle)
    (void)f.Destroy(handle);
}

Status CublasLtGemm::enqueue(DeviceAddress a, DeviceAddress b,
                             DeviceAddress d) {
  const float one = 1, zero = 0;
  auto pointer = [](DeviceAddress address) {
    return reinterpret_cast<void *>(address);
  };
  const int result = functions->Matmul(
      handle, operation, &one, pointer(a), layoutA, pointer(b), layoutB, &zero,
      pointer(d), layoutD, pointer(d), layoutD, choice.algorithm,
      pointer(workspace.address()), kWorkspaceBytes, stream);
  if (result)
    return error(5017, "cuBLASLt {}: cublasLtMatmul fails with status {}",
                 version_, result);
  return {};
}

} // namespace hadal::bench
