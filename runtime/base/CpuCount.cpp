#include "runtime/base/CpuCount.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include <sched.h>

namespace hadal {

namespace {

/// Quota over period as a number of CPUs; 0: no limit.
double ratio(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : 0;
}

/// cpu.max holds "QUOTA PERIOD" or "max PERIOD".
double limitOfV2(const std::string &group) {
  std::ifstream file(group + "/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period ? ratio(quota, period) : 0;
}

double limitOfV1(const std::string &group) {
  std::ifstream quotaFile(group + "/cpu.cfs_quota_us");
  std::ifstream periodFile(group + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quotaFile >> quota && periodFile >> period ? ratio(quota, period) : 0;
}

/// The least limit of the group |path| under |root| and of all above it. Inside
/// a container |path| may be the host's name for what is mounted as the root:
/// groups that are not there are passed over.
double leastLimit(const std::string &root, std::string path,
                  double (*limitOf)(const std::string &)) {
  double least = 0;
  while (true) {
    if (double limit = limitOf(root + path); limit > 0)
      least = least > 0 ? std::min(least, limit) : limit;
    size_t slash = path.rfind('/');
    if (slash == std::string::npos)
      return least;
    path.resize(slash);
  }
}

} // namespace

unsigned cgroupCpus(const std::string &root, const std::string &membership) {
  std::ifstream groups(membership);
  double least = 0;
  // "ID:CONTROLLERS:PATH"; version 2 is "0::PATH".
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':');
    size_t second =
        first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    double limit = 0;
    if (controllers.empty()) {
      limit = leastLimit(root, path, limitOfV2);
    } else {
      std::stringstream names(controllers);
      bool isCpu = false;
      for (std::string name; std::getline(names, name, ',');)
        isCpu |= name == "cpu";
      // The mount is named after the controllers, or links to that by each.
      if (isCpu)
        for (const std::string &mount : {controllers, std::string("cpu")})
          if (limit == 0)
            limit = leastLimit(root + "/" + mount, path, limitOfV1);
    }
    if (limit > 0)
      least = least > 0 ? std::min(least, limit) : limit;
  }
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

unsigned usableCpus(const std::string &root, const std::string &membership) {
  const unsigned affinity = affinityCpus();
  const unsigned granted = cgroupCpus(root, membership);
  return granted ? std::max(1u, std::min(affinity, granted)) : affinity;
}

} // namespace hadal
