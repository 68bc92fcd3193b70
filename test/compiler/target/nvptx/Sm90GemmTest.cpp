// The contractions scheduled for sm_90a, on the simulator, against plain
// references: dense and grouped GEMM with every epilogue, absorb_q, absorb_v.
#include <gtest/gtest.h>

#include "test/compiler/kernels/References.h"

namespace hadal::kernels::test {
namespace {

Format formatOf(Weight weight) {
  return weight == Weight::fp8 ? Format::fp8 : Format::bf16;
}

struct Shape {
  int64_t n, k, rows, tokens;
};

GemmSpec makeSpec(Shape shape, bool fp8, Epilogue epilogue = Epilogue::none) {
  GemmSpec spec;
  spec.target = Target::sm90a;
  spec.n = shape.n;
  spec.k = shape.k;
  spec.rows = shape.rows;
  spec.weight = fp8 ? Weight::fp8 : Weight::bf16;
  spec.quantizedInput = fp8;
  spec.epilogue = epilogue;
  return spec;
}

bool isGated(const GemmSpec &spec) {
  return spec.epilogue == Epilogue::swiglu ||
         spec.epilogue == Epilogue::swigluQuantize;
}

/// What a GEMM gives for the row |input| of x; |row| is that of the output.
Row expectedRow(const GemmSpec &spec, const Row &input, const Buffer &w,
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

Tolerance toleranceFor(const GemmSpec &spec) {
  // A value on a tie of two codes may take either: one step of e4m3.
  if (spec.epilogue == Epilogue::swigluQuantize)
    return {1e-5, 1.0 / 8};
  return toleranceOf(spec.f32Output ? Act::f32 : Act::bf16);
}

Format outputFormat(const GemmSpec &spec) {
  return spec.epilogue == Epilogue::swigluQuantize ? Format::fp8
         : spec.f32Output                          ? Format::f32
                                                   : Format::bf16;
}

/// The kernel of |spec| with its fold in |split| parts (0: as the compiler
/// chooses).
Executable::Build gemmOf(const GemmSpec &spec, int64_t split) {
  return [whole = builderOf(spec, buildGemm), split](mlir::OpBuilder &builder) {
    tile::KernelOp kernel = whole(builder);
    if (kernel && split > 0) {
      mlir::NamedAttrList words(kernel.getSchedule().getWords());
      words.set("split", builder.getI64IntegerAttr(split));
      kernel.setScheduleAttr(tile::ScheduleAttr::get(
          builder.getContext(), words.getDictionary(builder.getContext())));
    }
    return kernel;
  };
}

void checkDense(GemmSpec spec, int64_t tokens, int64_t split = 0) {
  SCOPED_TRACE(kernelName(spec) + " split " + std::to_string(split));
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
  Executable(gemmOf(spec, split), Mode::loops).run(slots, rows);
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

TEST(Sm90Gemm, fp8AndRaggedShapes) {
  checkDense(makeSpec({128, 128, 64, 64}, true), 64);
  checkDense(makeSpec({40, 72, 1, 1}, true), 1);
  checkDense(makeSpec({200, 1000, 70, 65}, true), 65);
  checkDense(makeSpec({136, 130, 200, 150}, true), 150);
  checkDense(makeSpec({65, 640, 3, 2}, true), 2);
}

TEST(Sm90Gemm, bf16RaggedShapesAndF32Results) {
  checkDense(makeSpec({128, 64, 64, 64}, false), 64);
  checkDense(makeSpec({65, 100, 16, 9}, false), 9);
  checkDense(makeSpec({129, 320, 160, 131}, false), 131);
  GemmSpec router = makeSpec({16, 200, 4, 3}, false);
  router.f32Output = true;
  checkDense(router, 3);
  GemmSpec head = makeSpec({70, 64, 4, 2}, false);
  head.f32Output = true;
  head.logitRows = true;
  checkDense(head, 2);
}

TEST(Sm90Gemm, epilogues) {
  for (bool fp8 : {true, false}) {
    checkDense(makeSpec({72, 130, 4, 3}, fp8, Epilogue::residual), 3);
    checkDense(makeSpec({200, 264, 100, 77}, fp8, Epilogue::residual), 77);
    checkDense(makeSpec({150, 140, 2, 1}, fp8, Epilogue::swiglu), 1);
  }
  checkDense(makeSpec({160, 200, 70, 67}, true, Epilogue::swigluQuantize), 67);
  for (auto [head, rotary] : {std::pair<int64_t, int64_t>{24, 8},
                              {192, 64},
                              {16, 16}}) {
    GemmSpec rope = makeSpec({3 * head, 136, 100, 90}, true, Epilogue::rope);
    rope.headDim = head;
    rope.ropeDim = rotary;
    rope.positions = 40;
    checkDense(rope, 90);
  }
}

// The weights of the first stages are on their way before the number of rows is
// known: a launch without rows waits for them and writes nothing.
TEST(Sm90Gemm, aLaunchWithoutRows) {
  checkDense(makeSpec({200, 1000, 16, 0}, true), 0);
  checkDense(makeSpec({72, 64, 4, 0}, false), 0);
}

// N and K as in DeepSeek-V3, few rows and experts.
TEST(Sm90GemmV3, qaAndKva) {
  GemmSpec spec = makeSpec({2112, 7168, 64, 2}, true);
  spec.segmentRows = 1536;
  checkDense(spec, 2);
}

TEST(Sm90GemmV3, router) {
  GemmSpec spec = makeSpec({256, 7168, 4, 3}, false);
  spec.f32Output = true;
  checkDense(spec, 3);
}

TEST(Sm90Gemm, segmentsWithARaggedLastBlock) {
  GemmSpec spec = makeSpec({384 + 64 + 8, 256, 16, 16}, true);
  spec.segmentRows = 384;
  checkDense(spec, 16);
}

// A row alone and in a batch of the same bucket is bit-equal, whatever the
// padding rows hold.
TEST(Sm90Gemm, paddingRowsChangeNothing) {
  GemmSpec spec = makeSpec({72, 200, 16, 16}, true, Epilogue::swigluQuantize);
  Random random(7);
  Buffer x = random.matrix(Format::fp8, 16, spec.k), other = x;
  Buffer w = random.matrix(Format::fp8, spec.n, spec.k, 128, 0.1);
  for (int64_t m = 1; m < 16; ++m)
    for (int64_t c = 0; c < spec.k; ++c)
      other.setCode(m, c, 0x7F);
  Executable kernel(builderOf(spec, buildGemm), Mode::loops);
  std::string first[2];
  for (int alone : {0, 1}) {
    Buffer y(Format::fp8, 16, spec.n);
    std::vector<int32_t> sizes = makeSizes(alone ? 1 : 16);
    kernel.run(Slots()
                   .view(alone ? other : x, {16})
                   .view(w)
                   .view(w)
                   .view(y, {16})
                   .sizes(sizes),
               16);
    first[alone] = y.rowBytes(0);
  }
  EXPECT_EQ(first[0], first[1]);
}

void checkGrouped(GemmSpec spec, std::vector<int> counts, int64_t split = 0) {
  SCOPED_TRACE(kernelName(spec) + " split " + std::to_string(split));
  Random random(spec.n);
  int64_t experts = counts.size();
  spec.experts = experts;
  std::vector<int32_t> sizes = makeSizes(spec.rows, 1, 0, experts);
  for (int64_t e = 0; e < experts; ++e)
    sizes[3 + e + 1] = sizes[3 + e] + counts[e];
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
  Executable(gemmOf(spec, split), Mode::loops).run(slots, spec.rows);
  Comparison comparison;
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t r = sizes[3 + e]; r < sizes[3 + e + 1]; ++r) {
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

TEST(Sm90Gemm, groupedByExperts) {
  GemmSpec gateUp =
      makeSpec({256, 136, 70, 70}, true, Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {3, 0, 70, 1});
  gateUp.scaleFormat = ScaleFormat::ue8m0;
  checkGrouped(gateUp, {0, 33, 0, 2});
  GemmSpec plain = makeSpec({40, 72, 32, 32}, false, Epilogue::swiglu);
  plain.gather = true;
  checkGrouped(plain, {17, 1, 0});
  checkGrouped(makeSpec({72, 150, 4, 4}, true), {4, 0, 2});
  checkGrouped(makeSpec({72, 150, 300, 300}, false), {65, 0, 2});
}

// Parts of whole steps that end before K does, in every order of arrival: both
// policies run two launches, each in an order of its own. Sixteen rows or less
// leave most of the state unwritten.
TEST(Sm90GemmSplit, dense) {
  checkDense(makeSpec({40, 72, 1, 1}, true), 1, 4); // one step: nothing to split
  checkDense(makeSpec({136, 130, 16, 9}, true), 9, 2);
  checkDense(makeSpec({200, 1000, 70, 65}, true), 65, 3);
  checkDense(makeSpec({65, 1400, 3, 2}, true), 2, 11);
  checkDense(makeSpec({200, 1000, 16, 0}, true), 0, 3);
  checkDense(makeSpec({65, 400, 16, 16}, false), 16, 3);
  checkDense(makeSpec({129, 320, 160, 131}, false), 131, 2);
  GemmSpec router = makeSpec({16, 512, 4, 3}, false);
  router.f32Output = true;
  checkDense(router, 3, 8);
}

TEST(Sm90GemmSplit, epilogues) {
  for (bool fp8 : {true, false}) {
    checkDense(makeSpec({72, 300, 4, 3}, fp8, Epilogue::residual), 3, 2);
    checkDense(makeSpec({150, 400, 2, 1}, fp8, Epilogue::swiglu), 1, 3);
  }
  checkDense(makeSpec({160, 640, 70, 67}, true, Epilogue::swigluQuantize), 67,
             5);
  GemmSpec rope = makeSpec({2 * 192, 392, 100, 90}, true, Epilogue::rope);
  rope.headDim = 192;
  rope.ropeDim = 64;
  rope.positions = 40;
  checkDense(rope, 90, 4);
}

// No part of an expert without rows comes: its ticket stays as it was.
TEST(Sm90GemmSplit, groupedByExperts) {
  GemmSpec gateUp =
      makeSpec({256, 392, 70, 70}, true, Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {3, 0, 70, 1}, 4);
  checkGrouped(makeSpec({72, 300, 4, 4}, true), {4, 0, 2}, 3);
  checkGrouped(makeSpec({72, 150, 300, 300}, false), {65, 0, 2}, 2);
}

TEST(Sm90GemmV3, experts) {
  GemmSpec gateUp = makeSpec({2048, 7168, 4, 4}, true,
                             Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {1, 2});
  checkGrouped(makeSpec({7168, 2048, 4, 4}, true), {1, 2});
}

struct AbsorbCase {
  int64_t heads, nope, rope, value, latent, rows, tokens;
  bool quantize = false;
};

void checkAbsorb(AbsorbCase c) {
  SCOPED_TRACE(c.latent);
  Random random(c.latent + c.rows);
  int64_t headRows = c.nope + c.value, head = c.nope + c.rope;
  Buffer w = random.matrix(Format::bf16, c.heads * headRows, c.latent, 128,
                           0.2),
         q = random.matrix(Format::bf16, c.rows, c.heads * head),
         qLat(Format::bf16, c.rows, c.heads * (c.latent + c.rope)),
         oLat = random.matrix(Format::bf16, c.rows, c.heads * c.latent),
         o(c.quantize ? Format::fp8 : Format::bf16, c.rows, c.heads * c.value);
  std::vector<int32_t> sizes = makeSizes(c.tokens);
  Common common;
  common.target = Target::sm90a;
  AbsorbQSpec qSpec{common,  c.heads,  c.nope, c.rope,
                    c.value, c.latent, c.rows, Weight::bf16};
  AbsorbVSpec vSpec{common,   c.heads, c.nope,       c.value,
                    c.latent, c.rows,  Weight::bf16, c.quantize};
  Executable(builderOf(qSpec, buildAbsorbQ), Mode::loops)
      .run(Slots().view(q, {c.rows}).view(w).view(qLat, {c.rows}).sizes(sizes),
           c.rows);
  Executable(builderOf(vSpec, buildAbsorbV), Mode::loops)
      .run(Slots().view(oLat, {c.rows}).view(w).view(o, {c.rows}).sizes(sizes),
           c.rows);
  Comparison absorbed, expanded;
  for (int64_t m = 0; m < c.tokens; ++m)
    for (int64_t h = 0; h < c.heads; ++h) {
      for (int64_t i = 0; i < c.latent; ++i) {
        double sum = 0;
        for (int64_t d = 0; d < c.nope; ++d)
          sum += q.at(m, h * head + d) * w.at(h * headRows + d, i);
        absorbed.add(qLat.at(m, h * (c.latent + c.rope) + i), sum);
      }
      for (int64_t i = 0; i < c.rope; ++i)
        EXPECT_EQ(qLat.at(m, h * (c.latent + c.rope) + c.latent + i),
                  q.at(m, h * head + c.nope + i));
      Row values, latent = rowOf(oLat, m, h * c.latent, (h + 1) * c.latent);
      for (int64_t d = 0; d < c.value; ++d)
        values.push_back(dotRow(latent, w, h * headRows + c.nope + d));
      if (c.quantize)
        values = quantizeDequantize(values, ScaleFormat::f32);
      for (int64_t d = 0; d < c.value; ++d)
        expanded.add(o.at(m, h * c.value + d), values[d]);
    }
  HADAL_EXPECT_CLOSE(absorbed, toleranceOf(Act::bf16));
  HADAL_EXPECT_CLOSE(expanded, c.quantize ? (Tolerance{1e-5, 1.0 / 8})
                                          : toleranceOf(Act::bf16));
  if (c.tokens < c.rows) {
    EXPECT_TRUE(qLat.untouched(c.tokens) && o.untouched(c.tokens));
  }
  EXPECT_TRUE(qLat.guardIntact() && o.guardIntact());
}

TEST(Sm90Absorb, eachHalfOfWkvB) {
  checkAbsorb({2, 128, 64, 128, 256, 1, 1, true});
  checkAbsorb({3, 48, 16, 56, 144, 16, 11});
  checkAbsorb({2, 32, 8, 16, 64, 100, 70});
  checkAbsorb({2, 128, 64, 128, 512, 4, 3, true});
}

} // namespace
} // namespace hadal::kernels::test
