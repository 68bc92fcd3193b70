// What a tuning session would try, and why not the rest; nothing is compiled.
#pragma once

#include "schedule/Ranking.h"
#include "tools/hadal-tune/KernelSet.h"

namespace hadal::tune {

struct DryRunOptions {
  schedule::EnumerateOptions space;
  schedule::RankOptions rank;
  int vectorBits = 512; ///< of the CPU image that is tuned
  bool json = false;
};

/// The tables of |set| as text or JSON: the same bytes for the same arguments.
/// H5011, with the counts by code, if no kernel has a schedule to try beside
/// its default.
StatusOr<std::string> dryRun(const KernelSet &set,
                             const DryRunOptions &options);

} // namespace hadal::tune
