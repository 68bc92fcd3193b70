// Cases of the kernels that work on rows.
#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

static Expected::Kind kindOf(Act act) {
  return act == Act::bf16 ? Expected::Kind::act : Expected::Kind::f32;
}

/// The elements |columns| of |row|.
static Row pick(const Row &row, const std::vector<uint64_t> &columns) {
  Row values;
  for (uint64_t c : columns)
    values.push_back(row[c]);
  return values;
}

void buildEmbedCase(CaseBuilder &b, const EmbedSpec &spec) {
  const Tensor &table = b.random(
      "table", b.weight(spec.table, spec.vocab, spec.hidden));
  Tensor ids(DType::i32, b.rowsOf("tokens"), 1);
  for (uint64_t t = 0; t < ids.rows; ++t)
    ids.set(t, 0, b.rng.below(spec.vocab));
  const Tensor &tokens = b.output("tokens", std::move(ids));
  b.output("h", b.act("h", spec.act, spec.hidden));
  b.expect({"h", CaseBuilder::firstRows(b.bucket.tokens),
            [&tokens, &table](uint64_t row, const auto &columns) {
              Row values;
              for (uint64_t c : columns)
                values.push_back(
                    table.at(static_cast<uint64_t>(tokens.at(row, 0)), c));
              return values;
            },
            kindOf(spec.act)});
  b.result->bytes = static_cast<double>(b.bucket.tokens) * spec.hidden * 2 *
                    dtypeSize(dtypeOf(spec.act));
}

void buildMtpInputCase(CaseBuilder &b, const MtpInputSpec &spec) {
  const uint64_t width = spec.hidden;
  const Tensor &table =
      b.random("table", b.weight(spec.table, spec.vocab, width));
  const Tensor &h = b.random("h", b.act("h", spec.act, width));
  auto vector = [&](const char *name) -> const Tensor & {
    return b.random(name, Tensor(DType::f32, 1, width));
  };
  const Tensor &enorm = vector("enorm"), &norm = vector("norm"),
               &hnorm = vector("hnorm");
  auto indices = [&](const char *name, uint64_t below) -> const Tensor & {
    Tensor values(DType::i32, b.rowsOf(name), 1);
    for (uint64_t t = 0; t < values.rows; ++t)
      values.set(t, 0, b.rng.below(below));
    return b.output(name, std::move(values));
  };
  const Tensor &tokens = indices("tokens", spec.vocab),
               &rows = indices("rows", h.rows);
  b.output("y", b.act("y", spec.act, 2 * width));
  b.expect({"y", CaseBuilder::firstRows(b.bucket.tokens),
            [=, &table, &h, &enorm, &norm, &hnorm, &tokens,
             &rows](uint64_t row, const std::vector<uint64_t> &columns) {
              auto normalise = [&](const Row &x, const Tensor &w) {
                return rmsNorm(x, rowOf(w, 0, 0, width), spec.eps);
              };
              auto gather = [&](const Tensor &from, const Tensor &index) {
                return rowOf(from, static_cast<uint64_t>(index.at(row, 0)), 0,
                             width);
              };
              Row values = normalise(gather(table, tokens), enorm);
              const Row state =
                  normalise(normalise(gather(h, rows), norm), hnorm);
              values.insert(values.end(), state.begin(), state.end());
              return pick(values, columns);
            },
            kindOf(spec.act)});
  b.result->bytes = static_cast<double>(b.bucket.tokens) * width * 4 *
                    dtypeSize(dtypeOf(spec.act));
}

