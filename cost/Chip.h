// Facts of the chips that sm_90a code is made for, as data. No LLVM: the
// runtime's benchmark computes floors from them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hadal::nvptx {

/// One chip of compute capability 9.0. Schedules and floors are computed from
/// these numbers; code for one chip runs on the other too.
struct Chip {
  std::string_view name;        ///< as `--chip` takes it
  std::string_view description; ///< for people
  unsigned multiprocessors;
  /// Registers of 32 bits of a multiprocessor.
  unsigned registers;
  /// Shared memory in bytes: of a multiprocessor, most of a block.
  uint64_t sharedPerMultiprocessor, sharedPerBlock;
  uint64_t l2Bytes;
  uint64_t memoryBytes;
  /// Boost clock in Hz.
  double clock;
  /// Peak of the memory in bytes per second.
  double memoryRate;
  /// Dense tensor-core peaks at that clock, in operations per second
  /// (multiply and add count two).
  double bf16Rate, fp8Rate;

  /// Most warps that one multiprocessor holds.
  static constexpr unsigned kMaxWarps = 64;
};

/// All chips, the default first.
std::span<const Chip> allChips();
/// The chip |name|, or null.
const Chip *findChip(std::string_view name);
/// The chip of a device that calls itself |deviceName| ("NVIDIA H100 80GB
/// HBM3") and has |multiprocessors|; null for any other, such as a PCIe board.
const Chip *chipOfDevice(std::string_view deviceName, unsigned multiprocessors);

} // namespace hadal::nvptx
