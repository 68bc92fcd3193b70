// Rewrites of a kernel's tile form that the lowering without contractions wants.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// A store of joined tiles becomes a store of each, so that no thread needs an
/// element of another: elementwise ops move in front of the join.
void splitStoredConcats(tile::KernelOp kernel);

/// Moves the loads of the kernel's block to its front, as far as the indices
/// allow: a load behind a barrier would start only there. Views that the kernel
/// writes are left alone.
void moveLoadsForward(tile::KernelOp kernel);

} // namespace hadal::nvptx
