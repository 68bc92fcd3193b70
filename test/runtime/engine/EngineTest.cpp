// The engine's thread and a model below it: the toy, whose logits are known.
#include "runtime/engine/Engine.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "runtime/engine/ModelRunner.h"
#include "test/runtime/engine/HashRunner.h"
#include "test/runtime/session/ForwardingDriver.h"
#include "test/runtime/session/ToyModel.h"

using namespace hadal;
using namespace hadal::engine;
using namespace std::chrono_literals;
using toy::LoadedToy;

namespace {

Delta collect(Ticket &ticket, uint32_t choice = 0) {
  while (!ticket.ended())
    std::this_thread::sleep_for(1ms);
  return ticket.take(choice);
}

/// Greedy decoding by the definition; token 1 ends.
std::vector<int32_t> greedy(std::vector<int32_t> tokens, uint64_t count) {
  std::vector<int32_t> generated;
  while (generated.size() < count && tokens.size() <= toy::kMaxSeqLen) {
    const std::vector<float> logits = toy::referenceLogits(tokens).back();
    const auto best = std::ranges::max_element(logits);
    generated.push_back(static_cast<int32_t>(best - logits.begin()));
    tokens.push_back(generated.back());
    if (generated.back() == 1)
      break;
  }
  return generated;
}

Request greedyRequest(int i) {
  Request request;
  for (int t = 0; t <= i % 9; ++t)
    request.prompt.push_back((i % 5 * 7 + t * 5) % toy::kVocab);
  request.maxTokens = 1 + i % 14;
  return request;
}

TEST(EngineTest, aModelServesManyThreads) {
  LoadedToy toy;
  EngineOptions options;
  options.checkInvariants = true;
  options.cachePages = 12; // not enough for all rows
  auto engine = Engine::create(*toy.model, nullptr, options);
  ASSERT_TRUE(engine.ok()) << engine.status().toString();
  std::vector<std::thread> clients;
  std::atomic<int> wrong = 0;
  for (int client = 0; client < 4; ++client)
    clients.emplace_back([&, client] {
      for (int i = client; i < 80; i += 4) {
        const Request request = greedyRequest(i);
        auto ticket = (*engine)->submit(request, {});
        if (!ticket.ok()) {
          ++wrong;
          continue;
        }
        const Delta delta = collect(**ticket);
        wrong += delta.ids != greedy(request.prompt, *request.maxTokens);
      }
    });
  for (std::thread &client : clients)
    client.join();
  EXPECT_EQ(wrong, 0);
  const Statistics s = (*engine)->statistics();
  EXPECT_TRUE(s.failure.ok()) << s.failure.toString();
  EXPECT_GT(s.prefixHits, 0u);
}

TEST(EngineTest, choicesOfAModelEqualThoseAlone) {
  LoadedToy toy;
  auto engine = Engine::create(*toy.model, nullptr);
  ASSERT_TRUE(engine.ok());
  Request request;
  request.prompt = {3, 9, 4, 11, 2}; // one page and a part of one
  request.sampling.temperature = 8;
  request.ignoreEos = true;
  request.seed = 5;
  request.maxTokens = 20;
  auto alone = (*engine)->submit(request, {});
  const std::vector<int32_t> ids = collect(**alone).ids;
  request.choices = 4;
  auto many = (*engine)->submit(request, {});
  EXPECT_EQ(collect(**many, 0).ids, ids);
  EXPECT_EQ(ids.size(), 20u);
  EXPECT_NE((*many)->take(1).ids, ids);
}

/// Puts a NaN into the second row of logits that are read.
class BadLogits : public test::ForwardingDriver {
public:
  using ForwardingDriver::ForwardingDriver;
  bool sharesHostMemory() const override {
    return !active && ForwardingDriver::sharesHostMemory();
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    HADAL_RETURN_IF_ERROR(ForwardingDriver::read(to, from, bytes));
    if (active)
      static_cast<float *>(to)[toy::kVocab + 5] = std::nanf("");
    return {};
  }
  bool active = false;
};

TEST(BatchRunnerTest, aBadRowLeavesTheOthersAsTheyAre) {
  toy::TempDir dir;
  toy::writeFile(dir.file("m.hadal"), toy::assemble(toy::model()));
  toy::writeWeights(dir.path());
  auto inner = cpu::createCpuDriver({.threads = 1, .variant = "v3"});
  ASSERT_TRUE(inner.ok());
  auto driver = std::make_unique<BadLogits>(std::move(*inner));
  BadLogits &logitsOfRow1 = *driver;
  auto model =
      Model::load(std::move(driver), {.artifactPath = dir.file("m.hadal"),
                                      .weightsDirectory = dir.path(),
                                      .quiet = true});
  ASSERT_TRUE(model.ok()) << model.status().toString();
  auto runner = ModelRunner::create(**model, 0, {});
  ASSERT_TRUE(runner.ok());
  const RunnerLimits &limits = (*runner)->limits();
  const std::vector<int32_t> prompts[] = {{3, 9}, {4, 5}, {8, 6}};
  const std::vector<int32_t> pages[] = {{2}, {0}, {1}};
  std::vector<CallRow> rows;
  for (int r = 0; r < 3; ++r)
    rows.push_back({prompts[r], 0, pages[r], LogitsWanted::None});
  auto ignore = [](const RowLogits &) { FAIL() << "no logits were wanted"; };
  ASSERT_TRUE((*runner)->run(Phase::Prompt, 0, rows, ignore).ok());
  const std::vector<int32_t> next = {7};
  for (int r = 0; r < 3; ++r)
    rows[r] = {next, 2, pages[r], LogitsWanted::Last};
  std::vector<bool> finite;
  logitsOfRow1.active = true;
  ASSERT_TRUE((*runner)
                  ->run(Phase::Decode, limits.decode.size() - 1, rows,
                        [&](const RowLogits &logits) {
                          finite.push_back(logits.finite);
                          if (!logits.finite)
                            return;
                          std::vector<int32_t> ids = prompts[logits.row];
                          ids.push_back(7);
                          const auto want = toy::referenceLogits(ids).back();
                          EXPECT_TRUE(std::ranges::equal(logits.values, want));
                        })
                  .ok());
  EXPECT_EQ(finite, (std::vector<bool>{true, false, true}));

  logitsOfRow1.active = false;
  // A page that is copied is as good as the original; a row that does not write
  // leaves it alone.
  ASSERT_TRUE((*runner)->copyPage(5, 2).ok());
  const std::vector<int32_t> copied = {5}, other = {9};
  std::vector<float> values[2];
  for (int run = 0; run < 2; ++run) {
    CallRow row = {run ? next : other, 2, copied, LogitsWanted::Last};
    row.writes = run == 1;
    ASSERT_TRUE((*runner)
                    ->run(Phase::Decode, 0, {&row, 1},
                          [&](const RowLogits &logits) {
                            values[run].assign(logits.values.begin(),
                                               logits.values.end());
                          })
                    .ok());
  }
  EXPECT_EQ(values[1],
            toy::referenceLogits(std::vector<int32_t>{3, 9, 7}).back());
}

/// Calls take a millisecond.
struct SlowRunner : HashRunner {
  using HashRunner::HashRunner;
  Status run(Phase phase, size_t capacity, std::span<const CallRow> rows,
             const RowLogitsSink &sink) override {
    std::this_thread::sleep_for(1ms);
    return HashRunner::run(phase, capacity, rows, sink);
  }
};

std::unique_ptr<Engine> slowEngine(SchedulerOptions options = {}) {
  RunnerLimits l;
  l.vocabSize = 64;
  l.maxSeqLen = 100000;
  l.pageSize = 16;
  l.pages = 8000;
  l.maxRows = 2;
  l.prompt = {{64, 2, 64}};
  l.decode = {{2, 2, 1}};
  options.checkInvariants = true;
  return Engine::create(std::make_unique<SlowRunner>(l), nullptr, options);
}

Request endless() {
  Request request;
  request.prompt = {1, 2, 3};
  request.maxTokens = 90000;
  return request;
}

TEST(EngineTest, drainLetsRunningOnesGoOnForAWhile) {
  auto engine = slowEngine();
  Request quick = endless();
  quick.maxTokens = 30;
  auto one = engine->submit(endless(), {});
  auto two = engine->submit(quick, {});
  auto waiting = engine->submit(quick, {});
  while (engine->statistics().rowsRunning < 2)
    std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(engine->drained());
  engine->drain(300ms);
  EXPECT_EQ(engine->submit(quick, {}).status().code(), 5024);
  EXPECT_EQ(collect(**two).finish, FinishReason::Length);
  const Delta refused = collect(**waiting);
  EXPECT_EQ(refused.finish, FinishReason::Abort);
  const Delta cut = collect(**one);
  EXPECT_EQ(cut.finish, FinishReason::Abort);
  EXPECT_EQ(cut.status.code(), 5016);
  EXPECT_GT(cut.ids.size(), 20u);
  while (!engine->drained())
    std::this_thread::sleep_for(1ms);
}

TEST(EngineTest, cancelActsAtTheNextCall) {
  auto engine = slowEngine();
  auto ticket = engine->submit(endless(), {});
  ASSERT_TRUE(ticket.ok());
  while ((*ticket)->take(0).empty())
    std::this_thread::sleep_for(1ms);
  engine->cancel(**ticket, error(5016, "the client has gone"));
  EXPECT_EQ(collect(**ticket).finish, FinishReason::Abort);
  engine->cancel(**ticket, error(5016, "again"));
  while (engine->statistics().rowsRunning)
    std::this_thread::sleep_for(1ms);
}

TEST(EngineTest, aFullQueueRefusesAtOnce) {
  SchedulerOptions options;
  options.maxQueue = 3;
  auto engine = slowEngine(options);
  int refused = 0;
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (int i = 0; i < 12; ++i) {
    auto ticket = engine->submit(endless(), {});
    if (ticket.ok())
      tickets.push_back(*ticket);
    else
      refused += ticket.status().code() == 5024;
  }
  EXPECT_GE(refused, 12 - 3 - 2 - 2);
  EXPECT_GE(tickets.size(), 5u);
  engine.reset(); // ends all
  for (const auto &ticket : tickets)
    EXPECT_EQ(ticket->take(0).finish, FinishReason::Abort);
}

TEST(EngineTest, whoIsToldOfAFailureFindsItInTheStatistics) {
  for (int turn = 0; turn < 30; ++turn) {
    RunnerLimits l;
    l.vocabSize = 64;
    l.maxSeqLen = 100;
    l.pageSize = l.pages = 16;
    l.maxRows = 2;
    l.prompt = {{64, 2, 64}};
    l.decode = {{2, 2, 1}};
    auto runner = std::make_unique<HashRunner>(l);
    runner->failingCall = 1;
    auto engine = Engine::create(std::move(runner), nullptr, {});
    std::atomic<int> code = 0;
    auto ticket = engine->submit(endless(), [&] {
      code = engine->statistics().failure.code();
      code.notify_one();
    });
    ASSERT_TRUE(ticket.ok());
    code.wait(0);
    ASSERT_EQ(code, 5017);
  }
}

TEST(EngineTest, readersAreNotified) {
  auto engine = slowEngine();
  std::atomic<int> notified = 0;
  Request request = endless();
  request.maxTokens = 50;
  auto ticket = engine->submit(request, [&] {
    ++notified;
    notified.notify_one();
  });
  ASSERT_TRUE(ticket.ok());
  uint64_t ids = 0;
  for (int seen = 0;; seen = notified) {
    notified.wait(seen);
    const Delta delta = (*ticket)->take(0);
    ids += delta.ids.size();
    if (delta.finish != FinishReason::None)
      break;
  }
  EXPECT_EQ(ids, 50u);
  EXPECT_GT(notified, 5);
}

} // namespace
