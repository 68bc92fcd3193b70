#include "runtime/drivers/sim/memory/FastAccess.h"

#include <algorithm>

#include <immintrin.h>

namespace hadal::sim {
namespace {

struct Shape {
  uint64_t low = ~uint64_t(0), high = 0; ///< first bytes
  uint64_t alignment = 0;                ///< all addresses or-ed
  bool contiguous = false;               ///< one range, lanes in order
};

template <unsigned Bytes> Shape shapeOf(const uint64_t *addresses) {
  Shape shape;
  uint64_t differs = 0;
  for (unsigned l = 0; l < 32; ++l) {
    shape.low = std::min(shape.low, addresses[l]);
    shape.high = std::max(shape.high, addresses[l]);
    shape.alignment |= addresses[l];
    differs |= addresses[l] ^ (addresses[0] + l * Bytes);
  }
  shape.contiguous = !differs;
  return shape;
}

/// Registers lie by rows: rows[e] has element e of all 32 lanes, while memory
/// has all elements of a lane together. Hence a transposition, of four lanes at
/// a time: the words of four lanes to four neighbouring columns of each row,
/// and back.
template <unsigned Count>
[[gnu::always_inline]] inline void lanesToRows(const uint8_t *base,
                                               const uint64_t *addresses,
                                               uint32_t *const *rows) {
  for (unsigned l = 0; l < 32; l += 4) {
    if constexpr (Count == 4) {
      auto at = [&](unsigned i) {
        return _mm_loadu_ps(
            reinterpret_cast<const float *>(base + addresses[l + i]));
      };
      __m128 a = at(0), b = at(1), c = at(2), d = at(3);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      _mm_storeu_ps(reinterpret_cast<float *>(rows[0] + l), a);
      _mm_storeu_ps(reinterpret_cast<float *>(rows[1] + l), b);
      _mm_storeu_ps(reinterpret_cast<float *>(rows[2] + l), c);
      _mm_storeu_ps(reinterpret_cast<float *>(rows[3] + l), d);
    } else {
      for (unsigned i = 0; i < 4; ++i)
        for (unsigned e = 0; e < Count; ++e)
          std::memcpy(rows[e] + l + i, base + addresses[l + i] + 4 * e, 4);
    }
  }
}
template <unsigned Count>
[[gnu::always_inline]] inline void rowsToLanes(uint8_t *base,
                                               const uint64_t *addresses,
                                               const uint32_t *const *rows) {
  for (unsigned l = 0; l < 32; l += 4) {
    if constexpr (Count == 4) {
      auto row = [&](unsigned e) {
        return _mm_loadu_ps(reinterpret_cast<const float *>(rows[e] + l));
      };
      __m128 a = row(0), b = row(1), c = row(2), d = row(3);
      _MM_TRANSPOSE4_PS(a, b, c, d);
      auto at = [&](unsigned i) {
        return reinterpret_cast<float *>(base + addresses[l + i]);
      };
      _mm_storeu_ps(at(0), a);
      _mm_storeu_ps(at(1), b);
      _mm_storeu_ps(at(2), c);
      _mm_storeu_ps(at(3), d);
    } else {
      for (unsigned i = 0; i < 4; ++i)
        for (unsigned e = 0; e < Count; ++e)
          std::memcpy(base + addresses[l + i] + 4 * e, rows[e] + l + i, 4);
    }
  }
}

/// Whether |Bytes| definedness bytes of every lane are all 1.
template <unsigned Bytes>
[[gnu::always_inline]] inline bool allOnes(const uint8_t *base,
                                           const uint64_t *addresses) {
  if constexpr (Bytes == 16) {
    __m128i all = _mm_set1_epi8(1);
    for (unsigned l = 0; l < 32; ++l)
      all = _mm_and_si128(all, _mm_loadu_si128(reinterpret_cast<const __m128i *>(
                                   base + addresses[l])));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(1))) == 0xFFFF;
  } else {
    using Word = std::conditional_t<Bytes == 8, uint64_t, uint32_t>;
    constexpr Word ones = static_cast<Word>(0x0101010101010101u);
    Word all = ones;
    for (unsigned l = 0; l < 32; ++l) {
      Word word;
      std::memcpy(&word, base + addresses[l], sizeof word);
      all &= word;
    }
    return all == ones;
  }
}

/// |base| below is the address 0 of shared memory, so that addresses index it
/// as they are. The bound of 2^32 comes first: a generic address is 64 bits
/// wide, and a narrowed one could fall into the window.
bool insideShared(const SharedMemory &shared, const Shape &shape,
                  unsigned bytes) {
  return shape.high < (uint64_t(1) << 32) && shape.low >= SharedMemory::base &&
         shape.high - SharedMemory::base + bytes <= shared.bytes();
}

void tellMonitor(Exec &x, const uint64_t *addresses, unsigned bytes,
                 AccessKind kind) {
  if (!x.cta.monitor)
    return;
  // Shared addresses fit 32 bits: insideShared has seen them.
  uint32_t narrow[32];
  for (unsigned l = 0; l < 32; ++l)
    narrow[l] = static_cast<uint32_t>(addresses[l]);
  x.cta.monitor->access(x, ~0u, narrow, bytes, kind);
}

