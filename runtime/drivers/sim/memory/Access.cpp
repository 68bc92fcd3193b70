#include "runtime/drivers/sim/memory/Access.h"

#include <algorithm>

#include <fmt/format.h>

namespace hadal::sim {
namespace {

const char *spaceName(Space space) {
  switch (space) {
  case Space::global:
    return "global";
  case Space::shared:
    return "shared";
  case Space::sharedCluster:
    return "shared::cluster";
  case Space::local:
    return "local";
  case Space::param:
    return "param";
  case Space::constant:
    return "const";
  default:
    return "generic";
  }
}

void reportBounds(Exec &x, unsigned lane, uint64_t address, Space space,
                  unsigned bytes, bool write) {
  std::string where;
  if (space == Space::global || space == Space::constant)
    where = x.cta.launch.memory->describe(address);
  else if (space == Space::shared || space == Space::sharedCluster)
    where = fmt::format("shared memory is [{:#x}, {:#x})", sharedWindowBase,
                        sharedWindowBase + x.cta.shared.bytes());
  else if (space == Space::local)
    where = fmt::format("local memory has {} bytes", x.cta.kernel.localBytes);
  else
    where = fmt::format("the parameter block has {} bytes",
                        x.cta.launch.parameters.size());
  x.report(FindingKind::outOfBounds, 1u << lane, address,
           fmt::format("{}-byte {} {} is out of bounds: {}", bytes,
                       spaceName(space), write ? "store" : "load", where));
}

/// Lanes of |lanes| whose address is a multiple of |bytes|; a finding for the
/// others.
uint32_t aligned(Exec &x, uint32_t lanes, const uint64_t *addresses,
                 unsigned bytes, bool write) {
  // |bytes| is a power of two: one bit below it in any address is enough.
  uint64_t low = 0;
  forLanes(lanes, [&](unsigned l) { low |= addresses[l]; });
  if (!(low & (bytes - 1)))
    return lanes;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    if (!(addresses[l] & (bytes - 1)))
      continue;
    x.report(FindingKind::misaligned, 1u << l, addresses[l],
             fmt::format("{}-byte {} at an address that is not a multiple of "
                         "it",
                         bytes, write ? "store" : "load"));
    lanes &= ~(1u << l);
  }
  return lanes;
}

struct Range {
  uint64_t low, high; ///< addresses of the first bytes
};
Range rangeOf(uint32_t lanes, const uint64_t *addresses) {
  Range range{~uint64_t(0), 0};
  if (lanes == ~0u) {
    for (unsigned l = 0; l < 32; ++l) {
      range.low = std::min(range.low, addresses[l]);
      range.high = std::max(range.high, addresses[l]);
    }
    return range;
  }
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    range.low = std::min(range.low, addresses[l]);
    range.high = std::max(range.high, addresses[l]);
  }
  return range;
}

/// All 32 lanes access one contiguous range, in order.
bool isContiguous(uint32_t lanes, const uint64_t *addresses, unsigned bytes) {
  if (lanes != ~0u)
    return false;
  uint64_t differs = 0;
  for (unsigned l = 1; l < 32; ++l)
    differs |= addresses[l] ^ (addresses[0] + uint64_t(l) * bytes);
  return differs == 0;
}

/// Lanes inside an allocation; findings for the others.
uint32_t inGlobal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                  Space space, unsigned bytes, bool write) {
  Memory &memory = *x.cta.launch.memory;
  Range range = rangeOf(lanes, addresses);
  if (memory.find(range.low, range.high - range.low + bytes))
    return lanes;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    if (memory.find(addresses[l], bytes))
      continue;
    reportBounds(x, l, addresses[l], space, bytes, write);
    lanes &= ~(1u << l);
  }
  return lanes;
}

