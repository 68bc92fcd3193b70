// The GEMM in all its forms, absorb_q and absorb_v against plain references.
#include <gtest/gtest.h>

#include <memory>

#include "References.h"

namespace hadal::kernels::test {
namespace {

constexpr Mode kModes[] = {Mode::loops, Mode::loopsF64};

Format formatOf(Weight weight) {
  return weight == Weight::fp8    ? Format::fp8
         : weight == Weight::bf16 ? Format::bf16
                                  : Format::f32;
}

/// Everything one dense launch needs, with plain names.
struct Dense {
  GemmSpec spec;
  int64_t tokens;
  Random random;
  Buffer x, w, up, table, positions, residual, y;
  std::vector<Buffer> segments;

  Dense(const GemmSpec &spec, int64_t tokens, uint64_t seed = 1)
      : spec(spec), tokens(tokens), random(seed) {
    Format act = test::formatOf(spec.act);
    int64_t rows = spec.rows;
    // About unit results.
    double deviation = 1.0 / std::sqrt(static_cast<double>(spec.k));
    x = random.matrix(spec.quantizedInput ? Format::fp8 : act, rows, spec.k);
    w = random.matrix(formatOf(spec.weight), spec.n, spec.k, 128, deviation);
    up = random.matrix(formatOf(spec.weight), spec.n, spec.k, 128, deviation);
    residual = random.matrix(act, rows, spec.n);
    positions = Buffer(Format::i32, rows, 1);
    for (int64_t m = 0; m < rows; ++m)
      positions.set(m, 0, (5 * m + 3) % std::max<int64_t>(spec.positions, 1));
    if (spec.epilogue == Epilogue::rope)
      table = cosSinTable(spec.positions, spec.ropeDim);
    y = Buffer(spec.epilogue == Epilogue::swigluQuantize ? Format::fp8
               : spec.f32Output                          ? Format::f32
                                                         : act,
               rows, spec.n);
    if (spec.segmentRows)
      split();
  }

  /// Copies |w| into one buffer per segment.
  void split() {
    for (int64_t begin = 0; begin < spec.n; begin += spec.segmentRows) {
      int64_t count = std::min(spec.segmentRows, spec.n - begin);
      Buffer part(w.format(), count, spec.k, 128);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t c = 0; c < spec.k; ++c)
          if (w.format() == Format::fp8) {
            part.setCode(r, c, w.code(begin + r, c));
            part.scale(r, c) = w.scale(begin + r, c);
          } else {
            part.set(r, c, w.at(begin + r, c));
          }
      segments.push_back(std::move(part));
    }
  }

  void run(const Executable &kernel, uint64_t order = 1) {
    bool gated = spec.epilogue == Epilogue::swiglu ||
                 spec.epilogue == Epilogue::swigluQuantize;
    std::vector<int32_t> sizes = spec.logitRows
                                     ? makeSizes(0, 1, tokens)
                                     : makeSizes(tokens, 1, 0);
    Slots slots;
    slots.view(x, {spec.rows});
    if (segments.empty()) {
      slots.view(w);
    } else {
      std::vector<Buffer *> parts;
      for (Buffer &part : segments)
        parts.push_back(&part);
      slots.table(parts);
    }
    if (gated)
      slots.view(up);
    if (spec.epilogue == Epilogue::rope)
      slots.view(table).view(positions, {spec.rows});
    if (spec.epilogue == Epilogue::residual)
      slots.view(residual, {spec.rows});
    slots.view(y, {spec.rows}).sizes(sizes);
    kernel.run(slots, spec.rows, order);
    EXPECT_TRUE(y.guardIntact());
    if (tokens < spec.rows) {
      EXPECT_TRUE(y.untouched(tokens));
    }
  }

