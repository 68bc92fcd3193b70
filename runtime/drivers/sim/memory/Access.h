// Checked access to memory of every space, a whole warp at a time.
#pragma once

#include "runtime/drivers/sim/machine/Exec.h"

namespace hadal::sim {

/// Up to 16 bytes of each lane. Bit b of defined[l]: byte b of lane l is
/// defined.
struct LaneData {
  alignas(64) uint8_t bytes[32][16];
  uint16_t defined[32];
  /// Every byte of every lane is defined (then `defined` is not filled).
  bool allDefined = true;
};

/// Reads |bytes| (1..16) at addresses[l] for each lane of |lanes|. Lanes whose
/// address is out of bounds or misaligned give a finding and zeros. Returns the
/// lanes that were read.
uint32_t gather(Exec &x, uint32_t lanes, const uint64_t *addresses, Space space,
                unsigned bytes, LaneData &data,
                AccessKind kind = AccessKind::read);

/// Writes likewise. Undefined bytes that reach global memory are a finding.
uint32_t scatter(Exec &x, uint32_t lanes, const uint64_t *addresses,
                 Space space, unsigned bytes, const LaneData &data,
                 AccessKind kind = AccessKind::write);

/// The space of a generic address; strips the window's bits from |address|.
Space resolveGeneric(uint64_t &address);

/// The shared memory that a shared::cluster address means, or nullptr when its
/// rank is outside the cluster; strips the rank from |address|.
Cta *resolveCluster(Cta &cta, uint64_t &address);

/// The same for the operand |what| of |lane|, a shared or a generic address,
/// with a finding where nullptr comes out.
Cta *sharedOwner(Exec &x, uint64_t &address, unsigned lane, const char *what);

/// addresses[l] = base + offset of the address operand of |i| for all 32 lanes.
/// Lanes whose base is undefined give a finding and are removed from the
/// result, which is a subset of Exec::mask.
uint32_t laneAddresses(Exec &x, Operand base, bool wide, int64_t offset,
                       uint64_t *addresses);

} // namespace hadal::sim
