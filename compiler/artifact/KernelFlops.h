// Floating-point operations and weight bytes of a kernel, for reports.
#pragma once

#include <cstdint>

#include "dialects/Tile/IR/TileDialect.h"

namespace hadal {

/// Operations of the matrix products of one launch of |items| work items, two
/// for a multiplication and its addition, at full grid. Grouped kernels count
/// the rows of a batch in which every token goes to |expertsPerToken| of the
/// kernel's experts (of several ranks the mean over them, below 1 perhaps). 0:
/// unknown, since a product lies in a fold whose length is known at run time
/// only, or there is none.
uint64_t countLaunchFlops(tile::KernelOp kernel, uint64_t items,
                          double expertsPerToken);

/// Weight bytes that one launch of |kernel| reads at full grid: its static
/// matrices (an embedding and a rotary table, of which it reads rows, left
/// out).
uint64_t countWeightBytes(tile::KernelOp kernel);

} // namespace hadal
