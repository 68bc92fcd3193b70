#include "runtime/engine/Generator.h"

#include <algorithm>

#include "runtime/engine/ModelRunner.h"
#include "runtime/engine/Scheduler.h"

namespace hadal::engine {

namespace {

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Status inRequest(size_t request, const Status &status) {
  return status.ok()
             ? status
             : error(status.code(), "prompt {}: {}", request, status.message());
}

/// One rank: the scheduler, ticked until nothing is left.
class Scheduled : Observer {
public:
  Scheduled(Session &session, const Model &model,
            std::span<const Request> requests, const DeltaSink &sink)
      : session(session), requests(requests), sink(sink),
        runner(model, session.runner(), session.options().maxRows),
        scheduler(runner, nullptr, options(), time) {}

  StatusOr<GenerateStatistics> run() {
    HADAL_RETURN_IF_ERROR(submit());
    Status bad; // of the first request that has ended so
    while (!scheduler.idle()) {
      const SessionOptions &s = session.options();
      if (s.interrupt && s.interrupt->load())
        return error(5016,
                     "interrupted after {} of {} prompt tokens and {} "
                     "generated ones",
                     promptDone, promptTotal,
                     scheduler.statistics().generatedTokens);
      scheduler.tick();
      HADAL_RETURN_IF_ERROR(scheduler.statistics().failure);
      HADAL_RETURN_IF_ERROR(handOut(bad));
    }
    HADAL_RETURN_IF_ERROR(bad);
    statistics.promptTokens = scheduler.statistics().promptTokens;
    statistics.generatedTokens = scheduler.statistics().generatedTokens;
    return statistics;
  }

private:
  SchedulerOptions options() {
    SchedulerOptions result;
    result.maxRows = session.options().maxRows;
    result.prefillChunk = session.options().prefillChunk;
    result.maxQueue = static_cast<uint32_t>(requests.size());
    // Nobody waits for single tokens.
    result.maxInterTokenLatency = std::chrono::hours(24);
    // Where a chunk begins would depend on the other requests.
    result.prefixCache = false;
    result.observer = this;
    return result;
  }

  Status submit() {
    for (size_t i = 0; i < requests.size(); ++i) {
      HADAL_RETURN_IF_ERROR(inRequest(i, scheduler.validate(requests[i])));
      if (requests[i].choices != 1)
        return error(5005, "prompt {} asks for {} choices: expected 1", i,
                     requests[i].choices);
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].maxTokens == 0u)
        continue;
      promptTotal += requests[i].prompt.size();
      active.emplace_back(i, Scheduler::makeTicket(requests[i], {}));
      HADAL_RETURN_IF_ERROR(scheduler.submit(active.back().second));
    }
    return {};
  }

  Status handOut(Status &bad) {
    for (auto &[request, ticket] : active) {
      const Delta delta = ticket->take(0);
      if (delta.empty())
        continue;
      if (bad.ok() && delta.finish == FinishReason::Error)
        bad = inRequest(request, delta.status);
      HADAL_RETURN_IF_ERROR(sink(request, delta));
    }
    std::erase_if(active,
                  [](const auto &each) { return each.second->ended(); });
    return {};
  }

  void onCall(const CallRecord &call) override {
    (call.prompt ? statistics.prefillSeconds : statistics.decodeSeconds) +=
        call.seconds;
    if (!call.prompt)
      return;
    promptDone += call.tokens;
    // A preempted prompt is computed again.
    if (session.options().progress)
      session.options().progress(std::min(promptDone, promptTotal),
                                 promptTotal);
  }

  Session &session;
  std::span<const Request> requests;
  const DeltaSink &sink;
  const TimeSource time;
  ModelRunner runner;
  Scheduler scheduler;
  GenerateStatistics statistics;
  std::vector<std::pair<size_t, std::shared_ptr<Ticket>>> active;
  uint64_t promptDone = 0, promptTotal = 0;
};

/// Several ranks: steps of the session.
class LockStepped {
public:
  LockStepped(Session &session, const Model &model,
              std::span<const Request> requests, const DeltaSink &sink)
      : session(session), model(model), requests(requests), sink(sink) {}

  Status run() {
    HADAL_RETURN_IF_ERROR(checkRequests());
    while (next < requests.size() || !active.empty()) {
      HADAL_RETURN_IF_ERROR(admit());
      HADAL_RETURN_IF_ERROR(retire());
      if (!active.empty())
        HADAL_RETURN_IF_ERROR(decode());
      HADAL_RETURN_IF_ERROR(retire());
    }
    return {};
  }

  /// Frees the rows of an unfinished run.
  void abandon() {
    for (const auto &a : active)
      (void)session.removeRow(a->row);
  }

