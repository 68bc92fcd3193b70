#include "tools/profile/Summary.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace hadal::profile {

namespace {

constexpr size_t kLines = 40;
constexpr size_t kMostEntries = 10, kMostRanks = 8;

/// Entries that ran, the longest in sum first.
std::vector<size_t> entriesThatRan(const RunProfile &run) {
  std::vector<size_t> indices;
  std::vector<int64_t> sums(run.names.size());
  for (size_t i = 0; i < run.names.size(); ++i) {
    for (const RankProfile &rank : run.ranks)
      for (const RunTotals &totals : rank.entries[i].runs)
        sums[i] += totals.ns;
    if (sums[i])
      indices.push_back(i);
  }
  std::ranges::sort(indices, {},
                    [&](size_t i) { return std::pair(-sums[i], i); });
  return indices;
}

std::vector<KernelTimes> kernelTimes(const RunProfile &run,
                                     const KernelFacts &facts) {
  const auto &kernels = *run.artifact.root().kernels();
  std::map<std::pair<std::string, uint32_t>, KernelTimes> byKey;
  const auto ranks = static_cast<double>(run.ranks.size());
  for (const RankProfile &rank : run.ranks)
    for (size_t e = 0; e < run.names.size(); ++e)
      for (size_t i = 0; i < run.names[e].launches.size(); ++i) {
        const EntryProfile &entry = rank.entries[e];
        if (entry.runs.empty())
          continue;
        const LaunchName &name = run.names[e].launches[i];
        KernelTimes &times = byKey[{name.key, name.kernel}];
        times.key = name.key;
        times.kernel = kernels.Get(name.kernel)->name()->str();
        times.seconds += static_cast<double>(entry.launchNs[i]) * 1e-9 / ranks;
        if (&rank == &run.ranks.front())
          times.launches += entry.runs.size();
        const double launches = static_cast<double>(entry.runs.size()) / ranks;
        if (name.kernel < facts.bytes.size())
          times.bytes += facts.bytes[name.kernel] * launches;
        times.flops +=
            static_cast<double>(kernels.Get(name.kernel)->flops()) * launches;
      }
  std::vector<KernelTimes> all;
  for (auto &[key, times] : byKey)
    all.push_back(std::move(times));
  std::ranges::sort(all, {}, [](const KernelTimes &t) {
    return std::tuple(-t.seconds, t.key, t.kernel);
  });
  return all;
}

/// How much longer |times| are than a plain read of the same bytes.
double excess(const KernelTimes &times, const KernelFacts &facts) {
  return facts.plainBytesPerSecond > 0
             ? times.seconds - times.bytes / facts.plainBytesPerSecond
             : times.seconds;
}

/// Bytes a second, their share of a plain read's, operations a second.
std::string rateText(const KernelTimes &times, const KernelFacts &facts) {
  auto text = [&](double amount, double unit) {
    return amount > 0 && times.seconds > 0
               ? fmt::format("{:.2f}", amount / times.seconds / unit)
               : "-";
  };
  return fmt::format("{:>8} {:>8} {:>8}", text(times.bytes, 1e9),
                     facts.plainBytesPerSecond > 0
                         ? text(times.bytes, facts.plainBytesPerSecond)
                         : "-",
                     text(times.flops, 1e9));
}

} // namespace

Summary summarize(const RunProfile &run, const KernelFacts &facts) {
  Summary summary;
  double all = 0, kernels = 0, exposed = 0, entries = 0;
  for (const RankProfile &rank : run.ranks) {
    all += static_cast<double>(rank.end - rank.begin);
    for (const EntryProfile &entry : rank.entries)
      for (const RunTotals &totals : entry.runs) {
        entries += static_cast<double>(totals.ns);
        kernels += static_cast<double>(totals.kernelNs);
        exposed += static_cast<double>(totals.allExposedNs());
      }
  }
  summary.byKernel = kernelTimes(run, facts);
  all -= facts.notCountedSeconds * 1e9 * static_cast<double>(run.ranks.size());
  if (all <= 0)
    return summary;
  summary.seconds = all * 1e-9 / static_cast<double>(run.ranks.size());
  summary.kernels = kernels / all;
  summary.exposed = exposed / all;
  summary.gaps = (entries - kernels - exposed) / all;
  summary.between = 1 - entries / all;
  return summary;
}

