// Order, fairness, limits and ends: what the random worlds do not measure.
#include "runtime/engine/Scheduler.h"

#include <algorithm>
#include <cmath>

#include "test/runtime/engine/HashRunner.h"
#include "test/runtime/engine/TestTokenizer.h"

using namespace hadal;
using namespace hadal::engine;
using namespace std::chrono_literals;

namespace {

RunnerLimits limits(uint64_t pages = 256) {
  RunnerLimits l;
  l.vocabSize = 256;
  l.maxSeqLen = 4096;
  l.pageSize = 16;
  l.pages = pages;
  l.maxRows = 8;
  l.prompt = {{16, 4, 16}, {64, 8, 64}, {256, 8, 256}};
  l.decode = {{1, 1, 1}, {4, 4, 1}, {8, 8, 1}};
  l.eosTokens = {7};
  return l;
}

/// A scheduler on a HashRunner, and what it has been asked.
struct Lab {
  explicit Lab(RunnerLimits l = limits(), SchedulerOptions o = {},
               const Tokenizer *tokenizer = nullptr)
      : runner(std::move(l)) {
    o.checkInvariants = true;
    scheduler.emplace(runner, tokenizer, o, runner);
  }
  std::shared_ptr<Ticket> submit(Request request) {
    const Status valid = scheduler->validate(request);
    EXPECT_TRUE(valid.ok()) << valid.toString();
    auto ticket = Scheduler::makeTicket(std::move(request), {});
    const Status status = scheduler->submit(ticket);
    EXPECT_TRUE(status.ok()) << status.toString();
    return ticket;
  }
  void finish() {
    for (int ticks = 0; !scheduler->idle(); ++ticks) {
      ASSERT_LT(ticks, 100000);
      scheduler->tick();
    }
    EXPECT_TRUE(scheduler->statistics().failure.ok())
        << scheduler->statistics().failure.toString();
    EXPECT_EQ(runner.misuse, "");
  }

  HashRunner runner;
  std::optional<Scheduler> scheduler;
};

Request request(size_t promptSize, uint64_t maxTokens, int32_t first = 1) {
  Request r;
  for (size_t i = 0; i < promptSize; ++i)
    r.prompt.push_back(static_cast<int32_t>(i * i % 201) + first % 50);
  r.maxTokens = maxTokens;
  r.ignoreEos = true;
  return r;
}

std::vector<int32_t> alone(const Request &r) {
  Lab lab;
  auto ticket = lab.submit(r);
  lab.finish();
  return ticket->take(0).ids;
}

TEST(SchedulerTest, refusesWhatCanNeverRun) {
  SchedulerOptions options;
  options.maxRows = 4;
  Lab lab(limits(10), options);
  const Request good = request(20, 5);
  EXPECT_TRUE(lab.scheduler->validate(good).ok());
  auto refused = [&](auto change, int code, const std::string &text) {
    Request r = good;
    change(r);
    const Status status = lab.scheduler->validate(r);
    EXPECT_EQ(status.code(), code) << text;
    EXPECT_NE(status.message().find(text), std::string::npos)
        << status.message();
  };
  refused([](Request &r) { r.prompt.clear(); }, 5005, "no tokens");
  refused([](Request &r) { r.prompt[3] = 256; }, 5005,
          "token 3 of the prompt is 256");
  refused([](Request &r) { r.prompt[3] = -1; }, 5005, "0 to 255");
  refused([](Request &r) { r.prompt.resize(4097); }, 5005, "4097 tokens");
  refused([](Request &r) { r.prompt.resize(161); }, 5013, "11 pages");
  refused([](Request &r) { r.choices = 0; }, 5005, "n is 0: expected 1 to 4");
  refused([](Request &r) { r.choices = 5; }, 5005, "n is 5: expected 1 to 4");
  refused([](Request &r) { r.stopTokens = {300}; }, 5005, "300");
  refused([](Request &r) { r.stopStrings = {"x"}; }, 5005, "tokenizer");
  refused([](Request &r) { r.stopStrings = {""}; }, 5005, "0: expected 1 to");
  refused([](Request &r) { r.stopStrings = {std::string(257, 'x')}; }, 5005,
          "257");
  refused([](Request &r) { r.stopStrings.assign(17, "x"); }, 5005, "17");
  refused([](Request &r) { r.logprobs = 21; }, 5005, "logprobs is 21");
  refused([](Request &r) { r.promptLogprobs = true; }, 5005, "how many");
  refused([](Request &r) { r.sampling.topP = 0; }, 5005, "top-p");
}

TEST(SchedulerTest, aFullQueueRefuses) {
  SchedulerOptions options;
  options.maxRows = 2;
  options.maxQueue = 3;
  Lab lab(limits(), options);
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int i = 0; i < 5; ++i)
    tickets.push_back(lab.submit(request(4, 3)));
  auto more = Scheduler::makeTicket(request(4, 3), {});
  Status status = lab.scheduler->submit(more);
  EXPECT_EQ(status.code(), 5024);
  lab.scheduler->tick();
  EXPECT_EQ(lab.scheduler->statistics().requestsRunning, 2u);
  EXPECT_EQ(lab.scheduler->statistics().requestsWaiting, 3u);
  lab.finish();
  EXPECT_TRUE(lab.scheduler->submit(more).ok());
}

