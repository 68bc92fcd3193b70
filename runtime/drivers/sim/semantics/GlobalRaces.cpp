#include "runtime/drivers/sim/semantics/GlobalRaces.h"

#include <algorithm>
#include <bit>
#include <set>
#include <tuple>

namespace hadal::sim {

bool GlobalRaces::ordered(const Epoch &old, const GlobalAgent &who) {
  uint32_t index = old.agent & ((1u << agentBits) - 1);
  if (old.agent >> agentBits == who.cluster)
    return index == who.index || who.knowledge->order[index] >= old.clock;
  return who.knowledge->foreign[old.agent] >= old.clock;
}

bool GlobalRaces::conflicts(const Epoch &old, const Epoch &now,
                            const GlobalAgent &who) {
  return old.agent != now.agent && !(old.strong && now.strong) &&
         !ordered(old, who);
}

GlobalRaces::Page &GlobalRaces::page(uint64_t number) {
  Cached &slot = cache[number % cache.size()];
  if (slot.number != number)
    slot = {number, &pages[number]};
  return *slot.page;
}

void GlobalRaces::noteRead(Page &page, const Read &read) {
  auto same = [&](const Read &old) {
    return old.by.agent == read.by.agent && old.by.clock == read.by.clock &&
           old.by.strong == read.by.strong;
  };
  const bool full = page.reads.size() == firstReads + lastReads;
  if (!page.reads.empty()) {
    Read &last = full ? page.reads[firstReads + (page.next + lastReads - 1) %
                                                    lastReads]
                      : page.reads.back();
    if (same(last) && read.first <= last.last + 1 &&
        last.first <= read.last + 1) {
      last.first = std::min(last.first, read.first);
      last.last = std::max(last.last, read.last);
      return;
    }
  }
  if (!full) {
    page.reads.push_back(read);
    return;
  }
  page.reads[firstReads + page.next] = read;
  page.next = (page.next + 1) % lastReads;
}

namespace {

/// The bytes of cell |cell| in [first, last].
uint16_t cellMask(unsigned cell, unsigned first, unsigned last) {
  unsigned begin = cell * 16;
  unsigned low = first > begin ? first - begin : 0;
  unsigned high = last < begin + 15 ? last - begin : 15;
  return static_cast<uint16_t>((0xFFFFu << low) & (0xFFFFu >> (15 - high)));
}

} // namespace

bool GlobalRaces::checkWrites(const Page &page, unsigned first, unsigned last,
                              const Epoch &now, const GlobalAgent &who,
                              unsigned &at, Epoch &other) const {
  auto check = [&](unsigned cell, const Write &old) {
    uint16_t common = old.mask & cellMask(cell, first, last);
    if (!common || !conflicts(old.by, now, who))
      return false;
    at = cell * 16 + static_cast<unsigned>(std::countr_zero(common));
    other = old.by;
    return true;
  };
  for (unsigned cell = first / 16; cell <= last / 16; ++cell)
    if (check(cell, (*page.writes)[cell]))
      return true;
  for (const auto &[cell, old] : page.more)
    if (cell >= first / 16 && cell <= last / 16 && check(cell, old))
      return true;
  return false;
}

bool GlobalRaces::checkReads(Page &page, unsigned first, unsigned last,
                             const Epoch &now, const GlobalAgent &who,
                             unsigned &at, Epoch &other) {
  bool found = false;
  for (size_t i = 0; i < page.reads.size();) {
    Read &old = page.reads[i];
    if (old.last < first || old.first > last) {
      ++i;
      continue;
    }
    if (!found && conflicts(old.by, now, who)) {
      found = true;
      at = std::max<unsigned>(old.first, first);
      other = old.by;
    }
    // Whoever conflicts with it later conflicts with this write too.
    if (old.first >= first && old.last <= last && !now.strong &&
        page.reads.size() <= firstReads) {
      old = page.reads.back();
      page.reads.pop_back();
      continue;
    }
    ++i;
  }
  return found;
}

void GlobalRaces::noteWrite(Page &page, unsigned first, unsigned last,
                            const Epoch &now, const GlobalAgent &who) {
  if (!page.writes)
    page.writes = std::make_unique<std::array<Write, cellsPerPage>>();
  if (!page.more.empty())
    std::erase_if(page.more, [&](auto &entry) {
      auto &[cell, old] = entry;
      if (cell < first / 16 || cell > last / 16)
        return false;
      old.mask &= static_cast<uint16_t>(~cellMask(cell, first, last));
      return old.mask == 0;
    });
  for (unsigned cell = first / 16; cell <= last / 16; ++cell) {
    Write &old = (*page.writes)[cell];
    uint16_t mask = cellMask(cell, first, last);
    if (old.by.agent == now.agent && old.by.clock == now.clock &&
        old.by.strong == now.strong) {
      old.mask |= mask;
      old.by.pc = now.pc;
      continue;
    }
    if (uint16_t left = old.mask & static_cast<uint16_t>(~mask))
      page.more.emplace_back(static_cast<uint16_t>(cell), Write{old.by, left});
    old = {now, mask};
  }
}

std::optional<GlobalConflict>
GlobalRaces::access(const GlobalAgent &who, uint64_t address, uint64_t bytes,
                    Access access, Strength strength, uint32_t pc) {
  std::optional<GlobalConflict> conflict;
  Epoch now{name(who.cluster, who.index), who.clock, pc,
            static_cast<uint16_t>(who.warp), strength == Strength::strong};
  for (uint64_t end = address + bytes; address < end;) {
    uint64_t number = address >> pageShift;
    uint64_t stop = std::min(end, (number + 1) << pageShift);
    auto first = static_cast<unsigned>(address & ((1u << pageShift) - 1));
    unsigned last = first + static_cast<unsigned>(stop - address) - 1;
    Page &p = page(number);
    // Once more in the same epoch: whoever came between checked against what
    // is there.
    if (access == Access::write && p.writes && first / 16 == last / 16) {
      const Write &old = (*p.writes)[first / 16];
      if (old.by.agent == now.agent && old.by.clock == now.clock &&
          old.by.strong == now.strong &&
          !(cellMask(first / 16, first, last) & ~old.mask)) {
        address = stop;
        continue;
      }
    }
    unsigned at = 0;
    Epoch other;
    auto report = [&](Access earlier) {
      if (!conflict)
        conflict = {(number << pageShift) + at, earlier,
                    other.agent >> agentBits, other.warp, other.pc};
    };
    if (p.writes && checkWrites(p, first, last, now, who, at, other))
      report(Access::write);
    if (access == Access::write) {
      if (!p.reads.empty() && checkReads(p, first, last, now, who, at, other))
        report(Access::read);
      noteWrite(p, first, last, now, who);
    } else {
      noteRead(p, {now, static_cast<uint16_t>(first),
                   static_cast<uint16_t>(last)});
    }
    address = stop;
  }
  return conflict;
}

// ---- Releases and acquires ------------------------------------------------

ForeignClocks GlobalRaces::exported(const SyncClock &clock, uint32_t cluster) {
  std::vector<ForeignClocks::Entry> own;
  for (uint32_t i = 0; i < clock.order.size(); ++i)
    if (clock.order[i])
      own.emplace_back(name(cluster, i), clock.order[i]);
  ForeignClocks all(std::move(own));
  all.join(clock.foreign);
  return all;
}

SyncClock GlobalRaces::imported(const Location &location, uint32_t cluster,
                                uint8_t order) {
  SyncClock clock;
  if (location.cluster == cluster)
    clock = location.narrow;
  std::vector<ForeignClocks::Entry> others;
  for (const auto &[agent, value] : location.wide.entries()) {
    if (agent >> agentBits == cluster) {
      uint32_t index = agent & ((1u << agentBits) - 1);
      clock.order.set(index, std::max(clock.order[index], value));
    } else if (order & order::wide) {
      others.emplace_back(agent, value);
    }
  }
  clock.foreign.join(ForeignClocks(std::move(others)));
  return clock;
}

void GlobalRaces::publish(Location &to, const SyncClock &clock,
                          uint32_t cluster, uint8_t order) {
  if (order & order::wide) {
    to.wide.join(exported(clock, cluster));
    return;
  }
  if (to.cluster != cluster)
    to.narrow.clear();
  to.cluster = cluster;
  to.narrow.join(clock);
}

void GlobalRaces::synchronise(RaceDetector &detector, uint32_t cluster,
                              unsigned warp, uint64_t address, bool loads,
                              bool stores, uint8_t order) {
  const uint64_t key = uint64_t{cluster} << 32 | warp;
  auto fence = fences.find(key);
  auto found = locations.find(address);
  if (loads && found != locations.end()) {
    if (order & order::acquire) {
      detector.acquire(warp, imported(found->second, cluster, order));
    } else {
      if (fence == fences.end())
        fence = fences.emplace(key, FenceState()).first;
      fence->second.pending.join(
          imported(found->second, cluster, order | order::wide));
    }
  }
  if (!stores)
    return;
  // A plain store ends what earlier releases of the location handed on.
  if (!loads && found != locations.end())
    found->second = {};
  if (order & order::release) {
    SyncClock clock;
    detector.release(warp, clock);
    publish(locations[address], clock, cluster, order);
  } else if (fence != fences.end() && fence->second.released) {
    publish(locations[address], fence->second.before, cluster,
            fence->second.order);
  }
}

void GlobalRaces::fence(RaceDetector &detector, uint32_t cluster, unsigned warp,
                        uint8_t order) {
  FenceState &state = fences[uint64_t{cluster} << 32 | warp];
  if (order & order::acquire) {
    detector.acquire(warp, state.pending);
    state.pending.clear();
  }
  if (order & order::release) {
    state.before.clear();
    detector.release(warp, state.before);
    state.released = true;
    state.order = order;
  }
}

std::vector<std::pair<GlobalConflict, GlobalConflict>>
GlobalRaces::conflictsWith(const GlobalRaces &other) const {
  std::vector<std::pair<GlobalConflict, GlobalConflict>> result;
  std::set<std::tuple<uint32_t, uint32_t, Access, Access>> seen;
  uint64_t number = 0;
  auto describe = [&](const Epoch &by, Access access, unsigned at) {
    return GlobalConflict{(number << pageShift) + at, access,
                          by.agent >> agentBits, by.warp, by.pc};
  };
  auto add = [&](const Epoch &a, Access accessA, const Epoch &b,
                 Access accessB, unsigned at) {
    if (!(a.strong && b.strong) &&
        seen.emplace(a.pc, b.pc, accessA, accessB).second)
      result.emplace_back(describe(a, accessA, at), describe(b, accessB, at));
  };
  auto eachWrite = [](const Page &page, unsigned first, unsigned last, auto f) {
    if (!page.writes)
      return;
    for (unsigned cell = first; cell <= last; ++cell)
      if ((*page.writes)[cell].mask)
        f(cell, (*page.writes)[cell]);
    for (const auto &[cell, write] : page.more)
      if (cell >= first && cell <= last)
        f(cell, write);
  };
  /// Calls f(writing epoch, reading epoch, byte).
  auto readsAgainst = [&](const Page &reading, const Page &writing, auto f) {
    for (const Read &read : reading.reads)
      eachWrite(writing, read.first / 16, read.last / 16,
                [&](unsigned cell, const Write &write) {
                  auto common = static_cast<uint16_t>(
                      write.mask & cellMask(cell, read.first, read.last));
                  if (common)
                    f(write.by, read.by,
                      cell * 16 +
                          static_cast<unsigned>(std::countr_zero(common)));
                });
  };
  std::vector<uint64_t> both;
  for (const auto &[n, page] : pages)
    if (auto found = other.pages.find(n); found != other.pages.end())
      if (page.writes || found->second.writes)
        both.push_back(n);
  std::sort(both.begin(), both.end());
  for (uint64_t n : both) {
    number = n;
    const Page &mine = pages.at(n), &theirs = other.pages.at(n);
    eachWrite(mine, 0, cellsPerPage - 1, [&](unsigned cell, const Write &a) {
      eachWrite(theirs, cell, cell, [&](unsigned, const Write &b) {
        if (uint16_t common = a.mask & b.mask)
          add(a.by, Access::write, b.by, Access::write,
              cell * 16 + static_cast<unsigned>(std::countr_zero(common)));
      });
    });
    readsAgainst(theirs, mine, [&](auto &write, auto &read, unsigned at) {
      add(write, Access::write, read, Access::read, at);
    });
    readsAgainst(mine, theirs, [&](auto &write, auto &read, unsigned at) {
      add(read, Access::read, write, Access::write, at);
    });
  }
  return result;
}

void GlobalRaces::forget(uint32_t cluster) {
  if (fences.empty())
    return;
  std::erase_if(fences, [&](const auto &entry) {
    return entry.first >> 32 == cluster;
  });
}

} // namespace hadal::sim
