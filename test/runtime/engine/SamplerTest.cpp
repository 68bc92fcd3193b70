#include "runtime/engine/Sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "runtime/engine/Philox.h"

using namespace hadal;
using namespace hadal::engine;

namespace {

using Words = std::array<uint32_t, 4>;
constexpr double kOut = -std::numeric_limits<double>::infinity();

/// The stages before temperature, token by token.
std::vector<double> adjustedByDefinition(const std::vector<float> &logits,
                                         const SamplingParameters &p,
                                         const std::vector<int32_t> &prompt,
                                         const std::vector<int32_t> &output,
                                         const std::vector<int32_t> &ends) {
  std::vector<double> values(logits.begin(), logits.end());
  bool other = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    for (auto [biased, bias] : p.logitBias)
      if (biased == id)
        values[i] += bias;
    const auto inOutput = std::count(output.begin(), output.end(), id);
    if (inOutput || std::count(prompt.begin(), prompt.end(), id))
      values[i] = values[i] > 0 ? values[i] / p.repetitionPenalty
                                : values[i] * p.repetitionPenalty;
    if (inOutput)
      values[i] -= p.presencePenalty +
                   double{p.frequencyPenalty} * static_cast<double>(inOutput);
    other |= !std::count(ends.begin(), ends.end(), id);
  }
  if (output.size() < p.minTokens && other)
    for (int32_t id : ends)
      values[static_cast<size_t>(id)] = kOut;
  return values;
}

/// The tokens that the filters keep with their ln p up to a constant, by a full
/// sort.
std::vector<std::pair<double, int32_t>>
keptBySorting(const std::vector<double> &values, const SamplingParameters &p) {
  const double largest = *std::max_element(values.begin(), values.end());
  std::vector<std::pair<double, int32_t>> tokens;
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != kOut)
      tokens.emplace_back((values[i] - largest) / p.temperature,
                          static_cast<int32_t>(i));
  double total = 0; // of what top-k leaves: in the order of ids, or descending
  for (auto &[z, id] : tokens)
    total += std::exp(z);
  std::sort(tokens.begin(), tokens.end(), [](auto &a, auto &b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (p.topK && p.topK < tokens.size()) {
    tokens.resize(p.topK);
    total = 0;
    for (auto &[z, id] : tokens)
      total += std::exp(z);
  }
  if (p.topP < 1) {
    double mass = 0;
    size_t kept = 0;
    while (kept < tokens.size() && mass < p.topP * total)
      mass += std::exp(tokens[kept++].first);
    tokens.resize(kept);
  }
  std::erase_if(tokens, [&](auto &t) { return std::exp(t.first) < p.minP; });
  return tokens;
}

int32_t
winnerByDefinition(const std::vector<std::pair<double, int32_t>> &tokens,
                   const Draw &draw) {
  double best = kOut;
  int32_t winner = std::numeric_limits<int32_t>::max();
  for (auto &[z, id] : tokens) {
    const double score = z - std::log(exponential(draw, id));
    if (score > best || (score == best && id < winner)) {
      best = score;
      winner = id;
    }
  }
  return winner;
}

std::vector<float> randomLogits(std::mt19937 &random, size_t count,
                                float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(count);
  for (float &logit : logits)
    logit = normal(random);
  return logits;
}

/// Of |draws| draws that differ by step, against the probabilities of |kept|.
double chiSquare(const std::vector<float> &logits,
                 const SamplingParameters &parameters, int draws) {
  Sampler sampler;
  std::vector<double> counts(logits.size());
  for (int step = 0; step < draws; ++step)
    counts[static_cast<size_t>(*sampler.sample(
        logits, parameters, {}, {.seed = 77, .step = uint64_t(step)}))] += 1;
  auto kept = keptBySorting({logits.begin(), logits.end()}, parameters);
  double total = 0, result = 0;
  for (auto &[z, id] : kept)
    total += std::exp(z);
  for (auto &[z, id] : kept) {
    const double expected = draws * std::exp(z) / total;
    double &count = counts[static_cast<size_t>(id)];
    result += (count - expected) * (count - expected) / expected;
    count = 0;
  }
  for (double outside : counts)
    EXPECT_EQ(outside, 0) << "a token that the filters take out was drawn";
  return result;
}

TEST(PhiloxTest, matchesTheKnownAnswers) {
  // kat_vectors of Random123, philox4x32 with 10 rounds.
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(SamplerTest, variatesAreExponentialAndOfTheirOwn) {
  auto of = [](uint32_t word) {
    return -std::log((word + 0.5) / 4294967296.0);
  };
  EXPECT_DOUBLE_EQ(exponential({}, 0), of(0x6627e8d5));
  EXPECT_DOUBLE_EQ(exponential({}, 3), of(0x9b00dbd8));
  const Draw draw{0x299f31d0a4093822, 0x85a308d3243f6a88, 0x03707344};
  EXPECT_DOUBLE_EQ(
      exponential(draw, 0x13198a2e), // counter word 2 = id / 4
      of(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e / 4, 0x03707344},
                    {0xa4093822, 0x299f31d0})[2]));
  double sum = 0, squares = 0;
  for (uint64_t step = 0; step < 100000; ++step) {
    const double e = exponential({.seed = 965, .step = step}, 11);
    sum += e;
    squares += e * e;
  }
  EXPECT_NEAR(sum / 100000, 1, 0.013); // 4 standard deviations
  EXPECT_NEAR(squares / 100000, 2, 0.06);
}

