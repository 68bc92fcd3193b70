#include "runtime/base/CpuCount.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <thread>

#include <sched.h>

namespace hadal {

namespace {

/// Quota over period as a number of CPUs.
std::optional<double> ratio(std::optional<double> quota,
                            std::optional<double> period) {
  return quota && period && *quota > 0 && *period > 0
             ? std::optional(*quota / *period)
             : std::nullopt;
}

/// cpu.max holds "QUOTA PERIOD" or "max PERIOD".
std::optional<double> limitOfV2(const std::string &group) {
  std::ifstream file(group + "/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period ? ratio(quota, period) : std::nullopt;
}

std::optional<double> limitOfV1(const std::string &group) {
  return ratio(numberIn(group + "/cpu.cfs_quota_us"),
               numberIn(group + "/cpu.cfs_period_us"));
}

} // namespace

unsigned cgroupCpus(const ControlGroups &groups) {
  const double least = groups.least("cpu", limitOfV2, limitOfV1).value_or(0);
  return static_cast<unsigned>(std::min(std::ceil(least), 1e6));
}

unsigned affinityCpus() {
  // The kernel refuses a set that has no room for all of its CPUs.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set)
      break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const int failed = sched_getaffinity(0, bytes, set);
    const int count = failed ? 0 : CPU_COUNT_S(bytes, set);
    const bool retry = failed && errno == EINVAL;
    CPU_FREE(set);
    if (count > 0)
      return static_cast<unsigned>(count);
    if (!retry)
      break;
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

unsigned usableCpus(const ControlGroups &groups) {
  const unsigned affinity = affinityCpus();
  const unsigned granted = cgroupCpus(groups);
  return granted ? std::max(1u, std::min(affinity, granted)) : affinity;
}

} // namespace hadal
