// What holds between two ticks, and of every call. Recomputed from the rows, so
// that a mistake in the bookkeeping shows.
#include <algorithm>
#include <set>

#include "runtime/engine/Scheduler.h"

namespace hadal::engine {

Status Scheduler::checkCall(std::span<const CallRow> rows) const {
  std::set<std::pair<int32_t, uint64_t>> slots;
  for (const CallRow &row : rows) {
    if (row.pages.size() < limits_.pagesFor(row.position + row.tokens.size()))
      return error(5014, "a row of {} tokens has {} pages",
                   row.position + row.tokens.size(), row.pages.size());
    for (uint64_t i = 0; row.writes && i < row.tokens.size(); ++i) {
      const uint64_t position = row.position + i;
      const int32_t page = row.pages[position / limits_.pageSize];
      if (!slots.insert({page, position % limits_.pageSize}).second)
        return error(5014, "two rows write position {} of page {}",
                     position % limits_.pageSize, page);
      if (pool_.references(page) != 1)
        return error(5014, "a row writes page {}, which has {} holders", page,
                     pool_.references(page));
    }
  }
  return {};
}

Status Scheduler::checkEntry(const Entry &entry,
                             std::vector<uint32_t> &holders) const {
  const uint64_t full = entry.promptSize() / limits_.pageSize;
  for (const auto &each : entry.choices) {
    const Choice &choice = *each;
    const uint64_t id = entry.ticket->id();
    if (choice.output.generated() != choice.generated.size())
      return error(5014, "request {}: {} tokens sampled, {} given out", id,
                   choice.generated.size(), choice.output.generated());
    if (choice.ended()) {
      if (!choice.pages.empty())
        return error(5014, "request {}: an ended choice has {} pages", id,
                     choice.pages.size());
      continue;
    }
    uint64_t pages = limits_.pagesFor(choice.reserved);
    if (!entry.forked && &choice != entry.owner)
      pages -= full;
    if (choice.pages.size() != pages || choice.length > choice.reserved)
      return error(5014,
                   "request {}: {} pages for {} tokens, {} reserved; expected "
                   "{}",
                   id, choice.pages.size(), choice.length, choice.reserved,
                   pages);
    for (size_t i = 0; i < choice.chain.size(); ++i) {
      const PrefixCache::Node &node = *choice.chain[i];
      if (node.page != choice.pages[i] ||
          !std::ranges::equal(
              node.ids, std::span(entry.request().prompt)
                            .subspan(i * limits_.pageSize, limits_.pageSize)))
        return error(5014, "request {}: page {} is not of its tokens", id,
                     choice.pages[i]);
    }
    for (int32_t page : choice.pages)
      ++holders[static_cast<size_t>(page)];
  }
  return {};
}

Status Scheduler::checkInvariants() const {
  std::vector<uint32_t> holders(pool_.pages());
  std::set<const Ticket *> tickets;
  for (const Entries *list : {&waiting_, &running_})
    for (const auto &entry : *list) {
      if (!tickets.insert(entry->ticket.get()).second)
        return error(5014, "request {} is in two queues", entry->ticket->id());
      if (list == &running_) {
        HADAL_RETURN_IF_ERROR(checkEntry(*entry, holders));
        continue;
      }
      for (const auto &choice : entry->choices)
        if (!choice->pages.empty())
          return error(5014, "request {} waits and has {} pages",
                       entry->ticket->id(), choice->pages.size());
    }
  HADAL_RETURN_IF_ERROR(cache_.check(holders));
  uint64_t used = 0;
  for (size_t page = 0; page < holders.size(); ++page) {
    const uint32_t references = pool_.references(static_cast<int32_t>(page));
    used += references > 0;
    // One more: of the cache, which has checked its own.
    if (references != holders[page] && references != holders[page] + 1)
      return error(5014, "page {} has {} references and {} holders", page,
                   references, holders[page]);
  }
  const auto held = static_cast<uint64_t>(
      std::ranges::count_if(holders, [](uint32_t n) { return n > 0; }));
  if (used + pool_.free() != pool_.pages() || used != held + cache_.unheld())
    return error(5014,
                 "{} pages: {} free, {} held, {} in the cache alone, {} with "
                 "references",
                 pool_.pages(), pool_.free(), held, cache_.unheld(), used);
  return {};
}

} // namespace hadal::engine
