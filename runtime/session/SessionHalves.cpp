// Two micro-batches: which rows each gets, and when all ranks have some for
// both.
#include <algorithm>

#include "runtime/session/Session.h"

namespace hadal {

void Session::describeHalves(std::span<const Pending> pending,
                             StepDemand &demand) const {
  demand.idleHalves = options_.microBatches;
  demand.halves = options_.microBatches && pending.size() != 1;
  if (!demand.halves || pending.empty())
    return;
  uint64_t first = 0;
  demand.halfTokens = demand.tokens;
  for (size_t cut = 1; cut < pending.size(); ++cut) {
    first += pending[cut - 1].take;
    const uint64_t most = std::max(first, demand.tokens - first);
    const auto rows =
        static_cast<uint32_t>(std::max(cut, pending.size() - cut));
    if (most > demand.halfTokens ||
        (most == demand.halfTokens && rows >= demand.halfRows && cut > 1))
      continue;
    demand.halfTokens = most;
    demand.halfRows = rows;
  }
}

const Session::Body &Session::halve(const Body &entry,
                                         const StepDemand &agreed) const {
  if (!entry.twin || !agreed.halves)
    return entry;
  const Body &twin = runner_->halved()[*entry.twin];
  // What no bucket holds fills each half as far as it goes.
  const bool fits = agreed.halfTokens <= twin.tokens / twin.microBatches &&
                    agreed.halfRows <= twin.rows / twin.microBatches &&
                    agreed.queries <= twin.queries;
  return fits || !smallest(agreed) ? twin : entry;
}

Session::Parts Session::divide(const Body &entry, const StepDemand &agreed,
                               std::span<Pending> all) const {
  if (entry.microBatches == 1) {
    size_t used = 0;
    fill(entry, all, used);
    return {all.first(used)};
  }
  Body half = entry;
  half.tokens /= entry.microBatches;
  half.rows /= entry.microBatches;
  if (!smallest(agreed)) {
    // A row for the second half is left over.
    size_t first = 0, second = 0;
    fill(half, all.first(all.size() - 1), first);
    fill(half, all.subspan(first), second);
    return {all.first(first), all.subspan(first, second)};
  }
  uint64_t total = 0, before = 0;
  for (const Pending &p : all)
    total += p.take;
  StepDemand mine;
  mine.tokens = total;
  describeHalves(all, mine);
  for (size_t cut = 1; cut < all.size(); ++cut) {
    before += all[cut - 1].take;
    if (std::max(before, total - before) == mine.halfTokens &&
        std::max(cut, all.size() - cut) == mine.halfRows)
      return {all.first(cut), all.subspan(cut)};
  }
  return {};
}

} // namespace hadal
