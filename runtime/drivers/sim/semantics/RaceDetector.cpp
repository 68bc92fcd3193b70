#include "runtime/drivers/sim/semantics/RaceDetector.h"

#include <algorithm>
#include <bit>
#include <iterator>

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
  if (old.access() == Access::read && now.access() == Access::read)
    return std::nullopt;
  if (old.agent == now.agent)
    return std::nullopt;
  if (old.strong() && now.strong())
    return std::nullopt;
  Conflict conflict;
  if (!ordered(old, knowledge, now.agent))
    conflict.kind = Conflict::race;
  else if (isAsync(now.agent) && !isAsync(old.agent) &&
           old.access() == Access::write &&
           knowledge.proxy[old.agent] < old.clock)
    conflict.kind = Conflict::missingProxyFence;
  else
    return std::nullopt;
  conflict.address = 0;
  conflict.access = old.access();
  conflict.async = isAsync(old.agent);
  conflict.warp =
      conflict.async ? slots_[old.agent - warps_].warp : old.agent;
  conflict.line = old.line();
  return conflict;
}

std::optional<Conflict>
RaceDetector::touchRecords(Record *records, size_t &count, uint64_t cell,
                           const Record &now,
                           const SyncClock &knowledge) const {
  std::optional<Conflict> found;
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    Record old = records[i];
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
          now.access() == Access::write
              ? ordered(old, knowledge, now.agent)
              : old.access() == Access::read &&
                    (isAsync(now.agent) ? old.agent == now.agent
                                        : ordered(old, knowledge, now.agent));
      if (now.strong() && !old.strong())
        dominated = false;
      if (dominated || found)
        old.mask &= static_cast<uint16_t>(~now.mask);
    }
    if (old.mask)
      records[kept++] = old;
  }
  records[kept] = now;
  count = kept + 1;
  return found;
}

std::optional<Conflict>
RaceDetector::touchCell(uint64_t index, const Record &now,
                        const SyncClock &knowledge) {
  Cell &cell = cells_[index];
  // The same access again in the same epoch: whoever came between checked
  // against the record that is there.
  auto repeated = [&](const auto &records) {
    for (const Record &old : records)
      if (old.covers(now))
        return true;
    return false;
  };
  if (cell.count == 0) {
    cell.records[0] = now;
    cell.count = 1;
    return std::nullopt;
  }
  if (cell.count == Cell::spilled) {
    std::vector<Record> &records = overflow_[index];
    if (repeated(records))
      return std::nullopt;
    size_t count = records.size();
    records.resize(count + 1);
    auto found = touchRecords(records.data(), count, index, now, knowledge);
    records.resize(count);
    if (records.size() <= std::size(cell.records)) {
      cell.count = static_cast<uint32_t>(records.size());
      std::copy(records.begin(), records.end(), cell.records);
      overflow_.erase(index);
    }
    return found;
  }
  if (repeated(cell.records))
    return std::nullopt;
  constexpr size_t room = std::size(Cell().records);
  Record records[room + 1];
  size_t count = cell.count;
  std::copy_n(cell.records, count, records);
  auto found = touchRecords(records, count, index, now, knowledge);
  if (count > room) {
    overflow_[index].assign(records, records + count);
    std::fill_n(cell.records, room, Record());
    cell.count = Cell::spilled;
    return found;
  }
  std::fill(records + count, records + room, Record());
  std::copy_n(records, room, cell.records);
  cell.count = static_cast<uint32_t>(count);
  return found;
}

// Neighbours mostly look alike: what happened to one happens to the next.
class RaceDetector::Toucher {
public:
  Toucher(RaceDetector &detector, const SyncClock &knowledge)
      : detector(detector), knowledge(knowledge) {}

  void touch(uint64_t index, const Record &now) {
    Cell &cell = detector.cells_[index];
    const bool whole = now.mask == 0xFFFF;
    if (known && whole && cell == before) {
      cell = after;
      return;
    }
    before = cell;
    auto conflict = detector.touchCell(index, now, knowledge);
    after = cell;
    known = whole && !conflict && before.count != Cell::spilled &&
            after.count != Cell::spilled;
    if (!found)
      found = conflict;
  }

  std::optional<Conflict> found;

private:
  RaceDetector &detector;
  const SyncClock &knowledge;
  Cell before, after;
  bool known = false;
};

std::optional<Conflict> RaceDetector::touch(uint64_t address, unsigned bytes,
                                            Record now,
                                            const SyncClock &knowledge) {
  Toucher toucher(*this, knowledge);
  const uint64_t end = std::min<uint64_t>(address + bytes, cells_.size() * 16);
  while (address < end) {
    unsigned first = static_cast<unsigned>(address % 16);
    unsigned count =
        static_cast<unsigned>(std::min<uint64_t>(16 - first, end - address));
    now.mask = static_cast<uint16_t>(((1u << count) - 1) << first);
    toucher.touch(address / 16, now);
    address += count;
  }
  return toucher.found;
}

std::optional<Conflict>
RaceDetector::asyncChunks(Operation operation,
                          std::span<const uint64_t> addresses, Access access,
                          unsigned line) {
  const Slot &slot = slots_[operation];
  Toucher toucher(*this, slot.knowledge);
  const Record now{slot.clock, static_cast<uint16_t>(warps_ + operation),
                   0xFFFF, howOf(access, Strength::weak, line)};
  for (uint64_t address : addresses)
    if (address / 16 < cells_.size())
      toucher.touch(address / 16, now);
  return toucher.found;
}

std::optional<Conflict> RaceDetector::warpAccess(unsigned warp,
                                                 uint64_t address,
                                                 unsigned bytes, Access access,
                                                 Strength strength,
                                                 unsigned line) {
  const SyncClock &knowledge = knowledge_[warp];
  return touch(address, bytes,
               {knowledge.order[warp], static_cast<uint16_t>(warp), 0,
                howOf(access, strength, line)},
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
  // Out of names: more copies in flight than any program has.
  if (warps_ + slot >= maxAgents)
    slot = 0;
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
      {slot.clock, static_cast<uint16_t>(warps_ + operation), 0,
       howOf(access, Strength::weak, line)},
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
