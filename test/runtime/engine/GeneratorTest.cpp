#include "runtime/engine/Generator.h"

#include <algorithm>

#include "test/runtime/session/ToyModel.h"

using namespace hadal;
using namespace hadal::engine;
using toy::LoadedToy;

namespace {

struct Output {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<FinishReason> reasons;
  std::vector<bool> full;
};

StatusOr<Output> run(LoadedToy &toy, std::span<const Request> requests,
                     const SessionOptions &options = {}) {
  auto session = toy.session(options);
  Output output;
  output.tokens.resize(requests.size());
  output.reasons.resize(requests.size());
  output.full.resize(requests.size());
  auto result = generate(
      *session, *toy.model, requests, [&](size_t r, const Delta &delta) {
        EXPECT_EQ(output.reasons[r], FinishReason::None);
        output.tokens[r].insert(output.tokens[r].end(), delta.ids.begin(),
                                delta.ids.end());
        output.reasons[r] = delta.finish;
        output.full[r] = delta.contextFull;
        return Status();
      });
  if (!result.ok())
    return result.status();
  EXPECT_EQ(session->freePages(), session->options().cachePages)
      << "rows were left";
  return output;
}

/// Greedy decoding by the definition.
std::vector<int32_t> reference(std::vector<int32_t> tokens, uint64_t count,
                               bool ignoreEos = false) {
  std::vector<int32_t> generated;
  while (generated.size() < count && tokens.size() <= toy::kMaxSeqLen) {
    std::vector<float> logits = toy::referenceLogits(tokens).back();
    auto best = std::max_element(logits.begin(), logits.end());
    generated.push_back(static_cast<int32_t>(best - logits.begin()));
    tokens.push_back(generated.back());
    if (generated.back() == 1 && !ignoreEos)
      break;
  }
  return generated;
}

Request request(std::vector<int32_t> prompt, uint64_t count = 12) {
  Request r;
  r.prompt = std::move(prompt);
  r.maxTokens = count;
  return r;
}

} // namespace

TEST(Generator, GreedyTokensFollowTheDefinition) {
  LoadedToy toy;
  std::vector<Request> requests = {request({3, 9, 4})};
  auto output = run(toy, requests);
  ASSERT_TRUE(output.ok()) << output.status().toString();
  EXPECT_EQ(output->tokens[0], reference({3, 9, 4}, 12));
}

TEST(Generator, MoreRequestsThanRowsEndIndependently) {
  LoadedToy toy;
  std::vector<Request> requests;
  for (int i = 0; i < 23; ++i) {
    std::vector<int32_t> prompt;
    for (int t = 0; t <= i % 9; ++t)
      prompt.push_back((i * 7 + t * 5) % toy::kVocab);
    requests.push_back(request(prompt, 1 + i % 14));
  }
  auto output = run(toy, requests);
  ASSERT_TRUE(output.ok()) << output.status().toString();
  int eos = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(output->tokens[i],
              reference(requests[i].prompt, *requests[i].maxTokens))
        << "request " << i;
    bool ended = output->tokens[i].back() == 1;
    eos += ended;
    EXPECT_EQ(output->reasons[i],
              ended ? FinishReason::Stop : FinishReason::Length);
  }
  EXPECT_GT(eos, 0) << "the test should meet an end-of-sequence token";
}

TEST(Generator, IgnoreEosGoesOnToTheContextLimit) {
  LoadedToy toy;
  Request r = request({5}, 1000);
  r.ignoreEos = true;
  auto output = run(toy, {&r, 1});
  ASSERT_TRUE(output.ok()) << output.status().toString();
  EXPECT_EQ(output->tokens[0].size(), size_t(toy::kMaxSeqLen));
  EXPECT_EQ(output->tokens[0], reference({5}, 1000, true));
  EXPECT_EQ(output->reasons[0], FinishReason::Length);
  EXPECT_TRUE(output->full[0]);
}

TEST(Generator, SampledTokensDoNotDependOnTheBatch) {
  LoadedToy toy;
  std::vector<Request> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(request({i * 3, i}, 10));
    requests.back().sampling = {.temperature = 8, .topP = 0.9f};
    requests.back().seed = 42;
    requests.back().ignoreEos = true;
  }
  auto together = run(toy, requests);
  ASSERT_TRUE(together.ok()) << together.status().toString();
  for (size_t i = 0; i < requests.size(); ++i) {
    auto alone = run(toy, {&requests[i], 1}, {.prefillChunk = 1});
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(alone->tokens[0], together->tokens[i]);
    EXPECT_NE(alone->tokens[0], reference(requests[i].prompt, 10, true))
        << "the temperature had no effect";
  }
}

TEST(Generator, BadRequestsAreRefusedByNumber) {
  LoadedToy toy;
  std::vector<Request> requests = {request({1}), request({})};
  Status status = run(toy, requests).status();
  EXPECT_EQ(status.code(), 5005);
  EXPECT_NE(status.message().find("prompt 1: the prompt has no tokens"),
            std::string::npos);
  requests[1].prompt.assign(toy::kMaxSeqLen + 1, 2);
  EXPECT_EQ(run(toy, requests).status().code(), 5005);
  requests[1].prompt = {2};
  requests[1].sampling.topP = 0;
  EXPECT_EQ(run(toy, requests).status().code(), 5005);
}

TEST(Generator, AFullCacheEndsWhatNobodyMakesRoomFor) {
  LoadedToy toy;
  Request r = request({1, 2, 3, 4, 5}, 40);
  r.ignoreEos = true;
  auto output = run(toy, {&r, 1}, {.cachePages = 3});
  ASSERT_TRUE(output.ok()) << output.status().toString();
  EXPECT_EQ(output->tokens[0].size(), 8u); // 12 places, and one needs none
  EXPECT_EQ(output->tokens[0], reference(r.prompt, 8, true));
  EXPECT_TRUE(output->full[0]);
}

TEST(Generator, AnInterruptEndsTheRun) {
  LoadedToy toy;
  std::atomic<bool> interrupt = false;
  auto session = toy.session({.interrupt = &interrupt});
  Request r = request({1, 2, 3}, 40);
  r.ignoreEos = true;
  int tokens = 0;
  auto result =
      generate(*session, *toy.model, {&r, 1}, [&](size_t, const Delta &) {
        interrupt = ++tokens == 3;
        return Status();
      });
  EXPECT_EQ(result.status().code(), 5016);
  EXPECT_EQ(tokens, 3);
  EXPECT_EQ(session->rows(), 0u);
}

TEST(Generator, ASessionWithRowsIsRefused) {
  LoadedToy toy;
  auto session = toy.session();
  ASSERT_TRUE(session->addRow().ok());
  Request r = request({1});
  EXPECT_EQ(generate(*session, *toy.model, {&r, 1}, {}).status().code(), 5005);
}
