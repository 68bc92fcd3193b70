#include "tools/hadal-bench/kernels/KernelCase.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/schemas/ArtifactFile.h"
#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

namespace {

/// All columns of a narrow row; else its first and last and some between, or
/// some of one random group.
std::vector<uint64_t> sampleColumns(uint64_t count, uint64_t group,
                                    Random &random) {
  constexpr uint64_t kColumns = 48;
  uint64_t first = 0;
  if (group && group < count) {
    first = random.below(count / group) * group;
    count = group;
  }
  std::vector<uint64_t> columns;
  if (count <= kColumns) {
    for (uint64_t c = 0; c < count; ++c)
      columns.push_back(first + c);
    return columns;
  }
  columns = {first, first + count - 1};
  while (columns.size() < kColumns)
    columns.push_back(first + random.below(count));
  return columns;
}

/// The first and the last of |rows|, and some between.
std::vector<uint64_t> sampleRows(std::vector<uint64_t> rows, Random &random) {
  constexpr uint64_t kRows = 12;
  if (rows.size() <= kRows)
    return rows;
  for (uint64_t i = 1; i + 1 < kRows; ++i)
    std::swap(rows[i], rows[i + random.below(rows.size() - 1 - i)]);
  rows[kRows - 1] = rows.back();
  rows.resize(kRows);
  return rows;
}

} // namespace

// An f32 result of an FP8 or bf16 contraction keeps the tensor core's
// accumulation error.
Bound boundOf(Expected::Kind kind) {
  switch (kind) {
  case Expected::Kind::exact:
    return {0, 1e-12};
  case Expected::Kind::f32:
    return {1e-3, 1e-6};
  case Expected::Kind::act:
    return {1.0 / 128, 1e-5};
  case Expected::Kind::quantised:
    return {0.08, 1e-3};
  }
  return {};
}

Deviation KernelCase::check(const Arguments &actual, Random &random) const {
  Deviation worst;
  for (const Expected &output : expected) {
    const Tensor &tensor = actual.find(output.output)->second;
    const std::vector<uint64_t> rows = sampleRows(output.rows, random);
    const std::vector<uint64_t> columns =
        sampleColumns(tensor.cols, output.group, random);
    double most = 0, error = 0, xx = 0, yy = 0, xy = 0;
    for (uint64_t row : rows) {
      const std::vector<double> values = output.values(row, columns);
      for (size_t i = 0; i < columns.size(); ++i) {
        const double x = tensor.at(row, columns[i]), y = values[i];
        most = std::max(most, std::fabs(y));
        // A NaN must not pass as a small error.
        const double e = std::fabs(x - y);
        error = e <= error ? error : (std::isnan(e) ? INFINITY : e);
        xx += x * x, yy += y * y, xy += x * y;
        ++worst.elements;
      }
    }
    const Bound bound = boundOf(output.kind);
    const double relative = error / std::max(most, 1e-30);
    const double cosine = xx > 0 && yy > 0 ? 1 - xy / std::sqrt(xx * yy)
                          : xx == yy       ? 0
                                           : 1;
    // Written so that a NaN is wrong.
    const bool right = relative <= bound.relative && cosine <= bound.cosine;
    if (worst.right ? !right || relative > worst.relative
                    : !right && relative > worst.relative) {
      worst.relative = relative;
      worst.cosine = cosine;
    }
    worst.right &= right;
  }
  return worst;
}

CaseBuilder::CaseBuilder(const Bucket &bucket, uint64_t seed)
    : bucket(bucket), rng(seed), result(std::make_unique<KernelCase>()) {
  Tensor sizes(DType::i32, 1, artifact::kSizesHead + bucket.experts + 1);
  sizes.set(0, 0, bucket.tokens);
  sizes.set(0, 1, bucket.rows);
  sizes.set(0, 2, bucket.logitRows);
  sizes.set(0, 3, bucket.tokens);
  sizes.set(0, 4, artifact::kCountExpertLoad);
  result->arguments.emplace("sizes", std::move(sizes));
}

Tensor &CaseBuilder::random(const std::string &name, Tensor tensor) {
  tensor.fill(rng);
  return output(name, std::move(tensor));
}

Tensor &CaseBuilder::output(const std::string &name, Tensor tensor) {
  return result->arguments.insert_or_assign(name, std::move(tensor))
      .first->second;
}

