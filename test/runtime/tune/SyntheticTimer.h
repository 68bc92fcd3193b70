// Times as a loaded machine gives them: drift, bursts of load, preemption.
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "runtime/tune/Block.h"

namespace hadal::tune {

/// An arm takes its |truth| (seconds; arm 0 is the default) times noise that a
/// run of units shares (drift, bursts) and that is its own (small, and a heavy
/// tail). Test SyntheticTimer.IsAsNoisyAsTheMachine holds it to blocks measured
/// on a machine.
class SyntheticTimer : public Timer {
public:
  SyntheticTimer(std::vector<double> truth, uint64_t seed)
      : truth(std::move(truth)), random(seed) {}

  StatusOr<double> time(size_t arm) override {
    ++units;
    ++unitsOf[arm];
    seconds += 2e-3;
    if (auto it = failAt.find(arm);
        it != failAt.end() && unitsOf[arm] > it->second)
      return error(5001, "planted failure of arm {}", arm);
    drift = 0.98 * drift + 0.01 * normal(random);
    if (busy ? uniform(random) < 0.08 : uniform(random) < 0.02)
      busy = !busy;
    double noise = std::exp(drift + 0.05 * std::abs(normal(random)));
    if (busy)
      noise *= 1 + uniform(random);
    if (uniform(random) < 0.15) // preempted: Pareto, without a variance
      noise *= 1 + 0.1 * (std::pow(uniform(random), -1 / 1.5) - 1);
    return truth[arm] * noise;
  }

  Status renew(uint64_t seed) override {
    seeds.push_back(seed);
    return {};
  }

  std::map<size_t, size_t> failAt; ///< arm -> units before it fails
  std::map<size_t, size_t> unitsOf;
  std::vector<uint64_t> seeds; ///< of renew
  size_t units = 0;
  double seconds = 0; ///< at 2 ms a unit

private:
  std::vector<double> truth;
  std::mt19937_64 random;
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform{1e-12, 1};
  double drift = 0;
  bool busy = false;
};

} // namespace hadal::tune
