// How long kernels take: what was measured, by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::cost {

/// Measurements of one kernel: microseconds by rows.
struct KernelCost {
  /// By rising rows; one without rows (0) serves all.
  std::vector<std::pair<double, double>> points;

  /// Linear between the points; below the first as there (weights bound it),
  /// beyond the last in proportion to the rows.
  double us(double rows) const;
};

struct KernelCosts {
  std::map<std::string, KernelCost> kernels;

  const KernelCost *find(const std::string &name) const;
};

/// Reads {"kernels": [{"name": "...", "seconds": s} or
/// {"name": "...", "points": [[rows, us], ...]}, ...]}: what hadal-bench
/// --kernels --json writes, or a table. Members that it does not need are left
/// alone. H5023.
StatusOr<KernelCosts> readKernelCosts(const std::string &path);

} // namespace hadal::cost