  Row expected(int64_t m) const {
    Row input = rowOf(x, m, 0, spec.k), result;
    for (int64_t n = 0; n < spec.n; ++n)
      result.push_back(dotRow(input, w, n));
    switch (spec.epilogue) {
    case Epilogue::none:
      break;
    case Epilogue::residual:
      for (int64_t n = 0; n < spec.n; ++n)
        result[n] += residual.at(m, n);
      break;
    case Epilogue::rope: {
      Row angles = rowOf(table, static_cast<int64_t>(positions.at(m, 0)), 0,
                         spec.ropeDim);
      for (int64_t end = spec.headDim; end <= spec.n; end += spec.headDim) {
        Row rotary(result.begin() + end - spec.ropeDim, result.begin() + end);
        rotary = rope(rotary, angles);
        std::copy(rotary.begin(), rotary.end(),
                  result.begin() + end - spec.ropeDim);
      }
      break;
    }
    case Epilogue::swiglu:
    case Epilogue::swigluQuantize:
      for (int64_t n = 0; n < spec.n; ++n)
        result[n] = silu(result[n]) * dotRow(input, up, n);
      if (spec.epilogue == Epilogue::swigluQuantize)
        result = quantizeDequantize(result, spec.scaleFormat);
      break;
    }
    return result;
  }