template <unsigned N>
void copyIn(uint32_t lanes, const uint64_t *addresses, const uint8_t *base,
            LaneData &data) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    std::memcpy(data.bytes[l], base + addresses[l], N);
  }
}
template <unsigned N>
void copyOut(uint32_t lanes, const uint64_t *addresses, uint8_t *base,
             const LaneData &data) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    std::memcpy(base + addresses[l], data.bytes[l], N);
  }
}
/// base + addresses[l] are valid: |base| is the origin of the space's
/// addresses, which itself need not lie in any memory.
void copyInAny(uint32_t lanes, const uint64_t *addresses, const uint8_t *base,
               unsigned bytes, LaneData &data) {
  switch (bytes) {
  case 1:
    return copyIn<1>(lanes, addresses, base, data);
  case 2:
    return copyIn<2>(lanes, addresses, base, data);
  case 4:
    return copyIn<4>(lanes, addresses, base, data);
  case 8:
    return copyIn<8>(lanes, addresses, base, data);
  default:
    return copyIn<16>(lanes, addresses, base, data);
  }
}
void copyOutAny(uint32_t lanes, const uint64_t *addresses, uint8_t *base,
                unsigned bytes, const LaneData &data) {
  switch (bytes) {
  case 1:
    return copyOut<1>(lanes, addresses, base, data);
  case 2:
    return copyOut<2>(lanes, addresses, base, data);
  case 4:
    return copyOut<4>(lanes, addresses, base, data);
  case 8:
    return copyOut<8>(lanes, addresses, base, data);
  default:
    return copyOut<16>(lanes, addresses, base, data);
  }
}

void fillDefined(uint32_t lanes, LaneData &data) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1)
    data.defined[std::countr_zero(rest)] = 0xFFFF;
}

/// Reads |N| definedness bytes (0 or 1) of each lane; true if all are 1.
template <unsigned N>
bool readDefinedBytes(uint32_t lanes, const uint64_t *addresses,
                      const uint8_t *base, LaneData &data) {
  uint8_t missing = 0;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    const uint8_t *defined = base + addresses[std::countr_zero(rest)];
    uint8_t all = 1;
    for (unsigned b = 0; b < N; ++b)
      all &= defined[b];
    missing |= !all;
  }
  if (!missing) {
    fillDefined(lanes, data);
    return true;
  }
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    const uint8_t *defined = base + addresses[l];
    uint16_t bits = 0;
    for (unsigned b = 0; b < N; ++b)
      bits |= uint16_t(defined[b]) << b;
    data.defined[l] = bits;
  }
  return false;
}
bool readDefined(uint32_t lanes, const uint64_t *addresses, const uint8_t *base,
                 unsigned bytes, LaneData &data) {
  switch (bytes) {
  case 1:
    return readDefinedBytes<1>(lanes, addresses, base, data);
  case 2:
    return readDefinedBytes<2>(lanes, addresses, base, data);
  case 4:
    return readDefinedBytes<4>(lanes, addresses, base, data);
  case 8:
    return readDefinedBytes<8>(lanes, addresses, base, data);
  default:
    return readDefinedBytes<16>(lanes, addresses, base, data);
  }
}

void checkStale(Exec &x, uint32_t lanes, const uint64_t *addresses,
                unsigned bytes, bool write, LaneData *data) {
  Memory &memory = *x.cta.launch.memory;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    if (!memory.isStale(addresses[l], bytes))
      continue;
    x.report(FindingKind::staleRead, 1u << l, addresses[l],
             fmt::format("{} of global memory that an earlier launch writes, "
                         "before griddepcontrol.wait ({})",
                         write ? "store" : "load",
                         memory.describe(addresses[l])));
    if (data && x.cta.launch.options.policy == AsyncPolicy::lazy)
      memory.readStale(addresses[l], data->bytes[l], bytes);
  }
}

uint32_t gatherGlobal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                      Space space, unsigned bytes, LaneData &data,
                      AccessKind kind) {
  lanes = inGlobal(x, lanes, addresses, space, bytes, false);
  if (!lanes)
    return 0;
  Memory &memory = *x.cta.launch.memory;
  copyInAny(lanes, addresses, memory.host(0), bytes, data);
  x.cta.launch.report.statistics.globalLoadBytes +=
      uint64_t(bytes) * std::popcount(lanes);
  if (!isContiguous(lanes, addresses, bytes) ||
      !memory.defined(addresses[0], 32 * bytes)) {
    uint64_t full = (uint64_t(1) << bytes) - 1;
    uint32_t partial = 0;
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      unsigned l = std::countr_zero(rest);
      data.defined[l] = memory.definedBits(addresses[l], bytes);
      partial |= data.defined[l] != full;
    }
    // Lanes of other spaces may have been read before and be defined.
    if (partial)
      data.allDefined = false;
  } else {
    fillDefined(lanes, data);
  }
  // Lanes that are not ordered behind griddepcontrol.wait must not see what the
  // launches ahead write.
  if ((lanes & ~x.warp.dependent) && memory.hasStale())
    checkStale(x, lanes & ~x.warp.dependent, addresses, bytes, false, &data);
  if (x.cta.globalMonitor)
    x.cta.globalMonitor->access(x, lanes, addresses, bytes,
                                kind == AccessKind::read
                                    ? AccessKind::read
                                    : AccessKind::strongRead);
  return lanes;
}

