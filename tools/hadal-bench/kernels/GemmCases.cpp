// Cases of the contractions with weights: GEMM, W_UK and W_UV absorption.
#include <algorithm>

#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

namespace {

/// The rows that a GEMM computes, and for each its row of x and its expert.
struct GemmRows {
  std::vector<uint64_t> rows, source, expert; // the latter two by row
  uint64_t activeExperts = 1;
};

GemmRows groupedRows(CaseBuilder &b, const GemmSpec &spec) {
  GemmRows result;
  const uint64_t routed = b.rowsOf("y");
  const uint64_t topk = std::max<uint64_t>(b.bucket.topk, 1);
  const uint64_t tokens = std::min(b.bucket.tokens, routed / topk);
  const CaseBuilder::Permutation p = CaseBuilder::permute(
      b.routing(tokens, spec.experts, topk), spec.experts);
  b.setExpertBegin(p.begin);
  result.source.resize(routed);
  result.expert.resize(routed);
  result.activeExperts = 0;
  for (int64_t e = 0; e < spec.experts; ++e) {
    result.activeExperts += p.begin[e + 1] > p.begin[e];
    for (int64_t r = p.begin[e]; r < p.begin[e + 1]; ++r) {
      result.rows.push_back(r);
      result.expert[r] = e;
      result.source[r] = spec.gather ? p.rowToken[r] : r;
    }
  }
  if (spec.gather) {
    Tensor rowToken(DType::i32, b.rowsOf("row_token"), 1);
    for (uint64_t r : result.rows)
      rowToken.set(r, 0, p.rowToken[r]);
    b.output("row_token", std::move(rowToken));
  }
  return result;
}

GemmRows denseRows(CaseBuilder &b, const GemmSpec &spec) {
  GemmRows result;
  const uint64_t count =
      spec.logitRows ? b.bucket.logitRows : b.bucket.tokens;
  result.rows = result.source = CaseBuilder::firstRows(count);
  result.expert.resize(count);
  return result;
}

} // namespace

void buildGemmCase(CaseBuilder &b, const GemmSpec &spec) {
  const uint64_t n = spec.n, k = spec.k;
  const bool gated = spec.epilogue == Epilogue::swiglu ||
                     spec.epilogue == Epilogue::swigluQuantize;
  const uint64_t parts = std::max<int64_t>(spec.experts, 1);
  const GemmRows rows = spec.experts ? groupedRows(b, spec) : denseRows(b, spec);
  const Tensor &x = b.random("x", spec.quantizedInput
                                      ? b.fp8Rows("x", k)
                                      : b.act("x", spec.act, k));
  auto weight = [&](const char *name) -> const Tensor & {
    Tensor &tensor = b.random(name, b.weight(spec.weight, n, k, parts));
    tensor.stack = spec.experts > 0;
    tensor.segmentRows = spec.segmentRows;
    return tensor;
  };
  const Tensor &w = weight("w");
  const Tensor *up = nullptr, *residual = nullptr, *cosSin = nullptr,
               *positions = nullptr;
  if (gated)
    up = &weight("w_up");
  if (spec.epilogue == Epilogue::residual)
    residual = &b.random("residual", b.act("residual", spec.act, n));
  if (spec.epilogue == Epilogue::rope) {
    cosSin = &b.cosSin(spec.positions, spec.ropeDim);
    positions = &b.positions(spec.positions);
  }
  const bool quantised = spec.epilogue == Epilogue::swigluQuantize;
  b.output("y", quantised        ? b.fp8Rows("y", n)
                : spec.f32Output ? Tensor(DType::f32, b.rowsOf("y"), n)
                                 : b.act("y", spec.act, n));
  b.expect(
      {"y", rows.rows,
       [=, &x, &w](uint64_t row, const std::vector<uint64_t> &columns) {
         const uint64_t part = rows.expert[row];
         const Row a = rowOf(x, rows.source[row], 0, k);
         Row values;
         for (uint64_t c : columns) {
           double value = dotRow(a, w, c, part);
           if (gated)
             value = silu(value) * dotRow(a, *up, c, part);
           if (residual)
             value += residual->at(row, c);
           const uint64_t inHead = cosSin ? c % spec.headDim : 0;
           const uint64_t plain = spec.headDim - spec.ropeDim;
           if (cosSin && inHead >= plain) {
             // The partner of the pair, and the pair's angle.
             const uint64_t i = inHead - plain;
             const uint64_t position =
                 static_cast<uint64_t>(positions->at(row, 0));
             const double other = dotRow(a, w, c ^ 1, part);
             const double cosine = cosSin->at(position, i & ~1ull),
                          sine = cosSin->at(position, i | 1);
             value = i % 2 == 0 ? value * cosine - other * sine
                                : other * sine + value * cosine;
           }
           values.push_back(value);
         }
         return values;
       },
       quantised                          ? Expected::Kind::quantised
       : spec.f32Output ||
               spec.act == Act::f32       ? Expected::Kind::f32
                                          : Expected::Kind::act});
  const double m = static_cast<double>(rows.rows.size());
  const double used = static_cast<double>(rows.activeExperts) /
                      static_cast<double>(parts) * (gated ? 2 : 1);
  const Tensor &y = b["y"];
  auto perRow = [](const Tensor &t) {
    return static_cast<double>(t.bytes()) / static_cast<double>(t.rows);
  };
  const double sourceRows =
      spec.gather ? static_cast<double>(b.bucket.tokens) : m;
  b.result->bytes = used * static_cast<double>(w.bytes()) +
                    sourceRows * perRow(x) + m * perRow(y) +
                    (residual ? m * perRow(*residual) : 0);
  b.result->flops = 2 * m * n * k * (gated ? 2 : 1);
  b.result->fp8 = spec.quantizedInput;
}