TEST(SchedulerTest, priorityThenArrivalDecides) {
  SchedulerOptions options;
  options.maxRows = 1;
  Lab lab(limits(), options);
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int32_t priority : {5, 0, -1, 0}) {
    Request r = request(4, 2);
    r.priority = priority;
    tickets.push_back(lab.submit(r));
  }
  lab.finish();
  auto admitted = [&](int i) { return tickets[i]->times().admitted; };
  EXPECT_LT(admitted(2), admitted(1));
  EXPECT_LT(admitted(1), admitted(3));
  EXPECT_LT(admitted(3), admitted(0));
}

TEST(SchedulerTest, aKeyHasItsShareWhileOthersWait) {
  SchedulerOptions options;
  options.maxRows = 4;
  options.maxRowsPerKey = 2;
  Lab lab(limits(), options);
  std::vector<std::shared_ptr<Ticket>> greedy, other;
  for (int i = 0; i < 6; ++i) {
    Request r = request(4, 6);
    r.key = "greedy";
    greedy.push_back(lab.submit(r));
  }
  for (int i = 0; i < 3; ++i) {
    Request r = request(4, 6);
    r.key = "other";
    other.push_back(lab.submit(r));
  }
  lab.finish();
  // The second of the others runs beside two of the first.
  EXPECT_LT(other[1]->times().admitted, greedy[2]->times().admitted);
  // Who is alone gets everything.
  Lab quiet(limits(), options);
  for (int i = 0; i < 4; ++i) {
    Request r = request(4, 6);
    r.key = "greedy";
    quiet.submit(r);
  }
  quiet.scheduler->tick();
  EXPECT_EQ(quiet.scheduler->statistics().requestsRunning, 4u);
}

TEST(SchedulerTest, aLongPromptNeitherBlocksNorStarves) {
  SchedulerOptions options;
  options.prefixCache = false;
  Lab lab(limits(), options);
  auto longOne = lab.submit(request(2000, 4));
  lab.scheduler->tick();
  std::vector<std::shared_ptr<Ticket>> shortOnes;
  for (int i = 0; i < 4; ++i)
    shortOnes.push_back(lab.submit(request(30, 1, 10 + i)));
  // 128 tokens of each call are for the oldest, 120 are asked by the rest.
  lab.scheduler->tick();
  for (const auto &ticket : shortOnes)
    EXPECT_TRUE(ticket->ended());
  EXPECT_FALSE(longOne->ended());
  // A stream of short prompts takes half of each call at most.
  for (int i = 0; i < 16 && longOne->usage().promptTokens == 0; ++i) {
    for (int j = 0; j < 6; ++j)
      lab.submit(request(40, 1, 10 + j));
    lab.scheduler->tick();
  }
  EXPECT_NE(longOne->take(0).ids.size(), 0u);
  lab.finish();
}