/// Whether the whole access lies in one allocation that nothing is pending for.
bool ordinaryGlobal(Exec &x, const Shape &shape, unsigned bytes) {
  const Memory &memory = *x.cta.launch.memory;
  return memory.find(shape.low, shape.high - shape.low + bytes) &&
         (x.warp.dependent == ~0u || !memory.hasStale());
}

} // namespace

template <unsigned Count>
bool fastLoad(Exec &x, Space space, const uint64_t *addresses,
              const Operand *list) {
  constexpr unsigned bytes = 4 * Count;
  const Shape shape = shapeOf<bytes>(addresses);
  // Whatever is not plain is left to Access.cpp, which reports it lane by lane:
  // misaligned, outside, undefined, or waiting for a kernel ahead.
  if (shape.alignment & (bytes - 1))
    return false;
  uint32_t *rows[Count];
  for (unsigned e = 0; e < Count; ++e)
    rows[e] = x.out<uint32_t>(list[e]);
  if (space == Space::shared) {
    SharedMemory &shared = x.cta.shared;
    if (!insideShared(shared, shape, bytes) ||
        !allOnes<bytes>(shared.definedAt(SharedMemory::base) -
                            SharedMemory::base,
                        addresses))
      return false;
    const uint8_t *base = shared.at(SharedMemory::base) - SharedMemory::base;
    if (Count == 1 && shape.contiguous)
      std::memcpy(rows[0], base + addresses[0], 128);
    else
      lanesToRows<Count>(base, addresses, rows);
    tellMonitor(x, addresses, bytes, AccessKind::read);
  } else {
    if (!ordinaryGlobal(x, shape, bytes))
      return false;
    Memory &memory = *x.cta.launch.memory;
    if (shape.contiguous) {
      if (!memory.defined(addresses[0], 32 * bytes))
        return false;
    } else {
      for (unsigned l = 0; l < 32; ++l)
        if (!memory.definedWord<bytes>(addresses[l]))
          return false;
    }
    const uint8_t *base = memory.host(0);
    if (Count == 1 && shape.contiguous)
      std::memcpy(rows[0], base + addresses[0], 128);
    else
      lanesToRows<Count>(base, addresses, rows);
    x.cta.launch.report.statistics.globalLoadBytes += 32 * bytes;
    if (x.cta.globalMonitor)
      x.cta.globalMonitor->access(x, ~0u, addresses, bytes, AccessKind::read);
  }
  for (unsigned e = 0; e < Count; ++e)
    std::memset(x.undefOut(list[e]), 0, 16);
  return true;
}

template <unsigned Count>
bool fastStore(Exec &x, Space space, const uint64_t *addresses,
               const Operand *list) {
  constexpr unsigned bytes = 4 * Count;
  const Shape shape = shapeOf<bytes>(addresses);
  if (shape.alignment & (bytes - 1))
    return false;
  const uint32_t *rows[Count];
  for (unsigned e = 0; e < Count; ++e)
    rows[e] = x.in<uint32_t>(list[e]);
  if (space == Space::shared) {
    SharedMemory &shared = x.cta.shared;
    if (!insideShared(shared, shape, bytes))
      return false;
    uint8_t *base = shared.at(SharedMemory::base) - SharedMemory::base;
    uint8_t *defined =
        shared.definedAt(SharedMemory::base) - SharedMemory::base;
    if (shape.contiguous) {
      std::memset(defined + addresses[0], 1, 32 * bytes);
    } else {
      for (unsigned l = 0; l < 32; ++l)
        std::memset(defined + addresses[l], 1, bytes);
    }
    if (Count == 1 && shape.contiguous)
      std::memcpy(base + addresses[0], rows[0], 128);
    else
      rowsToLanes<Count>(base, addresses, rows);
    tellMonitor(x, addresses, bytes, AccessKind::write);
    return true;
  }
  if (!ordinaryGlobal(x, shape, bytes))
    return false;
  Memory &memory = *x.cta.launch.memory;
  if (x.cta.globalMonitor)
    x.cta.globalMonitor->access(x, ~0u, addresses, bytes, AccessKind::write);
  if (shape.contiguous) {
    memory.noteWrite(addresses[0], 32 * bytes);
    memory.markDefined(addresses[0], 32 * bytes);
  } else {
    for (unsigned l = 0; l < 32; ++l) {
      memory.noteWrite(addresses[l], bytes);
      memory.setDefinedBits(addresses[l], bytes, ~uint64_t(0));
    }
  }
  uint8_t *base = memory.host(0);
  if (Count == 1 && shape.contiguous)
    std::memcpy(base + addresses[0], rows[0], 128);
  else
    rowsToLanes<Count>(base, addresses, rows);
  x.cta.launch.report.statistics.globalStoreBytes += 32 * bytes;
  return true;
}

template bool fastLoad<1>(Exec &, Space, const uint64_t *, const Operand *);
template bool fastLoad<2>(Exec &, Space, const uint64_t *, const Operand *);
template bool fastLoad<4>(Exec &, Space, const uint64_t *, const Operand *);
template bool fastStore<1>(Exec &, Space, const uint64_t *, const Operand *);
template bool fastStore<2>(Exec &, Space, const uint64_t *, const Operand *);
template bool fastStore<4>(Exec &, Space, const uint64_t *, const Operand *);

} // namespace hadal::sim
