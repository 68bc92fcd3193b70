// Rotary frequencies and softmax scales against model-spec 2.8.
#include "frontend/ModelConfig.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace hadal;

namespace {

ModelConfig v3() {
  ModelConfig c;
  c.nope = 128;
  c.rope = 64;
  c.value = 128;
  c.yarn = YarnConfig();
  c.yarn->factor = 40;
  c.yarn->mscale = c.yarn->mscaleAllDim = 1;
  return c;
}

TEST(Rope, PlainFrequencies) {
  ModelConfig c = v3();
  c.yarn.reset();
  std::vector<float> f = c.invFreq();
  ASSERT_EQ(f.size(), 32u);
  for (int i = 0; i < 32; ++i)
    EXPECT_NEAR(f[i], std::pow(10000.0, -2 * i / 64.0), 2e-7 * f[i]);
  EXPECT_NEAR(c.softmaxScale(), 0.0721687836, 1e-10);
  EXPECT_EQ(c.ropeScale(), 1);
}

// Gotcha 10: the range follows the original length, 4096.
TEST(Rope, YarnRangeOfV3) {
  EXPECT_EQ(v3().yarnRange(), (std::pair<double, double>(10, 23)));
}

TEST(Rope, YarnTableOfV3) {
  const float table[32] = {
      1.0f,           .749894202f,    .562341332f,    .421696514f,
      .316227764f,    .237137362f,    .177827939f,    .133352146f,
      .100000001f,    .0749894157f,   .0562341288f,   .0390069255f,
      .0268793618f,   .0183781453f,   .0124479560f,   .00833450933f,
      .00549999988f,  .00356199760f,  .00224936530f,  .00137051357f,
      7.90569466e-4f, 4.14990418e-4f, 1.77827943e-4f, 3.33380362e-5f,
      2.50000012e-5f, 1.87473546e-5f, 1.40585325e-5f, 1.05424122e-5f,
      7.90569466e-6f, 5.92843462e-6f, 4.44569851e-6f, 3.33380376e-6f};
  std::vector<float> f = v3().invFreq();
  for (int i = 0; i < 32; ++i)
    EXPECT_NEAR(f[i], table[i], 3e-7 * table[i]) << i;
}

// Gotcha 12: Kimi-K2's equal betas make a hard step at 19.
TEST(Rope, YarnOfKimiIsAStep) {
  ModelConfig c = v3();
  c.ropeTheta = 50000;
  c.yarn->factor = 32;
  c.yarn->betaFast = c.yarn->betaSlow = 1;
  EXPECT_EQ(c.yarnRange(), (std::pair<double, double>(19, 20)));
  std::vector<float> scaled = c.invFreq();
  c.yarn.reset();
  std::vector<float> plain = c.invFreq();
  for (int i = 0; i < 32; ++i)
    EXPECT_NEAR(scaled[i], i <= 19 ? plain[i] : plain[i] / 32, 1e-6 * scaled[i])
        << i;
}

// Gotcha 8: the square of the correction, of queries and keys.
TEST(Rope, SoftmaxScales) {
  ModelConfig c = v3();
  EXPECT_NEAR(c.softmaxScale(), 0.1352337789, 1e-10);
  c.yarn->mscale = c.yarn->mscaleAllDim = 0.707;
  EXPECT_NEAR(c.softmaxScale(), 0.1147213868, 1e-10);
  c.yarn->mscale = c.yarn->mscaleAllDim = 1;
  c.yarn->factor = 32;
  EXPECT_NEAR(c.softmaxScale(), 0.1308608000, 1e-10);
  c.yarn->factor = 64;
  EXPECT_NEAR(c.softmaxScale(), 0.1446796258, 1e-10);
}

// Gotcha 9: mscale belongs to cos and sin, mscale_all_dim to the scores.
TEST(Rope, MscaleIsNotMscaleAllDim) {
  ModelConfig c = v3();
  double m = 0.1 * std::log(40.0) + 1, m2 = 0.1 * 2 * std::log(40.0) + 1;
  c.yarn->mscale = 2;
  EXPECT_NEAR(c.softmaxScale(), m * m / std::sqrt(192.0), 1e-12);
  EXPECT_NEAR(c.ropeScale(), m2 / m, 1e-12);
}

// As HF: with no mscale keys cos and sin are scaled and the scores are not; an
// attention_factor replaces what would be derived.
TEST(Rope, WithoutMscaleKeysCosAndSinAreScaled) {
  ModelConfig c = v3();
  c.yarn->mscale = c.yarn->mscaleAllDim = 0;
  EXPECT_NEAR(c.softmaxScale(), 1 / std::sqrt(192.0), 1e-12);
  EXPECT_NEAR(c.ropeScale(), 0.1 * std::log(40.0) + 1, 1e-12);
  c.yarn->attentionFactor = 1.25;
  EXPECT_EQ(c.ropeScale(), 1.25);
}

TEST(Rope, TruncateFalseKeepsTheFractions) {
  ModelConfig c = v3();
  c.yarn->truncate = false;
  auto [low, high] = c.yarnRange();
  EXPECT_NEAR(low, 10.4722, 1e-4);
  EXPECT_NEAR(high, 22.5134, 1e-4);
}

TEST(Rope, AFactorBelowOneScalesNothing) {
  ModelConfig c = v3();
  c.yarn->factor = 1;
  EXPECT_NEAR(c.softmaxScale(), 1 / std::sqrt(192.0), 1e-12);
  EXPECT_EQ(c.ropeScale(), 1);
}

} // namespace
