// Where the time of a run went, in at most forty lines.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/profile/Exposure.h"

namespace hadal::profile {

/// What is known of the kernels beside their times.
struct KernelFacts {
  /// Bytes of weights that a launch reads, by kernel; 0, or beyond the end: not
  /// known.
  std::vector<double> bytes;
  /// What the machine reads when nothing else is done; 0: not measured.
  double plainBytesPerSecond = 0;
  /// Between the runs, and not the run's: how long that was measured.
  double notCountedSeconds = 0;
};

/// One operation with the kernel that runs it, over all entries and layers.
struct KernelTimes {
  std::string key, kernel;
  uint64_t launches = 0; ///< of a rank
  double seconds = 0;    ///< of a rank
  double bytes = 0;      ///< read by all launches; 0: not known
  double flops = 0;      ///< of all launches, at full grids
};

struct Summary {
  double seconds = 0; ///< from the first run's begin to the last one's end
  // Shares of it; means over the ranks.
  double kernels = 0, gaps = 0, exposed = 0, between = 0;
  std::vector<KernelTimes> byKernel; ///< the longest first
};

Summary summarize(const RunProfile &run, const KernelFacts &facts);

/// The summary as text: shares, entries, ranks, and the kernels that take most
/// more than a plain read of their bytes would.
std::string summaryText(const RunProfile &run, const KernelFacts &facts);

/// The same, all kernels.
nlohmann::ordered_json summaryJson(const RunProfile &run,
                                   const KernelFacts &facts);

} // namespace hadal::profile
