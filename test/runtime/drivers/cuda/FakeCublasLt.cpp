// A libcublasLt for tests: takes what the real one takes, and multiplies
// nothing.
#include <cstddef>
#include <cstdint>

namespace {
struct Layout {
  int type;
  uint64_t rows, cols;
  int64_t leading;
};
struct Operation {
  int compute, scale, transposeA = 0;
};
constexpr int kInvalid = 7; // CUBLAS_STATUS_INVALID_VALUE
constexpr int kBf16 = 14, kF32 = 0, kCompute32F = 68;
int handle;
uint64_t preferredWorkspace;
} // namespace

#define FAKE(type, name, ...) extern "C" type cublasLt##name(__VA_ARGS__)

FAKE(size_t, GetVersion) { return 130102; }
FAKE(int, Create, void **to) {
  *to = &handle;
  return 0;
}
FAKE(int, Destroy, void *what) { return what == &handle ? 0 : kInvalid; }
FAKE(int, MatmulDescCreate, void **to, int compute, int scale) {
  *to = new Operation{compute, scale};
  return 0;
}
FAKE(int, MatmulDescDestroy, void *what) {
  delete static_cast<Operation *>(what);
  return 0;
}
FAKE(int, MatmulDescSetAttribute, void *desc, int attribute, const void *value,
     size_t bytes) {
  if (attribute != 3 || bytes != 4)
    return kInvalid;
  static_cast<Operation *>(desc)->transposeA = *static_cast<const int *>(value);
  return 0;
}
FAKE(int, MatrixLayoutCreate, void **to, int type, uint64_t rows, uint64_t cols,
     int64_t leading) {
  *to = new Layout{type, rows, cols, leading};
  return 0;
}
FAKE(int, MatrixLayoutDestroy, void *what) {
  delete static_cast<Layout *>(what);
  return 0;
}
FAKE(int, MatmulPreferenceCreate, void **to) {
  *to = &preferredWorkspace;
  return 0;
}
FAKE(int, MatmulPreferenceDestroy, void *) { return 0; }
FAKE(int, MatmulPreferenceSetAttribute, void *to, int attribute,
     const void *value, size_t bytes) {
  if (attribute != 1 || bytes != 8)
    return kInvalid;
  *static_cast<uint64_t *>(to) = *static_cast<const uint64_t *>(value);
  return 0;
}
FAKE(int, MatmulAlgoGetHeuristic, void *, void *desc, void *a, void *b, void *c,
     void *d, void *, int wanted, uint64_t *result, int *found) {
  const auto &op = *static_cast<Operation *>(desc);
  const auto &la = *static_cast<Layout *>(a), &lb = *static_cast<Layout *>(b),
             &ld = *static_cast<Layout *>(d);
  const bool fits = op.compute == kCompute32F && op.scale == kF32 &&
                    op.transposeA == 1 && la.type == kBf16 &&
                    lb.type == kBf16 && ld.type == kBf16 &&
                    la.rows == lb.rows && la.cols == ld.rows &&
                    lb.cols == ld.cols && la.leading == int64_t(la.rows) &&
                    lb.leading == int64_t(lb.rows) &&
                    ld.leading == int64_t(ld.rows) && c == d && wanted == 1;
  for (int i = 0; i < 12; ++i)
    result[i] = 0; // the algorithm, its workspace, state 0
  result[0] = 42;
  *found = fits;
  return 0;
}
FAKE(int, Matmul, void *, void *, const void *alpha, const void *, void *,
     const void *, void *, const void *beta, const void *, void *, void *,
     void *, const void *algorithm, void *workspace, size_t workspaceBytes,
     void *) {
  return *static_cast<const float *>(alpha) == 1 &&
                 *static_cast<const float *>(beta) == 0 &&
                 *static_cast<const uint64_t *>(algorithm) == 42 && workspace &&
                 workspaceBytes == preferredWorkspace
             ? 0
             : kInvalid;
}