TEST(SamplerTest, isGreedyAtTemperatureZero) {
  Sampler sampler;
  std::vector<float> logits = {-3, 5, 1, 5, 4.999f};
  StatusOr<int32_t> token = sampler.sample(logits, {}, {}, {});
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(*token, 1); // the lowest id of equal logits
  logits[4] = 5.001f;
  EXPECT_EQ(*sampler.sample(logits, {}, {}, {}), 4);
}

TEST(SamplerTest, followsTheDefinition) {
  std::mt19937 random(1);
  Sampler sampler; // one for all: rows of other sizes leave nothing behind
  auto among = [&](std::initializer_list<float> values) {
    return values.begin()[random() % values.size()];
  };
  for (int trial = 0; trial < 6000; ++trial) {
    const size_t count = 1 + random() % 300;
    std::vector<float> logits =
        randomLogits(random, count, trial % 5 == 0 ? 0.1f : 3.0f);
    // Equal logits: the order among them is by id.
    if (trial % 3 == 0)
      for (float &logit : logits)
        logit = std::round(logit);
    auto ids = [&](size_t most) {
      std::vector<int32_t> result(random() % (most + 1));
      for (int32_t &id : result)
        id = static_cast<int32_t>(random() % count);
      return result;
    };
    SamplingParameters p;
    p.temperature = among({0, 0.01f, 0.6f, 1, 1e-30f, 100});
    p.topP = among({1, 0.95f, 0.5f, 1e-6f, 0.999999f});
    p.topK = static_cast<uint64_t>(among({0, 0, 1, 5, 40, 1000}));
    p.minP = among({0, 0, 0.05f, 0.5f, 1});
    p.repetitionPenalty = among({1, 1.2f, 0.7f, 2});
    p.presencePenalty = among({0, 0.5f, -2});
    p.frequencyPenalty = among({0, 0.25f, -1});
    p.minTokens = random() % 8;
    for (int32_t id : ids(3))
      p.logitBias.emplace_back(id, among({100, -100, 1.5f}));
    ASSERT_TRUE(validateSampling(p, count).ok());
    const std::vector<int32_t> prompt = ids(6), output = ids(9);
    const std::vector<int32_t> ends = ids(trial % 7 ? 2 : 2 * count);
    TokenCounts counts;
    counts.addPrompt(prompt);
    for (int32_t id : output)
      counts.addOutput(id);
    if (trial % 2) { // drafted and taken off again
      counts.addOutput(0);
      counts.removeOutput(0);
    }
    const Draw draw{random(), output.size(), uint32_t(random() % 3)};
    StatusOr<int32_t> token = sampler.sample(logits, p, {&counts, ends}, draw);
    ASSERT_TRUE(token.ok()) << token.status().toString();
    const std::vector<double> values =
        adjustedByDefinition(logits, p, prompt, output, ends);
    const int32_t expected =
        p.temperature == 0
            ? static_cast<int32_t>(
                  std::max_element(values.begin(), values.end()) -
                  values.begin())
            : winnerByDefinition(keptBySorting(values, p), draw);
    EXPECT_EQ(*token, expected)
        << trial << " temperature " << p.temperature << " top-p " << p.topP
        << " top-k " << p.topK << " min-p " << p.minP;
  }
}

TEST(SamplerTest, drawsWithTheProbabilitiesOfTheFilteredSoftmax) {
  std::mt19937 random(5);
  const std::vector<float> logits = randomLogits(random, 40, 1.5f);
  // Quantiles of chi-square at 1 - 1e-3.
  EXPECT_LT(chiSquare(logits, {.temperature = 1}, 200000), 72.1); // 39
  EXPECT_LT(chiSquare(logits, {.temperature = 2}, 200000), 72.1); // 39
  EXPECT_LT(chiSquare(logits, {.temperature = 0.7f, .topK = 8}, 200000),
            24.4); // 7
  SamplingParameters nucleus{.temperature = 1, .topP = 0.8f};
  const auto kept = keptBySorting({logits.begin(), logits.end()}, nucleus);
  ASSERT_EQ(kept.size(), 5u);
  EXPECT_LT(chiSquare(logits, nucleus, 200000), 18.5); // 4
}

