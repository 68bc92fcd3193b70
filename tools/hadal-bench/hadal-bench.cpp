// hadal-bench: prefill and decode rates of an artifact, with decode set against
// a plain read of the same weight bytes in the same run.
#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "runtime/base/OutputFile.h"
#include "runtime/base/ProcessMemory.h"
#include "runtime/base/Progress.h"
#include "tools/common/Cli.h"
#include "tools/hadal-bench/KernelBench.h"
#include "tools/hadal-bench/PlainRead.h"
#include "tools/hadal-bench/Statistics.h"

using namespace hadal;
using bench::median;
using Json = nlohmann::ordered_json;

namespace {

struct BenchFlags {
  cli::LoadFlags load;
  uint32_t promptLength = 512, generateLength = 128, prefillChunk = 0;
  uint32_t repeat = 1;
  std::vector<uint32_t> batches = {1, 4};
  std::string json;
  bool profile = false;
  std::optional<std::string> kernels;
  bool checkOnly = false;
  uint64_t seed = 1;
};

/// Writes |report| to |path|, if one is given.
Status writeJson(const std::string &path, const Json &report) {
  if (path.empty())
    return {};
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  HADAL_RETURN_IF_ERROR(file.write(report.dump(2) + "\n"));
  return file.commit();
}

Status benchKernels(const BenchFlags &flags) {
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(flags.load.artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(flags.load.device, artifact));
  Json report = {{"artifact", flags.load.artifact},
                 {"device", driver->description()}};
  bench::KernelBenchOptions options;
  options.pattern = *flags.kernels;
  options.seed = flags.seed;
  options.checkOnly = flags.checkOnly;
  options.checkpoint = [&] { return writeJson(flags.json, report); };
  options.interrupt = &interruptFlag();
  Status status =
      bench::runKernelBench(*driver, artifact, options, report);
  // Figures of the kernels that are right are kept beside an error.
  HADAL_RETURN_IF_ERROR(writeJson(flags.json, report));
  return status;
}

/// The tokens fed: uniform and the same in every run, so that experts are
/// chosen as differently as the model allows.
class TokenSource {
public:
  explicit TokenSource(uint64_t vocab) : vocab(vocab) {}
  int32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<int32_t>(state % vocab);
  }

private:
  uint64_t vocab, state = 0x9e3779b97f4a7c15ull;
};

double secondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
      .count();
}

Status ignoreLogits(size_t, uint64_t, std::span<const float>) { return {}; }

class Bench {
public:
  explicit Bench(const BenchFlags &flags) : flags(flags) {}

  Status run() {
    if (flags.batches.empty() || !flags.promptLength || !flags.repeat)
      return error(5011,
                   "--batch, --prompt-len and --repeat must not be empty or 0");
    HADAL_ASSIGN_OR_RETURN(
        model,
        cli::loadModel(flags.load, *std::max_element(flags.batches.begin(),
                                                     flags.batches.end())));
    const uint64_t limit = model->description().max_seq_len();
    if (uint64_t(flags.promptLength) + flags.generateLength > limit)
      return error(5005,
                   "--prompt-len {} and --gen-len {} exceed max-seq-len {}; "
                   "use less or compile with a larger --max-seq-len",
                   flags.promptLength, flags.generateLength, limit);
    weights.emplace(*model);
    warmUp();
    report["artifact"] = flags.load.artifact;
    report["device"] = model->driver().description();
    report["image"] = model->executable().variant();
    report["load_seconds"] = model->loadSeconds();
    report["prompt_length"] = flags.promptLength;
    report["generate_length"] = flags.generateLength;
    report["repeat"] = flags.repeat;
    report["runs"] = Json::array();
    for (uint32_t batch : flags.batches)
      HADAL_RETURN_IF_ERROR(measure(batch));
    HADAL_ASSIGN_OR_RETURN(ProcessMemory memory, readProcessMemory());
    report["memory"] = {{"anonymous_bytes", memory.anonymous},
                        {"file_bytes", memory.file},
                        {"peak_resident_bytes", memory.peakResident}};
    return writeJson(flags.json, report);
  }

private:
  /// Whether decode is set against a plain read of the host's memory.
  bool comparesWithPlainRead() const { return model->hostWeights(); }

  /// Touches every weight once, so that page faults are not measured.
  void warmUp() {
    if (!comparesWithPlainRead())
      return;
    std::vector<bench::Piece> pieces;
    weights->all(pieces);
    double seconds = bench::readPlainly(model->driver(), pieces, false);
    if (!flags.load.quiet)
      fmt::print(stderr, "read all weights once: {} in {:.2f} s\n",
                 formatBytes(bench::totalBytes(pieces)), seconds);
  }

