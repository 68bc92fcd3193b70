#include "schedule/SplitCost.h"

#include <algorithm>
#include <cmath>

#include "schedule/Chip.h"

namespace hadal::schedule {

/// Bytes per clock that one multiprocessor draws while it streams: between the
/// 13 with which all 132 take what the memory gives (performance 2.1: 3.0 TB/s
/// / 132 / 1.755 GHz) and the 64 of its port to L2. An estimate, not measured.
static constexpr double kStreamBytesPerClock = 24;
/// From a CTA's start until its loads flow, and its end: round trips to memory
/// of 600 to 800 ns (performance 2.1), less what the previous CTA's end hides.
static constexpr double kRampSeconds = 1e-6;
/// The parts' meeting: stores, ticket and the first loads are a round trip to
/// L2 each, about 700 ns.
static constexpr double kMeetSeconds = 2e-6;

int64_t stepsOfPart(int64_t steps, int64_t split) {
  return (steps + split - 1) / split;
}

// CTAs run in waves of one or two per multiprocessor, whose shared memory is
// full of their rings. A wave takes as long as the slowest of: what the fullest
// multiprocessor draws, its products, and the parameters of all CTAs at the
// memory's rate. With few rows nearly all bytes are weights, and each is read
// by one CTA only: few tiles leave multiprocessors idle and are bound by the
// first, which parts divide; what they cost is their meeting, in which the last
// CTA reads the states of all.
double splitSeconds(const nvptx::Chip &chip, const FoldWork &work,
                    int64_t parts, int64_t partSteps) {
  double slots =
      static_cast<double>(chip.multiprocessors) * work.ctasPerMultiprocessor;
  double stream = kStreamBytesPerClock * chip.clock;
  double fromMemory = partSteps * work.parameterBytesPerStep;
  double bytes = fromMemory + partSteps * work.activationBytesPerStep;
  double alone =
      std::max(bytes / stream, partSteps * work.flopsPerStep *
                                   chip.multiprocessors / work.flopRate);
  auto wave = [&](double ctas) {
    return kRampSeconds +
           std::max(std::ceil(ctas / chip.multiprocessors) * alone,
                    ctas * fromMemory / chip.memoryRate);
  };
  double ctas = static_cast<double>(work.items) * parts;
  double full = std::floor(ctas / slots), rest = ctas - full * slots;
  double seconds = full * wave(slots) + (rest > 0 ? wave(rest) : 0);
  if (parts > 1)
    seconds += kMeetSeconds + (parts + 1) * work.stateBytes / stream;
  return seconds;
}

int64_t pickSplit(const nvptx::Chip &chip, const FoldWork &work) {
  int64_t best = 1;
  double least = 0.95 * splitSeconds(chip, work, 1, work.steps);
  for (int64_t split = 2; split <= std::min(work.steps, kMostParts); ++split) {
    int64_t partSteps = stepsOfPart(work.steps, split);
    // Cut another way, the same parts have been tried.
    if (stepsOfPart(work.steps, split - 1) == partSteps)
      continue;
    int64_t parts = (work.steps + partSteps - 1) / partSteps;
    if (static_cast<uint64_t>(work.items * parts * work.stateSize) >
        chip.l2Bytes / 2)
      break;
    double seconds = splitSeconds(chip, work, parts, partSteps);
    if (seconds < least) {
      least = seconds;
      best = parts;
    }
  }
  return best;
}

} // namespace hadal::schedule