uint32_t scatterGlobal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                       Space space, unsigned bytes, const LaneData &data,
                       AccessKind kind) {
  lanes = inGlobal(x, lanes, addresses, space, bytes, true);
  if (!lanes)
    return 0;
  Memory &memory = *x.cta.launch.memory;
  if ((lanes & ~x.warp.dependent) && memory.hasStale())
    checkStale(x, lanes & ~x.warp.dependent, addresses, bytes, true, nullptr);
  if (x.cta.globalMonitor)
    x.cta.globalMonitor->access(x, lanes, addresses, bytes, kind);
  if (isContiguous(lanes, addresses, bytes)) {
    memory.noteWrite(addresses[0], 32 * bytes);
    memory.markDefined(addresses[0], 32 * bytes);
  } else {
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      unsigned l = std::countr_zero(rest);
      memory.noteWrite(addresses[l], bytes);
      memory.setDefinedBits(addresses[l], bytes, ~uint64_t(0));
    }
  }
  copyOutAny(lanes, addresses, memory.host(0), bytes, data);
  x.cta.launch.report.statistics.globalStoreBytes +=
      uint64_t(bytes) * std::popcount(lanes);
  if (data.allDefined)
    return lanes;
  uint64_t full = (uint64_t(1) << bytes) - 1;
  uint32_t undefined = 0;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    undefined |= uint32_t(data.defined[l] != full) << l;
  }
  if (undefined) {
    // The bytes count as defined from here on: one cause, one finding.
    unsigned l = std::countr_zero(undefined);
    x.report(FindingKind::undefinedStore, undefined, addresses[l],
             fmt::format("undefined bytes are stored to global memory ({})",
                         memory.describe(addresses[l])));
  }
  return lanes;
}

/// Lanes inside |shared|; addresses are relative to the window.
uint32_t inShared(Exec &x, uint32_t lanes, const uint64_t *addresses,
                  const SharedMemory &shared, Space space, unsigned bytes,
                  bool write) {
  auto contains = [&](uint64_t address, uint64_t count) {
    return address < (uint64_t(1) << 32) &&
           shared.contains(static_cast<uint32_t>(address), count);
  };
  Range range = rangeOf(lanes, addresses);
  // The first test keeps the sum in the second from wrapping.
  if (range.high - range.low <= shared.bytes() &&
      contains(range.low, range.high - range.low + bytes))
    return lanes;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    if (contains(addresses[l], bytes))
      continue;
    reportBounds(x, l, addresses[l], space, bytes, write);
    lanes &= ~(1u << l);
  }
  return lanes;
}

void tellMonitor(Exec &x, Cta &owner, uint32_t lanes, const uint64_t *addresses,
                 unsigned bytes, AccessKind kind) {
  // Races on the memory of another CTA are not looked for.
  if (!owner.monitor || &owner != &x.cta)
    return;
  uint32_t narrow[32];
  for (unsigned l = 0; l < 32; ++l)
    narrow[l] = static_cast<uint32_t>(addresses[l]);
  owner.monitor->access(x, lanes, narrow, bytes, kind);
}

uint32_t gatherShared(Exec &x, Cta &owner, uint32_t lanes,
                      const uint64_t *addresses, Space space, unsigned bytes,
                      LaneData &data, AccessKind kind) {
  SharedMemory &shared = owner.shared;
  lanes = inShared(x, lanes, addresses, shared, space, bytes, false);
  if (!lanes)
    return 0;
  copyInAny(lanes, addresses, shared.at(sharedWindowBase) - sharedWindowBase, bytes, data);
  if (!readDefined(lanes, addresses,
                   shared.definedAt(sharedWindowBase) - sharedWindowBase, bytes,
                   data))
    data.allDefined = false;
  tellMonitor(x, owner, lanes, addresses, bytes, kind);
  return lanes;
}

