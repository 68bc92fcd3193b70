// Rotary frequencies and the softmax scale (model-spec 2.7, 2.8).
#include "frontend/ModelConfig.h"
#include <algorithm>
#include <cmath>
#include <numbers>

using namespace hadal;

/// Attention temperature of a context extended |factor| times.
static double temperature(double factor, double m) {
  return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0;
}

std::pair<double, double> ModelConfig::yarnRange() const {
  auto correction = [&](double rotations) {
    return rope *
           std::log(yarn->originalLength / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(ropeTheta));
  };
  double low = correction(yarn->betaFast), high = correction(yarn->betaSlow);
  if (yarn->truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope - 1));
  if (low == high)
    high += 0.001; // a step, not a division by zero (Kimi-K2's betas)
  return {low, high};
}

std::vector<float> ModelConfig::invFreq() const {
  std::vector<float> out;
  std::pair<double, double> range = yarn ? yarnRange() : std::pair(0.0, 1.0);
  for (int64_t i = 0; i < rope / 2; ++i) {
    float exponent = static_cast<float>(2 * i) / static_cast<float>(rope);
    float period = static_cast<float>(std::pow(ropeTheta, exponent));
    float plain = 1.0f / period;
    if (!yarn) {
      out.push_back(plain);
      continue;
    }
    float ramp =
        std::clamp((static_cast<float>(i) - static_cast<float>(range.first)) /
                       static_cast<float>(range.second - range.first),
                   0.0f, 1.0f);
    float stretched = 1.0f / (static_cast<float>(yarn->factor) * period);
    out.push_back(stretched * ramp + plain * (1.0f - ramp));
  }
  return out;
}

double YarnConfig::rotationScale() const {
  if (attentionFactor)
    return *attentionFactor;
  if (mscale != 0 && mscaleAllDim != 0)
    return temperature(factor, mscale) / temperature(factor, mscaleAllDim);
  return temperature(factor, 1);
}

bool YarnConfig::meansTheSame(const YarnConfig &other) const {
  return factor == other.factor && betaFast == other.betaFast &&
         betaSlow == other.betaSlow && originalLength == other.originalLength &&
         truncate == other.truncate && mscaleAllDim == other.mscaleAllDim &&
         rotationScale() == other.rotationScale();
}

double ModelConfig::ropeScale() const {
  return yarn ? yarn->rotationScale() : 1;
}

double ModelConfig::softmaxScale() const {
  double scale = 1 / std::sqrt(static_cast<double>(headWidth()));
  if (!yarn || yarn->mscaleAllDim == 0)
    return scale;
  // Squared: the correction belongs to queries and to keys.
  double m = temperature(yarn->factor, yarn->mscaleAllDim);
  return scale * m * m;
}
