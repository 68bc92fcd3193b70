// How many CPUs this process may use.
#pragma once

#include "runtime/base/ControlGroups.h"

namespace hadal {

/// The smaller of two numbers, at least 1: the CPUs that the process may be
/// scheduled on, and the time that its control groups grant (cpu.max of
/// version 2, cpu.cfs_quota_us of version 1, of the process' group and of every
/// group above it), rounded up to whole CPUs.
unsigned usableCpus(const ControlGroups &groups = {});

/// The second number alone; 0: no limit, or none that can be read.
unsigned cgroupCpus(const ControlGroups &groups);

/// The first number alone, however many CPUs the machine has.
unsigned affinityCpus();

} // namespace hadal