std::string summaryText(const RunProfile &run, const KernelFacts &facts) {
  const Summary summary = summarize(run, facts);
  const auto ranks = run.ranks.size();
  std::string text = fmt::format(
      "profile of {:.3f} s{}: kernels {:.1f} %, gaps between them {:.1f} %, "
      "exposed communication {:.1f} %, outside of entries {:.1f} %\n",
      summary.seconds, ranks > 1 ? fmt::format(" of {} ranks", ranks) : "",
      100 * summary.kernels, 100 * summary.gaps, 100 * summary.exposed,
      100 * summary.between);
  if (summary.seconds > 0 && summary.kernels <= 0)
    text += "this device does not say when its commands ran: all of an entry "
            "counts as gaps\n";
  std::vector<EntryTimes> times;
  text += fmt::format("{:24} {:>6} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
                      "entry", "runs", "median ms", "p95", "slowest", "kernels",
                      "gaps", "exposed");
  const std::vector<size_t> entries = entriesThatRan(run);
  for (size_t i = 0; i < std::min(entries.size(), kMostEntries); ++i) {
    const EntryTimes t = entryTimes(run, entries[i]);
    text += fmt::format("{:24} {:6} {:10.3f} {:9.3f} {:9.3f} {:9.3f} {:9.3f} "
                        "{:9.3f}\n",
                        run.names[entries[i]].name, t.runs, t.us / 1e3,
                        t.p95Us / 1e3, t.slowestUs / 1e3, t.kernelUs / 1e3,
                        (t.computeUs - t.kernelUs) / 1e3, t.exposedUs / 1e3);
    for (const LabelTimes &label : t.labels)
      text += fmt::format("  {} x {}: exposed {:.3f} ms, of it {:.3f} until "
                          "the last rank came\n",
                          label.perRun, label.label, label.exposedUs / 1e3,
                          label.lateUs / 1e3);
    times.push_back(t);
  }
  if (entries.size() > kMostEntries)
    text += fmt::format("and {} more entries\n", entries.size() - kMostEntries);
  if (ranks > 1 && !times.empty()) {
    const EntryTimes &longest = times.front();
    text += fmt::format("{}, ms computed by rank:",
                        run.names[entries.front()].name);
    for (size_t r = 0; r < std::min(longest.ranks.size(), kMostRanks); ++r)
      text += fmt::format(" {:.3f}", longest.ranks[r].computeUs / 1e3);
    text += fmt::format("{}; most / mean {:.2f}\n",
                        longest.ranks.size() > kMostRanks ? " ..." : "",
                        longest.imbalance);
  }

  std::vector<KernelTimes> kernels = summary.byKernel;
  std::ranges::sort(kernels, {}, [&](const KernelTimes &t) {
    return std::tuple(-excess(t, facts), t.key, t.kernel);
  });
  double all = 0;
  for (const KernelTimes &kernel : kernels)
    all += kernel.seconds;
  text +=
      fmt::format("{:>10} {:>7} {:>9} {:>8} {:>8} {:>8}  operation "
                  "(kernel), by {}\n",
                  "ms", "share", "launches", "GB/s", "of read", "GFLOP/s",
                  facts.plainBytesPerSecond > 0
                      ? fmt::format("time above a plain read at {:.2f} GB/s",
                                    facts.plainBytesPerSecond / 1e9)
                      : "time");
  const auto used = static_cast<size_t>(std::ranges::count(text, '\n'));
  const size_t room = used + 2 < kLines ? kLines - used - 1 : 1;
  double shown = 0;
  for (size_t i = 0; i < std::min(kernels.size(), room); ++i) {
    const KernelTimes &k = kernels[i];
    shown += k.seconds;
    text += fmt::format(
        "{:10.3f} {:6.1f}% {:9} {}  {}\n", k.seconds * 1e3,
        all > 0 ? 100 * k.seconds / all : 0, k.launches, rateText(k, facts),
        k.key == k.kernel ? k.key : fmt::format("{} ({})", k.key, k.kernel));
  }
  if (kernels.size() > room)
    text += fmt::format("{:10.3f} {:6.1f}% in {} others\n", (all - shown) * 1e3,
                        all > 0 ? 100 * (all - shown) / all : 0,
                        kernels.size() - room);
  return text;
}

nlohmann::ordered_json summaryJson(const RunProfile &run,
                                   const KernelFacts &facts) {
  const Summary summary = summarize(run, facts);
  nlohmann::ordered_json json = {{"seconds", summary.seconds},
                                 {"kernels", summary.kernels},
                                 {"gaps", summary.gaps},
                                 {"exposed", summary.exposed},
                                 {"outside", summary.between}};
  if (facts.plainBytesPerSecond > 0)
    json["plain_read_bytes_per_second"] = facts.plainBytesPerSecond;
  json["entries"] = nlohmann::ordered_json::array();
  for (size_t index : entriesThatRan(run)) {
    const EntryTimes t = entryTimes(run, index);
    nlohmann::ordered_json entry = {{"name", run.names[index].name},
                                    {"runs", t.runs},
                                    {"median_us", t.us},
                                    {"p95_us", t.p95Us},
                                    {"slowest_us", t.slowestUs},
                                    {"kernels_us", t.kernelUs},
                                    {"compute_us", t.computeUs},
                                    {"exposed_us", t.exposedUs},
                                    {"imbalance", t.imbalance}};
    for (const LabelTimes &label : t.labels)
      entry["collectives"][label.label] = {{"per_run", label.perRun},
                                           {"exposed_us", label.exposedUs},
                                           {"late_us", label.lateUs}};
    for (const RankTimes &rank : t.ranks)
      entry["ranks"].push_back({{"median_us", rank.us},
                                {"kernels_us", rank.kernelUs},
                                {"compute_us", rank.computeUs},
                                {"exposed_us", rank.exposedUs}});
    json["entries"].push_back(std::move(entry));
  }
  json["operations"] = nlohmann::ordered_json::array();
  for (const KernelTimes &kernel : summary.byKernel)
    json["operations"].push_back({{"key", kernel.key},
                                  {"kernel", kernel.kernel},
                                  {"launches", kernel.launches},
                                  {"seconds", kernel.seconds},
                                  {"bytes", kernel.bytes},
                                  {"flops", kernel.flops}});
  return json;
}

} // namespace hadal::profile
