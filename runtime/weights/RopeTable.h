// The table of rotary embedding factors.
#pragma once

#include <cstdint>
#include <span>

namespace hadal {

/// Fills |table|, f32 [positions, pairs, 2], with cos and sin of the angle
/// float32(position) * invFreq[pair] times |scale|. The angle is a float32
/// product, as every reference forms it: at position 163839 its rounding moves
/// it by up to 2^-7 rad, which must be the same rounding. cos and sin are taken
/// in double of that angle, multiplied by |scale| in double and rounded once.
void fillRopeTable(std::span<const float> invFreq, uint64_t positions,
                   float scale, float *table);

} // namespace hadal
