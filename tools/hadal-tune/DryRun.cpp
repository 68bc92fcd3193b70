#include "tools/hadal-tune/DryRun.h"

#include <nlohmann/json.hpp>

#include "kernels/SpecText.h"
#include "schedule/Chip.h"

namespace hadal::tune {

namespace {

using Json = nlohmann::ordered_json;
using schedule::Candidates;
using schedule::Prune;
using schedule::PruneCount;

/// How many candidates of all kernels ended with each code.
using Counts = std::map<Prune, uint64_t>;

Json valueJson(const schedule::Value &value) {
  return std::visit([](const auto &v) { return Json(v); }, value);
}

Json wordsJson(const schedule::Words &words) {
  Json json = Json::object();
  for (const auto &[name, value] : words)
    json[name] = valueJson(value);
  return json;
}

std::string machineText(const KernelSet &set) {
  std::string text(set.target.name());
  if (set.chip)
    text += fmt::format(" ({})", set.chip->name);
  return text;
}

std::string kernelText(const TunedKernel &kernel, const Candidates &found) {
  std::string text =
      fmt::format("{}: {} to try, {} cut\n  default  {}\n", kernel.name,
                  found.all.size() - 1, found.total() - found.all.size(),
                  schedule::canonicalText(found.all.front().words));
  for (const auto &[code, cut] : found.pruned)
    text += fmt::format("  {} {:>8}  {} (first: {}={}: {})\n", idOf(code),
                        cut.count, sentenceOf(code), cut.word,
                        schedule::toString(cut.value), cut.numbers);
  return text;
}

Json kernelJson(const TunedKernel &kernel, const Candidates &found) {
  Json json = {{"name", kernel.name}, {"spec", printSpec(kernel.spec)}};
  json["default"] = wordsJson(found.all.front().words);
  json["total"] = found.total();
  uint64_t same = 0;
  for (const schedule::Candidate &candidate : found.all)
    same += candidate.bits == schedule::Bits::same;
  json["try"] = found.all.size() - 1;
  json["same_bits"] = same - 1;
  json["pruned"] = Json::array();
  for (const auto &[code, cut] : found.pruned)
    json["pruned"].push_back({{"code", idOf(code)},
                              {"count", cut.count},
                              {"sentence", sentenceOf(code)},
                              {"first",
                               {{"word", cut.word},
                                {"value", valueJson(cut.value)},
                                {"numbers", cut.numbers}}}});
  return json;
}

} // namespace

StatusOr<std::string> dryRun(const KernelSet &set,
                             const DryRunOptions &options) {
  Json json = {{"target", set.target.name()}};
  if (set.chip)
    json["chip"] = set.chip->name;
  json["kernels"] = Json::array();
  std::string text = fmt::format("{} kernels for {}\n\n", set.kernels.size(),
                                 machineText(set));
  Counts counts;
  uint64_t listed = 0, total = 0;
  for (const TunedKernel &kernel : set.kernels) {
    const Candidates found =
        enumerateCandidates(kernel.spec, set.target, set.chip, options.space);
    for (const auto &[code, cut] : found.pruned)
      counts[code] += cut.count;
    listed += found.all.size() - 1;
    total += found.total() - 1;
    if (options.json)
      json["kernels"].push_back(kernelJson(kernel, found));
    else
      text += kernelText(kernel, found);
  }
  std::string byCode;
  for (const auto &[code, count] : counts)
    byCode +=
        fmt::format("{}{} {}", byCode.empty() ? "" : ", ", idOf(code), count);
  if (listed == 0)
    return error(5011, "of {} candidates of {} kernels none is left to try: {}",
                 total, set.kernels.size(),
                 byCode.empty() ? "their words have one value" : byCode);
  if (options.json) {
    json["total"] = total;
    json["try"] = listed;
    json["cut"] = Json::object();
    for (const auto &[code, count] : counts)
      json["cut"][std::string(idOf(code))] = count;
    return json.dump(2) + "\n";
  }
  return text + fmt::format("\n{} candidates: {} to try, {} cut: {}\n", total,
                            listed, total - listed, byCode);
}

} // namespace hadal::tune
