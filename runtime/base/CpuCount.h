// How many CPUs this process may use.
#pragma once

#include <string>

namespace hadal {

/// The smaller of two numbers, at least 1: the CPUs that the process may be
/// scheduled on, and the time that its control groups grant (cpu.max of
/// version 2, cpu.cfs_quota_us of version 1, of the process' group and of every
/// group above it), rounded up to whole CPUs. |root| is where control groups
/// are mounted and |membership| the file that names those of the process; both
/// are parameters for tests.
unsigned usableCpus(const std::string &root = "/sys/fs/cgroup",
                    const std::string &membership = "/proc/self/cgroup");

/// The second number alone; 0: no limit, or none that can be read.
unsigned cgroupCpus(const std::string &root, const std::string &membership);

/// The first number alone, however many CPUs the machine has.
unsigned affinityCpus();

} // namespace hadal