  Status measure(uint32_t batch) {
    SessionOptions options;
    options.maxRows = batch;
    options.prefillChunk = flags.prefillChunk;
    options.interrupt = &interruptFlag();
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                           Session::create(*model, options));
    TokenSource source(model->description().vocab_size());
    std::vector<std::vector<int32_t>> tokens(batch);
    std::vector<StepRow> steps;
    for (uint32_t i = 0; i < batch; ++i) {
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session->addRow());
      for (uint32_t t = 0; t < flags.promptLength; ++t)
        tokens[i].push_back(source.next());
      steps.push_back({row, tokens[i], LogitsWanted::Last});
    }
    Json run;
    run["batch"] = batch;
    double seconds = 0;
    std::vector<KernelTime> times;
    for (uint32_t turn = 0; turn < flags.repeat; ++turn) {
      for (const StepRow &step : steps)
        HADAL_RETURN_IF_ERROR(session->truncateRow(step.row, 0));
      model->executable().setProfiling(flags.profile);
      const auto begin = std::chrono::steady_clock::now();
      HADAL_RETURN_IF_ERROR(session->step(steps, ignoreLogits));
      const double spent = secondsSince(begin);
      seconds = turn ? std::min(seconds, spent) : spent;
      keepBest(times, model->executable().profile());
    }
    const uint64_t promptTokens = uint64_t(batch) * flags.promptLength;
    const uint64_t calls = session->counters().bodyCalls / flags.repeat;
    run["prefill"] = {
        {"tokens", promptTokens},
        {"seconds", seconds},
        {"tokens_per_second", static_cast<double>(promptTokens) / seconds},
        {"calls", calls}};
    fmt::print("batch {:3}  prefill {:6} tokens  {:8.1f} tokens/s  ({:.3f} s, "
               "{} calls)\n",
               batch, promptTokens, static_cast<double>(promptTokens) / seconds,
               seconds, calls);
    addProfile(run["prefill"], "prefill", 1, times);
    if (flags.generateLength)
      HADAL_RETURN_IF_ERROR(decode(*session, steps, tokens, source, run));
    report["runs"].push_back(std::move(run));
    return {};
  }

  /// Decode steps, each followed by a plain read of the bytes it has read.
  Status decode(Session &session, std::vector<StepRow> &steps,
                std::vector<std::vector<int32_t>> &tokens, TokenSource &source,
                Json &run) {
    const size_t batch = steps.size();
    double stepSeconds = 0, expertShare = 0;
    double readSeconds[2] = {0, 0}; // without and with prefetch
    uint64_t bytes = 0, readBytes[2] = {0, 0};
    std::vector<double> ratios, stepTimes;
    std::vector<bench::Piece> pieces;
    model->executable().setProfiling(flags.profile);
    Progress progress(fmt::format("decode, batch {}", batch),
                      flags.generateLength, Progress::Unit::Items,
                      flags.load.quiet ? nullptr : stderr);
    for (uint32_t s = 0; s < flags.generateLength; ++s) {
      for (size_t i = 0; i < batch; ++i) {
        tokens[i].assign(1, source.next());
        steps[i].tokens = tokens[i];
      }
      HADAL_RETURN_IF_ERROR(session.resetExpertLoad());
      const auto begin = std::chrono::steady_clock::now();
      HADAL_RETURN_IF_ERROR(session.step(steps, ignoreLogits));
      const double seconds = secondsSince(begin);
      HADAL_ASSIGN_OR_RETURN(std::vector<Session::ExpertLoad> loads,
                             session.expertLoad());
      pieces.clear();
      weights->read(batch, loads, pieces);
      expertShare += bench::WeightMap::expertShare(loads);
      const uint64_t stepBytes = bench::totalBytes(pieces);
      stepSeconds += seconds;
      bytes += stepBytes;
      stepTimes.push_back(seconds);
      if (comparesWithPlainRead()) {
        const bool prefetch = s % 2;
        const double read =
            bench::readPlainly(model->driver(), pieces, prefetch);
        readSeconds[prefetch] += read;
        readBytes[prefetch] += stepBytes;
        ratios.push_back(read / seconds);
      }
      progress.update(s + 1);
    }
    progress.finish();
    const uint64_t count = uint64_t(batch) * flags.generateLength;
    const double rate = static_cast<double>(bytes) / stepSeconds;
    double plain = 0;
    for (int loop = 0; loop < 2; ++loop)
      if (readSeconds[loop] > 0)
        plain = std::max(plain, static_cast<double>(readBytes[loop]) /
                                    readSeconds[loop]);
    const double tokensPerSecond = static_cast<double>(count) / stepSeconds;
    run["decode"] = {
        {"tokens", count},
        {"seconds", stepSeconds},
        {"tokens_per_second", tokensPerSecond},
        {"median_step_seconds", median(stepTimes)},
        {"weight_bytes_per_step", bytes / flags.generateLength},
        {"weight_bytes_per_second", rate}};
    std::string comparison;
    if (comparesWithPlainRead()) {
      const double share = plain > 0 ? rate / plain : 0;
      run["decode"]["plain_read_bytes_per_second"] = plain;
      run["decode"]["share_of_plain_read"] = share;
      run["decode"]["median_share_of_plain_read"] = median(ratios);
      comparison = fmt::format("; plain read {:.2f} GB/s; share {:.3f} "
                               "(median {:.3f})",
                               plain / 1e9, share, median(ratios));
    }
    fmt::print("batch {:3}  decode  {:6} tokens  {:8.2f} tokens/s  reads {} a "
               "step, {:.2f} GB/s{}\n",
               batch, count, tokensPerSecond,
               formatBytes(bytes / flags.generateLength), rate / 1e9,
               comparison);
    addProfile(run["decode"], "decode",
               expertShare / flags.generateLength,
               model->executable().profile());
    return {};
  }

  /// Each kernel's shortest time of the turns so far.
  static void keepBest(std::vector<KernelTime> &best,
                       std::span<const KernelTime> times) {
    best.resize(times.size());
    for (size_t k = 0; k < times.size(); ++k)
      if (!best[k].launches || times[k].seconds < best[k].seconds)
        best[k] = times[k];
  }

  /// Time by kernel, the longest first. |expertShare|: of the experts, how many
  /// a step has used on average.
  void addProfile(Json &json, const char *phase, double expertShare,
                  std::span<const KernelTime> times) {
    if (!flags.profile)
      return;
    const auto &kernels = *model->artifact().root().kernels();
    const std::vector<bool> readsExperts = bench::kernelsOfExperts(*model);
    std::vector<unsigned> order;
    size_t width = 24;
    double total = 0;
    for (unsigned k = 0; k < times.size(); ++k) {
      total += times[k].seconds;
      if (times[k].launches) {
        order.push_back(k);
        width = std::max<size_t>(width, kernels.Get(k)->name()->size());
      }
    }
    std::sort(order.begin(), order.end(), [&](unsigned a, unsigned b) {
      return times[a].seconds > times[b].seconds;
    });
    json["kernels"] = Json::array();
    fmt::print("  {:{}} {:>9} {:>10} {:>7} {:>9} {:>9}\n",
               fmt::format("{} kernel", phase), width, "launches", "ms", "share",
               "GB/s", "GFLOP/s");
    for (unsigned k : order) {
      const schema::Kernel &kernel = *kernels.Get(k);
      const double seconds = times[k].seconds;
      const auto launches = static_cast<double>(times[k].launches);
      const double bytes = static_cast<double>(kernel.bytes_read()) *
                           (readsExperts[k] ? expertShare : 1);
      const double gb = bytes * launches / seconds / 1e9;
      // At full grid: an upper bound for kernels that skip padding rows.
      const double gflop =
          static_cast<double>(kernel.flops()) * launches / seconds / 1e9;
      fmt::print("  {:{}} {:9} {:10.2f} {:6.1f}% {:9.2f} {:>9}\n",
                 kernel.name()->string_view(), width, times[k].launches,
                 seconds * 1e3, 100 * seconds / total, gb,
                 kernel.flops() ? fmt::format("{:.1f}", gflop) : "-");
      json["kernels"].push_back({{"name", kernel.name()->str()},
                                 {"launches", times[k].launches},
                                 {"seconds", seconds},
                                 {"bytes_read", bytes},
                                 {"flops", kernel.flops()}});
    }
  }

  const BenchFlags &flags;
  std::unique_ptr<Model> model;
  std::optional<bench::WeightMap> weights;
  Json report;
};

} // namespace

