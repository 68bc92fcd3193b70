// Device memory of the simulator: one address space with an allocation table
// and a definedness bit per byte.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal::sim {

struct Allocation {
  uint64_t base = 0, bytes = 0;
  std::string name;
};

/// Global memory. Addresses start at `firstAddress`, are never host pointers,
/// and allocations are at least 512 bytes apart, so that running past one
/// cannot reach another. Fresh memory is undefined; what the host writes is
/// defined. Not thread-safe.
class Memory {
public:
  static constexpr uint64_t firstAddress = 0x10'0000'0000;

  /// Reserves |capacity| bytes of address space; pages are touched on use.
  explicit Memory(uint64_t capacity = uint64_t(64) << 30);
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  /// Errors: H5006 when the address space is exhausted. |align| is a power of
  /// two. |name| appears in findings.
  StatusOr<uint64_t> allocate(uint64_t bytes, std::string name,
                              uint64_t align = 256);
  Status release(uint64_t address);
  /// Host copies. Errors: H5022 outside one allocation. A host copy waits for
  /// all launches before it (it ends the PDL chain).
  Status write(uint64_t address, const void *from, uint64_t bytes);
  Status read(uint64_t address, void *to, uint64_t bytes);
  Status fill(uint64_t address, uint8_t value, uint64_t bytes);
  /// True if every byte of the range is defined.
  bool defined(uint64_t address, uint64_t bytes) const;
  uint64_t allocatedBytes() const { return inUse; }

  // ---- For the executor -----------------------------------------------

  /// The allocation that holds all of [address, address + bytes), or nullptr.
  const Allocation *find(uint64_t address, uint64_t bytes) const {
    const Recent &recent = recentlyFound;
    if (recent.generation == generation)
      for (const Allocation *a : recent.hits)
        if (address - a->base < a->bytes &&
            bytes <= a->bytes - (address - a->base))
          return a;
    return findSlow(address, bytes);
  }
  /// "in 'x' (4096 bytes), 16 bytes past its end" or where the nearest
  /// allocation is.
  std::string describe(uint64_t address) const;

  /// Host bytes of a device address that find() accepted.
  uint8_t *host(uint64_t address) { return arena + (address - firstAddress); }
  const uint8_t *host(uint64_t address) const {
    return arena + (address - firstAddress);
  }

  /// Whether |Bytes| (4, 8, 16) bytes at a multiple of |Bytes| are all defined.
  template <unsigned Bytes> bool definedWord(uint64_t address) const {
    uint64_t offset = address - firstAddress;
    if constexpr (Bytes == 16) {
      uint16_t both;
      std::memcpy(&both, shadow + offset / 8, sizeof both);
      return both == 0xFFFF;
    } else {
      constexpr unsigned ones = Bytes == 8 ? 0xFF : 0xF;
      return (unsigned{shadow[offset / 8]} >> offset % 8 & ones) == ones;
    }
  }

  /// Definedness of |bytes| <= 64 bytes at |address|, bit i = byte i.
  uint64_t definedBits(uint64_t address, unsigned bytes) const {
    uint64_t offset = address - firstAddress;
    uint64_t word[2];
    std::memcpy(word, shadow + offset / 8, sizeof word);
    unsigned shift = offset % 8;
    uint64_t bits = word[0] >> shift;
    if (shift)
      bits |= word[1] << (64 - shift);
    return bytes == 64 ? bits : bits & ((uint64_t(1) << bytes) - 1);
  }
  void setDefinedBits(uint64_t address, unsigned bytes, uint64_t bits) {
    uint64_t offset = address - firstAddress;
    unsigned shift = offset % 8;
    // Within one byte of the shadow, or whole ones.
    if (bytes + shift <= 8) {
      auto keep = static_cast<uint8_t>(((1u << bytes) - 1) << shift);
      auto set = static_cast<uint8_t>((bits << shift) & keep);
      uint8_t &byte = shadow[offset / 8];
      if (keep == 0xFF)
        byte = set;
      else if (!parallel)
        byte = static_cast<uint8_t>((byte & ~keep) | set);
      else // kernels only define
        setShared(byte, set);
      return;
    }
    if (bytes == 16 && shift == 0) {
      auto both = static_cast<uint16_t>(bits);
      std::memcpy(shadow + offset / 8, &both, sizeof both);
      return;
    }
    if (parallel || bytes + shift > 64)
      return setDefinedBitsSlow(address, bytes, bits);
    uint64_t keep = (bytes == 64 ? ~uint64_t(0) : (uint64_t(1) << bytes) - 1)
                    << shift;
    uint64_t word;
    std::memcpy(&word, shadow + offset / 8, sizeof word);
    word = (word & ~keep) | ((bits << shift) & keep);
    std::memcpy(shadow + offset / 8, &word, sizeof word);
  }
  void markDefined(uint64_t address, uint64_t bytes, bool defined = true);

