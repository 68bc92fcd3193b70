#include "tools/profile/Recorder.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace hadal::profile {

namespace {

int64_t nanoseconds(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             time.time_since_epoch())
      .count();
}

/// The place of the next run: that of the oldest once there are |keep|, whose
/// memory it takes over.
Run &nextRun(std::vector<Run> &kept, unsigned keep) {
  if (kept.size() < keep)
    return kept.emplace_back();
  std::rotate(kept.begin(), kept.begin() + 1, kept.end());
  kept.back().spans.clear();
  return kept.back();
}

} // namespace

Recorder::Recorder(const Artifact &artifact, unsigned rank, unsigned keep)
    : names_(entryNames(artifact)), keep(std::max(keep, 1u)) {
  profile_.rank = rank;
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0)
    profile_.host = host;
  clear();
}

void Recorder::attach(Executable &executable, SessionOptions &options) {
  executable.setProfiling(true);
  options.onRun = [this](const EntryRun &run) { add(run); };
}

void Recorder::clear() {
  profile_.entries.assign(names_.size(), {});
  for (size_t i = 0; i < names_.size(); ++i)
    profile_.entries[i].launchNs.assign(names_[i].launches.size(), 0);
  profile_.begin = profile_.end = 0;
  hasRuns = false;
}

void Recorder::add(const EntryRun &run) {
  const EntryNames &names = names_[run.entry];
  EntryProfile &entry = profile_.entries[run.entry];
  RunTotals totals;
  totals.exposedNs.assign(names.labels.size(), 0);
  Run &kept = nextRun(entry.kept, keep);
  kept.number = entry.runs.size();
  kept.begin = nanoseconds(run.begin);
  kept.end = nanoseconds(run.end);
  totals.ns = kept.end - kept.begin;
  for (const CommandSpan &span : run.timeline) {
    const Span &mine = kept.spans.emplace_back(Span{
        nanoseconds(span.begin), nanoseconds(span.end), span.index, span.kind});
    if (span.kind == CommandSpan::Kind::launch) {
      totals.kernelNs += mine.ns();
      entry.launchNs[span.index] += mine.ns();
    } else if (span.kind == CommandSpan::Kind::wait) {
      totals.exposedNs[names.collectives[span.index].labelIndex] += mine.ns();
    }
  }
  entry.runs.push_back(std::move(totals));
  if (!std::exchange(hasRuns, true))
    profile_.begin = kept.begin;
  profile_.end = kept.end;
}

} // namespace hadal::profile