TEST(SamplerTest, twoCloseModelsMostlyAgree) {
  // Draft and target with the same draws agree nearly as often as any coupling
  // could: the sum of min(p, q).
  std::mt19937 random(9);
  constexpr int kSteps = 2000, kTokens = 1000;
  Sampler sampler;
  int agree = 0, independent = 0;
  double bound = 0;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<float> target(kTokens), draft(kTokens);
    std::normal_distribution<float> noise(0, 0.5f);
    for (int i = 0; i < kTokens; ++i) { // Zipf's law, shuffled below
      target[i] = -1.5f * std::log(1.0f + static_cast<float>(i));
      draft[i] = target[i] + noise(random);
    }
    double p = 0, q = 0, common = 0;
    for (int i = 0; i < kTokens; ++i) {
      p += std::exp(target[i]);
      q += std::exp(draft[i]);
    }
    for (int i = 0; i < kTokens; ++i)
      common += std::min(std::exp(target[i]) / p, std::exp(draft[i]) / q);
    bound += common / kSteps;
    const SamplingParameters sampling{.temperature = 1};
    const Draw draw{.seed = 3, .step = uint64_t(step)};
    const int32_t chosen = *sampler.sample(target, sampling, {}, draw);
    agree += chosen == *sampler.sample(draft, sampling, {}, draw);
    independent +=
        chosen == *sampler.sample(draft, sampling, {},
                                  {.seed = 4, .step = uint64_t(step)});
  }
  EXPECT_GT(agree, (bound - 0.06) * kSteps) << "bound " << bound;
  EXPECT_LE(agree, (bound + 0.04) * kSteps) << "bound " << bound;
  EXPECT_LT(independent, agree - kSteps / 10);
}

TEST(SamplerTest, childrenAndSeedsDrawOnTheirOwn) {
  Sampler sampler;
  const std::vector<float> logits(64, 0.0f);
  auto draws = [&](uint64_t seed, uint32_t child) {
    std::vector<int32_t> tokens;
    for (uint64_t step = 0; step < 20; ++step)
      tokens.push_back(
          *sampler.sample(logits, {.temperature = 1}, {}, {seed, step, child}));
    return tokens;
  };
  EXPECT_EQ(draws(1, 0), draws(1, 0));
  EXPECT_NE(draws(1, 0), draws(1, 1));
  EXPECT_NE(draws(1, 0), draws(uint64_t{1} << 32, 0));
}

TEST(SamplerTest, reportsLogitsThatAreNotFinite) {
  Sampler sampler;
  float infinity = std::numeric_limits<float>::infinity();
  for (float temperature : {0.0f, 1.0f})
    for (float bad : {infinity, -infinity, std::nanf("")}) {
      std::vector<float> logits = {1, 2, bad, 4};
      Status status =
          sampler.sample(logits, {.temperature = temperature}, {}, {.step = 9})
              .status();
      EXPECT_EQ(status.code(), 5008);
      EXPECT_NE(status.message().find("logit 2 of 4 at step 9"),
                std::string::npos)
          << status.message();
    }
  EXPECT_EQ(sampler.sample({}, {}, {}, {}).status().code(), 5005);
}

TEST(SamplerTest, refusesParametersOutOfRange) {
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  const SamplingParameters refused[] = {{.logitBias = {{64, 1.0f}}},
                                        {.logitBias = {{-1, 1.0f}}},
                                        {.logitBias = {{0, 100.5f}}},
                                        {.logitBias = {{0, nan}}},
                                        {.repetitionPenalty = 0},
                                        {.repetitionPenalty = 2.01f},
                                        {.repetitionPenalty = nan},
                                        {.presencePenalty = -2.1f},
                                        {.presencePenalty = nan},
                                        {.frequencyPenalty = 2.1f},
                                        {.frequencyPenalty = nan},
                                        {.temperature = -0.1f},
                                        {.temperature = nan},
                                        {.temperature = infinity},
                                        {.topP = 0},
                                        {.topP = -1},
                                        {.topP = 1.01f},
                                        {.topP = nan},
                                        {.minP = -0.1f},
                                        {.minP = 1.1f},
                                        {.minP = nan}};
  for (const SamplingParameters &p : refused)
    EXPECT_EQ(validateSampling(p, 64).code(), 5005) << &p - refused;
  SamplingParameters many;
  many.logitBias.assign(1025, {0, 0.5f});
  EXPECT_EQ(validateSampling(many, 64).code(), 5005);
  many.logitBias.resize(1024);
  EXPECT_TRUE(validateSampling(many, 64).ok());
  EXPECT_TRUE(validateSampling({.logitBias = {{63, -100.0f}},
                                .repetitionPenalty = 2,
                                .presencePenalty = -2,
                                .frequencyPenalty = 2,
                                .topP = 0.001f,
                                .minP = 1},
                               64)
                  .ok());
}

TEST(LogSoftmaxTest, isTheLogarithmOfTheSoftmax) {
  std::vector<float> logits = {1, 3, -2, 3, 0};
  const LogSoftmax logprob(logits);
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(double{logit});
  for (int32_t id = 0; id < 5; ++id)
    EXPECT_NEAR(logprob[id], logits[id] - std::log(sum), 1e-12);
  EXPECT_EQ(logprob.top(3), (std::vector<int32_t>{1, 3, 0}));
  EXPECT_EQ(logprob.top(9).size(), 5u);
  for (float &logit : logits) // of a size that exp() alone cannot take
    logit += 30000;
  EXPECT_NEAR(LogSoftmax(logits)[0], logits[0] - 30000 - std::log(sum), 1e-9);
}

} // namespace
