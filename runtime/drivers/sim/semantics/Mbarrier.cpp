#include "runtime/drivers/sim/semantics/Mbarrier.h"

namespace hadal::sim {

const char *describe(MbarrierFault fault) {
  switch (fault) {
  case MbarrierFault::none:
    return "";
  case MbarrierFault::initOfLive:
    return "mbarrier.init of a live object; mbarrier.inval must come first";
  case MbarrierFault::notInitialised:
    return "the mbarrier is not initialised";
  case MbarrierFault::countRange:
    return "the mbarrier's count is outside 1..1048575";
  case MbarrierFault::tooManyArrivals:
    return "more arrivals than the mbarrier's phase expects";
  case MbarrierFault::transactionRange:
    return "the mbarrier's transaction count left -1048575..1048575 bytes";
  case MbarrierFault::noCompleteCompletes:
    return "mbarrier.arrive.noComplete completed the phase";
  case MbarrierFault::completedByExpect:
    return "mbarrier.expect_tx arrived after the bytes and the last arrival: "
           "whether the phase completes is not defined";
  case MbarrierFault::phaseAlias:
    return "the waiter is two or more phases behind: its parity aliases";
  }
  return "";
}

MbarrierFault Mbarrier::init(uint64_t count) {
  bool wasLive = live_;
  *this = Mbarrier();
  live_ = true;
  if (count < 1 || count > static_cast<uint64_t>(maxCount))
    return MbarrierFault::countRange;
  expected_ = pending_ = static_cast<int64_t>(count);
  return wasLive ? MbarrierFault::initOfLive : MbarrierFault::none;
}

MbarrierFault Mbarrier::invalidate() {
  MbarrierFault fault = checkLive();
  live_ = false;
  return fault;
}

bool Mbarrier::tryComplete() {
  if (pending_ != 0 || tx_ != 0)
    return false;
  ++phase_;
  pending_ = expected_;
  return true;
}

MbarrierFault Mbarrier::expect(uint64_t bytes) {
  if (MbarrierFault fault = checkLive(); fault != MbarrierFault::none)
    return fault;
  if (bytes > static_cast<uint64_t>(maxCount) ||
      tx_ + static_cast<int64_t>(bytes) > maxCount)
    return MbarrierFault::transactionRange;
  tx_ += static_cast<int64_t>(bytes);
  // pending 0 and tx 0 means that early bytes waited for this expectation.
  return tryComplete() ? MbarrierFault::completedByExpect
                       : MbarrierFault::none;
}

MbarrierFault Mbarrier::complete(uint64_t bytes) {
  if (MbarrierFault fault = checkLive(); fault != MbarrierFault::none)
    return fault;
  if (bytes > static_cast<uint64_t>(maxCount) ||
      tx_ - static_cast<int64_t>(bytes) < -maxCount)
    return MbarrierFault::transactionRange;
  tx_ -= static_cast<int64_t>(bytes);
  tryComplete();
  return MbarrierFault::none;
}

MbarrierFault Mbarrier::arrive(uint64_t count, uint64_t bytes) {
  if (MbarrierFault fault = checkLive(); fault != MbarrierFault::none)
    return fault;
  if (count < 1 || count > static_cast<uint64_t>(maxCount))
    return MbarrierFault::countRange;
  if (bytes > static_cast<uint64_t>(maxCount) ||
      tx_ + static_cast<int64_t>(bytes) > maxCount)
    return MbarrierFault::transactionRange;
  if (static_cast<int64_t>(count) > pending_)
    return MbarrierFault::tooManyArrivals;
  tx_ += static_cast<int64_t>(bytes);
  pending_ -= static_cast<int64_t>(count);
  tryComplete();
  return MbarrierFault::none;
}

MbarrierFault Mbarrier::arriveDrop(uint64_t count, uint64_t bytes) {
  if (MbarrierFault fault = checkLive(); fault != MbarrierFault::none)
    return fault;
  if (count < 1 || static_cast<int64_t>(count) > expected_)
    return MbarrierFault::countRange;
  expected_ -= static_cast<int64_t>(count);
  MbarrierFault fault = arrive(count, bytes);
  if (fault != MbarrierFault::none)
    expected_ += static_cast<int64_t>(count);
  return fault;
}

MbarrierFault Mbarrier::arriveNoComplete(uint64_t count) {
  uint64_t before = phase_;
  MbarrierFault fault = arrive(count);
  if (fault == MbarrierFault::none && phase_ != before)
    return MbarrierFault::noCompleteCompletes;
  return fault;
}

uint64_t Mbarrier::token() const {
  return phase_ << 20 | static_cast<uint64_t>(pending_);
}

bool Mbarrier::testToken(uint64_t token) const { return phase_ > token >> 20; }

MbarrierFault PhaseWatch::test(unsigned waiter, unsigned parity,
                               uint64_t phase) {
  uint64_t &seen = seen_[waiter];
  // |seen| phases are known complete; phase number |seen| is the next one. A
  // test of the other parity asks about the phase before it, known complete.
  bool asksNext = (seen & 1) == parity;
  bool answer = (phase & 1) != parity;
  if (asksNext && phase >= seen + 2) {
    seen = phase;
    return MbarrierFault::phaseAlias;
  }
  if (asksNext && answer)
    seen = phase;
  return MbarrierFault::none;
}

} // namespace hadal::sim
