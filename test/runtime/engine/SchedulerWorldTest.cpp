// The scheduler in random worlds: whatever arrives when, is cancelled,
// preempted or shares pages, each request gets what a sequential loop gives it.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "runtime/engine/Scheduler.h"
#include "test/runtime/engine/HashRunner.h"
#include "test/runtime/engine/TestTokenizer.h"

using namespace hadal;
using namespace hadal::engine;

namespace {

constexpr int32_t kEos = 7;

/// One request alone, by the definition.
struct Reference {
  std::vector<int32_t> ids;
  std::string text;
  FinishReason finish = FinishReason::None;
};

Reference reference(const Request &request, uint64_t seed, uint32_t child,
                    uint64_t maxTokens, const HashRunner &runner) {
  Reference result;
  uint64_t hash = 1;
  for (int32_t id : request.prompt)
    hash = hashSlot(hash, slotValue(id, Phase::Prompt));
  std::vector<float> logits(runner.limits().vocabSize);
  Sampler sampler;
  TokenCounts counts;
  counts.addPrompt(request.prompt);
  std::vector<int32_t> ends = request.stopTokens;
  if (!request.ignoreEos)
    ends.push_back(kEos);
  while (result.finish == FinishReason::None) {
    hashLogits(hash, logits);
    if (runner.faults && isFault(hash)) {
      result.finish = FinishReason::Error;
      break;
    }
    const int32_t id =
        *sampler.sample(logits, request.sampling, {&counts, ends},
                        {seed, result.ids.size(), child});
    result.ids.push_back(id);
    counts.addOutput(id);
    hash = hashSlot(hash, slotValue(id, Phase::Decode));
    if (std::ranges::count(ends, id)) {
      result.finish = FinishReason::Stop;
      break;
    }
    result.text += static_cast<char>(id);
    for (const std::string &stop : request.stopStrings)
      if (result.text.ends_with(stop)) {
        result.finish = FinishReason::Stop;
        result.text.resize(result.text.size() - stop.size());
      }
    if (result.finish == FinishReason::None &&
        (result.ids.size() >= maxTokens ||
         request.prompt.size() + result.ids.size() > runner.limits().maxSeqLen))
      result.finish = FinishReason::Length;
  }
  return result;
}

/// What happened in the worlds so far: that they are not all alike.
struct Seen : Observer {
  uint64_t requests = 0, preempted = 0, hits = 0, copies = 0, kept = 0;
  uint64_t faults = 0, failures = 0, full = 0, refused = 0;
  std::array<uint64_t, 5> finished = {};
  void onEnd(const RequestRecord &record) override {
    ++requests;
    preempted += record.preemptions;
    hits += record.usage.cachedTokens;
    for (FinishReason reason : record.finished)
      ++finished[static_cast<size_t>(reason)];
  }
};

class World {
public:
  World(uint32_t seed, size_t requests, const Tokenizer &tokenizer, Seen &seen)
      : random(seed), most(requests), tokenizer(tokenizer), seen(seen) {}

