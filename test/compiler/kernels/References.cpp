#include "References.h"

#include <algorithm>
#include <numeric>

namespace hadal::kernels::test {

Row rowOf(const Buffer &buffer, int64_t row, int64_t begin, int64_t end) {
  Row values;
  for (int64_t c = begin; c < end; ++c)
    values.push_back(buffer.at(row, c));
  return values;
}

Row rmsNorm(const Row &x, const Row &w, double eps) {
  double sum = 0;
  for (double value : x)
    sum += value * value;
  double inverse = 1.0 / std::sqrt(sum / x.size() + eps);
  Row y;
  for (size_t i = 0; i < x.size(); ++i)
    y.push_back(x[i] * inverse * w[i]);
  return y;
}

Row rope(const Row &x, const Row &cosSin) {
  Row y(x.size());
  for (size_t i = 0; i + 1 < x.size(); i += 2) {
    y[i] = x[i] * cosSin[i] - x[i + 1] * cosSin[i + 1];
    y[i + 1] = x[i] * cosSin[i + 1] + x[i + 1] * cosSin[i];
  }
  return y;
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double silu(double x) { return x * sigmoid(x); }

QuantizedGroup quantizeGroup(const Row &x, ScaleFormat format) {
  float amax = 1e-4f;
  for (double value : x)
    amax = std::max(amax, static_cast<float>(std::fabs(value)));
  float scale = amax / 448.0f;
  if (format == ScaleFormat::ue8m0) {
    int exponent;
    float mantissa = std::frexp(scale, &exponent);
    scale = std::ldexp(1.0f, mantissa == 0.5f ? exponent - 1 : exponent);
  }
  QuantizedGroup group{scale, {}};
  for (double value : x)
    group.codes.push_back(
        encodeE4m3(static_cast<float>(value) / scale));
  return group;
}

Row quantizeDequantize(const Row &x, ScaleFormat format) {
  Row y;
  for (size_t begin = 0; begin < x.size(); begin += 128) {
    size_t end = std::min(begin + 128, x.size());
    QuantizedGroup group =
        quantizeGroup(Row(x.begin() + begin, x.begin() + end), format);
    for (uint8_t code : group.codes)
      y.push_back(decodeE4m3(code) * static_cast<double>(group.scale));
  }
  return y;
}

double dotRow(const Row &x, const Buffer &w, int64_t row) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    sum += x[i] * w.at(row, i);
  return sum;
}

Buffer cosSinTable(int64_t positions, const std::vector<float> &frequencies) {
  int64_t pairs = frequencies.size();
  Buffer table(Format::f32, positions, 2 * pairs);
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < pairs; ++i) {
      float angle = static_cast<float>(p) * frequencies[i];
      table.set(p, 2 * i, std::cos(static_cast<double>(angle)));
      table.set(p, 2 * i + 1, std::sin(static_cast<double>(angle)));
    }
  return table;
}

Buffer cosSinTable(int64_t positions, int64_t width, double theta) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < width / 2; ++i)
    frequencies.push_back(
        static_cast<float>(std::pow(theta, -2.0 * i / width)));
  return cosSinTable(positions, frequencies);
}

Row attend(const Row &scores, const std::vector<Row> &values) {
  double max = *std::max_element(scores.begin(), scores.end()), sum = 0;
  Row y(values.front().size(), 0.0);
  for (size_t t = 0; t < scores.size(); ++t) {
    double p = std::exp(scores[t] - max);
    sum += p;
    for (size_t c = 0; c < y.size(); ++c)
      y[c] += p * values[t][c];
  }
  for (double &value : y)
    value /= sum;
  return y;
}

/// Indices of |values|, best first; the lower index on ties.
static std::vector<int> ranking(const Row &values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  return order;
}

Routing route(const Row &logits, const Row &bias, const GateTopkSpec &spec) {
  size_t experts = logits.size(), groups = spec.groups,
         size = experts / groups;
  Row scores(experts);
  double max = *std::max_element(logits.begin(), logits.end()), total = 0;
  for (size_t e = 0; e < experts; ++e) {
    scores[e] = spec.sigmoid ? sigmoid(logits[e]) : std::exp(logits[e] - max);
    total += scores[e];
  }
  if (!spec.sigmoid)
    for (double &score : scores)
      score /= total;
  Row choice = scores;
  if (spec.bias)
    for (size_t e = 0; e < experts; ++e)
      choice[e] += bias[e];
  std::vector<bool> kept(groups, groups == 1);
  if (groups > 1) {
    Row groupScore;
    for (size_t g = 0; g < groups; ++g) {
      Row members(choice.begin() + g * size, choice.begin() + (g + 1) * size);
      std::sort(members.rbegin(), members.rend());
      groupScore.push_back(spec.groupTop2 && size > 1
                               ? members[0] + members[1]
                               : members[0]);
    }
    std::vector<int> order = ranking(groupScore);
    for (int64_t g = 0; g < spec.topkGroups; ++g)
      kept[order[g]] = true;
  }
  Routing routing;
  double sum = 0;
  for (int e : ranking(choice)) {
    if (!kept[e / size] ||
        static_cast<int64_t>(routing.ids.size()) == spec.topk)
      continue;
    routing.ids.push_back(e);
    routing.weights.push_back(scores[e]);
    sum += scores[e];
  }
  for (double &weight : routing.weights)
    weight *= spec.routeScale / (spec.normalize ? sum : 1.0);
  return routing;
}

} // namespace hadal::kernels::test
