#include "tools/hadal-bench/kernels/Rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hadal::reference {

Row rmsNorm(const Row &x, const Row &w, double eps) {
  double squares = 0;
  for (double v : x)
    squares += v * v;
  const double inverse =
      1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Row y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] * inverse * w[i];
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

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double silu(double x) { return x * sigmoid(x); }

/// Indices of |values|, the largest first; the lower index on ties.
static std::vector<int> ranking(const Row &values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  });
  return order;
}

Routing route(const Row &logits, const Row &bias,
              const kernels::GateTopkSpec &spec) {
  Row scores(logits.size());
  if (spec.sigmoid) {
    for (size_t e = 0; e < scores.size(); ++e)
      scores[e] = sigmoid(logits[e]);
  } else {
    const double most = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (size_t e = 0; e < scores.size(); ++e)
      sum += scores[e] = std::exp(logits[e] - most);
    for (double &s : scores)
      s /= sum;
  }
  Row choice = scores;
  if (spec.bias)
    for (size_t e = 0; e < bias.size(); ++e)
      choice[e] += bias[e];
  if (spec.groups > 1) {
    const size_t size = scores.size() / spec.groups;
    Row group(spec.groups);
    for (size_t g = 0; g < group.size(); ++g) {
      Row members(choice.begin() + g * size, choice.begin() + (g + 1) * size);
      std::sort(members.rbegin(), members.rend());
      group[g] = members[0] + (spec.groupTop2 && size > 1 ? members[1] : 0);
    }
    const std::vector<int> order = ranking(group);
    for (size_t g = spec.topkGroups; g < order.size(); ++g)
      std::fill_n(choice.begin() + order[g] * size, size, -INFINITY);
  }
  Routing result;
  double sum = 0;
  const std::vector<int> order = ranking(choice);
  for (int64_t j = 0; j < spec.topk; ++j) {
    result.ids.push_back(order[j]);
    result.weights.push_back(scores[order[j]]);
    sum += scores[order[j]];
  }
  for (double &w : result.weights)
    w = w / (spec.normalize ? sum + 1e-20 : 1) * spec.routeScale;
  return result;
}

Row attend(const Row &scores, const std::vector<Row> &values,
           const std::function<double(double)> &stored) {
  const double most = *std::max_element(scores.begin(), scores.end());
  Row sums(values.front().size());
  double total = 0;
  for (size_t t = 0; t < scores.size(); ++t) {
    const double p = std::exp(scores[t] - most);
    total += p;
    const double weight = stored ? stored(p) : p;
    for (size_t c = 0; c < sums.size(); ++c)
      sums[c] += weight * values[t][c];
  }
  for (double &v : sums)
    v /= total;
  return sums;
}

} // namespace hadal::reference