  // ---- Programmatic dependent launch ----------------------------------
  // While a launch runs, the old contents of every page that it writes are
  // kept. A following PDL launch must not touch them before its
  // griddepcontrol.wait, and under the lazy policy reads the old contents.

  /// Begins a launch: with |pdl| the pages written by the launches since the
  /// last full synchronisation become the stale set.
  /// Until the next launch or host access, several threads write if
  /// |parallel|: noteWrite, setDefinedBits and markDefined may then be called
  /// at once, and only define.
  void beginLaunch(bool pdl, bool parallel = false);
  /// Called before every global write by a kernel.
  void noteWrite(uint64_t address, uint64_t bytes) {
    uint64_t first = (address - firstAddress) >> pageShift;
    uint64_t last = (address + bytes - 1 - firstAddress) >> pageShift;
    const Noted &noted = lastNoted;
    if (first == last && noted.launch == launchNumber &&
        noted.number == first) {
      noted.page->mark(address, bytes, parallel);
      return;
    }
    noteWriteSlow(address, bytes);
  }
  /// True if a byte of the range was written by a launch that the running one
  /// has not waited for.
  bool isStale(uint64_t address, uint64_t bytes) const;
  /// Reads what was there before the predecessor's writes.
  void readStale(uint64_t address, void *to, uint64_t bytes) const;
  bool hasStale() const { return !stale.empty(); }
  /// Everything before is complete: the host synchronised.
  void synchronize();
  /// The host looks at memory or undefines some, between two launches of a chain
  /// that goes on.
  void interrupt() { parallel = false; }

  /// Addresses of each module's variables, by PtxModule::id().
  std::map<uint64_t, std::vector<uint64_t>> moduleVariables;

private:
  /// Sets bits of a word that other threads set bits of as well. Mostly they are
  /// set already, and a load is cheaper.
  template <typename Word> static void setShared(Word &word, Word bits) {
    if ((__atomic_load_n(&word, __ATOMIC_RELAXED) & bits) != bits)
      __atomic_fetch_or(&word, bits, __ATOMIC_RELAXED);
  }

  static constexpr unsigned pageShift = 12;
  static constexpr size_t maxStalePages = size_t(1) << 15;
  struct Page {
    uint8_t old[1 << pageShift];
    uint64_t written[(1 << pageShift) / 64] = {};
    /// Whether a byte of [first, first + count) of the page was written.
    bool any(uint64_t first, uint64_t count) const {
      while (count) {
        uint64_t part = std::min<uint64_t>(count, 64 - first % 64);
        uint64_t ones = part == 64 ? ~uint64_t(0) : (uint64_t(1) << part) - 1;
        if (written[first / 64] & ones << first % 64)
          return true;
        first += part;
        count -= part;
      }
      return false;
    }
    /// Pages are aligned: firstAddress is a multiple of the page size.
    void mark(uint64_t address, uint64_t bytes, bool parallel) {
      uint64_t b = address & ((1 << pageShift) - 1);
      while (bytes) {
        uint64_t count = std::min<uint64_t>(bytes, 64 - b % 64);
        uint64_t ones = count == 64 ? ~uint64_t(0) : (uint64_t(1) << count) - 1;
        uint64_t &word = written[b / 64];
        ones <<= b % 64;
        if (!parallel)
          word |= ones;
        else
          setShared(word, ones);
        b += count;
        bytes -= count;
      }
    }
  };
  using Pages = std::unordered_map<uint64_t, std::unique_ptr<Page>>;

  /// The allocations that a thread found last, of the memory and the state of
  /// its table that |generation| names.
  struct Recent {
    uint64_t generation = 0;
    unsigned next = 0;
    const Allocation *hits[4] = {};
  };
  static constinit thread_local Recent recentlyFound;
  /// The page that a thread noted last.
  struct Noted {
    uint64_t launch = 0, number = 0;
    Page *page = nullptr;
  };
  static constinit thread_local Noted lastNoted;
  /// Another number after every change of an allocation table.
  static uint64_t nextGeneration();

  const Allocation *findSlow(uint64_t address, uint64_t bytes) const;
  void setDefinedBitsSlow(uint64_t address, unsigned bytes, uint64_t bits);
  void noteWriteSlow(uint64_t address, uint64_t bytes);

  uint64_t capacity = 0, inUse = 0;
  uint64_t generation = nextGeneration();
  uint8_t *arena = nullptr, *shadow = nullptr;
  std::map<uint64_t, Allocation> allocations;
  Pages written, stale;
  std::mutex writtenMutex;
  uint64_t launchNumber = nextGeneration();
  bool parallel = false;
};

} // namespace hadal::sim
