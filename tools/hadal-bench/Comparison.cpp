#include "tools/hadal-bench/Comparison.h"

#include <algorithm>

namespace hadal::bench {

namespace {

/// The mean of what the launches of each kernel took.
cost::KernelCosts costsOf(const profile::RunProfile &run, size_t index) {
  const std::vector<double> us = profile::launchUs(run, index);
  const auto &kernels = *run.artifact.root().kernels();
  std::map<uint32_t, std::pair<double, unsigned>> sums;
  for (size_t i = 0; i < us.size(); ++i) {
    auto &[sum, count] = sums[run.names[index].launches[i].kernel];
    sum += us[i];
    ++count;
  }
  cost::KernelCosts costs;
  for (const auto &[kernel, sum] : sums)
    costs.kernels[kernels.Get(kernel)->name()->str()] = {
        {{0, sum.first / sum.second}}};
  return costs;
}

std::string line(std::string_view what, double predicted, double measured) {
  return fmt::format(
      "  {:40} {:10.0f} {:10.0f} {:>7}\n", what, predicted, measured,
      measured > 0 ? fmt::format("{:.2f}", predicted / measured) : "-");
}

double exposedUs(const predict::EntryPrediction &entry,
                 const std::string &label) {
  auto found = entry.exchanges.find(label);
  return found == entry.exchanges.end() ? 0 : found->second.exposedUs;
}

} // namespace

StatusOr<Comparison> compare(const profile::RunProfile &run, size_t index,
                             double tokens, cost::Cluster links) {
  Comparison comparison;
  comparison.entry = run.names[index].name;
  comparison.measured = profile::entryTimes(run, index);
  links.machine.launchGapUs = comparison.measured.gapUs;
  // What kernels took beside collectives has what these hold of the chip in it.
  links.machine.contention = 1;
  for (auto &[label, link] : links.links)
    link.multiprocessors = 0;
  predict::Options options;
  options.tokens = tokens;
  // What the ranks' kernels took has their imbalance in it.
  options.imbalance = 1;
  HADAL_ASSIGN_OR_RETURN(
      comparison.predicted,
      predict::predictBody(
          run.artifact, links, costsOf(run, index), options,
          *run.artifact.root().entries()->Get(static_cast<unsigned>(index))));
  comparison.links = std::move(links);
  return comparison;
}

std::string comparisonText(const Comparison &c) {
  const profile::EntryTimes &m = c.measured;
  std::string text =
      fmt::format("{:42} {:>10} {:>10} {:>7}\n",
                  fmt::format("{}, medians of {} runs, us", c.entry, m.runs),
                  "predicted", "measured", "ratio");
  text += line("step", c.predicted.body.us, m.us);
  text += line("compute: kernels and gaps", c.predicted.body.computeUs,
               m.computeUs);
  for (const profile::LabelTimes &label : m.labels) {
    std::string what =
        fmt::format("exposed: {} x {}", label.perRun, label.label);
    std::string row =
        line(what, exposedUs(c.predicted, label.label), label.exposedUs);
    row.pop_back();
    text +=
        fmt::format("{}  {:.0f} until the last rank came\n", row, label.lateUs);
  }
  for (const auto &[name, link] : c.links.links) {
    const double usPerByte =
        link.usPerByte.empty() ? 0 : link.usPerByte.rbegin()->second;
    text += fmt::format(
        "  link of {}: {:.0f} us{}\n", name, link.alphaUs,
        usPerByte > 0 ? fmt::format(", then {:.2f} GB/s", 1e-3 / usPerByte)
                      : "");
  }
  if (m.ranks.size() < 2)
    return text;
  text += "  computed by rank:";
  constexpr size_t kMostRanks = 16;
  for (size_t r = 0; r < std::min(m.ranks.size(), kMostRanks); ++r)
    text += fmt::format(" {:.0f}", m.ranks[r].computeUs);
  text += fmt::format("{} us; most / mean {:.2f}\n",
                      m.ranks.size() > kMostRanks ? " ..." : "", m.imbalance);
  return text;
}

nlohmann::ordered_json comparisonJson(const Comparison &c) {
  const profile::EntryTimes &m = c.measured;
  nlohmann::ordered_json json = {
      {"name", c.entry},
      {"runs", m.runs},
      {"predicted",
       {{"step_us", c.predicted.body.us},
        {"compute_us", c.predicted.body.computeUs},
        {"exposed_us", c.predicted.body.exposedUs},
        {"bound", std::string(c.predicted.body.bound())}}},
      {"measured",
       {{"step_us", m.us},
        {"p95_us", m.p95Us},
        {"kernels_us", m.kernelUs},
        {"compute_us", m.computeUs},
        {"exposed_us", m.exposedUs}}},
      {"imbalance", m.imbalance}};
  for (const profile::LabelTimes &label : m.labels)
    json["collectives"][label.label] = {
        {"per_run", label.perRun},
        {"predicted_exposed_us", exposedUs(c.predicted, label.label)},
        {"measured_exposed_us", label.exposedUs},
        {"late_us", label.lateUs}};
  for (const auto &[name, link] : c.links.links)
    json["links"][name] = {
        {"alpha_us", link.alphaUs},
        {"us_per_byte",
         link.usPerByte.empty() ? 0 : link.usPerByte.rbegin()->second}};
  for (const profile::RankTimes &rank : m.ranks)
    json["ranks"].push_back({{"step_us", rank.us},
                             {"kernels_us", rank.kernelUs},
                             {"compute_us", rank.computeUs},
                             {"exposed_us", rank.exposedUs}});
  return json;
}

} // namespace hadal::bench
