// Happens-before race detection in shared memory with the two proxies of PTX
// (after FastTrack, Flanagan and Freund 2009): every warp is an agent, and so is
// every asynchronous operation in flight. Accesses leave epochs (agent, clock)
// in 16-byte cells with byte masks; a conflicting access that does not know an
// epoch is a race, whatever the schedule of this run was.
#pragma once

#include "runtime/drivers/sim/semantics/ForeignClocks.h"
#include "runtime/drivers/sim/semantics/VectorClock.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hadal::sim {

enum class Access : uint8_t { read, write };

/// How an access relates to the memory model. Two strong accesses (atomics,
/// relaxed, mbarrier operations) never race with each other.
enum class Strength : uint8_t { weak, strong };

/// A conflict that no synchronisation orders.
struct Conflict {
  enum Kind : uint8_t {
    /// Not ordered at all.
    race,
    /// Ordered, but a generic write reaches an asynchronous access without
    /// fence.proxy.async in the writer.
    missingProxyFence,
  };
  Kind kind;
  /// Shared address of the first byte in conflict.
  uint64_t address;
  /// The earlier access.
  Access access;
  bool async;
  /// Its warp, or for an asynchronous one the warp that issued it.
  unsigned warp;
  unsigned line;
};

/// What a synchronisation object (barrier, mbarrier phase) hands on: the
/// ordering, and what of it the asynchronous proxy may see.
struct SyncClock {
  VectorClock order;
  VectorClock proxy;
  /// Order with agents of other clusters, by way of global memory.
  ForeignClocks foreign;

  void clear() {
    order.clear();
    proxy.clear();
    foreign.clear();
  }
  void join(const SyncClock &other) {
    order.join(other.order);
    proxy.join(other.proxy);
    foreign.join(other.foreign);
  }
  void meet(const SyncClock &other) {
    order.meet(other.order);
    proxy.meet(other.proxy);
    foreign.meet(other.foreign);
  }
};

class RaceDetector {
public:
  /// |warps| agents and |bytes| bytes of shared memory, addressed from 0; the
  /// CTAs of a cluster share one detector, each with its own address range.
  RaceDetector(unsigned warps, uint64_t bytes);

  /// One asynchronous operation from its issue.
  using Operation = uint32_t;

  /// A warp accesses |bytes| bytes at |address|; the first conflict, if any.
  std::optional<Conflict> warpAccess(unsigned warp, uint64_t address,
                                     unsigned bytes, Access access,
                                     Strength strength, unsigned line);

  /// The same for |lanes| of addresses, |bytes| each within one cell: false if
  /// one of them is more than a repetition of an access of this epoch.
  bool repeats(unsigned warp, uint32_t lanes, const uint32_t *addresses,
               uint64_t origin, unsigned bytes, Access access,
               Strength strength) const {
    Record now{knowledge_[warp].order[warp], static_cast<uint16_t>(warp), 0,
               howOf(access, strength, 0)};
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      uint64_t address = addresses[__builtin_ctz(rest)] + origin;
      if (address % 16 + bytes > 16 || address / 16 >= cells_.size())
        return false;
      now.mask = static_cast<uint16_t>(((1u << bytes) - 1) << address % 16);
      const Cell &cell = cells_[address / 16];
      if (!cell.records[0].covers(now) && !cell.records[1].covers(now) &&
          !cell.records[2].covers(now))
        return false;
    }
    return true;
  }

  /// What is ordered before the next access of |warp|. The knowledge of a
  /// warpgroup's operation is what all its warps know (SyncClock::meet).
  const SyncClock &knowledgeOf(unsigned warp) const {
    return knowledge_[warp];
  }
  /// An operation that |warp| issues, knowing |knowledge|.
  Operation beginAsync(unsigned warp, SyncClock knowledge);
  Operation beginAsync(unsigned warp) {
    return beginAsync(warp, knowledge_[warp]);
  }
  /// An operation in flight as an agent: its number, clock, warp, knowledge.
  unsigned agentOf(Operation operation) const { return warps_ + operation; }
  uint32_t clockOf(Operation operation) const {
    return slots_[operation].clock;
  }
  unsigned issuerOf(Operation operation) const {
    return slots_[operation].warp;
  }
  const SyncClock &knowledgeOfOperation(Operation operation) const {
    return slots_[operation].knowledge;
  }
  /// Later instructions of one batch know more.
  void setKnowledge(Operation operation, SyncClock knowledge) {
    slots_[operation].knowledge = std::move(knowledge);
  }
  std::optional<Conflict> asyncAccess(Operation operation, uint64_t address,
                                      unsigned bytes, Access access,
                                      unsigned line);
  /// The same for |addresses|, 16 bytes each, all multiples of 16.
  std::optional<Conflict> asyncChunks(Operation operation,
                                      std::span<const uint64_t> addresses,
                                      Access access, unsigned line);
  /// The operation's accesses are over: |to| receives them (and nothing else
  /// of its issuer's).
  void completeAsync(Operation operation, SyncClock &to);
  /// |warp| knows that the operation is over (a group wait).
  void acquireAsync(unsigned warp, Operation operation);
  /// The operation will not be named again.
  void retireAsync(Operation operation);

  /// fence.proxy.async by |warp|.
  void fenceProxy(unsigned warp);
  /// Everything |warp| did and knows goes to |to|; |from| comes to |warp|.
  void release(unsigned warp, SyncClock &to);
  void acquire(unsigned warp, const SyncClock &from);

