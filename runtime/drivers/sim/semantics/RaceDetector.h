// Happens-before race detection in shared memory with the two proxies of PTX
// (after FastTrack, Flanagan and Freund 2009): every warp is an agent, and so is
// every asynchronous operation in flight. Accesses leave epochs (agent, clock)
// in 16-byte cells with byte masks; a conflicting access that does not know an
// epoch is a race, whatever the schedule of this run was.
#pragma once

#include "runtime/drivers/sim/semantics/ForeignClocks.h"
#include "runtime/drivers/sim/semantics/VectorClock.h"

#include <cstdint>
#include <optional>
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
  struct Record {
    uint32_t clock;
    uint32_t agent;
    uint16_t mask;
    Access access;
    Strength strength;
    uint32_t line;
  };
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
  std::optional<Conflict> touch(uint64_t address, unsigned bytes, Record now,
                                const SyncClock &knowledge);
  std::optional<Conflict> touchCell(uint64_t cell, const Record &now,
                                    const SyncClock &knowledge);

  unsigned warps_;
  std::vector<SyncClock> knowledge_;
  std::vector<Slot> slots_;
  std::vector<std::vector<Record>> cells_;
};

} // namespace hadal::sim
