#include "runtime/session/Sampler.h"

#include <algorithm>
#include <cmath>

namespace hadal {

Status validateSampling(const SamplingParameters &parameters) {
  // Written so that NaN fails.
  if (!(parameters.temperature >= 0) || std::isinf(parameters.temperature))
    return error(5005, "temperature is {}: expected a finite value >= 0",
                 parameters.temperature);
  if (!(parameters.topP > 0 && parameters.topP <= 1))
    return error(5005, "top-p is {}: expected a value in (0, 1]",
                 parameters.topP);
  return Status();
}

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9; // golden ratio
    key[1] += 0xBB67AE85; // sqrt(3) - 1
  }
  return counter;
}

float samplingUniform(uint64_t seed, uint64_t step) {
  std::array<uint32_t, 4> words = philox4x32(
      {static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), 0, 0},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  // 24 bits fill an f32 exactly, so the value never rounds up to 1.
  return static_cast<float>(words[0] >> 8) * 0x1p-24f;
}

StatusOr<int32_t> Sampler::sample(std::span<const float> logits,
                                  const SamplingParameters &parameters,
                                  uint64_t step) {
  HADAL_RETURN_IF_ERROR(validateSampling(parameters));
  if (logits.empty())
    return error(5005, "no logits to sample from");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i]))
      return error(5008,
                   "logit {} of {} at step {} is {}: expected finite "
                   "values; the weights or a kernel are at fault",
                   i, logits.size(), step, logits[i]);
    if (logits[i] > logits[best])
      best = i;
  }
  if (parameters.temperature == 0)
    return static_cast<int32_t>(best);

  // Sums are taken in double over f32 terms: their value does not depend on
  // how another target orders or vectorises them.
  float largest = logits[best];
  double sum = 0;
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    float weight = static_cast<float>(std::exp(
        static_cast<double>((logits[i] - largest) / parameters.temperature)));
    candidates_[i] = {weight, static_cast<int32_t>(i)};
    sum += weight;
  }
  float total = static_cast<float>(sum);
  for (Candidate &candidate : candidates_)
    candidate.probability /= total;

  // A heap yields the tokens in order without sorting the whole vocabulary;
  // |after| puts the most probable, then the lowest id, on top.
  auto after = [](const Candidate &a, const Candidate &b) {
    return a.probability < b.probability ||
           (a.probability == b.probability && a.id > b.id);
  };
  std::make_heap(candidates_.begin(), candidates_.end(), after);
  auto heapEnd = candidates_.end();
  const uint64_t topK = parameters.topK ? parameters.topK : candidates_.size();
  double mass = 0;
  const bool cuts = parameters.topP < 1 || topK < candidates_.size();
  if (topK < candidates_.size()) {
    // They lie behind the heap, the most probable last.
    for (uint64_t i = 0; i < topK; ++i) {
      std::pop_heap(candidates_.begin(), heapEnd, after);
      mass += (--heapEnd)->probability;
    }
    double nucleus = 0;
    auto it = candidates_.end();
    while (it != heapEnd && nucleus < parameters.topP * mass)
      nucleus += (--it)->probability;
    heapEnd = it;
    mass = nucleus;
  } else if (parameters.topP < 1) {
    while (heapEnd != candidates_.begin() && mass < parameters.topP) {
      std::pop_heap(candidates_.begin(), heapEnd, after);
      mass += (--heapEnd)->probability;
    }
  } else {
    for (const Candidate &candidate : candidates_)
      mass += candidate.probability;
  }

  double threshold = samplingUniform(parameters.seed, step) * mass;
  double cumulative = 0;
  if (cuts) {
    // The kept tokens now lie behind the heap, the most probable last.
    for (auto it = candidates_.end(); it != heapEnd;) {
      cumulative += (--it)->probability;
      if (cumulative > threshold)
        return it->id;
    }
    return heapEnd->id;
  }
  int32_t last = candidates_.front().id;
  while (heapEnd != candidates_.begin()) {
    std::pop_heap(candidates_.begin(), heapEnd, after);
    --heapEnd;
    if (heapEnd->probability == 0)
      break;
    last = heapEnd->id;
    cumulative += heapEnd->probability;
    if (cumulative > threshold)
      break;
  }
  return last;
}

} // namespace hadal