TEST(SchedulerTest, promptsBesideDecodingRowsTakeShortCalls) {
  // A call takes a millisecond a token.
  class Slow : public HashRunner {
  public:
    using HashRunner::HashRunner;
    Status run(Phase phase, size_t capacity, std::span<const CallRow> rows,
               const RowLogitsSink &sink) override {
      callTime = std::chrono::milliseconds(limits().of(phase)[capacity].tokens);
      largest = std::max(largest, callTime);
      return HashRunner::run(phase, capacity, rows, sink);
    }
    std::chrono::steady_clock::duration largest{0};
  };
  struct Gaps : Observer {
    double longest = 0;
    void onTokens(uint32_t, double seconds) override {
      longest = std::max(longest, seconds);
    }
  } gaps;
  Slow runner(limits());
  SchedulerOptions options;
  options.maxInterTokenLatency = 100ms;
  options.observer = &gaps;
  options.prefixCache = false;
  Scheduler scheduler(runner, nullptr, options, runner);
  auto submit = [&](Request r) {
    auto ticket = Scheduler::makeTicket(std::move(r), {});
    EXPECT_TRUE(scheduler.submit(ticket).ok());
    return ticket;
  };
  for (int i = 0; i < 4; ++i)
    submit(request(8, 400));
  for (int i = 0; i < 3; ++i)
    scheduler.tick();
  runner.largest = {};
  auto longOne = submit(request(2000, 1));
  while (!longOne->ended())
    scheduler.tick();
  // The calls of 64 are within the limit, those of 256 not.
  EXPECT_EQ(runner.largest, 64ms);
  EXPECT_LE(gaps.longest, 0.1 + 2 * 0.004);
}

TEST(SchedulerTest, pagesForThreeOfEight) {
  // 8 rows of 60 tokens take 32 pages.
  struct Preemptions : Observer {
    uint32_t most = 0, all = 0;
    void onEnd(const RequestRecord &record) override {
      most = std::max(most, record.preemptions);
      all += record.preemptions;
    }
  } preemptions;
  SchedulerOptions options;
  options.observer = &preemptions;
  Lab lab(limits(12), options);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(request(10 + i, 50 - i, i));
    requests.back().sampling.temperature = 1;
    requests.back().seed = 100 + i;
    tickets.push_back(lab.submit(requests.back()));
  }
  lab.finish();
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(tickets[i]->take(0).ids, alone(requests[i])) << i;
  EXPECT_GT(preemptions.all, 0u);
  EXPECT_LE(preemptions.most, 4u);
  EXPECT_EQ(lab.scheduler->statistics().preemptions, preemptions.all);
}

TEST(SchedulerTest, aPreemptedRequestComesBackFirst) {
  Lab lab(limits(12)); // for 192 tokens
  auto older = lab.submit(request(60, 100));
  auto younger = lab.submit(request(60, 100, 5));
  while (!lab.scheduler->statistics().preemptions)
    ASSERT_TRUE(lab.scheduler->tick());
  EXPECT_FALSE(older->ended());
  // There would be room for it.
  auto last = lab.submit(request(10, 2, 9));
  lab.finish();
  EXPECT_GE(last->times().admitted, older->times().end);
  EXPECT_EQ(younger->take(0).ids, alone(request(60, 100, 5)));
}

