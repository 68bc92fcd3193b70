// Small hand-written kernels around one mechanism each.
#pragma once

#include "test/runtime/drivers/sim/planted/Planted.h"

namespace hadal::sim::test {

/// `chain(q, v, out)`: out [64][64] f32 = bf16(q [64][16] * 2) * v [16][64]
/// with one warpgroup. q/v are bf16, row-major. v goes to shared memory by
/// ordinary stores (MN-major, 128-byte swizzle), A is made in registers.
std::string chainText();

/// `bulk(in, out)`: 128 threads copy 2048 bytes in -> shared by
/// cp.async.bulk, add 1 to each f32, and store them by cp.async.bulk.
std::string bulkText();

/// `first(out)` writes 128 floats (thread index), `second(in, out)` adds 1 to
/// them; both take part in programmatic dependent launch.
std::string dependentText();

/// `exchange(out)`: each of 4 warps writes its number to shared memory and
/// reads that of the next warp.
std::string exchangeText();

} // namespace hadal::sim::test