private:
  /// An epoch in a cell: who accessed which bytes, when and how.
  struct Record {
    uint32_t clock = 0;
    uint16_t agent = 0;
    uint16_t mask = 0;
    uint32_t how = 0; ///< line << 2 | write << 1 | strong

    Access access() const { return how & 2 ? Access::write : Access::read; }
    bool strong() const { return how & 1; }
    unsigned line() const { return how >> 2; }
    /// |now| adds nothing to this record.
    bool covers(const Record &now) const {
      return agent == now.agent && clock == now.clock &&
             ((how ^ now.how) & 3) == 0 && (now.mask & ~mask) == 0;
    }
  };
  static uint32_t howOf(Access access, Strength strength, unsigned line) {
    return line << 2 | uint32_t{access == Access::write} << 1 |
           uint32_t{strength == Strength::strong};
  }
  /// The records of 16 bytes. Few cells ever have more than three; theirs are
  /// in overflow_. Unused ones are zero, so that cells compare as bytes.
  struct Cell {
    static constexpr uint32_t spilled = UINT32_MAX;
    Record records[3];
    uint32_t count = 0;

    bool operator==(const Cell &other) const {
      uint64_t differs = 0;
      for (size_t i = 0; i < sizeof(Cell) / 8; ++i) {
        uint64_t a, b;
        std::memcpy(&a, reinterpret_cast<const char *>(this) + 8 * i, 8);
        std::memcpy(&b, reinterpret_cast<const char *>(&other) + 8 * i, 8);
        differs |= a ^ b;
      }
      return !differs;
    }
  };
  static_assert(sizeof(Cell) == 40);
  static constexpr unsigned maxAgents = 65536;
  struct Slot {
    SyncClock knowledge;
    unsigned warp = 0;
    uint32_t clock = 0;
    bool busy = false;
  };

  bool isAsync(uint32_t agent) const { return agent >= warps_; }
  bool ordered(const Record &record, const SyncClock &knowledge,
               uint32_t agent) const;
  std::optional<Conflict> check(const Record &old, const Record &now,
                                const SyncClock &knowledge) const;
  /// Calls touchCell, or repeats what it did to a cell that looked the same.
  class Toucher;
  std::optional<Conflict> touch(uint64_t address, unsigned bytes, Record now,
                                const SyncClock &knowledge);
  std::optional<Conflict> touchCell(uint64_t cell, const Record &now,
                                    const SyncClock &knowledge);
  /// |records| has room for one more than |count|, which is updated.
  std::optional<Conflict> touchRecords(Record *records, size_t &count,
                                       uint64_t cell, const Record &now,
                                       const SyncClock &knowledge) const;

  unsigned warps_;
  std::vector<SyncClock> knowledge_;
  std::vector<Slot> slots_;
  std::vector<Cell> cells_;
  std::unordered_map<uint64_t, std::vector<Record>> overflow_;
};

} // namespace hadal::sim
