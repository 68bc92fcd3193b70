#include "runtime/drivers/sim/memory/Memory.h"

#include <atomic>
#include <iterator>

#include <sys/mman.h>

namespace hadal::sim {
namespace {

uint8_t *reserve(uint64_t bytes) {
  void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<uint8_t *>(p);
}

/// Space kept free behind every allocation.
constexpr uint64_t gap = 512;
/// The shadow is read 16 bytes at a time, past the last allocation too.
constexpr uint64_t shadowSlack = 4096;

} // namespace

Memory::Memory(uint64_t capacity) : capacity(capacity) {
  arena = reserve(capacity);
  shadow = reserve(capacity / 8 + shadowSlack);
}

Memory::~Memory() {
  if (arena)
    munmap(arena, capacity);
  if (shadow)
    munmap(shadow, capacity / 8 + shadowSlack);
}

StatusOr<uint64_t> Memory::allocate(uint64_t bytes, std::string name,
                                    uint64_t align) {
  if (!arena || !shadow)
    return error(5006, "the simulator cannot reserve {} bytes of address space",
                 capacity);
  if (align == 0 || (align & (align - 1)))
    return error(5022, "alignment {} of '{}' is not a power of two", align,
                 name);
  // First fit between the existing allocations.
  uint64_t at = (firstAddress + align - 1) & -align;
  for (const auto &[base, allocation] : allocations) {
    if (bytes <= capacity && at + bytes + gap <= base)
      break;
    at = (base + allocation.bytes + gap + align - 1) & -align;
  }
  if (bytes > capacity || at - firstAddress + bytes + gap > capacity)
    return error(5006,
                 "the simulator's device memory is exhausted: '{}' needs {} "
                 "bytes, {} of {} are in use",
                 name, bytes, inUse, capacity);
  allocations[at] = {at, bytes, std::move(name)};
  generation = nextGeneration();
  inUse += bytes;
  markDefined(at, bytes, false);
  return at;
}

Status Memory::release(uint64_t address) {
  auto found = allocations.find(address);
  if (found == allocations.end())
    return error(5022, "address {:#x} was not allocated", address);
  inUse -= found->second.bytes;
  // Whole pages go back to the system.
  uint64_t first = (address - firstAddress + 4095) & ~uint64_t(4095);
  uint64_t last =
      (address - firstAddress + found->second.bytes) & ~uint64_t(4095);
  if (last > first)
    madvise(arena + first, last - first, MADV_DONTNEED);
  allocations.erase(found);
  generation = nextGeneration();
  return {};
}

constinit thread_local Memory::Noted Memory::lastNoted;
constinit thread_local Memory::Recent Memory::recentlyFound;

uint64_t Memory::nextGeneration() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

const Allocation *Memory::findSlow(uint64_t address, uint64_t bytes) const {
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin())
    return nullptr;
  const Allocation &a = std::prev(next)->second;
  if (address - a.base >= a.bytes || bytes > a.bytes - (address - a.base))
    return nullptr;
  if (recentlyFound.generation != generation) {
    static const Allocation nothing;
    recentlyFound.generation = generation;
    std::fill(std::begin(recentlyFound.hits), std::end(recentlyFound.hits),
              &nothing);
  }
  recentlyFound.hits[recentlyFound.next++ % std::size(recentlyFound.hits)] = &a;
  return &a;
}

std::string Memory::describe(uint64_t address) const {
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin())
    return next == allocations.end()
               ? "nothing is allocated"
               : fmt::format("{} bytes before '{}'", next->first - address,
                             next->second.name);
  const Allocation &a = std::prev(next)->second;
  uint64_t offset = address - a.base;
  if (offset < a.bytes)
    return fmt::format("byte {} of '{}' ({} bytes)", offset, a.name, a.bytes);
  return fmt::format("{} bytes past the end of '{}' ({} bytes)",
                     offset - a.bytes, a.name, a.bytes);
}

Status Memory::write(uint64_t address, const void *from, uint64_t bytes) {
  synchronize();
  if (bytes == 0)
    return {};
  if (!find(address, bytes))
    return error(5022, "host write of {} bytes at {:#x} is out of bounds: {}",
                 bytes, address, describe(address));
  std::memcpy(host(address), from, bytes);
  markDefined(address, bytes);
  return {};
}

Status Memory::read(uint64_t address, void *to, uint64_t bytes) {
  synchronize();
  if (bytes == 0)
    return {};
  if (!find(address, bytes))
    return error(5022, "host read of {} bytes at {:#x} is out of bounds: {}",
                 bytes, address, describe(address));
  std::memcpy(to, host(address), bytes);
  return {};
}

Status Memory::fill(uint64_t address, uint8_t value, uint64_t bytes) {
  synchronize();
  if (bytes == 0)
    return {};
  if (!find(address, bytes))
    return error(5022, "host fill of {} bytes at {:#x} is out of bounds: {}",
                 bytes, address, describe(address));
  std::memset(host(address), value, bytes);
  markDefined(address, bytes);
  return {};
}

