// What a tile kernel computes, without its sizes: the key of a specialised
// lowering.
#pragma once

#include <cstdint>
#include <string>

#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

/// The body of |kernel|, canonicalised, as text with its sizes taken out. Data,
/// not structure, are: extents, steps, factors and divisors of indices, indices
/// above 1, offsets of slices beyond 0, constant tiles other than 0, 1 and
/// -inf, the schedule and every name. All else is structure. |kernel| is not
/// changed.
std::string describeStructure(tile::KernelOp kernel);

/// A hash of describeStructure, stable across builds of one MLIR release.
uint64_t fingerprint(tile::KernelOp kernel);

} // namespace hadal::nvptx