Tensor CaseBuilder::weight(kernels::Weight kind, uint64_t n, uint64_t k,
                           uint64_t parts) const {
  if (kind == kernels::Weight::fp8)
    return Tensor(DType::f8e4m3fn, n, k, 128, parts);
  return Tensor(kind == kernels::Weight::bf16 ? DType::bf16 : DType::f32, n, k,
                0, parts);
}

Tensor &CaseBuilder::cosSin(uint64_t positions, uint64_t width) {
  Tensor table(DType::f32, positions, width);
  for (uint64_t p = 0; p < positions; ++p)
    for (uint64_t i = 0; i < width / 2; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(1e4, -2.0 * i / width);
      table.set(p, 2 * i, std::cos(angle));
      table.set(p, 2 * i + 1, std::sin(angle));
    }
  return output("cos_sin", std::move(table));
}

Tensor &CaseBuilder::positions(uint64_t positions) {
  Tensor values(DType::i32, rowsOf("positions"), 1);
  for (uint64_t t = 0; t < values.rows; ++t)
    values.set(t, 0, rng.below(positions));
  return output("positions", std::move(values));
}

Tensor CaseBuilder::routing(uint64_t tokens, uint64_t experts, uint64_t topk) {
  std::vector<int64_t> ranking(experts);
  std::iota(ranking.begin(), ranking.end(), 0);
  for (uint64_t i = experts; i > 1; --i)
    std::swap(ranking[i - 1], ranking[rng.below(i)]);
  std::vector<double> upTo(experts);
  double sum = 0;
  for (uint64_t i = 0; i < experts; ++i)
    upTo[i] = sum += std::pow(static_cast<double>(i + 1), -0.7);
  Tensor ids(DType::i32, tokens, topk);
  for (uint64_t t = 0; t < tokens; ++t) {
    std::vector<int64_t> chosen;
    while (chosen.size() < topk) {
      const uint64_t i =
          std::upper_bound(upTo.begin(), upTo.end(), rng.uniform() * sum) -
          upTo.begin();
      const int64_t e = ranking[std::min(i, experts - 1)];
      if (std::find(chosen.begin(), chosen.end(), e) != chosen.end())
        continue;
      ids.set(t, chosen.size(), e);
      chosen.push_back(e);
    }
  }
  return ids;
}

CaseBuilder::Permutation CaseBuilder::permute(const Tensor &ids,
                                              uint64_t experts) {
  Permutation p;
  p.begin.assign(experts + 1, 0);
  p.position = Tensor(DType::i32, ids.rows, ids.cols);
  p.rowToken.resize(ids.rows * ids.cols);
  for (uint64_t t = 0; t < ids.rows; ++t)
    for (uint64_t j = 0; j < ids.cols; ++j)
      ++p.begin[static_cast<size_t>(ids.at(t, j)) + 1];
  std::partial_sum(p.begin.begin(), p.begin.end(), p.begin.begin());
  std::vector<int64_t> next = p.begin;
  for (uint64_t t = 0; t < ids.rows; ++t)
    for (uint64_t j = 0; j < ids.cols; ++j) {
      const int64_t row = next[static_cast<size_t>(ids.at(t, j))]++;
      p.position.set(t, j, row);
      p.rowToken[row] = t;
    }
  return p;
}

void CaseBuilder::setExpertBegin(const std::vector<int64_t> &begin) {
  Tensor &sizes = result->arguments.find("sizes")->second;
  for (size_t e = 0; e < begin.size() && artifact::kSizesHead + e < sizes.cols;
       ++e)
    sizes.set(0, artifact::kSizesHead + e, begin[e]);
}

std::vector<uint64_t> CaseBuilder::firstRows(uint64_t count) {
  std::vector<uint64_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

std::unique_ptr<KernelCase> makeKernelCase(const kernels::AnySpec &spec,
                                           const Bucket &bucket,
                                           uint64_t seed) {
  CaseBuilder b(bucket, seed);
  auto build = [&](const auto &s) {
    using S = std::decay_t<decltype(s)>;
#define HADAL_BUILD_CASE(K)                                                    \
  if constexpr (std::is_same_v<S, kernels::K##Spec>)                           \
    build##K##Case(b, s);
    HADAL_FOR_EACH_KERNEL(HADAL_BUILD_CASE)
#undef HADAL_BUILD_CASE
  };
  std::visit(build, spec);
  return std::move(b.result);
}

} // namespace hadal::bench
