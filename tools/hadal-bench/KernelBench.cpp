#include "tools/hadal-bench/KernelBench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <regex>

#include <fmt/format.h>

#include "tools/hadal-bench/DeviceArguments.h"
#include "tools/hadal-bench/MachineRates.h"

namespace hadal::bench {

namespace {

/// The launch of a kernel in the largest bucket that has it.
struct Sample {
  const schema::Entry *entry = nullptr;
  uint64_t items = 0;
  std::vector<uint64_t> args;
};

std::vector<Sample> sampleLaunches(const schema::Artifact &root) {
  std::vector<Sample> samples(root.kernels()->size());
  Bindings bindings;
  bindings.parameters.resize(root.parameters()->size());
  bindings.states.resize(root.states()->size());
  for (const schema::Entry *entry : *root.entries()) {
    LaunchList list = flatten(root, *entry, bindings);
    for (const Launch &launch : list.launches) {
      Sample &sample = samples[launch.kernel];
      if (sample.entry && launch.items <= sample.items)
        continue;
      const uint64_t *args = list.args.data() + launch.firstArg;
      sample = {entry, launch.items,
                {args, args + root.kernels()->Get(launch.kernel)->num_args()}};
    }
  }
  return samples;
}

Bucket bucketOf(const schema::Model &model, const schema::Kernel &kernel,
                const Sample &sample) {
  Bucket bucket;
  bucket.tokens = std::max<uint64_t>(sample.entry->tokens(), 1);
  bucket.rows = std::max<uint64_t>(sample.entry->rows(), 1);
  bucket.logitRows = std::max<uint64_t>(sample.entry->logit_rows(), 1);
  bucket.maxSeqLen = model.max_seq_len();
  bucket.experts = model.num_experts();
  bucket.topk = model.num_experts_per_token();
  bucket.extent = [&](std::string_view argument, unsigned dim) -> uint64_t {
    const std::string name = fmt::format("{}.extent{}", argument, dim);
    for (unsigned i = 0; i < kernel.arg_names()->size(); ++i)
      if (kernel.arg_names()->Get(i)->string_view() == name)
        return sample.args[i];
    return 0;
  };
  return bucket;
}

class KernelBench {
public:
  KernelBench(Driver &driver, const Artifact &artifact,
              const KernelBenchOptions &options, nlohmann::ordered_json &json)
      : driver(driver), artifact(artifact), options(options), json(json) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(select());
    HADAL_ASSIGN_OR_RETURN(executable, driver.load(artifact));
    if (!options.checkOnly) {
      HADAL_ASSIGN_OR_RETURN(rates, measureRates(driver));
    }
    printHeader();
    samples = sampleLaunches(artifact.root());
    for (unsigned k : selected)
      HADAL_RETURN_IF_ERROR(one(k));
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
    for (unsigned k = 0; k < kernels.size(); ++k)
      if (std::regex_search(kernels.Get(k)->name()->str(), pattern))
        selected.push_back(k);
    if (selected.empty())
      return error(5011,
                   "--kernels '{}' matches none of the {} kernels of '{}'; "
                   "hadal-inspect --kernels lists them",
                   options.pattern, kernels.size(), artifact.path());
    return {};
  }

  void printHeader() {
    width = 24;
    for (unsigned k : selected)
      width = std::max<size_t>(
          width, artifact.root().kernels()->Get(k)->name()->size());
    if (rates) {
      fmt::print("machine: copies {:.1f} GB/s, bf16 {:.1f} GFLOP/s\n",
                 rates->copyBytesPerSecond / 1e9,
                 rates->bf16FlopsPerSecond / 1e9);
      json["machine"] = {{"copy_bytes_per_second", rates->copyBytesPerSecond},
                         {"bf16_flops_per_second", rates->bf16FlopsPerSecond}};
    }
    fmt::print("{:{}} {:>12} {:>9} {:>9}", "kernel", width, "bucket", "error",
               "1-cos");
    if (!options.checkOnly)
      fmt::print(" {:>10} {:>9} {:>9} {:>9} {:>10} {:>7}", "us", "MB", "GB/s",
                 "GFLOP/s", "floor us", "share");
    fmt::print("\n");
    json["kernels"] = nlohmann::ordered_json::array();
  }

