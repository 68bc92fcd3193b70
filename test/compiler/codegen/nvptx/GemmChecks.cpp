#include "test/compiler/codegen/nvptx/GemmChecks.h"

#include "cost/Contraction.h"

namespace hadal::kernels::test {

static Format formatOf(Weight weight) {
  return weight == Weight::fp8 ? Format::fp8 : Format::bf16;
}

GemmSpec makeSpec(Shape shape, bool fp8, Epilogue epilogue) {
  GemmSpec spec;
  spec.n = shape.n;
  spec.k = shape.k;
  spec.rows = shape.rows;
  spec.weight = fp8 ? Weight::fp8 : Weight::bf16;
  spec.quantizedInput = fp8;
  spec.epilogue = epilogue;
  return spec;
}

schedule::Words splitBy(const GemmSpec &spec, int64_t split) {
  int64_t bk = spec.weight == Weight::fp8 ? 128 : 64;
  int64_t steps = (spec.k + bk - 1) / bk;
  int64_t length = cost::stepsOfPart(steps, std::min(split, steps));
  return {{"split", (steps + length - 1) / length}};
}

static bool isGated(const GemmSpec &spec) {
  return spec.epilogue == Epilogue::swiglu ||
         spec.epilogue == Epilogue::swigluQuantize;
}

/// What a GEMM gives for the row |input| of x; |row| is that of the output.
static Row expectedRow(const GemmSpec &spec, const Row &input, const Buffer &w,
                const Buffer &up, const Buffer &residual, const Row &angles,
                int64_t row) {
  Row result;
  for (int64_t n = 0; n < spec.n; ++n)
    result.push_back(dotRow(input, w, n));
  if (spec.epilogue == Epilogue::residual)
    for (int64_t n = 0; n < spec.n; ++n)
      result[n] += residual.at(row, n);
  if (spec.epilogue == Epilogue::rope)
    for (int64_t end = spec.headDim; end <= spec.n; end += spec.headDim) {
      Row rotary(result.begin() + end - spec.ropeDim, result.begin() + end);
      rotary = rope(rotary, angles);
      std::copy(rotary.begin(), rotary.end(),
                result.begin() + end - spec.ropeDim);
    }
  if (isGated(spec))
    for (int64_t n = 0; n < spec.n; ++n)
      result[n] = silu(result[n]) * dotRow(input, up, n);
  if (spec.epilogue == Epilogue::swigluQuantize)
    result = quantizeDequantize(result, spec.scaleFormat);
  return result;
}

static Tolerance toleranceFor(const GemmSpec &spec) {
  // A value on a tie of two codes may take either: one step of e4m3.
  if (spec.epilogue == Epilogue::swigluQuantize)
    return {1e-5, 1.0 / 8};
  return toleranceOf(spec.f32Output ? Act::f32 : Act::bf16);
}

static Format outputFormat(const GemmSpec &spec) {
  return spec.epilogue == Epilogue::swigluQuantize ? Format::fp8
         : spec.f32Output                          ? Format::f32
                                                   : Format::bf16;
}

void checkDense(GemmSpec spec, int64_t tokens, const schedule::Words &given) {
  SCOPED_TRACE(printSpec(spec));
  Random random(spec.n + spec.k);
  int64_t rows = spec.rows;
  double deviation = 1.0 / std::sqrt(static_cast<double>(spec.k));
  Buffer x = random.matrix(spec.quantizedInput ? Format::fp8 : Format::bf16,
                           rows, spec.k);
  Format weight = formatOf(spec.weight);
  Buffer w = random.matrix(weight, spec.n, spec.k, 128, deviation);
  Buffer up = random.matrix(weight, spec.n, spec.k, 128, deviation);
  Buffer residual = random.matrix(Format::bf16, rows, spec.n);
  Buffer positions(Format::i32, rows, 1), table;
  for (int64_t m = 0; m < rows; ++m)
    positions.set(m, 0, (5 * m + 3) % std::max<int64_t>(spec.positions, 1));
  Buffer y(outputFormat(spec), rows, spec.n);
  std::vector<int32_t> sizes =
      spec.logitRows ? makeSizes(0, 1, tokens) : makeSizes(tokens, 1, 0);
  std::vector<Buffer> segments;
  Slots slots;
  slots.view(x, {rows});
  if (spec.segmentRows) {
    for (int64_t begin = 0; begin < spec.n; begin += spec.segmentRows) {
      int64_t count = std::min(spec.segmentRows, spec.n - begin);
      Buffer &part = segments.emplace_back(weight, count, spec.k, 128);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t c = 0; c < spec.k; ++c) {
          part.setCode(r, c, w.code(begin + r, c));
          part.scale(r, c) = w.scale(begin + r, c);
        }
    }
    std::vector<Buffer *> parts;
    for (Buffer &part : segments)
      parts.push_back(&part);
    slots.table(parts);
  } else {
    slots.view(w);
  }
  if (isGated(spec))
    slots.view(up);
  if (spec.epilogue == Epilogue::rope) {
    table = cosSinTable(spec.positions, spec.ropeDim);
    slots.view(table).view(positions, {rows});
  }
  if (spec.epilogue == Epilogue::residual)
    slots.view(residual, {rows});
  slots.view(y, {rows}).sizes(sizes);
  Executable(builderOf(spec, given), Mode::loops).run(slots, rows);
  EXPECT_TRUE(y.guardIntact());
  if (tokens < rows) {
    EXPECT_TRUE(y.untouched(tokens));
  }
  Comparison comparison;
  for (int64_t m = 0; m < tokens; ++m) {
    Row angles;
    if (spec.epilogue == Epilogue::rope)
      angles = rowOf(table, static_cast<int64_t>(positions.at(m, 0)), 0,
                     spec.ropeDim);
    Row row = expectedRow(spec, rowOf(x, m, 0, spec.k), w, up, residual, angles,
                          m);
    for (int64_t n = 0; n < spec.n; ++n)
      comparison.add(y.at(m, n), row[n]);
  }
  if (tokens > 0)
    HADAL_EXPECT_CLOSE(comparison, toleranceFor(spec));
}

