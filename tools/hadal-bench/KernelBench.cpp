#include "tools/hadal-bench/KernelBench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <regex>

#include <fmt/format.h>

#include "cost/Chip.h"
#include "tools/common/SpecJson.h"
#include "tools/common/SpecOf.h"
#include "tools/hadal-bench/KernelLaunch.h"
#include "tools/hadal-bench/MachineRates.h"
#include "tools/hadal-bench/Statistics.h"

namespace hadal::bench {

namespace {

/// One kernel with its inputs on the device, ready to be launched.
struct Prepared {
  std::string name;
  const Sample *sample = nullptr;
  std::unique_ptr<KernelCase> test;
  std::optional<DeviceArguments> device;
  LaunchList list; // of one launch
};

/// The seconds of one launch, over several measurements.
struct Timing {
  double seconds = 0, shortest = 0, longest = 0;
  unsigned repeats = 0;
};

class KernelBench {
public:
  KernelBench(Driver &driver, const Artifact &artifact,
              const KernelBenchOptions &options, nlohmann::ordered_json &json)
      : driver(driver), artifact(artifact), options(options), json(json) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(select());
    HADAL_ASSIGN_OR_RETURN(executable, driver.load(artifact));
    samples = sampleLaunches(artifact.root());
    if (!options.checkOnly)
      HADAL_RETURN_IF_ERROR(measureMachine());
    printHeader();
    for (unsigned k : selected) {
      if (options.interrupt && *options.interrupt)
        return error(5016, "{} of {} kernels were run",
                     json["kernels"].size(), selected.size());
      HADAL_RETURN_IF_ERROR(one(k));
      if (options.checkpoint)
        HADAL_RETURN_IF_ERROR(options.checkpoint());
    }
    if (!wrong.empty())
      return error(5019, "{} of {} kernels computed something wrong: {}",
                   wrong.size(), selected.size(), fmt::join(wrong, ", "));
    return {};
  }

private:
  Status select() {
    const auto &kernels = *artifact.root().kernels();
    std::regex pattern;
    try {
      pattern.assign(options.pattern);
    } catch (const std::regex_error &e) {
      return error(5011, "--kernels '{}' is not a regular expression: {}",
                   options.pattern, e.what());
    }
    for (unsigned k = 0; k < kernels.size(); ++k) {
      const std::optional<kernels::AnySpec> spec = specOf(*kernels.Get(k)).spec;
      if (std::regex_search(kernels.Get(k)->name()->str(), pattern) ||
          (spec && std::regex_search(kernels::printSpec(*spec), pattern)))
        selected.push_back(k);
    }
    if (selected.empty())
      return error(5011,
                   "--kernels '{}' matches none of the {} kernels of '{}'; "
                   "hadal-inspect --kernels lists them",
                   options.pattern, kernels.size(), artifact.path());
    return {};
  }

  /// The device's clock and rates, and what its data sheet promises.
  Status measureMachine() {
    if (driver.name() == "cuda") {
      HADAL_ASSIGN_OR_RETURN(timer, cuda::CudaTimer::create(driver));
      chip = nvptx::chipOfDevice(timer->device().name(),
                                 timer->device().multiprocessors());
    }
    HADAL_ASSIGN_OR_RETURN(rates, measureRates(driver, timer.get()));
    if (rates && !rates->bf16FlopsPerSecond)
      HADAL_RETURN_IF_ERROR(rateOfOwnGemm());
    return {};
  }

  /// Where nothing else multiplies matrices: the largest bf16 GEMM of the
  /// artifact.
  Status rateOfOwnGemm() {
    unsigned best = ~0u;
    uint64_t most = 0;
    for (unsigned k = 0; k < samples.size(); ++k) {
      const schema::Kernel &kernel = *artifact.root().kernels()->Get(k);
      std::optional<kernels::AnySpec> spec = specOf(kernel).spec;
      const auto *gemm = spec ? std::get_if<kernels::GemmSpec>(&*spec) : nullptr;
      if (!gemm || !samples[k].entry || gemm->quantizedInput ||
          gemm->weight != kernels::Weight::bf16 || gemm->experts)
        continue;
      if (kernel.flops() >= most) {
        most = kernel.flops();
        best = k;
      }
    }
    if (best == ~0u)
      return {};
    HADAL_ASSIGN_OR_RETURN(Prepared gemm, prepare(best));
    HADAL_ASSIGN_OR_RETURN(Timing timing, time(gemm));
    rates->bf16FlopsPerSecond = gemm.test->flops / timing.seconds;
    rates->bf16By = fmt::format("our {} ({})", gemm.name, rates->bf16By);
    return {};
  }