  /// Empty, or what was wrong.
  std::string run() {
    HashRunner runner(limits());
    runner.faults = chance(4);
    runner.failingCall = chance(12) ? 1 + below(40) : 0;
    SchedulerOptions options;
    options.maxRows = 1 + below(8);
    options.maxQueue = chance(6) ? below(4) : 100;
    options.defaultMaxTokens = 1 + below(12);
    options.prefillChunk = chance(3) ? 1 + below(5) : 0;
    options.maxInterTokenLatency = std::chrono::milliseconds(below(40));
    options.maxRowsPerKey = chance(4) ? 1 + below(3) : 0;
    options.prefixCache = !chance(4);
    options.queueTimeout = std::chrono::milliseconds(chance(8) ? 200 : 0);
    options.requestTimeout = std::chrono::milliseconds(chance(8) ? 500 : 0);
    options.checkInvariants = true;
    options.observer = &seen;
    Scheduler scheduler(runner, &tokenizer, options, runner);

    std::vector<std::shared_ptr<Ticket>> tickets;
    std::vector<bool> cancelled;
    size_t left = 1 + below(12);
    left = std::min(left, most);
    const uint64_t total = left;
    const bool burst = chance(2); // all arrive at once
    for (int ticks = 0; left || !scheduler.idle(); ++ticks) {
      while (left && (burst || chance(3) || scheduler.idle())) {
        --left;
        Request request = randomRequest(runner.limits());
        if (!scheduler.validate(request).ok()) {
          ++seen.refused;
          continue;
        }
        auto ticket = Scheduler::makeTicket(std::move(request), {});
        const Status status = scheduler.submit(ticket);
        if (!status.ok() && status.code() != 5024 && status.code() != 5017)
          return status.toString();
        if (!status.ok())
          continue;
        tickets.push_back(ticket);
        cancelled.push_back(false);
      }
      if (!tickets.empty() && chance(10)) {
        const size_t i = below(static_cast<uint32_t>(tickets.size()));
        cancelled[i] = cancelled[i] || !tickets[i]->ended();
        scheduler.cancel(tickets[i]->id(), error(5016, "cancelled"));
        if (!tickets[i]->ended())
          return "a cancelled request goes on";
      }
      const bool idle = scheduler.idle();
      const uint64_t before = runner.promptTokens + runner.decodeTokens;
      const bool worked = scheduler.tick();
      const Statistics now = scheduler.statistics();
      if (!now.failure.ok() && now.failure.code() != 5017)
        return now.failure.toString();
      if (now.requestsRunning && now.failure.ok() &&
          runner.promptTokens + runner.decodeTokens == before)
        return "a tick without progress";
      if (idle && worked)
        return "work out of nothing";
      if (ticks > 20000)
        return fmt::format("no end after {} ticks for {} requests", ticks,
                           total);
      if (!runner.misuse.empty())
        return runner.misuse;
    }
    const Statistics end = scheduler.statistics();
    seen.copies += runner.copies;
    seen.kept += runner.rowsThatKeep;
    seen.faults += runner.faultsSeen;
    seen.failures += !end.failure.ok();
    if (end.pages.owned || end.rowsRunning)
      return fmt::format("{} pages are owned in the end", end.pages.owned);
    for (size_t i = 0; i < tickets.size(); ++i)
      if (std::string wrong = judge(*tickets[i], cancelled[i], runner, options,
                                    !end.failure.ok());
          !wrong.empty())
        return fmt::format("request {}: {}", i, wrong);
    return {};
  }

private:
  uint32_t below(uint32_t n) { return random() % n; }
  bool chance(uint32_t n) { return below(n) == 0; }

  RunnerLimits limits() {
    RunnerLimits l;
    l.vocabSize = 8;
    l.maxSeqLen = 6 + below(30);
    l.pageSize = 1 + below(4);
    l.pages = 4 + below(chance(2) ? 12 : 60);
    l.maxRows = 1 + below(8);
    uint32_t tokens = 1;
    for (uint32_t i = 0, n = 1 + below(3); i < n; ++i) {
      tokens += below(6);
      l.prompt.push_back({tokens, 1 + below(4), tokens});
      l.decode.push_back({i + 1 + below(4), i + 1 + below(4), 1});
    }
    std::ranges::sort(l.decode, {}, &CallCapacity::tokens);
    // The largest holds what any other does.
    for (const CallCapacity &c : l.prompt)
      l.prompt.back().rows = std::max(l.prompt.back().rows, c.rows);
    l.eosTokens = {kEos};
    return l;
  }

  Request randomRequest(const RunnerLimits &l) {
    Request r;
    const auto most = static_cast<uint32_t>(l.maxSeqLen);
    const auto size = 1 + below(chance(4) ? most : std::min(most, 10u));
    // Prompts begin alike: a long common text that is left at some place.
    const uint32_t common = chance(4) ? 0 : below(size + 1);
    for (uint32_t i = 0; i < size; ++i)
      r.prompt.push_back(i < common ? static_cast<int32_t>(i * i % 5)
                                    : static_cast<int32_t>(below(7)));
    if (!chance(3)) {
      r.sampling.temperature = 1;
      r.seed = random();
    }
    if (chance(4))
      r.sampling.repetitionPenalty = 1.3f;
    if (chance(4))
      r.sampling.frequencyPenalty = 0.5f;
    if (chance(4))
      r.sampling.topK = 1 + below(4);
    r.choices = chance(3) ? 1 + below(3) : 1;
    if (!chance(4))
      r.maxTokens = below(16);
    if (chance(3))
      r.stopTokens = {static_cast<int32_t>(below(7))};
    if (chance(3))
      r.stopStrings = {std::string{static_cast<char>(1 + below(6)),
                                   static_cast<char>(1 + below(6))}};
    r.ignoreEos = chance(3);
    if (chance(5)) {
      r.logprobs = below(3);
      r.promptLogprobs = chance(2);
    }
    r.priority = chance(4) ? static_cast<int32_t>(below(3)) : 0;
    r.cacheSalt = chance(5) ? "salt" : "";
    r.key = chance(2) ? "a" : "b";
    return r;
  }

