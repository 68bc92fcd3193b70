// The agreements of ranks that make every call of an entry together: what the
// next call has to hold, and whether the last one counts.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "runtime/comm/Group.h"
#include "runtime/session/Phase.h"
#include "runtime/session/RankLayout.h"

namespace hadal {

/// What the rows that are left of a step ask of a call.
struct StepDemand {
  Phase phase = Phase::Prompt;
  uint64_t tokens = 0;
  uint32_t rows = 0;
  uint32_t queries = 0; ///< of one row at most
  /// Whether its rows can be two micro-batches, none empty; without rows: yes.
  bool halves = true;
  /// Whether the rank takes part in calls of two without rows of its own.
  bool idleHalves = true;
  /// The most of them, cut where that is least.
  uint64_t halfTokens = 0;
  uint32_t halfRows = 0;

  bool operator==(const StepDemand &) const = default;
};

/// Most rows that a rank had for another in some layer of a call, and most
/// (row, expert) pairs.
struct ExchangeDemand {
  uint32_t rows = 0, pairs = 0;

  void raise(const ExchangeDemand &other) {
    rows = std::max(rows, other.rows);
    pairs = std::max(pairs, other.pairs);
  }
};

/// Every function is called equally often by all ranks, in the same order, and
/// returns the same on all of them, errors included: H6001, H6006 where they do
/// not, or where the ranks of a tp group bring different tokens, and of a rank
/// that fails its own error.
class LockStep {
public:
  LockStep(comm::Group &group, const RankLayout &layout,
           std::chrono::milliseconds timeout)
      : group(group), layout(layout), timeout(timeout) {}

  /// What a call must hold to hold every rank's |mine|, of one phase: where both
  /// are asked they take turns, and who asks for the other has no rows in it.
  /// Nothing if all are finished.
  /// |hash|: of the tokens that the rank brings, and of what else must
  /// be equal in a tp group.
  StatusOr<std::optional<StepDemand>>
  agreeOnCall(const StepDemand &mine, bool finished, uint64_t hash);

  /// The most of all ranks' |mine|: what the last call wanted.
  StatusOr<ExchangeDemand> agreeOnOverflow(const ExchangeDemand &mine);

  /// Ends the run of all ranks at their next agreement: they return |status|.
  void fail(const Status &status);

  uint64_t steps() const { return step; }

private:
  struct Record;
  StatusOr<std::vector<Record>> exchange(Record mine,
                                         const std::string &message = "");
  comm::Deadline deadline() const {
    return std::chrono::steady_clock::now() + timeout;
  }

  comm::Group &group;
  const RankLayout layout;
  const std::chrono::milliseconds timeout;
  uint64_t step = 0;
  uint64_t calls = 0; ///< of which both phases were asked; equal on all ranks
};

} // namespace hadal
