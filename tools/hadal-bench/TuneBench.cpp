#include "tools/hadal-bench/TuneBench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "tools/hadal-bench/AccuracyGate.h"
#include "tools/hadal-bench/CandidateTimer.h"

namespace hadal::bench {

namespace {

using tune::PlannedKernel;
using Json = nlohmann::ordered_json;

double percent(double logarithm) { return std::expm1(logarithm) * 100; }

std::string_view nameOf(tune::End end) {
  switch (end) {
  case tune::End::R01:
    return "R01";
  case tune::End::M01:
    return "M01";
  case tune::End::M02:
    return "M02";
  case tune::End::M03:
    return "M03";
  case tune::End::W:
    return "W";
  }
  return "";
}

/// Checks and times the kernels of one artifact on a driver.
class DriverLab : public tune::Lab {
public:
  DriverLab(Driver &driver, const Artifact &artifact, Executable &executable,
            const TuneBenchOptions &options)
      : driver(driver), artifact(artifact), executable(executable),
        options(options), samples(sampleLaunches(artifact.root())) {
    for (unsigned k = 0; k < artifact.root().kernels()->size(); ++k)
      kernels[artifact.root().kernels()->Get(k)->name()->string_view()] = k;
  }

  Status find(const std::vector<PlannedKernel> &plan) const {
    auto known = [&](const std::string &name) -> Status {
      if (kernels.contains(name))
        return {};
      return error(5011,
                   "the plan names kernel '{}', which '{}' does not have; give "
                   "the plan that was printed when it was written",
                   name, artifact.path());
    };
    for (const PlannedKernel &kernel : plan) {
      HADAL_RETURN_IF_ERROR(known(kernel.name));
      for (const tune::PlannedCandidate &candidate : kernel.candidates)
        HADAL_RETURN_IF_ERROR(known(candidate.name));
    }
    return {};
  }

  /// Operations of all launches of kernels named |name|, of every entry.
  std::map<std::string_view, double> worths() const {
    std::map<std::string_view, double> worth;
    const schema::Artifact &root = artifact.root();
    Bindings bindings;
    bindings.parameters.resize(root.parameters()->size());
    bindings.states.resize(root.states()->size());
    for (const schema::Entry *entry : *root.entries())
      for (const Launch &launch : flatten(root, *entry, bindings).launches) {
        const schema::Kernel &kernel = *root.kernels()->Get(launch.kernel);
        worth[kernel.name()->string_view()] +=
            static_cast<double>(kernel.flops());
      }
    return worth;
  }

  StatusOr<std::vector<tune::Rejected>>
  check(const PlannedKernel &kernel) override {
    std::vector<tune::Rejected> rejected;
    // The timer has others: these only judge.
    for (uint64_t seed : {options.seed + 1000, options.seed + 2000}) {
      const Arm first = armOf(kernel.name);
      HADAL_ASSIGN_OR_RETURN(
          std::unique_ptr<KernelCase> test,
          makeCaseOf(artifact, first.kernel, first.sample, seed));
      HADAL_ASSIGN_OR_RETURN(Arguments byDefault, outputsOf(first, *test));
      const Judgement base = judge(*test, byDefault, byDefault, true, seed);
      if (base.fault != Fault::none)
        return error(5019, "default kernel '{}' is wrong: {}", kernel.name,
                     base.numbers);
      for (size_t i = 0; i < kernel.candidates.size(); ++i) {
        if (options.interrupt && *options.interrupt)
          return error(5016, "interrupted");
        if (std::any_of(rejected.begin(), rejected.end(),
                        [&](const auto &r) { return r.candidate == i; }))
          continue;
        StatusOr<Arguments> outputs =
            outputsOf(armOf(kernel.candidates[i].name), *test);
        if (!outputs.ok()) {
          rejected.push_back({i, "R01", outputs.status().message()});
          continue;
        }
        const Judgement found = judge(*test, byDefault, *outputs,
                                      kernel.candidates[i].sameBits, seed);
        if (found.fault != Fault::none)
          rejected.push_back(
              {i, std::string(toString(found.fault)), found.numbers});
      }
    }
    return rejected;
  }

