#include "runtime/session/Generator.h"

#include <algorithm>
#include <chrono>

namespace hadal {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// A request that has a row.
struct Active {
  size_t request;
  uint32_t row;
  uint64_t generated = 0;
  int32_t token = 0; // sampled, not yet in the cache
  bool finished = false;
};

class GenerateLoop {
public:
  GenerateLoop(Session &session, const Model &model,
               std::span<const GenerateRequest> requests, const TokenSink &sink)
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
    for (const Active &a : active)
      (void)session.removeRow(a.row);
  }

  GenerateStatistics statistics;

private:
  Status checkRequests() {
    const uint64_t limit = model.description().max_seq_len();
    for (size_t i = 0; i < requests.size(); ++i) {
      HADAL_RETURN_IF_ERROR(engine::validateSampling(requests[i].sampling, model.description().vocab_size()));
      if (requests[i].prompt.empty())
        return error(5005, "prompt {} is empty; give at least one token", i);
      if (requests[i].prompt.size() > limit)
        return error(5005,
                     "prompt {} has {} tokens, max-seq-len is {}; shorten it "
                     "or compile with a larger --max-seq-len",
                     i, requests[i].prompt.size(), limit);
    }
    return {};
  }

  /// Gives waiting requests the free rows and runs their prompts.
  Status admit() {
    const size_t first = active.size();
    while (next < requests.size() &&
           active.size() < session.options().maxRows) {
      const GenerateRequest &request = requests[next];
      if (!request.maxTokens) {
        ++next;
        continue;
      }
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
      active.push_back({next++, row});
    }
    if (active.size() == first)
      return {};
    const auto begin = Clock::now();
    HADAL_RETURN_IF_ERROR(step(first, Phase::Prompt, [&](const Active &a) {
      return std::span<const int32_t>(requests[a.request].prompt);
    }));
    for (size_t i = first; i < active.size(); ++i)
      statistics.promptTokens += requests[active[i].request].prompt.size();
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
      rows.push_back({active[i].row, tokensOf(active[i]), LogitsWanted::Last,
                      phase});
    return session.step(rows, [&](size_t index, uint64_t position,
                                  std::span<const float> logits) -> Status {
      Active &a = active[first + index];
      const GenerateRequest &request = requests[a.request];
      HADAL_ASSIGN_OR_RETURN(
          a.token, sampler.sample(logits, request.sampling, {},
                                  {.seed = request.seed, .step = a.generated}));
      a.generated += 1;
      statistics.generatedTokens += 1;
      FinishReason reason = finishReason(a, position);
      a.finished = reason != FinishReason::None;
      return sink(a.request, a.token, reason);
    });
  }

  FinishReason finishReason(const Active &a, uint64_t position) const {
    const GenerateRequest &request = requests[a.request];
    auto holds = [&](std::span<const int32_t> ids) {
      return std::find(ids.begin(), ids.end(), a.token) != ids.end();
    };
    if (!request.ignoreEos &&
        (holds(model.eosTokenIds()) || holds(request.stopTokens)))
      return FinishReason::Eos;
    if (a.generated >= request.maxTokens)
      return FinishReason::Length;
    if (position + 1 >= model.description().max_seq_len())
      return FinishReason::Context;
    return FinishReason::None;
  }

  Status retire() {
    for (const Active &a : active)
      if (a.finished)
        HADAL_RETURN_IF_ERROR(session.removeRow(a.row));
    std::erase_if(active, [](const Active &a) { return a.finished; });
    return {};
  }

  Session &session;
  const Model &model;
  std::span<const GenerateRequest> requests;
  const TokenSink &sink;
  engine::Sampler sampler;
  std::vector<Active> active;
  std::vector<StepRow> rows;
  size_t next = 0;
};

} // namespace

StatusOr<GenerateStatistics> generate(Session &session, const Model &model,
                                      std::span<const GenerateRequest> requests,
                                      const TokenSink &sink) {
  GenerateLoop loop(session, model, requests, sink);
  if (Status status = loop.run(); !status.ok()) {
    loop.abandon();
    return status;
  }
  return loop.statistics;
}

} // namespace hadal
