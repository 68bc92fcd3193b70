#include "tools/hadal-tune/DryRun.h"

#include <nlohmann/json.hpp>

#include "cost/Chip.h"
#include "kernels/SpecText.h"

namespace hadal::tune {

namespace {

using Json = nlohmann::ordered_json;
using schedule::Candidates;
using schedule::Prune;

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

/// The words of |words| that |defaults| has not, or otherwise.
schedule::Words changesOf(const schedule::Words &words,
                          const schedule::Words &defaults) {
  schedule::Words changes;
  for (const auto &[name, value] : words) {
    auto at = defaults.find(name);
    if (at == defaults.end() || at->second != value)
      changes[name] = value;
  }
  return changes;
}

std::string timeText(const std::optional<cost::Prediction> &predicted) {
  return predicted
             ? fmt::format("predicted {:.1f} us ({})", predicted->seconds * 1e6,
                           predicted->describe())
             : "no model";
}

schedule::Machine machineOf(const KernelSet &set,
                            const DryRunOptions &options) {
  schedule::Machine machine{set.chip, {}};
  machine.cpu.vectorBits = {static_cast<double>(options.vectorBits), "option"};
  return machine;
}

/// What is found for one kernel.
struct KernelRun {
  const TunedKernel &kernel;
  Candidates found;
  schedule::Ranking ranking;
  Counts counts; ///< by rules and by the model
  size_t measured = 0;

  KernelRun(const TunedKernel &kernel, const KernelSet &set,
            const DryRunOptions &options)
      : kernel(kernel), found(enumerateCandidates(kernel.spec, set.target,
                                                  set.chip, options.space)),
        ranking(rankCandidates(kernel.spec, set.target, machineOf(set, options),
                               found, options.rank)) {
    for (const auto &[code, cut] : found.pruned)
      counts[code] += cut.count;
    for (const schedule::RankedCandidate &ranked : ranking.order) {
      measured += ranked.isMeasured();
      if (!ranked.isMeasured())
        ++counts[*ranked.pruned];
    }
  }

  uint64_t total() const { return found.total() - 1; }
  /// The fastest that the model cut with |code|.
  const schedule::RankedCandidate &first(Prune code) const {
    return *std::find_if(ranking.order.begin(), ranking.order.end(),
                         [&](const auto &ranked) {
                           return ranked.pruned == code && !ranked.escaped;
                         });
  }
  const schedule::Words &defaults() const {
    return ranking.fallback.candidate.words;
  }
  /// What |code| cut first, for people.
  std::string example(Prune code) const {
    auto at = found.pruned.find(code);
    if (at != found.pruned.end())
      return fmt::format("{}={}: {}", at->second.word,
                         schedule::toString(at->second.value),
                         at->second.numbers);
    const schedule::RankedCandidate &ranked = first(code);
    return fmt::format(
        "{}: {}",
        schedule::canonicalText(changesOf(ranked.candidate.words, defaults())),
        timeText(ranked.predicted));
  }
};

std::string kernelText(const KernelRun &run) {
  std::string text =
      fmt::format("{}: {} to measure, {} cut\n  default  {}: {}\n",
                  run.kernel.name, run.measured, run.total() - run.measured,
                  schedule::canonicalText(run.defaults()),
                  timeText(run.ranking.fallback.predicted));
  for (const auto &[code, count] : run.counts)
    text += fmt::format("  {} {:>8}  {} (first: {})\n", idOf(code), count,
                        sentenceOf(code), run.example(code));
  for (const schedule::RankedCandidate &ranked : run.ranking.order)
    if (ranked.isMeasured())
      text +=
          fmt::format("  {}  {}: {}\n", ranked.escaped ? "escaped" : "measure",
                      schedule::canonicalText(
                          changesOf(ranked.candidate.words, run.defaults())),
                      timeText(ranked.predicted));
  return text;
}

Json predictedJson(const std::optional<cost::Prediction> &predicted) {
  if (!predicted)
    return nullptr;
  Json terms = Json::object();
  for (size_t i = 0; i < predicted->terms.size(); ++i)
    if (predicted->terms[i] > 0)
      terms[std::string(toString(static_cast<cost::Term>(i)))] =
          predicted->terms[i];
  return {{"seconds", predicted->seconds},
          {"bound", toString(predicted->bound())},
          {"terms", terms}};
}

Json kernelJson(const KernelRun &run) {
  Json json = {{"name", run.kernel.name},
               {"spec", printSpec(run.kernel.spec)},
               {"total", run.total()},
               {"measure", run.measured}};
  json["default"] = {
      {"words", wordsJson(run.defaults())},
      {"predicted", predictedJson(run.ranking.fallback.predicted)}};
  json["pruned"] = Json::array();
  for (const auto &[code, count] : run.counts)
    json["pruned"].push_back({{"code", idOf(code)},
                              {"count", count},
                              {"sentence", sentenceOf(code)},
                              {"first", run.example(code)}});
  json["candidates"] = Json::array();
  for (const schedule::RankedCandidate &ranked : run.ranking.order)
    if (ranked.isMeasured())
      json["candidates"].push_back(
          {{"words", wordsJson(ranked.candidate.words)},
           {"bits",
            ranked.candidate.bits == schedule::Bits::same ? "same" : "order"},
           {"predicted", predictedJson(ranked.predicted)},
           {"escaped", ranked.escaped}});
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
  uint64_t measured = 0, total = 0;
  for (const TunedKernel &kernel : set.kernels) {
    const KernelRun run(kernel, set, options);
    for (const auto &[code, count] : run.counts)
      counts[code] += count;
    measured += run.measured;
    total += run.total();
    if (options.json)
      json["kernels"].push_back(kernelJson(run));
    else
      text += kernelText(run);
  }
  std::string byCode;
  for (const auto &[code, count] : counts)
    byCode +=
        fmt::format("{}{} {}", byCode.empty() ? "" : ", ", idOf(code), count);
  if (measured == 0)
    return error(5011,
                 "of {} candidates of {} kernels none is left to measure: {}",
                 total, set.kernels.size(),
                 byCode.empty() ? "their words have one value" : byCode);
  if (options.json) {
    json["total"] = total;
    json["measure"] = measured;
    json["cut"] = Json::object();
    for (const auto &[code, count] : counts)
      json["cut"][std::string(idOf(code))] = count;
    return json.dump(2) + "\n";
  }
  return text + fmt::format("\n{} candidates: {} to measure, {} cut: {}\n",
                            total, measured, total - measured, byCode);
}

} // namespace hadal::tune
