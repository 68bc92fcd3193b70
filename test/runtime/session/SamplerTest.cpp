#include "runtime/session/Sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

using namespace hadal;

namespace {

using Words = std::array<uint32_t, 4>;

/// The definition, by a full sort: the oracle of Sampler::sample.
int32_t sampleBySorting(const std::vector<float> &logits,
                        const SamplingParameters &parameters, uint64_t step) {
  float largest = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<float, int32_t>> tokens;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    float weight = static_cast<float>(
        std::exp(double((logits[i] - largest) / parameters.temperature)));
    tokens.emplace_back(weight, static_cast<int32_t>(i));
    total += weight;
  }
  for (auto &token : tokens)
    token.first /= static_cast<float>(total);
  std::sort(tokens.begin(), tokens.end(), [](auto &a, auto &b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  size_t kept = 0;
  double mass = 0, whole = 1; // of what top-k leaves
  if (parameters.topK && parameters.topK < tokens.size()) {
    tokens.resize(parameters.topK);
    whole = 0;
    for (auto &token : tokens)
      whole += token.first;
  }
  while (kept < tokens.size() &&
         (parameters.topP >= 1 || mass < parameters.topP * whole))
    mass += tokens[kept++].first;
  double threshold = samplingUniform(parameters.seed, step) * mass;
  double cumulative = 0;
  for (size_t i = 0; i < kept; ++i) {
    cumulative += tokens[i].first;
    if (cumulative > threshold)
      return tokens[i].second;
  }
  return tokens[kept - 1].second;
}

std::vector<float> randomLogits(std::mt19937 &random, size_t count,
                                float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(count);
  for (float &logit : logits)
    logit = normal(random);
  return logits;
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

TEST(SamplerTest, drawsOneUniformPerStep) {
  EXPECT_EQ(samplingUniform(0, 0),
            static_cast<float>(0x6627e8d5 >> 8) / 16777216.0f);
  // Both halves of seed and step count.
  EXPECT_NE(samplingUniform(1, 0), samplingUniform(uint64_t{1} << 32, 0));
  EXPECT_NE(samplingUniform(0, 1), samplingUniform(0, uint64_t{1} << 32));
  double sum = 0;
  for (uint64_t step = 0; step < 100000; ++step) {
    float uniform = samplingUniform(965, step);
    ASSERT_GE(uniform, 0.0f);
    ASSERT_LT(uniform, 1.0f);
    sum += uniform;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.004); // 4 standard deviations
}

TEST(SamplerTest, isGreedyAtTemperatureZero) {
  Sampler sampler;
  std::vector<float> logits = {-3, 5, 1, 5, 4.999f};
  StatusOr<int32_t> token = sampler.sample(logits, {}, 3);
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(*token, 1); // the lowest id of equal logits
  logits[4] = 5.001f;
  EXPECT_EQ(*sampler.sample(logits, {}, 3), 4);
}

TEST(SamplerTest, followsTheDefinition) {
  std::mt19937 random(1);
  Sampler sampler; // one for all: rows of other sizes leave nothing behind
  for (int trial = 0; trial < 3000; ++trial) {
    std::vector<float> logits =
        randomLogits(random, 1 + random() % 300, trial % 5 == 0 ? 0.1f : 3.0f);
    // Equal logits: the order among them is by id.
    if (trial % 3 == 0)
      for (float &logit : logits)
        logit = std::round(logit);
    SamplingParameters parameters;
    const float temperatures[] = {0.01f, 0.6f, 1.0f, 1e-30f, 100.0f};
    const float topPs[] = {1.0f, 0.95f, 0.5f, 1e-6f, 0.999999f};
    parameters.temperature = temperatures[random() % 5];
    parameters.topP = topPs[random() % 5];
    parameters.seed = random();
    const uint64_t topKs[] = {0, 0, 1, 5, 40, 1000};
    parameters.topK = topKs[random() % 6];
    StatusOr<int32_t> token = sampler.sample(logits, parameters, trial);
    ASSERT_TRUE(token.ok()) << token.status().toString();
    EXPECT_EQ(*token, sampleBySorting(logits, parameters, trial))
        << trial << " temperature " << parameters.temperature << " top-p "
        << parameters.topP << " top-k " << parameters.topK;
  }
}

TEST(SamplerTest, drawsWithTheProbabilitiesOfSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, 2.0f, -1.0f};
  SamplingParameters parameters;
  parameters.temperature = 2;
  parameters.seed = 965;
  double total = 0;
  for (float logit : logits)
    total += std::exp(logit / 2.0);
  constexpr int kDraws = 40000;
  std::array<int, 4> counts = {};
  Sampler sampler;
  for (int step = 0; step < kDraws; ++step)
    ++counts[*sampler.sample(logits, parameters, step)];
  double chiSquare = 0;
  for (size_t i = 0; i < 4; ++i) {
    double expected = kDraws * std::exp(logits[i] / 2.0) / total;
    chiSquare += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  EXPECT_LT(chiSquare, 16.27); // 3 degrees of freedom, p = 0.001
}

TEST(SamplerTest, keepsTheShortestPrefixThatReachesTopP) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {0, std::log(2.0f), std::log(4.0f), 0};
  auto keptTokens = [&](float topP) {
    SamplingParameters parameters;
    parameters.temperature = 1;
    parameters.topP = topP;
    Sampler sampler;
    std::array<bool, 4> seen = {};
    for (int step = 0; step < 500; ++step)
      seen[*sampler.sample(logits, parameters, step)] = true;
    return seen;
  };
  EXPECT_EQ(keptTokens(0.4f), (std::array{false, false, true, false}));
  EXPECT_EQ(keptTokens(0.6f), (std::array{false, true, true, false}));
  // The lower id of two equal tokens comes first.
  EXPECT_EQ(keptTokens(0.8f), (std::array{true, true, true, false}));
  EXPECT_EQ(keptTokens(0.9f), (std::array{true, true, true, true}));
  EXPECT_EQ(keptTokens(1.0f), (std::array{true, true, true, true}));
}

TEST(SamplerTest, keepsTheMostProbable) {
  // Probabilities 0.5, 0.25, 0.125, 0.125: of the first two, 0.5 and 0.25.
  const std::vector<float> logits = {0, std::log(2.0f), std::log(4.0f), 0};
  auto keptTokens = [&](uint64_t topK, float topP) {
    SamplingParameters parameters;
    parameters.temperature = 1;
    parameters.topP = topP;
    parameters.topK = topK;
    Sampler sampler;
    std::array<bool, 4> seen = {};
    for (int step = 0; step < 500; ++step)
      seen[*sampler.sample(logits, parameters, step)] = true;
    return seen;
  };
  EXPECT_EQ(keptTokens(1, 1), (std::array{false, false, true, false}));
  EXPECT_EQ(keptTokens(2, 1), (std::array{false, true, true, false}));
  EXPECT_EQ(keptTokens(3, 1), (std::array{true, true, true, false}));
  EXPECT_EQ(keptTokens(4, 1), (std::array{true, true, true, true}));
  // The nucleus is one of what is left: 0.5 is two thirds of it.
  EXPECT_EQ(keptTokens(2, 0.6f), (std::array{false, false, true, false}));
  EXPECT_EQ(keptTokens(0, 0.6f), (std::array{false, true, true, false}));
}

TEST(SamplerTest, reportsLogitsThatAreNotFinite) {
  Sampler sampler;
  float infinity = std::numeric_limits<float>::infinity();
  for (float temperature : {0.0f, 1.0f})
    for (float bad : {infinity, -infinity, std::nanf("")}) {
      SamplingParameters parameters;
      parameters.temperature = temperature;
      std::vector<float> logits = {1, 2, bad, 4};
      Status status = sampler.sample(logits, parameters, 9).status();
      EXPECT_EQ(status.code(), 5008);
      EXPECT_NE(status.message().find("logit 2 of 4 at step 9"),
                std::string::npos)
          << status.message();
    }
  EXPECT_EQ(sampler.sample({}, {}, 0).status().code(), 5005);
}

TEST(SamplerTest, refusesParametersOutOfRange) {
  float nan = std::nanf("");
  auto codeOf = [](float temperature, float topP) {
    SamplingParameters parameters;
    parameters.temperature = temperature;
    parameters.topP = topP;
    std::vector<float> logits = {1, 2};
    int code = Sampler().sample(logits, parameters, 0).status().code();
    EXPECT_EQ(code, validateSampling(parameters).code());
    return code;
  };
  EXPECT_EQ(codeOf(-0.1f, 1), 5005);
  EXPECT_EQ(codeOf(nan, 1), 5005);
  EXPECT_EQ(codeOf(std::numeric_limits<float>::infinity(), 1), 5005);
  EXPECT_EQ(codeOf(1, 0), 5005);
  EXPECT_EQ(codeOf(1, -1), 5005);
  EXPECT_EQ(codeOf(1, 1.01f), 5005);
  EXPECT_EQ(codeOf(1, nan), 5005);
  EXPECT_EQ(codeOf(0, 1), 0);
  EXPECT_EQ(codeOf(1, 0.001f), 0);
}

} // namespace
