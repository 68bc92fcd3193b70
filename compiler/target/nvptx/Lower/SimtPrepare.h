// Rewrites of a kernel's tile form that the lowering without contractions wants.
#pragma once

#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// A store of joined tiles becomes a store of each, so that no thread needs an
/// element of another: elementwise ops move in front of the join.
void splitStoredConcats(tile::KernelOp kernel);

} // namespace hadal::nvptx