  GenerateStatistics statistics;

private:
  /// A request that has a row.
  struct Active {
    size_t request;
    uint32_t row;
    ChoiceOutput output;
    int32_t token = 0; // sampled, not yet in the cache
  };

  Status checkRequests() {
    const schema::Model &m = model.description();
    for (size_t i = 0; i < requests.size(); ++i) {
      const Request &r = requests[i];
      HADAL_RETURN_IF_ERROR(
          inRequest(i, validateSampling(r.sampling, m.vocab_size())));
      if (r.prompt.empty())
        return error(5005, "prompt {} is empty; give at least one token", i);
      if (r.prompt.size() > m.max_seq_len())
        return error(5005,
                     "prompt {} has {} tokens, max-seq-len is {}; shorten it "
                     "or compile with a larger --max-seq-len",
                     i, r.prompt.size(), m.max_seq_len());
      const SamplingParameters &s = r.sampling;
      if (r.choices != 1 || r.logprobs || !r.stopStrings.empty() ||
          s.repetitionPenalty != 1 || s.presencePenalty != 0 ||
          s.frequencyPenalty != 0)
        return error(5005,
                     "prompt {} asks for choices, logprobs, stop strings or "
                     "penalties, which several ranks do not offer; use one",
                     i);
    }
    return {};
  }

  /// Gives waiting requests the free rows and runs their prompts.
  Status admit() {
    const size_t first = active.size();
    while (next < requests.size() &&
           active.size() < session.options().maxRows) {
      const Request &request = requests[next];
      if (request.maxTokens == 0u) {
        ++next;
        continue;
      }
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
      const uint64_t most =
          request.maxTokens.value_or(SchedulerOptions().defaultMaxTokens);
      active.push_back(std::make_unique<Active>(
          Active{next++, row,
                 ChoiceOutput(request, nullptr,
                              {model.eosTokenIds(), most,
                               model.description().max_seq_len()})}));
    }
    if (active.size() == first)
      return {};
    const auto begin = Clock::now();
    HADAL_RETURN_IF_ERROR(step(first, Phase::Prompt, [&](const Active &a) {
      return std::span<const int32_t>(requests[a.request].prompt);
    }));
    for (size_t i = first; i < active.size(); ++i)
      statistics.promptTokens += requests[active[i]->request].prompt.size();
    statistics.prefillSeconds += secondsSince(begin);
    return {};
  }

  Status decode() {
    const auto begin = Clock::now();
    HADAL_RETURN_IF_ERROR(step(0, Phase::Decode, [](const Active &a) {
      return std::span<const int32_t>(&a.token, 1);
    }));
    statistics.decodeSeconds += secondsSince(begin);
    return {};
  }

  /// Steps the active rows from |first| on and samples their next tokens.
  template <typename F> Status step(size_t first, Phase phase, F tokensOf) {
    rows.clear();
    for (size_t i = first; i < active.size(); ++i)
      rows.push_back(
          {active[i]->row, tokensOf(*active[i]), LogitsWanted::Last, phase});
    return session.step(
        rows,
        [&](size_t index, uint64_t, std::span<const float> logits) -> Status {
          Active &a = *active[first + index];
          const Request &request = requests[a.request];
          HADAL_ASSIGN_OR_RETURN(
              a.token, sampler.sample(logits, request.sampling, {},
                                      {.seed = request.seed.value_or(0),
                                       .step = a.output.generated()}));
          statistics.generatedTokens += 1;
          (void)a.output.push(a.token, std::nullopt);
          return sink(a.request, a.output.take());
        });
  }

  Status retire() {
    auto ended = [](const std::unique_ptr<Active> &a) {
      return a->output.finish() != FinishReason::None;
    };
    for (const auto &a : active)
      if (ended(a))
        HADAL_RETURN_IF_ERROR(session.removeRow(a->row));
    std::erase_if(active, ended);
    return {};
  }

  Session &session;
  const Model &model;
  std::span<const Request> requests;
  const DeltaSink &sink;
  Sampler sampler;
  std::vector<std::unique_ptr<Active>> active;
  std::vector<StepRow> rows;
  size_t next = 0;
};

} // namespace

StatusOr<GenerateStatistics> generate(Session &session, const Model &model,
                                      std::span<const Request> requests,
                                      const DeltaSink &sink) {
  if (session.rows())
    return error(5005, "the session has {} rows; remove them first",
                 session.rows());
  if (!model.group())
    return Scheduled(session, model, requests, sink).run();
  LockStepped loop(session, model, requests, sink);
  if (Status status = loop.run(); !status.ok()) {
    loop.abandon();
    return status;
  }
  return loop.statistics;
}

} // namespace hadal::engine