TEST(SchedulerTest, aSharedPrefixIsComputedOnce) {
  Lab lab(limits(512));
  const Request first = request(1000, 4);
  auto one = lab.submit(first);
  lab.finish();
  EXPECT_EQ(one->usage().cachedTokens, 0u);
  const uint64_t cold = lab.runner.promptTokens;
  EXPECT_EQ(cold, 1000u);
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int i = 0; i < 7; ++i) {
    requests.push_back(first);
    requests.back().prompt.push_back(i);
    tickets.push_back(lab.submit(requests.back()));
  }
  lab.finish();
  EXPECT_LE(lab.runner.promptTokens, 1.3 * static_cast<double>(cold));
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(tickets[i]->usage().cachedTokens, 992u); // 62 full pages
    EXPECT_EQ(tickets[i]->take(0).ids, alone(requests[i]));
  }
  const Statistics s = lab.scheduler->statistics();
  EXPECT_EQ(s.prefixHits, 7 * 992u);
  EXPECT_EQ(s.prefixQueries, 1000 + 7 * 1001u);
  // Other salts see nothing of it, and promptLogprobs takes nothing.
  Request salted = first;
  salted.cacheSalt = "other";
  auto saltedTicket = lab.submit(salted);
  Request echo = first;
  echo.logprobs = 0;
  echo.promptLogprobs = true;
  auto echoTicket = lab.submit(echo);
  lab.finish();
  EXPECT_EQ(saltedTicket->usage().cachedTokens, 0u);
  EXPECT_EQ(echoTicket->usage().cachedTokens, 0u);
  EXPECT_EQ(echoTicket->take(0).promptLogprobs.size(), 999u);
}

TEST(SchedulerTest, promptsThatArriveTogetherShareAsWell) {
  Lab lab(limits(512));
  std::vector<Request> requests;
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(request(1000, 4));
    requests.back().prompt.push_back(i);
    tickets.push_back(lab.submit(requests.back()));
  }
  auto other = lab.submit(request(50, 4, 20)); // waits for nobody's prefix
  lab.scheduler->tick();
  EXPECT_TRUE(other->times().admitted != Clock::time_point());
  lab.finish();
  EXPECT_LE(lab.runner.promptTokens, 1300u);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(tickets[i]->take(0).ids, alone(requests[i])) << i;
}

TEST(SchedulerTest, aWhollyCachedPromptComputesItsLastTokenAlone) {
  Lab lab;
  const Request r = request(64, 5);
  auto cold = lab.submit(r);
  lab.finish();
  const uint64_t before = lab.runner.promptTokens;
  auto warm = lab.submit(r);
  lab.finish();
  EXPECT_EQ(lab.runner.promptTokens, before + 1);
  EXPECT_EQ(lab.runner.rowsThatKeep, 1u);
  EXPECT_EQ(warm->take(0).ids, cold->take(0).ids);
}

TEST(SchedulerTest, generatedPagesAreNotPublished) {
  Lab lab;
  const Request r = request(16, 40);
  auto ticket = lab.submit(r);
  lab.finish();
  EXPECT_EQ(lab.scheduler->statistics().pages.cached, 1u);
  Request next = r; // the conversation goes on
  for (int32_t id : ticket->take(0).ids)
    next.prompt.push_back(id);
  auto second = lab.submit(next);
  lab.finish();
  EXPECT_EQ(second->usage().cachedTokens, 16u);
  EXPECT_EQ(second->take(0).ids, alone(next));
}

TEST(SchedulerTest, timeLimitsEndRequests) {
  SchedulerOptions options;
  options.maxRows = 1;
  options.queueTimeout = 200ms;
  options.requestTimeout = 1000ms;
  Lab lab(limits(), options);
  auto running = lab.submit(request(4, 1000));
  auto waiting = lab.submit(request(4, 5));
  lab.finish();
  const Delta first = running->take(0), second = waiting->take(0);
  EXPECT_EQ(first.finish, FinishReason::Abort);
  EXPECT_EQ(first.status.code(), 5016);
  EXPECT_GT(first.ids.size(), 50u);
  EXPECT_EQ(second.finish, FinishReason::Abort);
  EXPECT_EQ(second.status.code(), 5024);
  EXPECT_EQ(waiting->times().admitted, Clock::time_point());
}

