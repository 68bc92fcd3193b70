#include "cost/Chip.h"

#include <cctype>
#include <string>

namespace hadal::nvptx {

// From NVIDIA's data sheets of the SXM5 boards and the compute capability table
// of the CUDA C++ programming guide. The rates are 132 multiprocessors x 4096
// bf16 (8192 FP8) operations per clock x the boost clock.
static constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB;
static constexpr uint64_t kGB = 1000000000;
static constexpr double kClock = 1.83e9;

static const Chip kChips[] = {
    {"h100", "NVIDIA H100 SXM5 80 GB", 132, 65536, 228 * kKiB, 227 * kKiB,
     50 * kMiB, 80 * kGB, kClock, 3.35e12, 132 * 4096.0 * kClock,
     132 * 8192.0 * kClock},
    {"h200", "NVIDIA H200 SXM5 141 GB", 132, 65536, 228 * kKiB, 227 * kKiB,
     50 * kMiB, 141 * kGB, kClock, 4.8e12, 132 * 4096.0 * kClock,
     132 * 8192.0 * kClock},
};

std::span<const Chip> allChips() { return kChips; }

const Chip *findChip(std::string_view name) {
  for (const Chip &chip : kChips)
    if (chip.name == name)
      return &chip;
  return nullptr;
}

const Chip *chipOfDevice(std::string_view deviceName,
                         unsigned multiprocessors) {
  for (const Chip &chip : kChips) {
    std::string word(chip.name);
    for (char &c : word)
      c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    // A word of its own: a GH200 is another chip.
    const std::string padded = " " + std::string(deviceName) + " ";
    if (chip.multiprocessors == multiprocessors &&
        padded.find(" " + word + " ") != std::string::npos)
      return &chip;
  }
  return nullptr;
}

} // namespace hadal::nvptx
