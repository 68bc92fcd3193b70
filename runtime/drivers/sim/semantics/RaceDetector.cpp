#include "runtime/drivers/sim/semantics/RaceDetector.h"

#include <bit>

namespace hadal::sim {

RaceDetector::RaceDetector(unsigned warps, uint64_t bytes)
    : warps_(warps), knowledge_(warps), cells_((bytes + 15) / 16) {
  for (unsigned warp = 0; warp < warps; ++warp)
    knowledge_[warp].order.set(warp, 1);
}

bool RaceDetector::ordered(const Record &record, const SyncClock &knowledge,
                           uint32_t agent) const {
  return record.agent == agent || knowledge.order[record.agent] >= record.clock;
}

std::optional<Conflict> RaceDetector::check(const Record &old,
                                            const Record &now,
                                            const SyncClock &knowledge) const {
  if (old.access == Access::read && now.access == Access::read)
    return std::nullopt;
  if (old.agent == now.agent)
    return std::nullopt;
  if (old.strength == Strength::strong && now.strength == Strength::strong)
    return std::nullopt;
  Conflict conflict;
  if (!ordered(old, knowledge, now.agent))
    conflict.kind = Conflict::race;
  else if (isAsync(now.agent) && !isAsync(old.agent) &&
           old.access == Access::write &&
           knowledge.proxy[old.agent] < old.clock)
    conflict.kind = Conflict::missingProxyFence;
  else
    return std::nullopt;
  conflict.address = 0;
  conflict.access = old.access;
  conflict.async = isAsync(old.agent);
  conflict.warp =
      conflict.async ? slots_[old.agent - warps_].warp : old.agent;
  conflict.line = old.line;
  return conflict;
}

std::optional<Conflict>
RaceDetector::touchCell(uint64_t cell, const Record &now,
                        const SyncClock &knowledge) {
  std::vector<Record> &records = cells_[cell];
  // The same access again in the same epoch: whoever came between checked
  // against the record that is there.
  for (const Record &old : records)
    if (old.agent == now.agent && old.clock == now.clock &&
        old.access == now.access && old.strength == now.strength &&
        (now.mask & ~old.mask) == 0)
      return std::nullopt;
  std::optional<Conflict> found;
  size_t kept = 0;
  for (Record &old : records) {
    uint16_t common = old.mask & now.mask;
    if (common) {
      if (!found) {
        found = check(old, now, knowledge);
        if (found)
          found->address = cell * 16 + std::countr_zero(common);
      }
      // What is ordered before this access and conflicts with no more than it
      // does needs no record of its own. An asynchronous read hands on
      // nothing of its issuer's, so it replaces only its own records.
      bool dominated =
          now.access == Access::write
              ? ordered(old, knowledge, now.agent)
              : old.access == Access::read &&
                    (isAsync(now.agent) ? old.agent == now.agent
                                        : ordered(old, knowledge, now.agent));
      if (now.strength == Strength::strong && old.strength == Strength::weak)
        dominated = false;
      if (dominated || found)
        old.mask &= static_cast<uint16_t>(~now.mask);
    }
    if (old.mask)
      records[kept++] = old;
  }
  records.resize(kept);
  records.push_back(now);
  return found;
}

std::optional<Conflict> RaceDetector::touch(uint64_t address, unsigned bytes,
                                            Record now,
                                            const SyncClock &knowledge) {
  std::optional<Conflict> found;
  uint64_t end = address + bytes;
  while (address < end && address / 16 < cells_.size()) {
    uint64_t cell = address / 16;
    unsigned first = static_cast<unsigned>(address % 16);
    unsigned count =
        static_cast<unsigned>(std::min<uint64_t>(16 - first, end - address));
    now.mask = static_cast<uint16_t>(((1u << count) - 1) << first);
    auto conflict = touchCell(cell, now, knowledge);
    if (!found)
      found = conflict;
    address += count;
  }
  return found;
}

std::optional<Conflict> RaceDetector::warpAccess(unsigned warp,
                                                 uint64_t address,
                                                 unsigned bytes, Access access,
                                                 Strength strength,
                                                 unsigned line) {
  const SyncClock &knowledge = knowledge_[warp];
  return touch(address, bytes,
               {knowledge.order[warp], warp, 0, access, strength, line},
               knowledge);
}

RaceDetector::Operation RaceDetector::beginAsync(unsigned warp,
                                                 SyncClock knowledge) {
  // A number may serve again once its last operation is known to be over:
  // then a later epoch of it implies the earlier one.
  size_t slot = 0;
  while (slot < slots_.size() &&
         (slots_[slot].busy ||
          knowledge.order[warps_ + slot] < slots_[slot].clock))
    ++slot;
  if (slot == slots_.size())
    slots_.emplace_back();
  Slot &chosen = slots_[slot];
  chosen.busy = true;
  chosen.warp = warp;
  ++chosen.clock;
  chosen.knowledge = std::move(knowledge);
  return static_cast<Operation>(slot);
}

std::optional<Conflict>
RaceDetector::asyncAccess(Operation operation, uint64_t address,
                          unsigned bytes, Access access, unsigned line) {
  const Slot &slot = slots_[operation];
  return touch(
      address, bytes,
      {slot.clock, warps_ + operation, 0, access, Strength::weak, line},
      slot.knowledge);
}

void RaceDetector::completeAsync(Operation operation, SyncClock &to) {
  to.order.set(warps_ + operation, slots_[operation].clock);
}

void RaceDetector::acquireAsync(unsigned warp, Operation operation) {
  knowledge_[warp].order.set(warps_ + operation, slots_[operation].clock);
}

void RaceDetector::retireAsync(Operation operation) {
  slots_[operation].busy = false;
}

void RaceDetector::fenceProxy(unsigned warp) {
  SyncClock &own = knowledge_[warp];
  uint32_t clock = own.order[warp];
  own.proxy.set(warp, clock);
  own.order.set(warp, clock + 1);
}

void RaceDetector::release(unsigned warp, SyncClock &to) {
  SyncClock &own = knowledge_[warp];
  to.join(own);
  own.order.set(warp, own.order[warp] + 1);
}

void RaceDetector::acquire(unsigned warp, const SyncClock &from) {
  knowledge_[warp].join(from);
}

} // namespace hadal::sim
