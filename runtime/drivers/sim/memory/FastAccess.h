// Loads and stores of 32-bit registers by a full warp: the common case, without
// the detour through bytes of lanes (Access.h).
#pragma once

#include "runtime/drivers/sim/machine/Exec.h"

namespace hadal::sim {

/// Loads |Count| (1, 2, 4) 32-bit words of each lane at addresses[lane] into the
/// rows list[0 .. Count). All 32 lanes take part. False, with nothing done, if
/// anything about the access is out of the ordinary: alignment, bounds,
/// undefined bytes, data of an unfinished launch.
template <unsigned Count>
bool fastLoad(Exec &x, Space space, const uint64_t *addresses,
              const Operand *list);

/// Stores likewise; the registers are defined.
template <unsigned Count>
bool fastStore(Exec &x, Space space, const uint64_t *addresses,
               const Operand *list);

} // namespace hadal::sim