TEST(SchedulerTest, cancellingGivesPagesBackAtOnce) {
  SchedulerOptions options;
  options.prefixCache = false;
  Lab lab(limits(), options);
  auto ticket = lab.submit(request(100, 1000));
  lab.scheduler->tick();
  lab.scheduler->tick();
  EXPECT_GT(lab.scheduler->statistics().pages.owned, 0u);
  lab.scheduler->cancel(ticket->id(), error(5016, "the client has gone"));
  EXPECT_EQ(lab.scheduler->statistics().pages.free, 256u);
  EXPECT_TRUE(ticket->ended());
  const Delta delta = ticket->take(0);
  EXPECT_EQ(delta.finish, FinishReason::Abort);
  EXPECT_EQ(delta.status.message(), "the client has gone");
  EXPECT_TRUE(lab.scheduler->idle());
}

TEST(SchedulerTest, aFailedCallEndsEverything) {
  Lab lab;
  lab.runner.failingCall = 3;
  auto running = lab.submit(request(4, 1000));
  std::vector<std::shared_ptr<Ticket>> waiting;
  for (int i = 0; i < 9; ++i)
    waiting.push_back(lab.submit(request(4, 5)));
  while (lab.scheduler->tick() && !running->ended()) {
  }
  EXPECT_EQ(running->take(0).status.code(), 5017);
  for (const auto &ticket : waiting)
    EXPECT_EQ(ticket->take(0).finish, FinishReason::Error);
  EXPECT_EQ(lab.scheduler->statistics().failure.code(), 5017);
  EXPECT_EQ(
      lab.scheduler->submit(Scheduler::makeTicket(request(4, 5), {})).code(),
      5017);
  EXPECT_FALSE(lab.scheduler->tick());
}

TEST(SchedulerTest, choicesShareThePrompt) {
  Lab lab;
  Request r = request(40, 12);
  r.choices = 4;
  r.seed = 9;
  r.sampling.temperature = 1;
  auto ticket = lab.submit(r);
  lab.finish();
  EXPECT_EQ(lab.runner.promptTokens, 40u);
  EXPECT_EQ(lab.runner.copies, 3u); // of the third page
  std::vector<std::vector<int32_t>> texts;
  for (uint32_t c = 0; c < 4; ++c)
    texts.push_back(ticket->take(c).ids);
  std::ranges::sort(texts);
  EXPECT_EQ(std::ranges::unique(texts).size(), 0u) << "choices are alike";
  r.choices = 1;
  EXPECT_TRUE(std::ranges::count(texts, alone(r)));
}

TEST(SchedulerTest, logprobsAreOfTheRawLogits) {
  const Tokenizer tokenizer = testTokenizer();
  Lab lab(limits(), {}, &tokenizer);
  Request r = request(5, 3);
  r.logprobs = 2;
  r.promptLogprobs = true;
  r.sampling.logitBias = {{65, 100.0f}};
  auto ticket = lab.submit(r);
  lab.finish();
  const Delta delta = ticket->take(0);
  EXPECT_EQ(delta.ids, (std::vector<int32_t>{65, 65, 65}));
  EXPECT_EQ(delta.text, "AAA");
  ASSERT_EQ(delta.promptLogprobs.size(), 4u);
  ASSERT_EQ(delta.logprobs.size(), 3u);
  uint64_t hash = 1;
  std::vector<float> logits(256);
  std::vector<int32_t> ids = r.prompt;
  ids.insert(ids.end(), delta.ids.begin(), delta.ids.end());
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    hash = hashSlot(hash,
                    slotValue(ids[i], i < 5 ? Phase::Prompt : Phase::Decode));
    hashLogits(hash, logits);
    double sum = 0;
    for (float logit : logits)
      sum += std::exp(double{logit});
    const PositionLogprobs &p =
        i < 4 ? delta.promptLogprobs[i] : delta.logprobs[i - 4];
    EXPECT_EQ(p.token.id, ids[i + 1]);
    EXPECT_NEAR(p.token.logprob,
                logits[static_cast<size_t>(ids[i + 1])] - std::log(sum), 1e-5);
    ASSERT_EQ(p.top.size(), 2u);
    EXPECT_EQ(p.top[0].id,
              std::max_element(logits.begin(), logits.end()) - logits.begin());
    EXPECT_EQ(p.token.bytes, std::string(1, static_cast<char>(ids[i + 1])));
  }
}

} // namespace
