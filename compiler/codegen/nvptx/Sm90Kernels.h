// From one tile kernel to PTX for sm_90a with everything a launch needs.
#pragma once

#include <cstdint>
#include <string>

#include "dialects/Tile/IR/TileDialect.h"
#include "llvm/ADT/SmallVector.h"

namespace hadal::nvptx {

struct Chip;

/// One dimension of a tensor map, innermost first.
struct TensorMapDim {
  /// Elements; -1: read from argument slot |extentSlot| when the map is built.
  int64_t extent = 0;
  unsigned extentSlot = 0;
  /// Bytes from one element of this dimension to the next (dimension 0: the
  /// element itself).
  uint64_t strideBytes = 0;
  /// Elements of the box.
  uint32_t box = 1;
};

/// A tensor map that the kernel takes as a parameter; the runtime builds it when
/// the base address is known. Outside elements read as zero.
struct TensorMapInfo {
  enum class DataType { u8, bf16, f32, i32 };
  /// Argument slot that holds the base address.
  unsigned slot = 0;
  DataType dataType = DataType::u8;
  llvm::SmallVector<TensorMapDim, 5> dims;
  /// Bytes of the swizzle span: 0, 32, 64 or 128.
  unsigned swizzle = 0;
};

/// A compiled kernel. Its entry's parameters are: one u64 per argument slot
/// (docs/artifact.md), the workspace address if workspaceBytes() > 0 for the
/// launch, then the tensor maps (128 bytes each, aligned to 64) in order.
struct Sm90Kernel {
  std::string name, ptx;
  /// Threads of a CTA.
  unsigned threads = 0;
  /// Dynamic shared memory in bytes.
  uint64_t sharedBytes = 0;
  /// CTAs that share one work item (a split fold); CTA = item * n + part.
  unsigned ctasPerItem = 1;
  /// The kernel strides over the items by the grid's size.
  bool persistent = false;
  /// Workspace of a launch: fixed + perItem * items bytes, zeroed once at load.
  uint64_t workspaceFixed = 0, workspacePerItem = 0;
  llvm::SmallVector<TensorMapInfo> tensorMaps;
  /// "9.0": the PTX ISA version of |ptx|, and the CUDA driver (as
  /// cuDriverGetVersion: 12030) that is the first to read it.
  std::string ptxIsa;
  unsigned driverMinimum = 0;

  bool usesWorkspace() const { return workspaceFixed || workspacePerItem; }
};

/// Bytes of the workspace of a launch: fixed + perItem * items.
struct KernelWorkspace {
  uint64_t fixed = 0, perItem = 0;
};

/// The workspace that compileKernel gives |kernel|, found by the same lowering
/// without code for it. Errors as there.
mlir::FailureOr<KernelWorkspace> planWorkspace(tile::KernelOp kernel,
                                               const Chip &chip);

/// Lowers |kernel| for |chip|: a kernel with a contraction by the warp-specialised
/// pipeline, any other by distributed registers. On failure an error has been
/// reported at the op that has no lowering. |kernel| is not changed.
mlir::FailureOr<Sm90Kernel> compileKernel(tile::KernelOp kernel,
                                          const Chip &chip);

} // namespace hadal::nvptx