void buildNormQuantCase(CaseBuilder &b, const NormQuantSpec &spec) {
  const uint64_t width = spec.width;
  const Tensor &x = b.random("x", b.act("x", spec.act, width));
  const Tensor &w = b.random("w", Tensor(DType::f32, 1, width));
  const Tensor *delta = nullptr, *rows = nullptr;
  uint64_t count = b.bucket.tokens;
  if (spec.delta) {
    delta = &b.random("delta", spec.f32Delta
                                   ? Tensor(DType::f32, b.rowsOf("delta"), width)
                                   : b.act("delta", spec.act, width));
    b.output("sum", b.act("sum", spec.act, width));
  }
  if (spec.gather) {
    count = b.bucket.logitRows;
    Tensor values(DType::i32, b.rowsOf("rows"), 1);
    for (uint64_t i = 0; i < values.rows; ++i)
      values.set(i, 0, b.rng.below(x.rows));
    rows = &b.output("rows", std::move(values));
  }
  auto sum = [=, &x](uint64_t row) {
    Row values = rowOf(
        x, rows ? static_cast<uint64_t>(rows->at(row, 0)) : row, 0, width);
    for (uint64_t c = 0; delta && c < width; ++c)
      values[c] += delta->at(row, c);
    return values;
  };
  auto normed = [=, &w](uint64_t row, const std::vector<uint64_t> &columns) {
    return pick(rmsNorm(sum(row), rowOf(w, 0, 0, width), spec.eps), columns);
  };
  const double act = dtypeSize(dtypeOf(spec.act));
  double elementBytes = act;
  if (spec.delta) {
    b.expect({"sum", CaseBuilder::firstRows(count),
              [=](uint64_t row, const std::vector<uint64_t> &columns) {
                return pick(sum(row), columns);
              },
              kindOf(spec.act)});
    elementBytes += 2 * act;
  }
  if (spec.emitAct) {
    b.output("y", b.act("y", spec.act, width));
    b.expect({"y", CaseBuilder::firstRows(count), normed, kindOf(spec.act)});
    elementBytes += act;
  }
  if (spec.quantize) {
    b.output("q", b.fp8Rows("q", width));
    b.expect({"q", CaseBuilder::firstRows(count), normed,
              Expected::Kind::quantised});
    elementBytes += 1 + 4.0 / 128;
  }
  b.result->bytes = static_cast<double>(count) * width * elementBytes;
}

void buildQuantizeCase(CaseBuilder &b, const QuantizeSpec &spec) {
  const Tensor &x = b.random("x", b.act("x", spec.act, spec.width));
  b.output("q", b.fp8Rows("q", spec.width));
  b.expect({"q", CaseBuilder::firstRows(b.bucket.tokens),
            [&x, spec](uint64_t row, const auto &columns) {
              return pick(rowOf(x, row, 0, spec.width), columns);
            },
            Expected::Kind::quantised});
  b.result->bytes = static_cast<double>(b.bucket.tokens) * spec.width *
                    (dtypeSize(dtypeOf(spec.act)) + 1 + 4.0 / 128);
}

void buildAddCase(CaseBuilder &b, const AddSpec &spec) {
  const Tensor &x = b.random("a", b.act("a", spec.act, spec.width));
  const Tensor &y =
      b.random("b", spec.f32Addend
                        ? Tensor(DType::f32, b.rowsOf("b"), spec.width)
                        : b.act("b", spec.act, spec.width));
  b.output("out", b.act("out", spec.act, spec.width));
  b.expect({"out", CaseBuilder::firstRows(b.bucket.tokens),
            [&x, &y](uint64_t row, const auto &columns) {
              Row values;
              for (uint64_t c : columns)
                values.push_back(x.at(row, c) + y.at(row, c));
              return values;
            },
            kindOf(spec.act)});
  b.result->bytes = static_cast<double>(b.bucket.tokens) * spec.width * 3 *
                    dtypeSize(dtypeOf(spec.act));
}

void buildSiluMulCase(CaseBuilder &b, const SiluMulSpec &spec) {
  const Tensor &gate = b.random("gate", b.act("gate", spec.act, spec.width));
  const Tensor &up = b.random("up", b.act("up", spec.act, spec.width));
  b.output("y", b.act("y", spec.act, spec.width));
  b.expect({"y", CaseBuilder::firstRows(b.bucket.tokens),
            [&gate, &up](uint64_t row, const auto &columns) {
              Row values;
              for (uint64_t c : columns)
                values.push_back(silu(gate.at(row, c)) * up.at(row, c));
              return values;
            },
            kindOf(spec.act)});
  b.result->bytes = static_cast<double>(b.bucket.tokens) * spec.width * 3 *
                    dtypeSize(dtypeOf(spec.act));
}

} // namespace hadal::bench
