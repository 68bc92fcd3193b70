#include "cost/KernelCosts.h"

#include "runtime/base/Json.h"

namespace hadal::cost {

namespace {

constexpr int kCode = 5023;

std::optional<double> positive(const Json *value) {
  if (!value || !value->is_number() || !(value->get<double>() > 0))
    return std::nullopt;
  return value->get<double>();
}

Status readPoints(const std::string &path, const std::string &name,
                  const Json &points, KernelCost &cost) {
  if (!points.is_array() || points.empty())
    return error(kCode,
                 "'{}': \"points\" of kernel '{}' is not a list of [rows, us]",
                 path, name);
  for (const Json &point : points) {
    const bool pair = point.is_array() && point.size() == 2;
    std::optional<double> rows = pair ? positive(&point[0]) : std::nullopt;
    std::optional<double> us = pair ? positive(&point[1]) : std::nullopt;
    if (!rows || !us ||
        (!cost.points.empty() && *rows <= cost.points.back().first))
      return error(kCode,
                   "'{}': kernel '{}' has a point {}, expected [rows, us] with "
                   "rising rows, both above 0",
                   path, name, point.dump());
    cost.points.emplace_back(*rows, *us);
  }
  return {};
}

} // namespace

double KernelCost::us(double rows) const {
  if (rows <= points.front().first)
    return points.front().second;
  for (size_t i = 1; i < points.size(); ++i) {
    const auto [left, leftUs] = points[i - 1];
    const auto [right, rightUs] = points[i];
    if (rows <= right)
      return leftUs + (rightUs - leftUs) * (rows - left) / (right - left);
  }
  const auto [last, lastUs] = points.back();
  return last > 0 ? lastUs * rows / last : lastUs;
}

const KernelCost *KernelCosts::find(const std::string &name) const {
  auto found = kernels.find(name);
  return found == kernels.end() ? nullptr : &found->second;
}

StatusOr<KernelCosts> readKernelCosts(const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(Json root, readJsonFile(path, kCode));
  const Json *kernels = findMember(root, "kernels");
  if (!kernels || !kernels->is_array())
    return error(
        kCode,
        "'{}' holds no kernel costs: expected \"kernels\": [...]; write "
        "them with hadal-bench --kernels --json",
        path);
  KernelCosts costs;
  for (const Json &kernel : *kernels) {
    const std::string *name = asString(findMember(kernel, "name"));
    if (!name)
      return error(kCode, "'{}': a kernel has no \"name\"", path);
    KernelCost cost;
    if (const Json *points = findMember(kernel, "points")) {
      HADAL_RETURN_IF_ERROR(readPoints(path, *name, *points, cost));
    } else {
      std::optional<double> seconds = positive(findMember(kernel, "seconds"));
      if (!seconds)
        return error(kCode,
                     "'{}': kernel '{}' has neither \"seconds\" above 0 nor "
                     "\"points\"; measure it without --check-only",
                     path, *name);
      cost.points.emplace_back(0, *seconds * 1e6);
    }
    if (!costs.kernels.emplace(*name, std::move(cost)).second)
      return error(kCode, "'{}': kernel '{}' has two costs", path, *name);
  }
  return costs;
}

} // namespace hadal::cost