  void check() {
    Comparison comparison;
    for (int64_t m = 0; m < tokens; ++m) {
      Row row = expected(m);
      for (int64_t n = 0; n < spec.n; ++n)
        comparison.add(y.at(m, n), row[n]);
    }
    Tolerance tolerance = toleranceOf(spec.f32Output ? Act::f32 : spec.act);
    // A value on a tie of two codes may take either: one step of e4m3.
    if (spec.epilogue == Epilogue::swigluQuantize)
      tolerance = {1e-5, 1.0 / 8};
    HADAL_EXPECT_CLOSE(comparison, tolerance);
  }
};

GemmSpec makeSpec(int64_t n, int64_t k, int64_t rows, Weight weight,
                  bool quantized, Act act, Epilogue epilogue = Epilogue::none) {
  GemmSpec spec{{act}, n, k, rows};
  spec.weight = weight;
  spec.quantizedInput = quantized;
  spec.epilogue = epilogue;
  return spec;
}

void checkDense(const GemmSpec &spec, int64_t tokens) {
  SCOPED_TRACE(printSpec(spec));
  for (Mode mode : kModes) {
    Executable kernel(builderOf(spec), mode);
    Dense launch(spec, tokens, spec.n + spec.k);
    launch.run(kernel);
    launch.check();
  }
}

TEST(Gemm, weightsOfEveryKindAndRaggedShapes) {
  checkDense(makeSpec(40, 72, 1, Weight::fp8, true, Act::bf16), 1);
  checkDense(makeSpec(200, 320, 4, Weight::fp8, true, Act::bf16), 3);
  checkDense(makeSpec(136, 130, 64, Weight::fp8, true, Act::f32), 17);
  checkDense(makeSpec(96, 257, 1, Weight::fp8, false, Act::f32), 1);
  checkDense(makeSpec(300, 200, 8, Weight::fp8, false, Act::bf16), 7);
  checkDense(makeSpec(65, 100, 16, Weight::bf16, false, Act::bf16), 9);
  checkDense(makeSpec(33, 260, 4, Weight::f32, false, Act::f32), 4);
  checkDense(makeSpec(129, 96, 64, Weight::f32, false, Act::bf16), 40);
  GemmSpec router = makeSpec(16, 200, 4, Weight::bf16, false, Act::bf16);
  router.f32Output = true;
  checkDense(router, 3);
  GemmSpec head = makeSpec(70, 64, 4, Weight::bf16, false, Act::f32);
  head.f32Output = true;
  head.logitRows = true;
  checkDense(head, 2);
}

TEST(Gemm, epilogues) {
  checkDense(makeSpec(72, 130, 4, Weight::fp8, true, Act::bf16,
                      Epilogue::residual),
             3);
  checkDense(makeSpec(72, 64, 64, Weight::f32, false, Act::f32,
                      Epilogue::residual),
             33);
  checkDense(
      makeSpec(150, 140, 1, Weight::fp8, true, Act::bf16, Epilogue::swiglu), 1);
  checkDense(
      makeSpec(60, 90, 16, Weight::f32, false, Act::f32, Epilogue::swiglu), 16);
  checkDense(makeSpec(160, 200, 4, Weight::fp8, true, Act::bf16,
                      Epilogue::swigluQuantize),
             3);
  checkDense(makeSpec(128, 128, 1, Weight::fp8, false, Act::f32,
                      Epilogue::swigluQuantize),
             1);
  for (auto [head, rotary] : {std::pair<int64_t, int64_t>{24, 8},
                              {192, 64},
                              {16, 16},
                              {130, 2}}) {
    GemmSpec rope = makeSpec(3 * head, 136, 4, Weight::fp8, true, Act::f32,
                             Epilogue::rope);
    rope.headDim = head;
    rope.ropeDim = rotary;
    rope.positions = 40;
    checkDense(rope, 3);
  }
}

TEST(Gemm, aSplitFoldComputesTheSame) {
  for (GemmSpec spec : {makeSpec(72, 700, 4, Weight::fp8, true, Act::f32,
                                 Epilogue::swiglu),
                        makeSpec(40, 90, 1, Weight::f32, false, Act::f32)}) {
    Executable kernel(splitBuilderOf(spec), Mode::loops);
    Dense launch(spec, spec.rows);
    launch.run(kernel);
    launch.check();
  }
}

TEST(Gemm, Gotcha24SegmentsWithARaggedLastBlock) {
  // 192 + 64 rows with scale blocks of 128: the last segment has a partial one.
  for (int64_t rows : {1, 16}) {
    GemmSpec spec = makeSpec(384 + 64 + 8, 256, rows, Weight::fp8, true,
                             Act::bf16);
    spec.segmentRows = 384;
    checkDense(spec, rows);
    spec.segmentRows = 128;
    checkDense(spec, rows);
    GemmSpec plain = makeSpec(96 + 40, 64, rows, Weight::f32, false, Act::f32);
    plain.segmentRows = 96;
    checkDense(plain, rows);
  }
}

TEST(Gemm, Gotcha22And23ScaleIsAnExactMultiplier) {
  // A scale that bf16 cannot hold, and one block whose largest code is 448.
  GemmSpec spec = makeSpec(16, 128, 1, Weight::fp8, false, Act::f32);
  Executable kernel(builderOf(spec), Mode::loops);
  Dense launch(spec, 1);
  const float scale = 1.00390f + 3e-5f;
  launch.w.scale(0, 0) = scale;
  for (int c = 0; c < 128; ++c) {
    launch.x.set(0, c, c == 7 ? 1.0 : 0.0);
    for (int n = 0; n < 16; ++n)
      launch.w.setCode(n, c, 0x7E - n);
  }
  launch.run(kernel);
  EXPECT_EQ(launch.y.at(0, 0), 448.0f * scale);
  for (int n = 0; n < 16; ++n)
    EXPECT_EQ(launch.y.at(0, n),
              static_cast<float>(decodeE4m3(0x7E - n)) * scale);
}

TEST(Gemm, Gotcha31CodesAreE4m3fn) {
  // Every finite code, one-hot; 0x80 is -0 and 0x7E is 448.
  EXPECT_TRUE(std::signbit(decodeE4m3(0x80)) && decodeE4m3(0x80) == 0);
  EXPECT_EQ(decodeE4m3(0x7E), 448);
  for (bool quantized : {false, true}) {
    GemmSpec spec = makeSpec(256, 128, 1, Weight::fp8, quantized, Act::f32);
    Executable kernel(builderOf(spec), Mode::loops);
    Dense launch(spec, 1);
    for (int c = 0; c < 128; ++c) {
      if (quantized)
        launch.x.setCode(0, c, c == 77 ? 0x38 : 0);
      else
        launch.x.set(0, c, c == 77);
      for (int n = 0; n < 256; ++n)
        launch.w.setCode(n, c, (n & 0x7F) == 0x7F ? 0 : n);
    }
    if (quantized)
      launch.x.scale(0, 0) = 1;
    launch.w.scale(0, 0) = launch.w.scale(128, 0) = 1;
    launch.run(kernel);
    for (int n = 0; n < 256; ++n)
      if ((n & 0x7F) != 0x7F) {
        EXPECT_EQ(launch.y.at(0, n), decodeE4m3(n)) << n;
      }
  }
}

TEST(Gemm, Gotcha30SumsOfManyBlocksStayExact) {
  // K = 7168, all positive, never constant: an accumulator of 14 bits is off
  // by 13 %.
  GemmSpec spec = makeSpec(16, 7168, 1, Weight::fp8, true, Act::f32);
  Executable kernel(builderOf(spec), Mode::loops);
  Dense launch(spec, 1);
  for (int64_t c = 0; c < spec.k; ++c) {
    launch.x.setCode(0, c, encodeE4m3(launch.random.uniform(1e-3, 448)));
    launch.x.scale(0, c) = 1;
    launch.w.scale(0, c) = 1;
    for (int n = 0; n < 16; ++n)
      launch.w.setCode(n, c, encodeE4m3(launch.random.uniform(1e-3, 448)));
  }
  launch.run(kernel);
  Row expected = launch.expected(0);
  for (int n = 0; n < 16; ++n)
    EXPECT_NEAR(launch.y.at(0, n), expected[n], 1e-5 * expected[n]);
}

TEST(Gemm, Gotcha5RouterLogitsKeepF32) {
  // Two experts whose logits differ by 2^-9 relative: bf16 could not order
  // them.
  GemmSpec spec = makeSpec(16, 256, 1, Weight::bf16, false, Act::bf16);
  spec.f32Output = true;
  Executable kernel(builderOf(spec), Mode::loops);
  Dense launch(spec, 1);
  for (int64_t c = 0; c < spec.k; ++c) {
    launch.x.set(0, c, 1.0);
    for (int n = 0; n < 16; ++n)
      launch.w.set(n, c, 1.0);
  }
  // Expert 3: 256.5; expert 4: 257.
  launch.w.set(3, 0, 1.5);
  launch.w.set(4, 1, 2.0);
  launch.run(kernel);
  EXPECT_EQ(launch.y.at(0, 2), 256.0);
  EXPECT_EQ(launch.y.at(0, 3), 256.5);
  EXPECT_EQ(launch.y.at(0, 4), 257.0);
}

TEST(Gemm, Gotcha33PaddingRowsChangeNothing) {
  // A row alone and in a batch of the same bucket is bit-equal, whatever the
  // padding rows hold.
  for (GemmSpec spec :
       {makeSpec(72, 200, 16, Weight::fp8, true, Act::bf16),
        makeSpec(128, 100, 16, Weight::fp8, true, Act::bf16,
                 Epilogue::swigluQuantize),
        makeSpec(64, 96, 64, Weight::bf16, false, Act::bf16,
                 Epilogue::residual)}) {
    Executable kernel(builderOf(spec), Mode::loops);
    Dense alone(spec, 1), batch(spec, spec.rows);
    for (int64_t m = 1; m < spec.rows; ++m)
      for (int64_t c = 0; c < spec.k; ++c)
        if (spec.quantizedInput)
          alone.x.setCode(m, c, 0x7F);
        else
          alone.x.set(m, c, std::nan(""));
    alone.run(kernel, 1);
    batch.run(kernel, 2);
    EXPECT_EQ(alone.y.rowBytes(0), batch.y.rowBytes(0));
  }
}

TEST(Gemm, Gotcha13RopeIsInterleavedAndGolden) {
  // Model-spec 2.7: YaRN frequencies of V3, position 7, x[j] = j + 1.
  const std::vector<float> yarn = {
      1.0f,           .749894202f,    .562341332f,    .421696514f,
      .316227764f,    .237137362f,    .177827939f,    .133352146f,
      .100000001f,    .0749894157f,   .0562341288f,   .0390069255f,
      .0268793618f,   .0183781453f,   .0124479560f,   .00833450933f,
      .00549999988f,  .00356199760f,  .00224936530f,  .00137051357f,
      7.90569466e-4f, 4.14990418e-4f, 1.77827943e-4f, 3.33380362e-5f,
      2.50000012e-5f, 1.87473546e-5f, 1.40585325e-5f, 1.05424122e-5f,
      7.90569466e-6f, 5.92843462e-6f, 4.44569851e-6f, 3.33380376e-6f};
  GemmSpec spec = makeSpec(64, 64, 1, Weight::f32, false, Act::f32,
                           Epilogue::rope);
  spec.headDim = spec.ropeDim = 64;
  spec.positions = 8;
  Executable kernel(builderOf(spec), Mode::loops);
  Dense launch(spec, 1);
  for (int n = 0; n < 64; ++n) {
    launch.x.set(0, n, n + 1);
    for (int c = 0; c < 64; ++c)
      launch.w.set(n, c, n == c);
  }
  launch.positions.set(0, 0, 7);
  auto expectAt = [&](int first, std::vector<double> values) {
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(launch.y.at(0, first + i), values[i], 1e-5);
  };
  launch.table = cosSinTable(8, yarn);
  launch.run(kernel);
  expectAt(0, {-0.560071, 2.164791, 4.971602, -0.532144, 0.780178, -7.771185});
  expectAt(20, {10.955775, 28.372011, 15.675888, 29.313248, 19.695543,
                30.217306});
  expectAt(62, {62.998506, 64.001470});
  launch.table = cosSinTable(8, 64);
  launch.run(kernel);
  expectAt(22, {15.023132, 29.653086, 18.681539, 30.854499});
  expectAt(62, {62.940231, 64.058780});
}

TEST(Gemm, Gotcha15And16RopeUsesTheF32TableAtLargePositions) {
  GemmSpec spec = makeSpec(8, 16, 1, Weight::f32, false, Act::f32,
                           Epilogue::rope);
  spec.headDim = spec.ropeDim = 8;
  spec.positions = 163840;
  Executable kernel(builderOf(spec), Mode::loops);
  Dense launch(spec, 1);
  for (int64_t p : {100000, 163839}) {
    launch.positions.set(0, 0, p);
    launch.run(kernel);
    Row expected = launch.expected(0), rounded = rowOf(launch.table, p, 0, 8);
    for (double &value : rounded)
      value = roundToBf16(value);
    Row plain;
    for (int n = 0; n < 8; ++n)
      plain.push_back(dotRow(rowOf(launch.x, 0, 0, 16), launch.w, n));
    Row wrong = rope(plain, rounded);
    double error = 0, wrongError = 0;
    for (int n = 0; n < 8; ++n) {
      error = std::max(error, std::fabs(launch.y.at(0, n) - expected[n]));
      wrongError = std::max(wrongError, std::fabs(wrong[n] - expected[n]));
    }
    EXPECT_LT(error, 1e-5);
    EXPECT_GT(wrongError, 1e-4);
  }
}

//===----------------------------------------------------------------------===//
// Grouped
//===----------------------------------------------------------------------===//

void checkGrouped(GemmSpec spec, std::vector<int> counts) {
  SCOPED_TRACE(printSpec(spec));
  Random random(spec.n);
  int64_t experts = counts.size(), routed = 0;
  spec.experts = experts;
  std::vector<int32_t> sizes = makeSizes(spec.rows, 1, 0, experts);
  for (int64_t e = 0; e < experts; ++e)
    sizes[kSizesHead + e + 1] = sizes[kSizesHead + e] + counts[e];
  routed = sizes.back();
  int64_t capacity = routed + 5;
  int64_t inputs = spec.gather ? spec.rows : capacity;
  bool gated = spec.epilogue != Epilogue::none;
  double deviation = 1.0 / std::sqrt(static_cast<double>(spec.k));
  std::vector<Buffer> w, up;
  for (int64_t e = 0; e < experts; ++e) {
    w.push_back(random.matrix(formatOf(spec.weight), spec.n, spec.k, 128,
                              deviation));
    up.push_back(random.matrix(formatOf(spec.weight), spec.n, spec.k, 128,
                               deviation));
  }
  Buffer x = random.matrix(spec.quantizedInput ? Format::fp8
                                               : test::formatOf(spec.act),
                           inputs, spec.k);
  Buffer rowToken(Format::i32, capacity, 1);
  for (int64_t r = 0; r < routed; ++r)
    rowToken.set(r, 0, random.below(spec.rows));
  // Beyond the routed rows: what a larger earlier batch might have left.
  for (int64_t r = routed; r < capacity; ++r)
    rowToken.set(r, 0, 1 << 30);
  for (Mode mode : kModes) {
    Buffer y(spec.epilogue == Epilogue::swigluQuantize
                 ? Format::fp8
                 : test::formatOf(spec.act),
             capacity, spec.n);
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
    if (gated)
      slots.table(upParts);
    slots.view(y, {capacity}).sizes(sizes);
    Executable kernel(builderOf(spec), mode);
    kernel.run(slots, spec.rows);
    Comparison comparison;
    for (int64_t e = 0; e < experts; ++e)
      for (int64_t r = sizes[kSizesHead + e]; r < sizes[kSizesHead + e + 1];
           ++r) {
        int64_t source =
            spec.gather ? static_cast<int64_t>(rowToken.at(r, 0)) : r;
        Row input = rowOf(x, source, 0, spec.k), expected;
        for (int64_t n = 0; n < spec.n; ++n) {
          double value = dotRow(input, w[e], n);
          expected.push_back(gated ? silu(value) * dotRow(input, up[e], n)
                                   : value);
        }
        if (spec.epilogue == Epilogue::swigluQuantize)
          expected = quantizeDequantize(expected, spec.scaleFormat);
        for (int64_t n = 0; n < spec.n; ++n)
          comparison.add(y.at(r, n), expected[n]);
      }
    HADAL_EXPECT_CLOSE(comparison,
                       spec.epilogue == Epilogue::swigluQuantize
                           ? (Tolerance{1e-5, 1.0 / 8})
                           : toleranceOf(spec.act));
    EXPECT_TRUE(y.untouched(routed) && y.guardIntact());
  }
}

TEST(Gemm, groupedByExperts) {
  GemmSpec gateUp = makeSpec(150, 136, 8, Weight::fp8, true, Act::bf16,
                             Epilogue::swigluQuantize);
  gateUp.gather = true;
  checkGrouped(gateUp, {3, 0, 8, 1});
  gateUp.rows = 1;
  checkGrouped(gateUp, {1, 0, 1, 1});
  gateUp.scaleFormat = ScaleFormat::ue8m0;
  gateUp.rows = 64;
  checkGrouped(gateUp, {0, 33, 0, 2});
  GemmSpec plain = makeSpec(40, 70, 32, Weight::f32, false, Act::f32,
                            Epilogue::swiglu);
  plain.gather = true;
  checkGrouped(plain, {17, 1, 0});
  checkGrouped(makeSpec(72, 150, 4, Weight::fp8, true, Act::bf16), {4, 0, 2});
  checkGrouped(makeSpec(72, 150, 300, Weight::bf16, false, Act::bf16),
               {65, 0, 2});
}

//===----------------------------------------------------------------------===//
// absorb_q, absorb_v
//===----------------------------------------------------------------------===//

struct AbsorbCase {
  int64_t heads, nope, rope, value, latent, rows, tokens;
  Weight weight;
  Act act;
  bool quantize = false;
};

void checkAbsorb(AbsorbCase c, Mode mode) {
  SCOPED_TRACE(c.latent);
  Random random(c.latent + c.rows);
  int64_t headRows = c.nope + c.value, head = c.nope + c.rope;
  Format act = test::formatOf(c.act);
  Buffer w = random.matrix(formatOf(c.weight), c.heads * headRows, c.latent,
                           128, 0.2),
         q = random.matrix(act, c.rows, c.heads * head),
         qLat(act, c.rows, c.heads * (c.latent + c.rope)),
         oLat = random.matrix(act, c.rows, c.heads * c.latent),
         o(c.quantize ? Format::fp8 : act, c.rows, c.heads * c.value);
  std::vector<int32_t> sizes = makeSizes(c.tokens);
  AbsorbQSpec qSpec{{c.act},  c.heads,  c.nope, c.rope,
                    c.value, c.latent, c.rows, c.weight};
  AbsorbVSpec vSpec{{c.act}, c.heads,  c.nope,  c.value,
                    c.latent, c.rows, c.weight, c.quantize};
  Executable(builderOf(qSpec), mode)
      .run(Slots().view(q, {c.rows}).view(w).view(qLat, {c.rows}).sizes(sizes),
           c.rows);
  Executable(builderOf(vSpec), mode)
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
  HADAL_EXPECT_CLOSE(absorbed, toleranceOf(c.act));
  HADAL_EXPECT_CLOSE(expanded, c.quantize ? (Tolerance{1e-5, 1.0 / 8})
                                          : toleranceOf(c.act));
  if (c.tokens < c.rows) {
    EXPECT_TRUE(qLat.untouched(c.tokens) && o.untouched(c.tokens));
  }
  EXPECT_TRUE(qLat.guardIntact() && o.guardIntact());
}

TEST(Absorb, Gotcha18EachHalfOfWkvBIsUsedTheRightWay) {
  for (Mode mode : kModes) {
    checkAbsorb({3, 16, 8, 24, 32, 1, 1, Weight::f32, Act::f32}, mode);
    checkAbsorb({2, 24, 4, 40, 160, 4, 3, Weight::fp8, Act::f32}, mode);
    checkAbsorb({2, 128, 64, 128, 256, 1, 1, Weight::fp8, Act::bf16, true},
                mode);
    checkAbsorb({3, 48, 16, 56, 136, 16, 11, Weight::fp8, Act::bf16}, mode);
    checkAbsorb({2, 20, 6, 12, 24, 64, 64, Weight::bf16, Act::bf16}, mode);
  }
}

} // namespace
} // namespace hadal::kernels::test