uint32_t scatterShared(Exec &x, Cta &owner, uint32_t lanes,
                       const uint64_t *addresses, Space space, unsigned bytes,
                       const LaneData &data, AccessKind kind) {
  SharedMemory &shared = owner.shared;
  lanes = inShared(x, lanes, addresses, shared, space, bytes, true);
  if (!lanes)
    return 0;
  copyOutAny(lanes, addresses, shared.at(sharedWindowBase) - sharedWindowBase, bytes, data);
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    uint8_t *defined = shared.definedAt(addresses[l]);
    // Constant sizes become single stores.
    if (data.allDefined && bytes == 4)
      std::memset(defined, 1, 4);
    else if (data.allDefined && bytes == 16)
      std::memset(defined, 1, 16);
    else if (data.allDefined)
      std::memset(defined, 1, bytes);
    else
      for (unsigned b = 0; b < bytes; ++b)
        defined[b] = data.defined[l] >> b & 1;
  }
  tellMonitor(x, owner, lanes, addresses, bytes, kind);
  return lanes;
}

uint32_t inLocal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                 unsigned bytes, bool write) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    uint64_t size = x.cta.kernel.localBytes;
    if (addresses[l] <= size && bytes <= size - addresses[l])
      continue;
    reportBounds(x, l, addresses[l], Space::local, bytes, write);
    lanes &= ~(1u << l);
  }
  return lanes;
}

uint32_t gatherLocal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                     unsigned bytes, LaneData &data) {
  lanes = inLocal(x, lanes, addresses, bytes, false);
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    std::memcpy(data.bytes[l],
                x.cta.localOf(x.warp.index, l) + addresses[l], bytes);
    const uint8_t *defined =
        x.cta.localDefinedOf(x.warp.index, l) + addresses[l];
    uint16_t bits = 0;
    for (unsigned b = 0; b < bytes; ++b)
      bits |= uint16_t(defined[b]) << b;
    data.defined[l] = bits;
  }
  data.allDefined = false;
  return lanes;
}

uint32_t scatterLocal(Exec &x, uint32_t lanes, const uint64_t *addresses,
                      unsigned bytes, const LaneData &data) {
  lanes = inLocal(x, lanes, addresses, bytes, true);
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    std::memcpy(x.cta.localOf(x.warp.index, l) + addresses[l], data.bytes[l],
                bytes);
    uint8_t *defined = x.cta.localDefinedOf(x.warp.index, l) + addresses[l];
    for (unsigned b = 0; b < bytes; ++b)
      defined[b] = data.allDefined ? 1 : data.defined[l] >> b & 1;
  }
  return lanes;
}

uint32_t gatherParam(Exec &x, uint32_t lanes, const uint64_t *addresses,
                     unsigned bytes, LaneData &data) {
  const std::vector<uint8_t> &block = x.cta.launch.parameters;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    if (addresses[l] > block.size() || bytes > block.size() - addresses[l]) {
      reportBounds(x, l, addresses[l], Space::param, bytes, false);
      lanes &= ~(1u << l);
      continue;
    }
    std::memcpy(data.bytes[l], block.data() + addresses[l], bytes);
    data.defined[l] = 0xFFFF;
  }
  return lanes;
}

/// Splits |lanes| by the space (and CTA) of their address and calls
/// f(subset, space, cta, local addresses) for each part.
template <typename F>
uint32_t bySpace(Exec &x, uint32_t lanes, const uint64_t *addresses,
                 Space space, F &&f) {
  if (space != Space::generic && space != Space::sharedCluster)
    return f(lanes, space, &x.cta, addresses);
  uint64_t plain[32];
  uint32_t result = 0;
  for (uint32_t rest = lanes; rest;) {
    unsigned first = std::countr_zero(rest);
    uint32_t subset = 0;
    Space subsetSpace = Space::generic;
    Cta *owner = nullptr;
    for (uint32_t r = rest; r; r &= r - 1) {
      unsigned l = std::countr_zero(r);
      uint64_t address = addresses[l];
      Space s = space;
      Cta *cta = &x.cta;
      if (s == Space::generic)
        s = resolveGeneric(address);
      if (s == Space::shared || s == Space::sharedCluster)
        cta = resolveCluster(x.cta, address);
      if (l == first) {
        subsetSpace = s;
        owner = cta;
      }
      if (s == subsetSpace && cta == owner) {
        subset |= 1u << l;
        plain[l] = address;
      }
    }
    rest &= ~subset;
    if (!owner)
      reportBounds(x, first, addresses[first], Space::sharedCluster, 1, false);
    else
      result |= f(subset, subsetSpace, owner, plain);
  }
  return result;
}

} // namespace

