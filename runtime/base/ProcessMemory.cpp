#include "runtime/base/ProcessMemory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <initializer_list>

namespace hadal {

namespace {

struct Field {
  const char *key;
  uint64_t *value;
};

/// Reads lines "key:   123 kB" of |path| into bytes; a key that the kernel does
/// not print leaves its value.
Status readKibibytes(const char *path, std::initializer_list<Field> fields) {
  std::FILE *file = std::fopen(path, "re");
  if (!file)
    return error(5001, "cannot open '{}': {}; is /proc mounted?", path,
                 std::strerror(errno));
  char line[256];
  while (std::fgets(line, sizeof(line), file))
    for (const Field &field : fields) {
      size_t length = std::strlen(field.key);
      unsigned long long kibibytes;
      if (std::strncmp(line, field.key, length) == 0 &&
          std::sscanf(line + length, "%llu", &kibibytes) == 1)
        *field.value = uint64_t{kibibytes} * 1024;
    }
  std::fclose(file);
  return Status();
}

/// What the |limit| of a group leaves; version 1 spells none as a number beyond
/// all memory.
std::optional<double> leftOf(const std::string &group, const char *limit,
                             const char *usage, std::string_view reclaimable) {
  const std::optional<double> most = numberIn(group + limit);
  const std::optional<double> used = numberIn(group + usage);
  if (!most || !used || *most >= 0x1p62)
    return std::nullopt;
  double files = 0;
  std::ifstream statistics(group + "/memory.stat");
  std::string key;
  for (double value = 0; statistics >> key >> value;)
    if (key == reclaimable)
      files = value;
  return std::max(0.0, *most - std::max(0.0, *used - files));
}

} // namespace

StatusOr<ProcessMemory> readProcessMemory() {
  ProcessMemory memory;
  HADAL_RETURN_IF_ERROR(
      readKibibytes("/proc/self/status", {{"VmRSS:", &memory.resident},
                                          {"RssAnon:", &memory.anonymous},
                                          {"RssFile:", &memory.file},
                                          {"RssShmem:", &memory.shared},
                                          {"VmHWM:", &memory.peakResident}}));
  return memory;
}

std::optional<uint64_t> cgroupMemoryLeft(const ControlGroups &groups) {
  const std::optional<double> left = groups.least(
      "memory",
      [](const std::string &group) {
        return leftOf(group, "/memory.max", "/memory.current", "inactive_file");
      },
      [](const std::string &group) {
        return leftOf(group, "/memory.limit_in_bytes",
                      "/memory.usage_in_bytes", "total_inactive_file");
      });
  return left ? std::optional(static_cast<uint64_t>(*left)) : std::nullopt;
}

StatusOr<uint64_t> readAvailableMemory(const ControlGroups &groups) {
  uint64_t available = 0;
  HADAL_RETURN_IF_ERROR(
      readKibibytes("/proc/meminfo", {{"MemAvailable:", &available}}));
  if (available == 0)
    return error(5001, "'/proc/meminfo' has no MemAvailable");
  return std::min(available, cgroupMemoryLeft(groups).value_or(available));
}

} // namespace hadal
