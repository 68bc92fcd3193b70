#include "tools/profile/Exposure.h"

#include <algorithm>
#include <map>

#include "tools/hadal-bench/Statistics.h"

namespace hadal::profile {

using bench::median;

namespace {

constexpr double kNsPerUs = 1e3;

double us(int64_t ns) { return static_cast<double>(ns) / kNsPerUs; }

/// The value below which |share| of |values| lie.
double quantile(std::vector<double> values, double share) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(place + 0.5)];
}

/// |value| of each run of |entry|.
template <typename F>
std::vector<double> overRuns(const EntryProfile &entry, F value) {
  std::vector<double> values;
  for (const RunTotals &run : entry.runs)
    values.push_back(us(value(run)));
  return values;
}

/// When each rank came to each collective of a run, on rank 0's clock: by run
/// and collective, then by rank.
class Arrivals {
public:
  Arrivals(const RunProfile &run, size_t index) {
    for (unsigned r = 0; r < run.ranks.size(); ++r)
      for (const Run &kept : run.ranks[r].entries[index].kept)
        for (const Span &span : kept.spans)
          if (span.kind == CommandSpan::Kind::collective)
            times[{kept.number, span.index}][r] =
                run.clocks[r].toRank0(span.begin);
  }

  /// When the last of |members| came to |collective|; nothing if the run of one
  /// of them is not known.
  std::optional<int64_t> last(uint64_t number, uint32_t collective,
                              const std::vector<unsigned> &members) const {
    auto found = times.find({number, collective});
    if (found == times.end())
      return std::nullopt;
    std::optional<int64_t> latest;
    for (unsigned member : members) {
      auto time = found->second.find(member);
      if (time == found->second.end())
        return std::nullopt;
      latest = std::max(latest.value_or(time->second), time->second);
    }
    return latest;
  }

private:
  std::map<std::pair<uint64_t, uint32_t>, std::map<unsigned, int64_t>> times;
};

/// By label: how long rank |r| waited for later ranks in a run, the median over
/// its kept runs.
std::vector<double> lateOf(const RunProfile &run, size_t index, unsigned r,
                           const Arrivals &arrivals) {
  const EntryNames &names = run.names[index];
  std::vector<std::vector<double>> perRun(names.labels.size());
  for (const Run &kept : run.ranks[r].entries[index].kept) {
    std::vector<double> sums(names.labels.size());
    for (const Span &span : kept.spans) {
      if (span.kind != CommandSpan::Kind::wait)
        continue;
      const CollectiveName &name = names.collectives[span.index];
      std::optional<int64_t> last = arrivals.last(
          kept.number, span.index, run.members(name.communicator, r));
      if (last)
        sums[name.labelIndex] += us(std::clamp<int64_t>(
            *last - run.clocks[r].toRank0(span.begin), 0, span.ns()));
    }
    for (size_t i = 0; i < sums.size(); ++i)
      perRun[i].push_back(sums[i]);
  }
  std::vector<double> medians;
  for (std::vector<double> &values : perRun)
    medians.push_back(median(std::move(values)));
  return medians;
}

/// The times of one rank that ran the entry, added to those of all.
void addRank(const EntryProfile &entry, EntryTimes &times) {
  RankTimes rank;
  rank.us = median(overRuns(entry, [](const RunTotals &t) { return t.ns; }));
  rank.kernelUs =
      median(overRuns(entry, [](const RunTotals &t) { return t.kernelNs; }));
  rank.computeUs =
      median(overRuns(entry, [](const RunTotals &t) { return t.computeNs(); }));
  rank.exposedUs = median(
      overRuns(entry, [](const RunTotals &t) { return t.allExposedNs(); }));
  for (size_t i = 0; i < times.labels.size(); ++i)
    times.labels[i].exposedUs += median(
        overRuns(entry, [&](const RunTotals &t) { return t.exposedNs[i]; }));
  times.us += rank.us;
  times.kernelUs += rank.kernelUs;
  times.computeUs += rank.computeUs;
  times.exposedUs += rank.exposedUs;
  times.ranks.push_back(rank);
  times.runs = std::max(times.runs, entry.runs.size());
  const std::vector<double> all =
      overRuns(entry, [](const RunTotals &t) { return t.ns; });
  times.p95Us = std::max(times.p95Us, quantile(all, 0.95));
  times.slowestUs = std::max(times.slowestUs, quantile(all, 1));
}

} // namespace

std::vector<unsigned> RunProfile::members(uint32_t communicator,
                                          unsigned rank) const {
  const schema::Artifact &root = artifact.root();
  const schema::Mesh *mesh = root.mesh();
  if (!mesh || !root.communicators() ||
      communicator >= root.communicators()->size())
    return {rank};
  return RankLayout{rank, mesh->tp(), mesh->dp(), mesh->ep()}.members(
      root.communicators()->Get(communicator)->axis());
}

EntryTimes entryTimes(const RunProfile &run, size_t index) {
  const EntryNames &names = run.names[index];
  EntryTimes times;
  for (const std::string &label : names.labels)
    times.labels.push_back({.label = label});
  for (const CollectiveName &name : names.collectives)
    ++times.labels[name.labelIndex].perRun;
  const Arrivals arrivals(run, index);
  for (unsigned r = 0; r < run.ranks.size(); ++r) {
    const EntryProfile &entry = run.ranks[r].entries[index];
    if (entry.runs.empty())
      continue;
    addRank(entry, times);
    const std::vector<double> late = lateOf(run, index, r, arrivals);
    for (size_t i = 0; i < late.size(); ++i)
      times.labels[i].lateUs += late[i];
  }
  if (times.ranks.empty())
    return times;
  const auto ranks = static_cast<double>(times.ranks.size());
  for (double *sum :
       {&times.us, &times.kernelUs, &times.computeUs, &times.exposedUs})
    *sum /= ranks;
  for (LabelTimes &label : times.labels) {
    label.exposedUs /= ranks;
    label.lateUs /= ranks;
  }
  if (!names.launches.empty())
    times.gapUs = std::max(0.0, times.computeUs - times.kernelUs) /
                  static_cast<double>(names.launches.size());
  double most = 0;
  for (const RankTimes &rank : times.ranks)
    most = std::max(most, rank.computeUs);
  if (times.computeUs > 0)
    times.imbalance = most / times.computeUs;
  return times;
}

std::vector<double> launchUs(const RunProfile &run, size_t index) {
  const size_t count = run.names[index].launches.size();
  std::vector<double> sums(count);
  double ranks = 0;
  for (const RankProfile &rank : run.ranks) {
    std::vector<std::vector<double>> values(count);
    for (const Run &kept : rank.entries[index].kept)
      for (const Span &span : kept.spans)
        if (span.kind == CommandSpan::Kind::launch)
          values[span.index].push_back(us(span.ns()));
    if (rank.entries[index].kept.empty())
      continue;
    ++ranks;
    for (size_t i = 0; i < count; ++i)
      sums[i] += median(std::move(values[i]));
  }
  if (ranks > 0)
    for (double &sum : sums)
      sum /= ranks;
  return sums;
}

} // namespace hadal::profile