int main(int argc, char **argv) {
  BenchFlags flags;
  CLI::App app("Measures prefill and decode of a compiled model.",
               "hadal-bench");
  flags.load.add(app, /*needsWeights=*/false);
  app.add_option("--prompt-len", flags.promptLength, "tokens of each prompt")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--gen-len", flags.generateLength, "decode steps")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--batch", flags.batches, "rows, e.g. 1,4")
      ->check(cli::nonNegative())
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--prefill-chunk", flags.prefillChunk,
                 "tokens of a prompt per call; default: the largest bucket")
      ->check(cli::nonNegative());
  app.add_option("--repeat", flags.repeat,
                 "prefills of the same prompts; the best counts, of the whole "
                 "and of each kernel")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--json", flags.json, "a file for all figures");
  app.add_flag("--profile", flags.profile, "time by kernel");
  app.add_option_function<std::vector<std::string>>(
         "--kernels",
         [&](const std::vector<std::string> &pattern) {
           flags.kernels = pattern.empty() ? "" : pattern[0];
         },
         "each kernel alone on random inputs, checked and then timed; only "
         "those in whose name or spec (as hadal-inspect --kernels shows it: "
         "'kind=gemm .*n=2112 ') this regular expression is found")
      ->expected(0, 1);
  app.add_flag("--check-only", flags.checkOnly, "--kernels: do not time");
  app.add_option("--seed", flags.seed, "--kernels: of the inputs")
      ->capture_default_str();
  return cli::run(app, argc, argv, [&]() -> Status {
    if (flags.kernels)
      return benchKernels(flags);
    if (flags.load.weights.empty())
      return error(5011, "--weights is required without --kernels");
    return Bench(flags).run();
  });
}
