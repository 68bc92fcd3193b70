// Asynchronous operations: issued by an instruction, taking effect later.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace hadal::sim {

class Cta;

/// One operation in flight: a bulk copy, a wgmma, a cp.async.
class AsyncOperation {
public:
  virtual ~AsyncOperation() = default;
  /// Reads its sources, writes its results, credits its mbarrier.
  virtual void perform(Cta &cta) = 0;
  /// Only reads its sources; perform() comes later.
  virtual void readSources(Cta &) {}
  /// The shared address of the mbarrier of |cta| that it credits, 0 for none.
  virtual uint32_t mbarrier() const { return 0; }
  /// For messages: "cp.async.bulk.tensor of line 12".
  virtual const char *what() const = 0;
};

/// The operations of one CTA. Under the eager policy issue() performs at once;
/// under the lazy one an operation waits until something needs it.
class AsyncQueue {
public:
  using Ticket = uint64_t;

  explicit AsyncQueue(Cta &cta, bool eager) : cta(cta), eager(eager) {}

  Ticket issue(std::unique_ptr<AsyncOperation> operation);
  bool isPending(Ticket ticket) const;
  /// Performs |ticket| if it is still pending.
  void complete(Ticket ticket);
  /// Makes |ticket| read its sources if it is still pending.
  void readSources(Ticket ticket);
  /// Performs the oldest pending operation that credits |mbarrier|.
  bool completeFor(uint32_t mbarrier);
  /// Performs the oldest pending operation.
  bool completeOldest();
  bool empty() const { return pending.empty(); }
  uint64_t issued() const { return nextTicket - 1; }

private:
  struct Entry {
    Ticket ticket;
    std::unique_ptr<AsyncOperation> operation;
  };
  void performAt(size_t index);

  Cta &cta;
  bool eager;
  std::deque<Entry> pending;
  Ticket nextTicket = 1;
};

/// The commit groups of one agent (a thread for cp.async and bulk copies, a
/// warp for wgmma): tickets since the last commit form the open group.
class CommitGroups {
public:
  void add(AsyncQueue::Ticket ticket) { open.push_back(ticket); }
  void commit() {
    closed.push_back(std::move(open));
    open.clear();
  }
  /// Completes all but the |newest| closed groups.
  void wait(AsyncQueue &queue, unsigned newest) {
    while (closed.size() > newest) {
      for (AsyncQueue::Ticket ticket : closed.front())
        queue.complete(ticket);
      closed.pop_front();
    }
  }
  /// cp.async.wait_all and the end of the CTA: the open group too.
  void waitAll(AsyncQueue &queue) {
    commit();
    wait(queue, 0);
  }
  const std::vector<AsyncQueue::Ticket> &openGroup() const { return open; }
  const std::deque<std::vector<AsyncQueue::Ticket>> &groups() const {
    return closed;
  }

private:
  std::vector<AsyncQueue::Ticket> open;
  std::deque<std::vector<AsyncQueue::Ticket>> closed;
};

} // namespace hadal::sim