  std::string judge(Ticket &ticket, bool cancelled, const HashRunner &runner,
                    const SchedulerOptions &options, bool failed) {
    if (!ticket.ended())
      return "it has not ended";
    const Request &request = ticket.request();
    const RunnerLimits &l = runner.limits();
    const uint64_t maxTokens =
        request.maxTokens.value_or(options.defaultMaxTokens);
    uint64_t generated = 0;
    for (uint32_t c = 0; c < request.choices; ++c) {
      const Delta got = ticket.take(c);
      generated += got.ids.size();
      const bool cut = (got.finish == FinishReason::Abort &&
                        (cancelled || options.requestTimeout.count() ||
                         options.queueTimeout.count())) ||
                       (got.finish == FinishReason::Error && failed &&
                        got.status.code() == 5017);
      if (!maxTokens) {
        if (got.ids.size() || (got.finish != FinishReason::Length && !cut &&
                               got.finish != FinishReason::Error))
          return "tokens of none";
        continue;
      }
      Reference want = reference(request, ticket.seed(), c, maxTokens, runner);
      // Alone, and the pages are used up.
      const bool full =
          got.contextFull &&
          l.pagesFor(request.prompt.size() + maxTokens) * request.choices >
              l.pages;
      // The logits of the prompt may be at fault, too.
      const bool early = request.promptLogprobs && runner.faults &&
                         got.finish == FinishReason::Error && got.ids.empty();
      seen.full += full;
      if (cut || early || full) {
        want.ids.resize(std::min(want.ids.size(), got.ids.size()));
        if (got.ids != want.ids)
          return fmt::format("choice {} was cut and has {}, expected {}", c,
                             fmt::join(got.ids, " "), fmt::join(want.ids, " "));
        continue;
      }
      if (got.ids != want.ids || got.finish != want.finish)
        return fmt::format(
            "choice {} of prompt {}: {} {}, expected {} {}", c,
            fmt::join(request.prompt, " "), fmt::join(got.ids, " "),
            finishReasonName(got.finish), fmt::join(want.ids, " "),
            finishReasonName(want.finish));
      if (got.text != want.text)
        return fmt::format("choice {} has other text than its ids", c);
      if (request.logprobs && request.stopStrings.empty() &&
          got.logprobs.size() != got.ids.size())
        return fmt::format("{} logprobs for {} tokens", got.logprobs.size(),
                           got.ids.size());
      if (request.promptLogprobs && c == 0 && got.ids.size() &&
          got.promptLogprobs.size() + 1 != request.prompt.size())
        return fmt::format("{} logprobs of a prompt of {}",
                           got.promptLogprobs.size(), request.prompt.size());
    }
    if (ticket.usage().generatedTokens != generated)
      return "usage counts other tokens";
    return {};
  }

  std::mt19937 random;
  const size_t most;
  const Tokenizer &tokenizer;
  Seen &seen;
};

TEST(SchedulerWorlds, everyRequestGetsWhatItGetsAlone) {
  const Tokenizer tokenizer = testTokenizer();
  Seen seen;
  auto number = [](const char *name, uint32_t otherwise) {
    const char *text = std::getenv(name);
    return text ? static_cast<uint32_t>(std::strtoul(text, nullptr, 10))
                : otherwise;
  };
  // HADAL_WORLD: one of them again.
  const uint32_t first = number("HADAL_WORLD", 0);
  const uint32_t count =
      std::getenv("HADAL_WORLD") ? 1 : number("HADAL_WORLDS", 50000);
  for (uint32_t seed = first; seed < first + count; ++seed) {
    std::string wrong = World(seed, 100, tokenizer, seen).run();
    if (wrong.empty())
      continue;
    // The same world with as few requests as show it.
    size_t requests = 0;
    for (std::string less; less.empty(); wrong = less)
      less = World(seed, ++requests, tokenizer, seen).run();
    FAIL() << "world " << seed << " with " << requests << " requests: " << wrong
           << "\nHADAL_WORLD=" << seed << " runs it again";
  }
  if (count < 10000)
    return;
  // The worlds are not all alike.
  EXPECT_GT(seen.preempted, count / 20);
  EXPECT_GT(seen.hits, count);
  EXPECT_GT(seen.copies, count / 10);
  EXPECT_GT(seen.kept, count / 20);
  EXPECT_GT(seen.faults, count / 20);
  EXPECT_GT(seen.failures, count / 50);
  EXPECT_GT(seen.full, count / 20);
  for (FinishReason reason : {FinishReason::Stop, FinishReason::Length,
                              FinishReason::Error, FinishReason::Abort})
    EXPECT_GT(seen.finished[static_cast<size_t>(reason)], count / 10)
        << finishReasonName(reason);
}

} // namespace