void checkGrouped(GemmSpec spec, std::vector<int> counts,
                  const schedule::Words &given) {
  SCOPED_TRACE(printSpec(spec));
  Random random(spec.n);
  int64_t experts = counts.size();
  spec.experts = experts;
  std::vector<int32_t> sizes = makeSizes(spec.rows, 1, 0, experts);
  for (int64_t e = 0; e < experts; ++e)
    sizes[kSizesHead + e + 1] = sizes[kSizesHead + e] + counts[e];
  int64_t routed = sizes.back(), capacity = routed + 5;
  int64_t inputs = spec.gather ? spec.rows : capacity;
  double deviation = 1.0 / std::sqrt(static_cast<double>(spec.k));
  std::vector<Buffer> w, up;
  for (int64_t e = 0; e < experts; ++e) {
    w.push_back(random.matrix(formatOf(spec.weight), spec.n, spec.k, 128,
                              deviation));
    up.push_back(random.matrix(formatOf(spec.weight), spec.n, spec.k, 128,
                               deviation));
  }
  Buffer x = random.matrix(spec.quantizedInput ? Format::fp8 : Format::bf16,
                           inputs, spec.k);
  Buffer rowToken(Format::i32, capacity, 1);
  for (int64_t r = 0; r < routed; ++r)
    rowToken.set(r, 0, random.below(spec.rows));
  // Beyond the routed rows: what a larger earlier batch might have left.
  for (int64_t r = routed; r < capacity; ++r)
    rowToken.set(r, 0, 1 << 30);
  Buffer y(outputFormat(spec), capacity, spec.n);
  std::vector<Buffer *> wParts, upParts;
  for (int64_t e = 0; e < experts; ++e) {
    wParts.push_back(&w[e]);
    upParts.push_back(&up[e]);
  }
  Slots slots;
  slots.view(x, {inputs});
  if (spec.gather)
    slots.view(rowToken, {capacity});
  slots.table(wParts);
  if (isGated(spec))
    slots.table(upParts);
  slots.view(y, {capacity}).sizes(sizes);
  Executable(builderOf(spec, given), Mode::loops).run(slots, spec.rows);
  Comparison comparison;
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t r = sizes[kSizesHead + e]; r < sizes[kSizesHead + e + 1];
         ++r) {
      int64_t source =
          spec.gather ? static_cast<int64_t>(rowToken.at(r, 0)) : r;
      Row row = expectedRow(spec, rowOf(x, source, 0, spec.k), w[e], up[e], {},
                            {}, r);
      for (int64_t n = 0; n < spec.n; ++n)
        comparison.add(y.at(r, n), row[n]);
    }
  HADAL_EXPECT_CLOSE(comparison, toleranceFor(spec));
  EXPECT_TRUE(y.untouched(routed) && y.guardIntact());
}

} // namespace hadal::kernels::test
