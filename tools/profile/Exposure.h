// What the ranks of a run spent on an entry: computing, waiting for transfers,
// waiting for each other.
#pragma once

#include <functional>

#include "runtime/session/RankLayout.h"
#include "tools/profile/Clocks.h"
#include "tools/profile/EntryNames.h"
#include "tools/profile/Profile.h"

namespace hadal::profile {

/// All ranks of a run.
struct RunProfile {
  const Artifact &artifact;
  const std::vector<EntryNames> &names; ///< by entry
  std::vector<RankProfile> ranks;
  std::vector<ClockMap> clocks; ///< of each rank

  /// The ranks that take part in a collective of |communicator| with |rank|.
  std::vector<unsigned> members(uint32_t communicator, unsigned rank) const;
};

/// Microseconds; medians over the runs, means over the ranks.
struct LabelTimes {
  std::string label;
  unsigned perRun = 0;  ///< collectives
  double exposedUs = 0; ///< of a run: launches waited
  double lateUs = 0;    ///< of it: the last rank had not come to the collective
};

struct RankTimes {
  double us = 0, kernelUs = 0, computeUs = 0, exposedUs = 0;
};

struct EntryTimes {
  size_t runs = 0; ///< of the rank that has the most
  double us = 0, p95Us = 0, slowestUs = 0;
  double kernelUs = 0;  ///< kernels run
  double computeUs = 0; ///< and the gaps between them
  double exposedUs = 0;
  double gapUs = 0; ///< behind one kernel
  std::vector<LabelTimes> labels;
  std::vector<RankTimes> ranks;
  /// Most over mean of what the ranks computed.
  double imbalance = 1;
};

/// Of entry |index|.
EntryTimes entryTimes(const RunProfile &run, size_t index);

/// How long each launch of entry |index| took: the median over the kept runs,
/// the mean over the ranks that have any; 0 where none has.
std::vector<double> launchUs(const RunProfile &run, size_t index);

} // namespace hadal::profile