  Status one(unsigned index) {
    const schema::Kernel &kernel = *artifact.root().kernels()->Get(index);
    const std::string name = kernel.name()->str();
    const Sample &sample = samples[index];
    std::optional<kernels::AnySpec> spec = kernels::parseKernelName(name);
    if (!spec || !sample.entry)
      return error(5014, "kernel '{}' of '{}' is {}", name, artifact.path(),
                   spec ? "never launched" : "not of this version's kernels");
    const Bucket bucket =
        bucketOf(*artifact.root().model(), kernel, sample);
    std::unique_ptr<KernelCase> test =
        makeKernelCase(*spec, bucket, options.seed + index);
    HADAL_ASSIGN_OR_RETURN(DeviceArguments device,
                           DeviceArguments::create(driver, test->arguments));
    LaunchList list;
    list.args = sample.args;
    for (unsigned i = 0; i < kernel.arg_names()->size(); ++i) {
      std::string_view slot = kernel.arg_names()->Get(i)->string_view();
      if (slot.find(".extent") != std::string_view::npos)
        continue;
      std::optional<uint64_t> address = device.slot(slot);
      if (!address)
        return error(5014, "kernel '{}': argument '{}' has no input", name,
                     slot);
      list.args[i] = *address;
    }
    list.launches.push_back({index, 0, sample.items});

    nlohmann::ordered_json row = {{"name", name},
                                  {"entry", sample.entry->name()->str()}};
    HADAL_RETURN_IF_ERROR(launch(name, list));
    Arguments actual;
    for (const Expected &output : test->expected) {
      HADAL_ASSIGN_OR_RETURN(Tensor values, device.read(output.output));
      actual.insert_or_assign(output.output, std::move(values));
    }
    Random random(options.seed);
    const Deviation deviation = test->check(actual, random);
    row["relative_error"] = deviation.relative;
    row["one_minus_cosine"] = deviation.cosine;
    row["right"] = deviation.right;
    fmt::print("{:{}} {:>12} {:9.1e} {:9.1e}", name, width,
               sample.entry->name()->string_view(), deviation.relative,
               deviation.cosine);
    if (!deviation.right) {
      wrong.push_back(name);
      fmt::print(" wrong\n");
    } else if (options.checkOnly) {
      fmt::print("\n");
    } else {
      HADAL_RETURN_IF_ERROR(time(name, list, *test, row));
    }
    json["kernels"].push_back(std::move(row));
    return {};
  }

  Status launch(const std::string &name, const LaunchList &list) {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> entry,
                           executable->prepare(name, list, false));
    return entry->run();
  }

  /// Repeats the launch often enough that starting it does not count.
  Status time(const std::string &name, LaunchList list, const KernelCase &test,
              nlohmann::ordered_json &row) {
    auto run = [](PreparedEntry &entry) -> StatusOr<double> {
      const auto begin = std::chrono::steady_clock::now();
      HADAL_RETURN_IF_ERROR(entry.run());
      return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                           begin)
          .count();
    };
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> once,
                           executable->prepare(name, list, false));
    HADAL_ASSIGN_OR_RETURN(double single, run(*once));
    const double wanted = options.seconds / std::max(single, 1e-7);
    const auto repeat =
        static_cast<unsigned>(std::clamp(wanted, 1.0, 10000.0));
    list.launches.resize(repeat, list.launches[0]);
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<PreparedEntry> many,
                           executable->prepare(name, list, true));
    double seconds = INFINITY;
    for (unsigned round = 0; round < options.rounds; ++round) {
      HADAL_ASSIGN_OR_RETURN(double spent, run(*many));
      seconds = std::min(seconds, spent / repeat);
    }
    row["seconds"] = seconds;
    row["bytes"] = test.bytes;
    row["flops"] = test.flops;
    fmt::print(" {:10.2f} {:9.2f} {:9.2f} {:9.1f}", seconds * 1e6,
               test.bytes / 1e6, test.bytes / seconds / 1e9,
               test.flops / seconds / 1e9);
    if (rates) {
      const double memory = test.bytes / rates->copyBytesPerSecond,
                   math = test.flops / rates->bf16FlopsPerSecond,
                   floor = std::max(memory, math);
      row["floor_seconds"] = floor;
      row["share_of_floor"] = floor / seconds;
      row["share_of_copy"] = memory / seconds;
      row["share_of_bf16"] = math / seconds;
      fmt::print(" {:10.2f} {:7.2f}", floor * 1e6, floor / seconds);
    }
    fmt::print("\n");
    return {};
  }

  Driver &driver;
  const Artifact &artifact;
  const KernelBenchOptions &options;
  nlohmann::ordered_json &json;
  std::unique_ptr<Executable> executable;
  std::optional<MachineRates> rates;
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
