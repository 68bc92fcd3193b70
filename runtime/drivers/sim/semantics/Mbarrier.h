// The state machine of an mbarrier object (PTX ISA, "mbarrier"): arrivals and
// transaction bytes of the current phase, and what a wait sees. The object's 8
// bytes in memory are opaque to programs; the simulator keeps this state beside
// the memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace hadal::sim {

/// A defect that an operation on an mbarrier shows.
enum class MbarrierFault : uint8_t {
  none,
  /// init of a live object, or an operation on a dead one.
  initOfLive,
  notInitialised,
  /// A count out of 1..2^20-1.
  countRange,
  /// More arrivals than the phase expects.
  tooManyArrivals,
  /// |tx| out of -(2^20-1)..2^20-1.
  transactionRange,
  /// arrive.noComplete that completes the phase.
  noCompleteCompletes,
  /// expect_tx alone brought pending and tx to zero: the ISA does not say
  /// whether the phase completes (here it does).
  completedByExpect,
  /// A waiter asks for a phase that lies two or more behind: parity aliases.
  phaseAlias,
};

/// One line about |fault|.
const char *describe(MbarrierFault fault);

class Mbarrier {
public:
  static constexpr int64_t maxCount = (1 << 20) - 1;

  bool live() const { return live_; }
  /// Completed phases since init.
  uint64_t phase() const { return phase_; }
  int64_t pending() const { return pending_; }
  int64_t expected() const { return expected_; }
  int64_t transactions() const { return tx_; }

  /// mbarrier.init: phase 0, |count| arrivals per phase.
  MbarrierFault init(uint64_t count);
  /// mbarrier.inval.
  MbarrierFault invalidate();
  /// mbarrier.expect_tx.
  MbarrierFault expect(uint64_t bytes);
  /// mbarrier.complete_tx, or a bulk copy's completion.
  MbarrierFault complete(uint64_t bytes);
  /// mbarrier.arrive[.expect_tx]: |bytes| are added before the arrivals.
  MbarrierFault arrive(uint64_t count, uint64_t bytes = 0);
  /// mbarrier.arrive_drop.
  MbarrierFault arriveDrop(uint64_t count, uint64_t bytes = 0);
  /// mbarrier.arrive.noComplete.
  MbarrierFault arriveNoComplete(uint64_t count);

  /// wait(parity): the phase of that parity is complete.
  bool testParity(unsigned parity) const { return (phase_ & 1) != parity; }
  /// wait(state token).
  bool testToken(uint64_t token) const;
  /// The token that an arrival returns: the phase and its pending count.
  uint64_t token() const;
  /// mbarrier.pending_count of a token.
  static uint64_t tokenPending(uint64_t token) { return token & maxCount; }

private:
  MbarrierFault checkLive() const {
    return live_ ? MbarrierFault::none : MbarrierFault::notInitialised;
  }
  /// Completes the phase if nothing is left of it; whether it did.
  bool tryComplete();

  bool live_ = false;
  uint64_t phase_ = 0;
  int64_t expected_ = 0;
  int64_t pending_ = 0;
  int64_t tx_ = 0;
};

/// What each waiter of one mbarrier has seen, to find parity aliasing: a
/// waiter that asks for the phase after its last one, while that phase and the
/// next are already complete, gets the wrong answer from a parity.
class PhaseWatch {
public:
  /// |waiter| tests |parity| while |phase| phases are complete. Forgets
  /// nothing until reset (mbarrier.init).
  MbarrierFault test(unsigned waiter, unsigned parity, uint64_t phase);
  /// |waiter| knows by other means (a token, its own arrival in the phase
  /// behind them) that |phases| phases are complete.
  void observe(unsigned waiter, uint64_t phases) {
    uint64_t &seen = seen_[waiter];
    seen = std::max(seen, phases);
  }
  void reset() { seen_.clear(); }

private:
  /// Phases that each waiter knows to be complete.
  std::map<unsigned, uint64_t> seen_;
};

} // namespace hadal::sim
