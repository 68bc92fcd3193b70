// The argument array of a kernel: what each 8-byte slot is and how the kernel's
// body uses it (docs/artifact.md, "Kernel call on the CPU").
#pragma once

#include "dialects/Exec/IR/Exec.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal {

/// One slot of a kernel's argument array.
struct KernelSlot {
  enum class Role { data, scale, extent, sizes };
  Role role;
  /// The kernel argument that it belongs to.
  unsigned argument;
  /// What the body does with the memory behind it (not for extents).
  bool reads = false, writes = false;
  /// The argument is marked constant: a parameter has to be bound to it.
  bool constant = false;
  /// "x", "x.scale", "x.extent0", ...
  std::string name;
};

/// The slots of |kernel|, in order.
llvm::SmallVector<KernelSlot> getKernelSlots(tile::KernelOp kernel);

/// Bytes that slot |index| (data or scale) of |launch| spans: extents come from
/// the launch. 0 for a stack or segments view, which is a table of pointers.
int64_t getSlotBytes(tile::KernelOp kernel,
                     llvm::ArrayRef<KernelSlot> slots, exec::LaunchOp launch,
                     unsigned index);

} // namespace hadal