bool Memory::defined(uint64_t address, uint64_t bytes) const {
  for (uint64_t i = 0; i < bytes; i += 64) {
    unsigned count = bytes - i < 64 ? bytes - i : 64;
    uint64_t full = count == 64 ? ~uint64_t(0) : (uint64_t(1) << count) - 1;
    if (definedBits(address + i, count) != full)
      return false;
  }
  return true;
}

void Memory::setDefinedBitsSlow(uint64_t address, unsigned bytes,
                                uint64_t bits) {
  if (parallel) {
    while (bytes) {
      unsigned count = std::min<unsigned>(bytes, 8 - (address - firstAddress) % 8);
      setDefinedBits(address, count, bits);
      bits >>= count;
      address += count;
      bytes -= count;
    }
    return;
  }
  uint64_t offset = address - firstAddress;
  uint64_t keep = bytes == 64 ? ~uint64_t(0) : (uint64_t(1) << bytes) - 1;
  unsigned shift = offset % 8;
  uint64_t word;
  std::memcpy(&word, shadow + offset / 8, sizeof word);
  word = (word & ~(keep << shift)) | ((bits & keep) << shift);
  std::memcpy(shadow + offset / 8, &word, sizeof word);
  if (shift && bytes + shift > 64) {
    uint8_t *rest = shadow + offset / 8 + 8;
    uint8_t high = static_cast<uint8_t>(keep >> (64 - shift));
    *rest = (*rest & ~high) | (static_cast<uint8_t>((bits & keep) >> (64 - shift)));
  }
}

void Memory::markDefined(uint64_t address, uint64_t bytes, bool defined) {
  uint64_t bits = defined ? ~uint64_t(0) : 0;
  while (bytes && (address - firstAddress) % 8) {
    setDefinedBits(address, 1, bits);
    ++address;
    --bytes;
  }
  if (bytes >= 8)
    std::memset(shadow + (address - firstAddress) / 8, defined ? 0xFF : 0,
                bytes / 8);
  address += bytes / 8 * 8;
  if (bytes % 8)
    setDefinedBits(address, bytes % 8, bits);
}

// ---- Programmatic dependent launch --------------------------------------

void Memory::beginLaunch(bool pdl, bool severalThreads) {
  launchNumber = nextGeneration();
  parallel = severalThreads;
  if (!pdl) {
    stale.clear();
    written.clear();
    return;
  }
  // Pages of older launches of the chain stay stale too: a launch may start
  // while its predecessor itself still waits. Of a page that several wrote, the
  // contents before the last of them are kept.
  for (auto &[number, page] : written) {
    std::unique_ptr<Page> &old = stale[number];
    if (old)
      for (size_t w = 0; w < std::size(old->written); ++w)
        page->written[w] |= old->written[w];
    old = std::move(page);
  }
  written.clear();
  // A chain of many launches does not keep everything ever written.
  if (stale.size() > maxStalePages)
    stale.clear();
}

void Memory::noteWriteSlow(uint64_t address, uint64_t bytes) {
  while (bytes) {
    uint64_t offset = address - firstAddress;
    uint64_t number = offset >> pageShift;
    Page *page;
    {
      // Nobody writes to the page before it has passed here.
      std::lock_guard lock(writtenMutex);
      std::unique_ptr<Page> &slot = written[number];
      if (!slot) {
        slot = std::make_unique<Page>();
        std::memcpy(slot->old, arena + (number << pageShift),
                    sizeof slot->old);
      }
      page = slot.get();
    }
    uint64_t inPage = (uint64_t(1) << pageShift) -
                      (offset & ((uint64_t(1) << pageShift) - 1));
    uint64_t count = bytes < inPage ? bytes : inPage;
    page->mark(address, count, parallel);
    lastNoted = {launchNumber, number, page};
    address += count;
    bytes -= count;
  }
}

bool Memory::isStale(uint64_t address, uint64_t bytes) const {
  constexpr uint64_t pageBytes = uint64_t(1) << pageShift;
  while (bytes) {
    uint64_t offset = address - firstAddress;
    uint64_t inPage = offset & (pageBytes - 1);
    uint64_t count = std::min(bytes, pageBytes - inPage);
    auto found = stale.find(offset >> pageShift);
    if (found != stale.end() && found->second->any(inPage, count))
      return true;
    address += count;
    bytes -= count;
  }
  return false;
}

void Memory::readStale(uint64_t address, void *to, uint64_t bytes) const {
  for (uint64_t i = 0; i < bytes; ++i) {
    uint64_t offset = address + i - firstAddress;
    auto found = stale.find(offset >> pageShift);
    uint64_t b = offset & ((uint64_t(1) << pageShift) - 1);
    bool old = found != stale.end() &&
               (found->second->written[b / 64] >> (b % 64) & 1);
    static_cast<uint8_t *>(to)[i] = old ? found->second->old[b] : arena[offset];
  }
}

void Memory::synchronize() { beginLaunch(false); }

} // namespace hadal::sim
