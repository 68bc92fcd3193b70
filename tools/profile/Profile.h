// What a rank's entries took, as ranks hand it to each other.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/comm/Group.h"
#include "runtime/device/Timeline.h"

namespace hadal::profile {

/// CommandSpan without its name; times are nanoseconds of the rank's steady
/// clock.
struct Span {
  int64_t begin = 0, end = 0;
  uint32_t index = 0;
  CommandSpan::Kind kind = CommandSpan::Kind::launch;

  int64_t ns() const { return end - begin; }
};

/// One run of an entry.
struct Run {
  /// Of the runs of this entry: equal on all ranks for what they run together.
  uint64_t number = 0;
  int64_t begin = 0, end = 0;
  std::vector<Span> spans;
};

/// The sums over one run, in nanoseconds.
struct RunTotals {
  int64_t ns = 0;
  int64_t kernelNs = 0;
  std::vector<int64_t> exposedNs; ///< by label: stream 0 waited

  int64_t allExposedNs() const;
  /// Kernels and the gaps between them.
  int64_t computeNs() const { return ns - allExposedNs(); }
};

struct EntryProfile {
  std::vector<RunTotals> runs;   ///< all
  std::vector<int64_t> launchNs; ///< by launch, over all runs
  std::vector<Run> kept;         ///< the last ones, in order
};

struct RankProfile {
  uint32_t rank = 0;
  std::string host;
  /// From the first run's begin to the last one's end.
  int64_t begin = 0, end = 0;
  std::vector<EntryProfile> entries; ///< by artifact index
};

std::vector<uint8_t> toBytes(const RankProfile &profile);
/// H6006 where |bytes| are no profile of |numEntries| entries.
StatusOr<RankProfile> profileOf(std::span<const uint8_t> bytes,
                                size_t numEntries);

/// The profiles of all ranks, on every rank; |group| null: |mine| alone.
StatusOr<std::vector<RankProfile>>
gatherProfiles(comm::Group *group, const RankProfile &mine,
               std::chrono::milliseconds timeout);

} // namespace hadal::profile