void buildAbsorbQCase(CaseBuilder &b, const AbsorbQSpec &spec) {
  const uint64_t head = spec.nope + spec.rope, outHead = spec.latent + spec.rope,
                 headRows = spec.nope + spec.value;
  const Tensor &q = b.random("q", b.act("q", spec.act, spec.heads * head));
  const Tensor &w = b.random(
      "wkv_b", b.weight(spec.weight, spec.heads * headRows, spec.latent));
  const Tensor &out =
      b.output("out", b.act("out", spec.act, spec.heads * outHead));
  b.expect({"out", CaseBuilder::firstRows(b.bucket.tokens),
            [=, &q, &w](uint64_t row, const std::vector<uint64_t> &columns) {
              Row values;
              for (uint64_t column : columns) {
                const uint64_t h = column / outHead, c = column % outHead;
                double sum = 0;
                if (c >= static_cast<uint64_t>(spec.latent))
                  sum = q.at(row, h * head + spec.nope + c - spec.latent);
                else
                  for (int64_t d = 0; d < spec.nope; ++d)
                    sum += q.at(row, h * head + d) *
                           w.at(h * headRows + d, c);
                values.push_back(sum);
              }
              return values;
            },
            spec.act == Act::bf16 ? Expected::Kind::act
                                  : Expected::Kind::f32});
  const double m = static_cast<double>(b.bucket.tokens);
  b.result->bytes =
      static_cast<double>(w.bytes()) * spec.nope / headRows +
      m * (static_cast<double>(q.rowBytes()) + out.rowBytes());
  b.result->flops = 2 * m * spec.heads * spec.nope * spec.latent;
}

void buildAbsorbVCase(CaseBuilder &b, const AbsorbVSpec &spec) {
  const uint64_t headRows = spec.nope + spec.value;
  const Tensor &oLat =
      b.random("o_lat", b.act("o_lat", spec.act, spec.heads * spec.latent));
  const Tensor &w = b.random(
      "wkv_b", b.weight(spec.weight, spec.heads * headRows, spec.latent));
  const uint64_t width = spec.heads * spec.value;
  const Tensor &o = b.output("o", spec.quantize ? b.fp8Rows("o", width)
                                                : b.act("o", spec.act, width));
  b.expect({"o", CaseBuilder::firstRows(b.bucket.tokens),
            [=, &oLat, &w](uint64_t row, const std::vector<uint64_t> &columns) {
              Row values;
              for (uint64_t column : columns) {
                const uint64_t h = column / spec.value, v = column % spec.value;
                values.push_back(
                    dotRow(rowOf(oLat, row, h * spec.latent, spec.latent), w,
                           h * headRows + spec.nope + v));
              }
              return values;
            },
            spec.quantize           ? Expected::Kind::quantised
            : spec.act == Act::bf16 ? Expected::Kind::act
                                    : Expected::Kind::f32});
  const double m = static_cast<double>(b.bucket.tokens);
  b.result->bytes = static_cast<double>(w.bytes()) * spec.value / headRows +
                    m * (static_cast<double>(oLat.rowBytes()) + o.rowBytes());
  b.result->flops = 2 * m * spec.heads * spec.value * spec.latent;
}

} // namespace hadal::bench
