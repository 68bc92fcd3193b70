#include "runtime/engine/Sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/engine/Philox.h"

namespace hadal::engine {

namespace {

constexpr double kMasked = -std::numeric_limits<double>::infinity();

/// More than -ln E can be for a |word|: u = (word + 1/2) 2^-32 with k leading
/// ones has 1 - u > 2^-(k + 1), and E = -ln u >= 1 - u.
double mostGain(uint32_t word) {
  constexpr double kLn2 = 0.6931472; // rounded up
  return (std::countl_one(word) + 1) * kLn2;
}

std::array<uint32_t, 4> drawBlock(const Draw &draw, uint32_t block) {
  return philox4x32({static_cast<uint32_t>(draw.step),
                     static_cast<uint32_t>(draw.step >> 32), block, draw.child},
                    {static_cast<uint32_t>(draw.seed),
                     static_cast<uint32_t>(draw.seed >> 32)});
}

double exponentialOf(uint32_t word) {
  return -std::log((word + 0.5) * 0x1p-32);
}

/// Written on the bits and without a branch, so that it is vectorised.
bool allFinite(std::span<const float> values) {
  uint32_t bad = 0;
  for (float v : values)
    bad |= (std::bit_cast<uint32_t>(v) & 0x7f800000u) == 0x7f800000u;
  return !bad;
}

/// The first of the largest of finite |values|.
size_t firstLargest(std::span<const float> values) {
  // Lanes of their own: a single maximum may not be reordered.
  constexpr size_t kLanes = 16;
  std::array<float, kLanes> lanes;
  lanes.fill(values[0]);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = std::max(lanes[lane], values[i + lane]);
  float largest = *std::ranges::max_element(lanes);
  for (; i < values.size(); ++i)
    largest = std::max(largest, values[i]);
  return static_cast<size_t>(std::ranges::find(values, largest) -
                             values.begin());
}

Status outOfRange(const char *name, double value, const char *range) {
  return error(5005, "{} is {}: expected {}", name, value, range);
}

} // namespace

Status validateSampling(const SamplingParameters &p, uint64_t vocabulary) {
  // Written so that NaN fails.
  auto within = [](float value, float low, float high) {
    return value >= low && value <= high;
  };
  if (!(p.temperature >= 0) || std::isinf(p.temperature))
    return outOfRange("temperature", p.temperature, "a finite value >= 0");
  if (!(p.topP > 0 && p.topP <= 1))
    return outOfRange("top-p", p.topP, "a value in (0, 1]");
  if (!within(p.minP, 0, 1))
    return outOfRange("min-p", p.minP, "a value in [0, 1]");
  if (!(p.repetitionPenalty > 0 && p.repetitionPenalty <= 2))
    return outOfRange("repetition_penalty", p.repetitionPenalty,
                      "a value in (0, 2]");
  if (!within(p.presencePenalty, -2, 2))
    return outOfRange("presence_penalty", p.presencePenalty,
                      "a value in [-2, 2]");
  if (!within(p.frequencyPenalty, -2, 2))
    return outOfRange("frequency_penalty", p.frequencyPenalty,
                      "a value in [-2, 2]");
  constexpr size_t kMostBiases = 1024;
  if (p.logitBias.size() > kMostBiases)
    return error(5005, "logit_bias has {} ids: expected at most {}",
                 p.logitBias.size(), kMostBiases);
  for (const auto &[id, bias] : p.logitBias) {
    if (id < 0 || static_cast<uint64_t>(id) >= vocabulary)
      return error(5005,
                   "logit_bias names id {}; the vocabulary has ids 0 to "
                   "{}",
                   id, vocabulary - 1);
    if (!within(bias, -100, 100))
      return error(5005,
                   "logit_bias of id {} is {}: expected a value in "
                   "[-100, 100]",
                   id, bias);
  }
  return {};
}

double exponential(const Draw &draw, int32_t id) {
  const auto n = static_cast<uint32_t>(id);
  return exponentialOf(drawBlock(draw, n / 4)[n % 4]);
}

void Sampler::adjust(std::span<const float> logits,
                     const SamplingParameters &parameters, const Past &past) {
  values_.assign(logits.begin(), logits.end());
  for (const auto &[id, bias] : parameters.logitBias)
    values_[static_cast<size_t>(id)] += bias;
  if (!past.counts)
    return;
  for (const auto &[id, count] : past.counts->counts()) {
    double &value = values_[static_cast<size_t>(id)];
    if (count.inPrompt || count.inOutput)
      value = value > 0 ? value / parameters.repetitionPenalty
                        : value * parameters.repetitionPenalty;
    if (count.inOutput)
      value -= parameters.presencePenalty +
               double{parameters.frequencyPenalty} * count.inOutput;
  }
}

void Sampler::keepBack(std::span<const int32_t> ids) {
  auto isIn = [&](size_t i) {
    return std::find(ids.begin(), ids.end(), static_cast<int32_t>(i)) !=
           ids.end();
  };
  size_t i = 0;
  while (i < values_.size() && isIn(i))
    ++i;
  if (i == values_.size())
    return; // nothing would be left
  for (int32_t id : ids)
    if (id >= 0 && static_cast<size_t>(id) < values_.size())
      values_[static_cast<size_t>(id)] = kMasked;
}

StatusOr<int32_t> Sampler::sample(std::span<const float> logits,
                                  const SamplingParameters &parameters,
                                  const Past &past, const Draw &draw) {
  if (logits.empty())
    return error(5005, "no logits to sample from");
  if (!allFinite(logits)) {
    size_t i = 0;
    while (std::isfinite(logits[i]))
      ++i;
    return error(5008,
                 "logit {} of {} at step {} is {}: expected finite "
                 "values; the weights or a kernel are at fault",
                 i, logits.size(), draw.step, logits[i]);
  }
  const bool keepsBack =
      draw.step < parameters.minTokens && !past.endTokens.empty();
  const bool adjusts = !parameters.logitBias.empty() || keepsBack ||
                       (past.counts && !past.counts->counts().empty());
  if (parameters.temperature == 0 && !adjusts)
    return static_cast<int32_t>(firstLargest(logits));
  adjust(logits, parameters, past);
  if (keepsBack)
    keepBack(past.endTokens);
  const auto largest = std::max_element(values_.begin(), values_.end());
  if (parameters.temperature == 0)
    return static_cast<int32_t>(largest - values_.begin());

  candidates_.clear();
  for (size_t i = 0; i < values_.size(); ++i)
    if (values_[i] != kMasked)
      candidates_.push_back({(values_[i] - *largest) / parameters.temperature,
                             static_cast<int32_t>(i)});
  filter(parameters);
  return race(draw);
}

void Sampler::filter(const SamplingParameters &parameters) {
  const bool cut = parameters.topK && parameters.topK < candidates_.size();
  if (cut) {
    const auto end =
        candidates_.begin() + static_cast<ptrdiff_t>(parameters.topK);
    std::nth_element(candidates_.begin(), end - 1, candidates_.end(),
                     isMoreProbable);
    candidates_.erase(end, candidates_.end());
    std::sort(candidates_.begin(), candidates_.end(), isMoreProbable);
  }
  if (parameters.topP < 1)
    keepNucleus(parameters.topP, cut);
  if (parameters.minP > 0)
    std::erase_if(candidates_, [&](const Candidate &c) {
      return std::exp(c.z) < parameters.minP;
    });
}

void Sampler::keepNucleus(float topP, bool sorted) {
  double total = 0;
  for (const Candidate &c : candidates_)
    total += std::exp(c.z);
  // A heap yields the tokens in order without sorting the whole vocabulary.
  auto below = [](const Candidate &a, const Candidate &b) {
    return isMoreProbable(b, a);
  };
  if (!sorted)
    std::make_heap(candidates_.begin(), candidates_.end(), below);
  double mass = 0;
  size_t kept = 0;
  for (; kept < candidates_.size() && mass < topP * total; ++kept) {
    const auto end = candidates_.end() - static_cast<ptrdiff_t>(kept);
    if (!sorted)
      std::pop_heap(candidates_.begin(), end, below);
    mass += std::exp(sorted ? candidates_[kept].z : (end - 1)->z);
  }
  // What a heap has yielded lies behind it.
  const auto count = static_cast<ptrdiff_t>(kept);
  if (sorted)
    candidates_.erase(candidates_.begin() + count, candidates_.end());
  else
    candidates_.erase(candidates_.begin(), candidates_.end() - count);
}

int32_t Sampler::race(const Draw &draw) const {
  double best = kMasked;
  int32_t winner = -1;
  uint32_t block = 0;
  std::array<uint32_t, 4> words;
  bool drawn = false;
  for (const Candidate &c : candidates_) {
    const auto id = static_cast<uint32_t>(c.id);
    if (!std::exchange(drawn, true) || block != id / 4) {
      block = id / 4;
      words = drawBlock(draw, block);
    }
    // Most tokens of a large vocabulary cannot win, and need no logarithm.
    if (c.z + mostGain(words[id % 4]) < best)
      continue;
    const double score = c.z - std::log(exponentialOf(words[id % 4]));
    if (score > best || (score == best && c.id < winner)) {
      best = score;
      winner = c.id;
    }
  }
  return winner;
}

LogSoftmax::LogSoftmax(std::span<const float> logits) : logits_(logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(logit - largest);
  normalizer_ = largest + std::log(sum);
}

double LogSoftmax::operator[](int32_t id) const {
  return logits_[static_cast<size_t>(id)] - normalizer_;
}

std::vector<int32_t> LogSoftmax::top(size_t count) const {
  std::vector<int32_t> ids(logits_.size());
  std::iota(ids.begin(), ids.end(), 0);
  count = std::min(count, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count),
                    ids.end(), [&](int32_t a, int32_t b) {
                      const float x = logits_[static_cast<size_t>(a)];
                      const float y = logits_[static_cast<size_t>(b)];
                      return x > y || (x == y && a < b);
                    });
  ids.resize(count);
  return ids;
}

} // namespace hadal::engine
