// What this process holds in memory, mapped files apart from its own pages.
#pragma once

#include <cstdint>

#include "runtime/base/ControlGroups.h"
#include "runtime/base/Status.h"

namespace hadal {

/// In bytes, from /proc/self/status. "Peak memory" alone means nothing where
/// weights are mapped: file pages are shared and reclaimable.
struct ProcessMemory {
  uint64_t resident = 0;     // VmRSS
  uint64_t anonymous = 0;    // RssAnon
  uint64_t file = 0;         // RssFile
  uint64_t shared = 0;       // RssShmem
  uint64_t peakResident = 0; // VmHWM
};

StatusOr<ProcessMemory> readProcessMemory();

/// Bytes that can be used without swapping: MemAvailable of /proc/meminfo, or
/// what the process' control groups leave if that is less (their limit but what
/// they use, unless it is pages of files that nobody reads).
StatusOr<uint64_t> readAvailableMemory(const ControlGroups &groups = {});

/// The second number alone; nothing where no group limits memory.
std::optional<uint64_t> cgroupMemoryLeft(const ControlGroups &groups);

} // namespace hadal