  StatusOr<std::unique_ptr<tune::Timer>> timer(const PlannedKernel &kernel,
                                               uint64_t seed) override {
    std::vector<Arm> arms = {armOf(kernel.name)};
    for (const tune::PlannedCandidate &candidate : kernel.candidates)
      arms.push_back(armOf(candidate.name));
    TimerOptions timing;
    timing.coldBytes = coldBytesOfHost();
    timing.interrupt = options.interrupt;
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<CandidateTimer> timer,
                           CandidateTimer::create(driver, artifact, executable,
                                                  std::move(arms), seed,
                                                  timing));
    defaultSeconds = timer->firstSeconds();
    return std::unique_ptr<tune::Timer>(std::move(timer));
  }

  double defaultSeconds = 0; ///< of the last kernel that was timed

private:
  Arm armOf(const std::string &name) const {
    const unsigned index = kernels.find(name)->second;
    return {index, samples[index]};
  }

  /// What |arm| writes for |test|, into poisoned memory of its own.
  StatusOr<Arguments> outputsOf(const Arm &arm, const KernelCase &test) {
    Arguments memory = test.arguments;
    poison(test, memory);
    HADAL_ASSIGN_OR_RETURN(DeviceArguments device,
                           DeviceArguments::create(driver, memory));
    LaunchList list;
    HADAL_RETURN_IF_ERROR(
        addLaunch(artifact, arm.kernel, arm.sample, device, list));
    HADAL_ASSIGN_OR_RETURN(
        std::unique_ptr<PreparedEntry> entry,
        executable.prepare(
            artifact.root().kernels()->Get(arm.kernel)->name()->str(), list,
            false, nullptr));
    HADAL_RETURN_IF_ERROR(entry->run());
    Arguments outputs;
    for (const Expected &output : test.expected) {
      HADAL_ASSIGN_OR_RETURN(Tensor values, device.read(output.output));
      outputs.insert_or_assign(output.output, std::move(values));
    }
    return outputs;
  }

  Driver &driver;
  const Artifact &artifact;
  Executable &executable;
  const TuneBenchOptions &options;
  std::vector<Sample> samples;
  std::map<std::string_view, unsigned> kernels;
};

/// Adds the result of |kernel| to |rows| and prints it.
void report(const PlannedKernel &kernel, const tune::KernelResult &result,
            double defaultSeconds, Json &rows) {
  Json row = {{"name", kernel.name}, {"seconds_spent", result.seconds}};
  std::map<std::string, unsigned> counts;
  Json ends = Json::array();
  for (const tune::Rejected &r : result.rejected) {
    ++counts[r.code];
    ends.push_back({{"name", kernel.candidates[r.candidate].name},
                    {"schedule", kernel.candidates[r.candidate].schedule},
                    {"end", r.code},
                    {"numbers", r.numbers}});
  }
  for (const tune::Outcome &outcome : result.selection.outcomes) {
    ++counts[std::string(nameOf(outcome.end))];
    Json end = {{"name", kernel.candidates[outcome.candidate.arm - 1].name},
                {"schedule", outcome.candidate.schedule},
                {"end", nameOf(outcome.end)},
                {"gain", std::exp(outcome.gain.median)},
                {"blocks", outcome.gain.blocks}};
    if (outcome.gain.blocks >= 8) {
      end["gain_low"] = std::exp(outcome.gain.low);
      end["gain_high"] = std::exp(outcome.gain.high);
    }
    if (!outcome.failure.ok())
      end["numbers"] = outcome.failure.message();
    ends.push_back(std::move(end));
  }
  std::string tally;
  for (const auto &[code, count] : counts)
    tally += fmt::format("{}{} {}", tally.empty() ? "" : ", ", code, count);
  row["default_seconds"] = defaultSeconds;
  row["refused"] = result.selection.refused;
  row["candidates"] = std::move(ends);
  std::string text;
  if (!result.failure.ok()) {
    row["failure"] = result.failure.message();
    text = "failed: " + result.failure.message();
  } else if (result.selection.refused) {
    text = "the default is told from itself: nothing is decided here";
  } else if (result.selection.winner) {
    const tune::Outcome &best =
        result.selection.outcomes[*result.selection.winner];
    row["winner"] = best.candidate.schedule;
    text = fmt::format("{:+.1f} % ({:+.1f} .. {:+.1f}, {} blocks): {}",
                       percent(best.gain.median), percent(best.gain.low),
                       percent(best.gain.high), best.gain.blocks,
                       best.candidate.schedule);
  } else {
    text = "default";
  }
  fmt::print("{}: {:.1f} us, {}; {}\n", kernel.name, defaultSeconds * 1e6, text,
             tally);
  std::fflush(stdout);
  rows.push_back(std::move(row));
}

} // namespace

