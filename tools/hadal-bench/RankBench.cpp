#include <algorithm>
#include <chrono>

#include "tools/hadal-bench/Bench.h"
#include "tools/hadal-bench/Comparison.h"
#include "tools/hadal-bench/LinkCalibration.h"

namespace hadal::bench {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Status ignoreLogits(size_t, uint64_t, std::span<const float>) { return {}; }

/// One rank; all of them step together, each with rows of its own, and rank 0
/// speaks.
class RankBench {
public:
  RankBench(const BenchFlags &flags, comm::Group &group)
      : flags(flags), group(group) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(checkNumbers(flags));
    HADAL_ASSIGN_OR_RETURN(stream, flags.ranks.streamOptions());
    HADAL_ASSIGN_OR_RETURN(
        model,
        cli::loadModel(flags.load, *std::ranges::max_element(flags.batches),
                       &group, flags.ranks.placement));
    HADAL_RETURN_IF_ERROR(checkLengths(flags, model->description()));
    const RankLayout &layout = model->layout();
    report = {{"artifact", flags.load.artifact},
              {"device", model->driver().description()},
              {"ranks", layout.ranks()},
              {"tp", layout.tp},
              {"dp", layout.dp},
              {"ep", layout.ep},
              {"prompt_length", flags.promptLength},
              {"generate_length", flags.generateLength},
              {"runs", Json::array()}};
    HADAL_RETURN_IF_ERROR(say(fmt::format(
        "{} ranks (tp {}, dp {}, ep {}), each: {}\n", layout.ranks(), layout.tp,
        layout.dp, layout.ep, model->driver().description())));
    for (uint32_t batch : flags.batches)
      HADAL_RETURN_IF_ERROR(measure(batch));
    return speaks() ? writeJson(flags.json, report) : Status();
  }

private:
  bool speaks() const { return group.rank() == 0; }
  Status say(const std::string &text) const {
    return speaks() ? cli::writeStdout(text) : Status();
  }

  Status measure(uint32_t batch) {
    SessionOptions options;
    options.maxRows = batch;
    options.prefillChunk = flags.prefillChunk;
    options.interrupt = &interruptFlag();
    options.collectives = stream;
    profile::Profiler profiler(*model, flags.profile, stream.timeout);
    HADAL_RETURN_IF_ERROR(profiler.begin(options));
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                           Session::create(*model, options));
    Json run = {{"batch", batch}};
    Status status = steps(*session, batch, profiler, run);
    if (!status.ok()) {
      // Of what failed between steps the others do not know.
      session->fail(status);
      return status;
    }
    HADAL_RETURN_IF_ERROR(session->finish());
    HADAL_ASSIGN_OR_RETURN(const profile::RunProfile times, profiler.finish());
    HADAL_RETURN_IF_ERROR(compareEntries(times, batch, run));
    if (!speaks())
      return {};
    if (flags.profile.enabled) {
      HADAL_RETURN_IF_ERROR(cli::writeStdout(profile::summaryText(times, {})));
      run["profile"] = profile::summaryJson(times, {});
      HADAL_RETURN_IF_ERROR(profiler.writeTraceOf(times, flags.load.quiet));
    }
    report["runs"].push_back(std::move(run));
    return {};
  }

  /// Prefills and decode steps, with a warm-up of both in front.
  Status steps(Session &session, uint32_t batch, profile::Profiler &profiler,
               Json &run) {
    // The ranks of a tp group bring the same tokens.
    TokenSource source(model->description().vocab_size(),
                       model->layout().dpIndex());
    std::vector<std::vector<int32_t>> tokens(batch);
    std::vector<StepRow> rows;
    for (uint32_t i = 0; i < batch; ++i) {
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
      for (uint32_t t = 0; t < flags.promptLength; ++t)
        tokens[i].push_back(source.next());
      rows.push_back({row, tokens[i], LogitsWanted::Last});
    }
    double prefill = 0;
    for (uint32_t turn = 0; turn <= flags.repeat; ++turn) {
      for (const StepRow &row : rows)
        HADAL_RETURN_IF_ERROR(session.truncateRow(row.row, 0));
      const Clock::time_point begin = Clock::now();
      HADAL_RETURN_IF_ERROR(session.step(rows, ignoreLogits));
      const double spent = secondsSince(begin);
      prefill = turn < 2 ? spent : std::min(prefill, spent);
      if (turn == 0)
        profiler.clear();
    }
    HADAL_RETURN_IF_ERROR(
        sayRate("prefill", batch, flags.promptLength, prefill, run));
    double decode = 0;
    for (uint32_t s = 0; s < flags.generateLength; ++s) {
      for (uint32_t i = 0; i < batch; ++i) {
        tokens[i].assign(1, source.next());
        rows[i].tokens = tokens[i];
        rows[i].phase = Phase::Decode;
      }
      const Clock::time_point begin = Clock::now();
      HADAL_RETURN_IF_ERROR(session.step(rows, ignoreLogits));
      decode += secondsSince(begin);
    }
    return flags.generateLength
               ? sayRate("decode", batch, flags.generateLength, decode, run)
               : Status();
  }

  Status sayRate(const char *phase, uint32_t batch, uint32_t each,
                 double seconds, Json &run) {
    const uint64_t tokens = uint64_t{batch} * each * model->layout().dp;
    const double rate = static_cast<double>(tokens) / seconds;
    run[phase] = {
        {"tokens", tokens}, {"seconds", seconds}, {"tokens_per_second", rate}};
    return say(fmt::format("batch {:3}  {:7} {:7} tokens  {:9.2f} tokens/s of "
                           "all ranks\n",
                           batch, phase, tokens, rate));
  }

  /// All ranks measure the links of each entry that ran; rank 0 compares.
  Status compareEntries(const profile::RunProfile &times, uint32_t batch,
                        Json &run) {
    run["entries"] = Json::array();
    for (size_t i = 0; i < times.names.size(); ++i) {
      const bool ran = std::ranges::all_of(times.ranks, [&](const auto &rank) {
        return !rank.entries[i].runs.empty();
      });
      if (times.names[i].isHead || !ran)
        continue;
      const schema::Entry &entry =
          *model->artifact().root().entries()->Get(static_cast<unsigned>(i));
      HADAL_ASSIGN_OR_RETURN(cost::Cluster links,
                             linksOf(entry, times.names[i]));
      if (!speaks())
        continue;
      const uint64_t tokens =
          entry.kind() == schema::EntryKind::decode
              ? batch
              : uint64_t{batch} *
                    (flags.prefillChunk
                         ? std::min(flags.prefillChunk, flags.promptLength)
                         : flags.promptLength);
      HADAL_ASSIGN_OR_RETURN(const Comparison comparison,
                             compare(times, i,
                                     static_cast<double>(std::min<uint64_t>(
                                         tokens, entry.tokens())),
                                     std::move(links)));
      HADAL_RETURN_IF_ERROR(say(comparisonText(comparison)));
      run["entries"].push_back(comparisonJson(comparison));
    }
    return {};
  }

  StatusOr<cost::Cluster> linksOf(const schema::Entry &entry,
                                  const profile::EntryNames &names) const {
    return flags.cluster.empty() ? measureLinks(*model, entry, names, stream)
                                 : cost::readCluster(flags.cluster);
  }

  const BenchFlags &flags;
  comm::Group &group;
  comm::StreamOptions stream;
  std::unique_ptr<Model> model;
  Json report;
};

} // namespace

Status runRankBench(const BenchFlags &flags, comm::Group &group) {
  return RankBench(flags, group).run();
}

} // namespace hadal::bench
