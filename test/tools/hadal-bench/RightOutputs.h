// What a right kernel writes, by the references of its case.
#pragma once

#include <algorithm>
#include <cmath>

#include "tools/hadal-bench/kernels/KernelCase.h"

namespace hadal::bench {

/// The outputs that the case itself expects.
inline Arguments rightOutputs(const KernelCase &test) {
  Arguments outputs;
  for (const Expected &output : test.expected) {
    Tensor tensor = test.arguments.find(output.output)->second;
    std::vector<uint64_t> columns;
    for (uint64_t c = 0; c < tensor.cols; ++c)
      columns.push_back(c);
    std::map<uint64_t, std::vector<double>> rows;
    double most = 0;
    for (uint64_t row : output.rows) {
      rows[row] = output.values(row, columns);
      for (double value : rows[row])
        most = std::max(most, std::fabs(value));
    }
    // One scale for all, so that a code is value / scale.
    const double scale = tensor.blockRows ? most / 448 : 1;
    for (float &s : tensor.scales)
      s = static_cast<float>(scale);
    for (const auto &[row, values] : rows)
      for (uint64_t c : columns)
        tensor.set(row, c, values[c] / scale);
    outputs.insert_or_assign(output.output, std::move(tensor));
  }
  return outputs;
}

} // namespace hadal::bench
