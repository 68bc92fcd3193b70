#include "runtime/weights/TensorSlice.h"

#include "runtime/base/Checked.h"

namespace hadal {

std::optional<TensorSlice> sliceOf(const ParameterSpec &spec, uint64_t rows) {
  TensorSlice slice;
  slice.fileShape.push_back(rows);
  slice.fileShape.insert(slice.fileShape.end(), spec.inner.begin(),
                         spec.inner.end());
  std::optional<uint64_t> run = 1, runs = 1;
  for (size_t d = 0; d < slice.fileShape.size(); ++d) {
    std::optional<uint64_t> &product = d < spec.slice.dim ? runs : run;
    product = product ? checkedMul(*product, slice.fileShape[d]) : product;
  }
  if (!runs || !run)
    return std::nullopt;
  uint64_t &extent = slice.fileShape[spec.slice.dim];
  std::optional<uint64_t> whole = checkedMul(extent, spec.slice.count),
                          pitch = checkedMul(*run, spec.slice.count);
  if (!whole || !pitch || !checkedMul(*pitch, *runs))
    return std::nullopt;
  extent = *whole;
  slice.runs = *runs;
  slice.run = *run;
  slice.pitch = *pitch;
  slice.begin = spec.slice.index * *run;
  return slice;
}

} // namespace hadal
