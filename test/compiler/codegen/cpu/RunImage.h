// Maps an image as the runtime does, and says which variants this host runs.
#pragma once

#include <cstring>
#include <sys/mman.h>

#include "compiler/codegen/cpu/CpuKernels.h"

namespace hadal::cpu {

using KernelFn = void (*)(const uint64_t *args, uint64_t begin, uint64_t end,
                          uint8_t *scratch);

/// An image in read+execute memory.
class MappedImage {
public:
  explicit MappedImage(const CpuImage &image) : offsets(image.entryOffsets) {
    size = (image.bytes.size() + 4095) / 4096 * 4096;
    base = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(base, image.bytes.data(), image.bytes.size());
    mprotect(base, size, PROT_READ | PROT_EXEC);
  }
  ~MappedImage() { munmap(base, size); }
  MappedImage(const MappedImage &) = delete;
  MappedImage &operator=(const MappedImage &) = delete;

  KernelFn kernel(size_t index) const {
    return reinterpret_cast<KernelFn>(address(index));
  }
  void *address(size_t index) const {
    return static_cast<char *>(base) + offsets[index];
  }

private:
  std::vector<uint64_t> offsets;
  void *base = nullptr;
  size_t size = 0;
};

inline bool hostRuns(Variant variant) {
  switch (variant) {
  case Variant::v3:
    return __builtin_cpu_supports("x86-64-v3");
  case Variant::v4:
    return __builtin_cpu_supports("x86-64-v4");
  case Variant::v4Bf16Vbmi:
    return __builtin_cpu_supports("x86-64-v4") &&
           __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("avx512vbmi");
  }
  return false;
}

inline std::vector<Variant> hostVariants() {
  std::vector<Variant> variants;
  for (Variant v : {Variant::v3, Variant::v4, Variant::v4Bf16Vbmi})
    if (hostRuns(v))
      variants.push_back(v);
  return variants;
}

} // namespace hadal::cpu