  void printHeader() {
    width = 24;
    for (unsigned k : selected)
      width = std::max<size_t>(
          width, artifact.root().kernels()->Get(k)->name()->size());
    if (rates) {
      fmt::print("machine: copies {:.1f} GB/s ({})\n",
                 rates->copyBytesPerSecond / 1e9, rates->copyBy);
      fmt::print("machine: bf16 {:.1f} GFLOP/s ({})\n",
                 rates->bf16FlopsPerSecond / 1e9, rates->bf16By);
      json["machine"] = {{"copy_bytes_per_second", rates->copyBytesPerSecond},
                         {"copy_by", rates->copyBy},
                         {"bf16_flops_per_second", rates->bf16FlopsPerSecond},
                         {"bf16_by", rates->bf16By}};
    }
    if (chip) {
      fmt::print("floor: {}, {:.0f} GB/s, bf16 {:.0f} and FP8 {:.0f} GFLOP/s\n",
                 chip->description, chip->memoryRate / 1e9,
                 chip->bf16Rate / 1e9, chip->fp8Rate / 1e9);
      json["chip"] = std::string(chip->name);
    }
    fmt::print("{:{}} {:>12} {:>9} {:>9}", "kernel", width, "bucket", "error",
               "1-cos");
    if (!options.checkOnly)
      fmt::print(" {:>10} {:>9} {:>9} {:>9}", "us", "MB", "GB/s", "GFLOP/s");
    if (rates)
      fmt::print(" {:>10} {:>8} {:>7} {:>7}", "floor us", "of floor", "of copy",
                 "of bf16");
    fmt::print("\n");
    json["kernels"] = nlohmann::ordered_json::array();
  }

  StatusOr<Prepared> prepare(unsigned index) {
    Prepared p;
    p.name = artifact.root().kernels()->Get(index)->name()->str();
    p.sample = &samples[index];
    HADAL_ASSIGN_OR_RETURN(
        p.test, makeCaseOf(artifact, index, *p.sample, options.seed + index));
    HADAL_ASSIGN_OR_RETURN(
        p.device, DeviceArguments::create(driver, p.test->arguments));
    HADAL_RETURN_IF_ERROR(
        addLaunch(artifact, index, *p.sample, *p.device, p.list));
    return p;
  }

  Status one(unsigned index) {
    HADAL_ASSIGN_OR_RETURN(Prepared p, prepare(index));
    nlohmann::ordered_json row = {{"name", p.name},
                                  {"entry", p.sample->entry->name()->str()}};
    row["spec"] = specJson(artifact.root().kernels()->Get(index)->spec());
    HADAL_RETURN_IF_ERROR(launch(p.name, p.list));
    Arguments actual;
    for (const Expected &output : p.test->expected) {
      HADAL_ASSIGN_OR_RETURN(Tensor values, p.device->read(output.output));
      actual.insert_or_assign(output.output, std::move(values));
    }
    Random random(options.seed);
    const Deviation deviation = p.test->check(actual, random);
    row["relative_error"] = deviation.relative;
    row["one_minus_cosine"] = deviation.cosine;
    row["right"] = deviation.right;
    fmt::print("{:{}} {:>12} {:9.1e} {:9.1e}", p.name, width,
               p.sample->entry->name()->string_view(), deviation.relative,
               deviation.cosine);
    if (!deviation.right) {
      wrong.push_back(p.name);
      fmt::print(" wrong\n");
    } else if (options.checkOnly) {
      fmt::print("\n");
    } else {
      HADAL_ASSIGN_OR_RETURN(Timing timing, time(p));
      report(timing, *p.test, row);
    }
    std::fflush(stdout);
    json["kernels"].push_back(std::move(row));
    return {};
  }

  Status launch(const std::string &name, const LaunchList &list) {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> entry,
                           executable->prepare(name, list, false, nullptr));
    return entry->run();
  }