Status runTuneBench(Driver &driver, const Artifact &artifact,
                    const TuneBenchOptions &options, Json &json) {
  if (!driver.sharesHostMemory())
    return error(5011,
                 "--tune-plan times by the host's clock what runs in the host's "
                 "memory, which device '{}' does not",
                 driver.name());
  HADAL_ASSIGN_OR_RETURN(std::vector<PlannedKernel> plan,
                         tune::readPlan(options.plan));
  std::erase_if(plan,
                [](const PlannedKernel &k) { return k.candidates.empty(); });
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Executable> executable,
                         driver.load(artifact));
  DriverLab lab(driver, artifact, *executable, options);
  HADAL_RETURN_IF_ERROR(lab.find(plan));
  const std::map<std::string_view, double> worth = lab.worths();
  auto worthOf = [&](const PlannedKernel &kernel) {
    auto at = worth.find(kernel.name);
    return at == worth.end() ? 0 : at->second;
  };
  std::sort(plan.begin(), plan.end(),
            [&](const PlannedKernel &a, const PlannedKernel &b) {
              return std::pair(-worthOf(a), std::string_view(a.name)) <
                     std::pair(-worthOf(b), std::string_view(b.name));
            });
  json["kernels"] = Json::array();
  tune::SessionOptions session;
  session.select.seed = options.seed;
  session.budget = options.budget;
  session.clock = [] {
    return std::chrono::duration<double>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  session.report = [&](const tune::KernelResult &result, size_t done,
                       size_t all, double left) -> Status {
    fmt::print("[{}/{}] ", done, all);
    report(plan[done - 1], result, lab.defaultSeconds, json["kernels"]);
    std::fprintf(stderr, "hadal-bench: [%zu/%zu] eta %02.0f:%02.0f\n", done,
                 all, std::floor(left / 60), std::fmod(left, 60));
    return options.checkpoint ? options.checkpoint() : Status();
  };
  HADAL_ASSIGN_OR_RETURN(tune::SessionResult result,
                         tune::runSession(plan, lab, session));
  size_t wrong = 0, adopted = 0;
  for (const tune::KernelResult &kernel : result.kernels) {
    wrong += kernel.failure.code() == 5019;
    if (kernel.selection.winner) {
      ++adopted;
      std::string words = kernel.selection.outcomes[*kernel.selection.winner]
                              .candidate.schedule;
      std::replace(words.begin(), words.end(), ' ', ',');
      fmt::print("--schedule '^{}$:{}'\n", kernel.name, words);
    }
  }
  fmt::print("{} of {} kernels decided, {} schedules adopted{}\n",
             result.kernels.size(), plan.size(), adopted,
             result.stop == tune::SessionResult::Stop::budget
                 ? "; stopped: budget"
                 : "");
  if (result.stop == tune::SessionResult::Stop::interrupt)
    return error(5016, "{} of {} kernels were decided", result.kernels.size(),
                 plan.size());
  if (wrong)
    return error(5019, "the defaults of {} kernels compute something wrong",
                 wrong);
  return {};
}

} // namespace hadal::bench
