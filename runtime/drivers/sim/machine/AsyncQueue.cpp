#include "runtime/drivers/sim/machine/AsyncQueue.h"

#include <algorithm>

#include "runtime/drivers/sim/machine/Cta.h"

namespace hadal::sim {

AsyncQueue::Ticket
AsyncQueue::issue(std::unique_ptr<AsyncOperation> operation) {
  Ticket ticket = nextTicket++;
  if (eager)
    operation->perform(cta);
  else
    pending.push_back({ticket, std::move(operation)});
  return ticket;
}

void AsyncQueue::performAt(size_t index) {
  // Taken out first: performing may issue or complete others.
  std::unique_ptr<AsyncOperation> operation =
      std::move(pending[index].operation);
  pending.erase(pending.begin() + static_cast<ptrdiff_t>(index));
  operation->perform(cta);
}

bool AsyncQueue::isPending(Ticket ticket) const {
  return std::any_of(pending.begin(), pending.end(),
                     [&](const Entry &e) { return e.ticket == ticket; });
}

void AsyncQueue::complete(Ticket ticket) {
  for (size_t i = 0; i < pending.size(); ++i)
    if (pending[i].ticket == ticket)
      return performAt(i);
}

void AsyncQueue::readSources(Ticket ticket) {
  for (Entry &entry : pending)
    if (entry.ticket == ticket)
      return entry.operation->readSources(cta);
}

bool AsyncQueue::completeFor(uint32_t mbarrier) {
  for (size_t i = 0; i < pending.size(); ++i)
    if (pending[i].operation->mbarrier() == mbarrier) {
      performAt(i);
      return true;
    }
  return false;
}

bool AsyncQueue::completeOldest() {
  if (pending.empty())
    return false;
  performAt(0);
  return true;
}

} // namespace hadal::sim
