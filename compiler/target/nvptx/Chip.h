// Facts of the chips that sm_90a code is made for, as data.
#pragma once

#include <cstdint>

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace hadal::nvptx {

/// One chip of compute capability 9.0. Schedules and floors are computed from
/// these numbers; code for one chip runs on the other too.
struct Chip {
  llvm::StringLiteral name;        ///< as `--chip` takes it
  llvm::StringLiteral description; ///< for people
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
llvm::ArrayRef<Chip> allChips();
/// The chip |name|, or null.
const Chip *findChip(llvm::StringRef name);

} // namespace hadal::nvptx
