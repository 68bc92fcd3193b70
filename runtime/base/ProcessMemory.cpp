#include "runtime/base/ProcessMemory.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
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

StatusOr<uint64_t> readAvailableMemory() {
  uint64_t available = 0;
  HADAL_RETURN_IF_ERROR(
      readKibibytes("/proc/meminfo", {{"MemAvailable:", &available}}));
  if (available == 0)
    return error(5001, "'/proc/meminfo' has no MemAvailable");
  return available;
}

} // namespace hadal