  StatusOr<Timing> time(Prepared &p) {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> once,
                           executable->prepare(p.name, p.list, false, nullptr));
    return timer ? timeOnDevice(*once) : timeOnHost(p, *once);
  }

  /// By the device's clock, its cache emptied before each launch; the median.
  StatusOr<Timing> timeOnDevice(PreparedEntry &once) {
    HADAL_ASSIGN_OR_RETURN(std::vector<double> first, timer->time(once, 3));
    const auto repeats = static_cast<unsigned>(std::clamp(
        options.seconds / std::max(median(first), 1e-7), 5.0, 30.0));
    HADAL_ASSIGN_OR_RETURN(std::vector<double> seconds,
                           timer->time(once, repeats));
    auto [shortest, longest] =
        std::minmax_element(seconds.begin(), seconds.end());
    return Timing{median(seconds), *shortest, *longest, repeats};
  }

  /// By the host's clock: the launch is repeated often enough that starting it
  /// does not count; the shortest of some rounds.
  StatusOr<Timing> timeOnHost(const Prepared &p, PreparedEntry &once) {
    auto run = [](PreparedEntry &entry) -> StatusOr<double> {
      const auto begin = std::chrono::steady_clock::now();
      HADAL_RETURN_IF_ERROR(entry.run());
      return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                           begin)
          .count();
    };
    HADAL_ASSIGN_OR_RETURN(double single, run(once));
    const double wanted = options.seconds / std::max(single, 1e-7);
    const auto repeat =
        static_cast<unsigned>(std::clamp(wanted, 1.0, 10000.0));
    LaunchList list = p.list;
    list.launches.resize(repeat, list.launches[0]);
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> many,
                           executable->prepare(p.name, list, true, nullptr));
    Timing timing{INFINITY, INFINITY, 0, options.rounds};
    for (unsigned round = 0; round < options.rounds; ++round) {
      HADAL_ASSIGN_OR_RETURN(double spent, run(*many));
      timing.shortest = std::min(timing.shortest, spent / repeat);
      timing.longest = std::max(timing.longest, spent / repeat);
    }
    timing.seconds = timing.shortest;
    return timing;
  }

  void report(const Timing &timing, const KernelCase &test,
              nlohmann::ordered_json &row) {
    const double seconds = timing.seconds;
    row["seconds"] = seconds;
    row["shortest_seconds"] = timing.shortest;
    row["longest_seconds"] = timing.longest;
    row["repeats"] = timing.repeats;
    row["bytes"] = test.bytes;
    row["flops"] = test.flops;
    fmt::print(" {:10.2f} {:9.2f} {:9.2f} {:9.1f}", seconds * 1e6,
               test.bytes / 1e6, test.bytes / seconds / 1e9,
               test.flops / seconds / 1e9);
    if (rates) {
      const double memory = test.bytes / rates->copyBytesPerSecond,
                   math = rates->bf16FlopsPerSecond
                              ? test.flops / rates->bf16FlopsPerSecond
                              : 0;
      // Of a chip that is known what its data sheet says, else what was
      // measured.
      const double floor =
          chip ? std::max(test.bytes / chip->memoryRate,
                          test.flops /
                              (test.fp8 ? chip->fp8Rate : chip->bf16Rate))
               : std::max(memory, math);
      row["floor_seconds"] = floor;
      row["share_of_floor"] = floor / seconds;
      row["share_of_copy"] = memory / seconds;
      row["share_of_bf16"] = math / seconds;
      fmt::print(" {:10.2f} {:8.2f} {:7.2f} {:7.2f}", floor * 1e6,
                 floor / seconds, memory / seconds, math / seconds);
    }
    fmt::print("\n");
  }

  Driver &driver;
  const Artifact &artifact;
  const KernelBenchOptions &options;
  nlohmann::ordered_json &json;
  std::unique_ptr<Executable> executable;
  std::unique_ptr<cuda::CudaTimer> timer; // null: the host's clock
  std::optional<MachineRates> rates;
  const nvptx::Chip *chip = nullptr;
  std::vector<unsigned> selected;
  std::vector<Sample> samples;
  std::vector<std::string> wrong;
  size_t width = 24;
};

} // namespace

Status runKernelBench(Driver &driver, const Artifact &artifact,
                      const KernelBenchOptions &options,
                      nlohmann::ordered_json &json) {
  return KernelBench(driver, artifact, options, json).run();
}

} // namespace hadal::bench
