#include "tools/hadal-bench/Bench.h"

#include <algorithm>
#include <chrono>

#include "runtime/base/OutputFile.h"
#include "runtime/base/ProcessMemory.h"
#include "runtime/base/Progress.h"
#include "tools/hadal-bench/PlainRead.h"
#include "tools/hadal-bench/Statistics.h"

namespace hadal::bench {

using Json = nlohmann::ordered_json;

namespace {

uint32_t largestBatch(const BenchFlags &flags) {
  return *std::max_element(flags.batches.begin(), flags.batches.end());
}

double secondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
      .count();
}

Status ignoreLogits(size_t, uint64_t, std::span<const float>) { return {}; }

class Bench {
public:
  explicit Bench(const BenchFlags &flags) : flags(flags) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(checkNumbers(flags));
    HADAL_ASSIGN_OR_RETURN(model,
                           cli::loadModel(flags.load, largestBatch(flags)));
    HADAL_RETURN_IF_ERROR(checkLengths(flags, model->description()));
    weights.emplace(*model);
    profiler.emplace(*model, flags.profile, std::chrono::milliseconds(0));
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
    std::vector<Piece> pieces;
    weights->all(pieces);
    double seconds = readPlainly(model->driver(), pieces, false);
    if (!flags.load.quiet)
      fmt::print(stderr, "read all weights once: {} in {:.2f} s\n",
                 formatBytes(totalBytes(pieces)), seconds);
  }

  Status measure(uint32_t batch) {
    SessionOptions options;
    options.maxRows = batch;
    options.prefillChunk = flags.prefillChunk;
    options.interrupt = &interruptFlag();
    if (flags.profile.enabled)
      HADAL_RETURN_IF_ERROR(profiler->begin(options));
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
      model->executable().setProfiling(flags.profile.enabled);
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
    addKernels(run["prefill"], 1, times);
    double shareOfExperts = 1, plain = 0;
    plainSeconds = 0;
    if (flags.generateLength)
      HADAL_RETURN_IF_ERROR(
          decode(*session, steps, tokens, source, run, shareOfExperts, plain));
    HADAL_RETURN_IF_ERROR(finishProfile(run, shareOfExperts, plain));
    report["runs"].push_back(std::move(run));
    return {};
  }