Space resolveGeneric(uint64_t &address) {
  switch (address & window::mask) {
  case window::shared:
    address &= ~window::mask;
    return Space::shared;
  case window::local:
    address &= ~window::mask;
    return Space::local;
  case window::param:
    address &= ~window::mask;
    return Space::param;
  default:
    return Space::global;
  }
}

Cta *resolveCluster(Cta &cta, uint64_t &address) {
  uint64_t rank = address >> SharedMemory::rankShift;
  if (rank == 0)
    return &cta;
  address &= (uint64_t(1) << SharedMemory::rankShift) - 1;
  if (rank > cta.cluster.ctas.size())
    return nullptr;
  return cta.cluster.ctas[rank - 1].get();
}

Cta *sharedOwner(Exec &x, uint64_t &address, unsigned lane, const char *what) {
  uint64_t given = address;
  if (resolveGeneric(address) == Space::shared || given < (1ull << 32))
    if (Cta *owner = resolveCluster(x.cta, address))
      return owner;
  x.report(FindingKind::outOfBounds, 1u << lane, given,
           fmt::format("{} is not a shared address of the cluster", what));
  return nullptr;
}

uint32_t gather(Exec &x, uint32_t lanes, const uint64_t *addresses, Space space,
                unsigned bytes, LaneData &data, AccessKind kind) {
  data.allDefined = true;
  uint32_t wanted = lanes;
  lanes = aligned(x, lanes, addresses, bytes, false);
  if (lanes)
    lanes = bySpace(x, lanes, addresses, space,
                    [&](uint32_t part, Space s, Cta *owner,
                        const uint64_t *plain) -> uint32_t {
                      switch (s) {
                      case Space::shared:
                      case Space::sharedCluster:
                        return gatherShared(x, *owner, part, plain, s, bytes,
                                            data, kind);
                      case Space::local:
                        return gatherLocal(x, part, plain, bytes, data);
                      case Space::param:
                        return gatherParam(x, part, plain, bytes, data);
                      default:
                        return gatherGlobal(x, part, plain, s, bytes, data,
                                            kind);
                      }
                    });
  for (uint32_t rest = wanted & ~lanes; rest; rest &= rest - 1) {
    unsigned l = std::countr_zero(rest);
    std::memset(data.bytes[l], 0, sizeof data.bytes[l]);
    data.defined[l] = 0xFFFF;
  }
  return lanes;
}

uint32_t scatter(Exec &x, uint32_t lanes, const uint64_t *addresses,
                 Space space, unsigned bytes, const LaneData &data,
                 AccessKind kind) {
  lanes = aligned(x, lanes, addresses, bytes, true);
  if (!lanes)
    return 0;
  return bySpace(
      x, lanes, addresses, space,
      [&](uint32_t part, Space s, Cta *owner,
          const uint64_t *plain) -> uint32_t {
        switch (s) {
        case Space::shared:
        case Space::sharedCluster:
          return scatterShared(x, *owner, part, plain, s, bytes, data, kind);
        case Space::local:
          return scatterLocal(x, part, plain, bytes, data);
        case Space::param:
        case Space::constant:
          reportBounds(x, std::countr_zero(part), plain[std::countr_zero(part)],
                       s, bytes, true);
          return 0;
        default:
          return scatterGlobal(x, part, plain, s, bytes, data, kind);
        }
      });
}

uint32_t laneAddresses(Exec &x, Operand base, bool wide, int64_t offset,
                       uint64_t *addresses) {
  uint32_t undefined;
  if (wide) {
    const uint64_t *a = x.in<uint64_t>(base);
    for (unsigned l = 0; l < 32; ++l)
      addresses[l] = a[l] + offset;
    undefined = x.undefLanes<uint64_t>(base) & x.mask;
  } else {
    const uint32_t *a = x.in<uint32_t>(base);
    for (unsigned l = 0; l < 32; ++l)
      addresses[l] = uint64_t(a[l]) + offset;
    undefined = x.undefLanes<uint32_t>(base) & x.mask;
  }
  if (undefined) [[unlikely]] {
    x.report(FindingKind::undefinedAddress, undefined,
             addresses[std::countr_zero(undefined)],
             "the address depends on undefined bits");
  }
  return x.mask & ~undefined;
}

} // namespace hadal::sim
