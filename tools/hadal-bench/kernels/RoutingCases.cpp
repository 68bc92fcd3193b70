// Cases of the router and the expert permutation.
#include "runtime/schemas/ArtifactFile.h"
#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

void buildGateTopkCase(CaseBuilder &b, const GateTopkSpec &spec) {
  const uint64_t tokens = b.bucket.tokens;
  Tensor values(DType::f32, b.rowsOf("logits"), spec.experts);
  for (uint64_t t = 0; t < values.rows; ++t)
    for (uint64_t e = 0; e < values.cols; ++e)
      values.set(t, e, 3 * b.rng.normal());
  const Tensor &logits = b.output("logits", std::move(values));
  const Tensor *bias = nullptr;
  if (spec.bias)
    bias = &b.random("bias", Tensor(DType::f32, 1, spec.experts));
  b.output("ids", Tensor(DType::i32, b.rowsOf("ids"), spec.topk));
  b.output("weights", Tensor(DType::f32, b.rowsOf("weights"), spec.topk));
  auto routing = [=, &logits](uint64_t row) {
    return route(rowOf(logits, row, 0, spec.experts),
                 bias ? rowOf(*bias, 0, 0, spec.experts) : Row(), spec);
  };
  b.expect({"ids", CaseBuilder::firstRows(tokens),
            [=](uint64_t row, const std::vector<uint64_t> &columns) {
              const Routing r = routing(row);
              Row ids;
              for (uint64_t c : columns)
                ids.push_back(static_cast<double>(r.ids[c]));
              return ids;
            },
            Expected::Kind::exact});
  b.expect({"weights", CaseBuilder::firstRows(tokens),
            [=](uint64_t row, const std::vector<uint64_t> &columns) {
              const Routing r = routing(row);
              Row weights;
              for (uint64_t c : columns)
                weights.push_back(r.weights[c]);
              return weights;
            },
            Expected::Kind::f32});
  b.result->bytes = static_cast<double>(tokens) *
                    (4.0 * spec.experts + 8.0 * spec.topk);
}

void buildMoePermuteCase(CaseBuilder &b, const MoePermuteSpec &spec) {
  const uint64_t tokens = b.bucket.tokens, topk = spec.topk,
                 experts = spec.experts;
  Tensor ids(DType::i32, b.rowsOf("ids"), topk);
  const Tensor chosen = b.routing(tokens, experts, topk);
  for (uint64_t t = 0; t < tokens; ++t)
    for (uint64_t j = 0; j < topk; ++j)
      ids.set(t, j, chosen.at(t, j));
  b.output("ids", std::move(ids));
  b.output("row_token", Tensor(DType::i32, b.rowsOf("row_token"), 1));
  b.output("pos", Tensor(DType::i32, b.rowsOf("pos"), 1));
  b.output("expert_load", Tensor(DType::i32, 1, experts));
  const CaseBuilder::Permutation p = CaseBuilder::permute(chosen, experts);
  auto expectRows = [&](const char *name, uint64_t rows, auto at) {
    b.expect({name, CaseBuilder::firstRows(rows),
              [at](uint64_t row, const std::vector<uint64_t> &columns) {
                Row values;
                for (uint64_t c : columns)
                  values.push_back(static_cast<double>(at(row, c)));
                return values;
              },
              Expected::Kind::exact});
  };
  expectRows("row_token", tokens * topk,
             [p](uint64_t row, uint64_t) { return p.rowToken[row]; });
  expectRows("pos", tokens * topk, [p, topk](uint64_t row, uint64_t) {
    return p.position.at(row / topk, row % topk);
  });
  expectRows("expert_load", 1, [p](uint64_t, uint64_t e) {
    return p.begin[e + 1] - p.begin[e];
  });
  expectRows("sizes", 1,
             [p, head = b["sizes"]](uint64_t, uint64_t c) -> int64_t {
               return c < artifact::kSizesHead
                          ? static_cast<int64_t>(head.at(0, c))
                          : p.begin[c - artifact::kSizesHead];
             });
  b.result->bytes =
      static_cast<double>(tokens * topk) * 12 + static_cast<double>(experts) * 12;
}

void buildMoeCombineCase(CaseBuilder &b, const MoeCombineSpec &spec) {
  const uint64_t tokens = b.bucket.tokens, topk = spec.topk;
  const uint64_t experts = std::max<uint64_t>(b.bucket.experts, topk);
  const Tensor &y = b.random("y", b.act("y", spec.act, spec.hidden));
  const CaseBuilder::Permutation p =
      CaseBuilder::permute(b.routing(tokens, experts, topk), experts);
  Tensor position(DType::i32, b.rowsOf("pos"), topk);
  for (uint64_t t = 0; t < position.rows; ++t)
    for (uint64_t j = 0; j < topk; ++j)
      position.set(t, j, t < tokens ? p.position.at(t, j) : -1);
  const Tensor &pos = b.output("pos", std::move(position));
  const Tensor &weights =
      b.random("weights", Tensor(DType::f32, b.rowsOf("weights"), topk));
  const Tensor *shared = nullptr;
  if (spec.shared)
    shared = &b.random("shared", b.act("shared", spec.act, spec.hidden));
  const Tensor &residual =
      b.random("residual", b.act("residual", spec.act, spec.hidden));
  b.output("out", b.act("out", spec.act, spec.hidden));
  b.expect({"out", CaseBuilder::firstRows(tokens),
            [=, &y, &pos, &weights,
             &residual](uint64_t row, const std::vector<uint64_t> &columns) {
              Row values;
              for (uint64_t c : columns) {
                double sum = residual.at(row, c) +
                             (shared ? shared->at(row, c) : 0);
                for (uint64_t j = 0; j < topk; ++j)
                  sum += weights.at(row, j) *
                         y.at(static_cast<uint64_t>(pos.at(row, j)), c);
                values.push_back(sum);
              }
              return values;
            },
            spec.act == Act::bf16 ? Expected::Kind::act : Expected::Kind::f32});
  b.result->bytes = static_cast<double>(tokens) *
                    (static_cast<double>(spec.hidden) *
                         dtypeSize(dtypeOf(spec.act)) *
                         (topk + 2 + spec.shared) +
                     8.0 * topk);
}

} // namespace hadal::bench