  /// Decode steps, each followed by a plain read of the bytes it has read.
  /// |expertShare|: of the experts, how many a step has used on average;
  /// |plain|: bytes a second of the plain reads.
  Status decode(Session &session, std::vector<StepRow> &steps,
                std::vector<std::vector<int32_t>> &tokens, TokenSource &source,
                Json &run, double &expertShare, double &plain) {
    const size_t batch = steps.size();
    double stepSeconds = 0;
    expertShare = 0;
    double readSeconds[2] = {0, 0}; // without and with prefetch
    uint64_t bytes = 0, readBytes[2] = {0, 0};
    std::vector<double> ratios, stepTimes;
    std::vector<Piece> pieces;
    model->executable().setProfiling(flags.profile.enabled);
    Progress progress(fmt::format("decode, batch {}", batch),
                      flags.generateLength, Progress::Unit::Items,
                      flags.load.quiet ? nullptr : stderr);
    for (uint32_t s = 0; s < flags.generateLength; ++s) {
      for (size_t i = 0; i < batch; ++i) {
        tokens[i].assign(1, source.next());
        steps[i].tokens = tokens[i];
        steps[i].phase = Phase::Decode;
      }
      HADAL_RETURN_IF_ERROR(session.resetExpertLoad());
      const auto begin = std::chrono::steady_clock::now();
      HADAL_RETURN_IF_ERROR(session.step(steps, ignoreLogits));
      const double seconds = secondsSince(begin);
      HADAL_ASSIGN_OR_RETURN(std::vector<Session::ExpertLoad> loads,
                             session.expertLoad());
      pieces.clear();
      weights->read(batch, loads, pieces);
      expertShare += WeightMap::expertShare(loads);
      const uint64_t stepBytes = totalBytes(pieces);
      stepSeconds += seconds;
      bytes += stepBytes;
      stepTimes.push_back(seconds);
      if (comparesWithPlainRead()) {
        const bool prefetch = s % 2;
        const double read = readPlainly(model->driver(), pieces, prefetch);
        plainSeconds += read;
        readSeconds[prefetch] += read;
        readBytes[prefetch] += stepBytes;
        ratios.push_back(read / seconds);
      }
      progress.update(s + 1);
    }
    progress.finish();
    const uint64_t count = uint64_t(batch) * flags.generateLength;
    const double rate = static_cast<double>(bytes) / stepSeconds;
    for (int loop = 0; loop < 2; ++loop)
      if (readSeconds[loop] > 0)
        plain = std::max(plain, static_cast<double>(readBytes[loop]) /
                                    readSeconds[loop]);
    const double tokensPerSecond = static_cast<double>(count) / stepSeconds;
    run["decode"] = {{"tokens", count},
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
    expertShare /= flags.generateLength;
    addKernels(run["decode"], expertShare, model->executable().profile());
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
  void addKernels(Json &json, double expertShare,
                  std::span<const KernelTime> times) const {
    if (!flags.profile.enabled)
      return;
    const auto &kernels = *model->artifact().root().kernels();
    const std::vector<bool> readsExperts = kernelsOfExperts(*model);
    std::vector<unsigned> order;
    for (unsigned k = 0; k < times.size(); ++k)
      if (times[k].launches)
        order.push_back(k);
    std::sort(order.begin(), order.end(), [&](unsigned a, unsigned b) {
      return times[a].seconds > times[b].seconds;
    });
    json["kernels"] = Json::array();
    for (unsigned k : order) {
      const schema::Kernel &kernel = *kernels.Get(k);
      json["kernels"].push_back(
          {{"name", kernel.name()->str()},
           {"launches", times[k].launches},
           {"seconds", times[k].seconds},
           {"bytes_read", static_cast<double>(kernel.bytes_read()) *
                              (readsExperts[k] ? expertShare : 1)},
           {"flops", kernel.flops()}});
    }
  }

  /// What the kernels read: of the experts a decode step's |expertShare|.
  profile::KernelFacts kernelFacts(double expertShare, double plain) const {
    const schema::Artifact &root = model->artifact().root();
    const std::vector<bool> readsExperts = kernelsOfExperts(*model);
    profile::KernelFacts facts;
    facts.plainBytesPerSecond = plain;
    facts.notCountedSeconds = plainSeconds;
    for (const schema::Kernel *kernel : *root.kernels())
      facts.bytes.push_back(static_cast<double>(kernel->bytes_read()));
    const std::vector<profile::EntryNames> names =
        profile::entryNames(model->artifact());
    std::vector<bool> decodes(facts.bytes.size());
    for (unsigned e = 0; e < names.size(); ++e)
      if (root.entries()->Get(e)->kind() == schema::EntryKind::decode)
        for (const profile::LaunchName &launch : names[e].launches)
          decodes[launch.kernel] = true;
    for (size_t k = 0; k < facts.bytes.size(); ++k)
      if (readsExperts[k] && decodes[k])
        facts.bytes[k] *= expertShare;
    return facts;
  }

  /// Of one batch; the trace is that of the last.
  Status finishProfile(Json &run, double expertShare, double plain) {
    if (!flags.profile.enabled)
      return {};
    HADAL_ASSIGN_OR_RETURN(const profile::RunProfile times, profiler->finish());
    const profile::KernelFacts facts = kernelFacts(expertShare, plain);
    HADAL_RETURN_IF_ERROR(cli::writeStdout(profile::summaryText(times, facts)));
    run["profile"] = profile::summaryJson(times, facts);
    return profiler->writeTraceOf(times, flags.load.quiet);
  }

  const BenchFlags &flags;
  std::unique_ptr<Model> model;
  std::optional<WeightMap> weights;
  std::optional<profile::Profiler> profiler;
  double plainSeconds = 0; ///< of a batch, beside its steps
  Json report;
};

} // namespace

Status writeJson(const std::string &path, const Json &report) {
  if (path.empty())
    return {};
  HADAL_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  HADAL_RETURN_IF_ERROR(file.write(report.dump(2) + "\n"));
  return file.commit();
}

Status checkNumbers(const BenchFlags &flags) {
  if (flags.batches.empty() || !flags.promptLength || !flags.repeat)
    return error(5011,
                 "--batch, --prompt-len and --repeat must not be empty or 0");
  return {};
}

Status checkLengths(const BenchFlags &flags, const schema::Model &description) {
  const uint64_t limit = description.max_seq_len();
  if (uint64_t(flags.promptLength) + flags.generateLength > limit)
    return error(5005,
                 "--prompt-len {} and --gen-len {} exceed max-seq-len {}; "
                 "use less or compile with a larger --max-seq-len",
                 flags.promptLength, flags.generateLength, limit);
  return {};
}

Status runBench(const BenchFlags &flags) { return Bench(flags).run(); }

} // namespace hadal::bench
