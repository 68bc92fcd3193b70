// embed, norm_quant, quantize, add, silu_mul, latent_norm_rope_cache against
// plain references.
#include <gtest/gtest.h>

#include "References.h"

namespace hadal::kernels::test {
namespace {

constexpr Mode kModes[] = {Mode::loops, Mode::loopsF64};

/// Bits of an f32 per group: codes and scale as the reference has them.
void expectQuantized(const Buffer &actual, int64_t row, const Row &expected,
                     ScaleFormat format) {
  Row reference = quantizeDequantize(expected, format);
  int64_t differing = 0;
  for (int64_t c = 0; c < actual.cols(); ++c) {
    // A value on a tie of two codes may fall to either side.
    double step = std::max(std::fabs(reference[c]) / 8,
                           std::ldexp(double(actual.scale(row, c)), -9));
    EXPECT_LE(std::fabs(actual.at(row, c) - reference[c]), step * 1.001);
    differing += std::fabs(actual.at(row, c) - reference[c]) > step / 16;
  }
  EXPECT_LE(differing, actual.cols() / 50 + 1);
}

TEST(Embed, gathersRowsAndSkipsPadding) {
  for (auto [act, table] : {std::pair(Act::bf16, Weight::bf16),
                            std::pair(Act::f32, Weight::bf16),
                            std::pair(Act::f32, Weight::f32),
                            std::pair(Act::bf16, Weight::f32)}) {
    Random random(1);
    EmbedSpec spec{{act}, 37, 45, table};
    Executable kernel(builderOf(spec), Mode::loops);
    Buffer weight = random.matrix(
        table == Weight::bf16 ? Format::bf16 : Format::f32, 37, 45);
    Buffer tokens(Format::i32, 5, 1), h(formatOf(act), 5, 45);
    for (int i = 0; i < 5; ++i)
      tokens.set(i, 0, (i * 17 + 36) % 37);
    std::vector<int32_t> sizes = makeSizes(3);
    kernel.run(Slots().view(tokens, {5}).view(weight).view(h, {5}).sizes(sizes),
               5);
    for (int m = 0; m < 3; ++m)
      for (int c = 0; c < 45; ++c)
        EXPECT_EQ(h.at(m, c),
                  roundToAct(act, weight.at((m * 17 + 36) % 37, c)));
    EXPECT_TRUE(h.untouched(3));
    EXPECT_TRUE(h.untouched(4));
    EXPECT_TRUE(h.guardIntact());
  }
}

// Halves of different origin: the second starts where no vector may, rows of the
// hidden state are in another order, and capacities differ.
TEST(MtpInput, matchesTheReference) {
  for (Mode mode : kModes)
    for (auto [act, table, width] :
         {std::tuple(Act::f32, Weight::bf16, 45), std::tuple(Act::bf16, Weight::bf16, 128),
          std::tuple(Act::bf16, Weight::f32, 33)}) {
      SCOPED_TRACE(width);
      Random random(width);
      MtpInputSpec spec{{act}, 37, width};
      spec.eps = 1e-3;
      spec.table = table;
      Executable kernel(builderOf(spec), mode);
      const int64_t capacity = 5, count = 3, hiddenRows = 7;
      Buffer weight = random.matrix(
          table == Weight::bf16 ? Format::bf16 : Format::f32, 37, width);
      Buffer h = random.matrix(formatOf(act), hiddenRows, width);
      Buffer enorm = random.matrix(Format::f32, 1, width),
             norm = random.matrix(Format::f32, 1, width),
             hnorm = random.matrix(Format::f32, 1, width);
      Buffer tokens(Format::i32, capacity, 1), rows(Format::i32, capacity, 1),
          y(formatOf(act), capacity, 2 * width);
      for (int i = 0; i < capacity; ++i) {
        tokens.set(i, 0, (i * 17 + 36) % 37);
        rows.set(i, 0, 6 - 2 * i < 0 ? 0 : 6 - 2 * i);
      }
      std::vector<int32_t> sizes = makeSizes(count);
      kernel.run(Slots()
                     .view(tokens, {capacity})
                     .view(weight)
                     .view(enorm)
                     .view(h, {hiddenRows})
                     .view(rows, {capacity})
                     .view(norm)
                     .view(hnorm)
                     .view(y, {capacity})
                     .sizes(sizes),
                 capacity);
      std::vector<Row> expected;
      for (int64_t m = 0; m < count; ++m) {
        Row row = rmsNorm(rowOf(weight, (m * 17 + 36) % 37, 0, width),
                          rowOf(enorm, 0, 0, width), spec.eps);
        const Row state = rmsNorm(rmsNorm(rowOf(h, 6 - 2 * m, 0, width),
                                          rowOf(norm, 0, 0, width), spec.eps),
                                  rowOf(hnorm, 0, 0, width), spec.eps);
        row.insert(row.end(), state.begin(), state.end());
        expected.push_back(row);
      }
      HADAL_EXPECT_CLOSE(
          compare(y, count,
                  [&](int64_t m, int64_t i) { return expected[m][i]; }),
          toleranceOf(act));
      EXPECT_TRUE(y.untouched(count));
      EXPECT_TRUE(y.guardIntact());
    }
}

struct NormCase {
  int64_t width;
  Act act;
  bool delta, emitAct, quantize, gather;
  ScaleFormat format = ScaleFormat::f32;
  double eps = 1e-6;
};

void checkNorm(NormCase c, Mode mode) {
  SCOPED_TRACE(c.width);
  Random random(c.width);
  NormQuantSpec spec{{c.act, c.format}, c.width};
  spec.eps = c.eps;
  spec.delta = c.delta;
  spec.emitAct = c.emitAct;
  spec.quantize = c.quantize;
  spec.gather = c.gather;
  Executable kernel(builderOf(spec), mode);
  const int64_t capacity = 6, count = 4, inputs = 9;
  Buffer x = random.matrix(formatOf(c.act), inputs, c.width),
         delta = random.matrix(formatOf(c.act), inputs, c.width),
         w = random.matrix(Format::f32, 1, c.width), rows(Format::i32, 6, 1),
         sum(formatOf(c.act), capacity, c.width),
         y(formatOf(c.act), capacity, c.width),
         q(Format::fp8, capacity, c.width);
  for (int i = 0; i < 6; ++i)
    rows.set(i, 0, 8 - i);
  std::vector<int32_t> sizes = c.gather ? makeSizes(9, 1, count)
                                        : makeSizes(count, 1, 0);
  Slots slots;
  slots.view(x, {inputs});
  if (c.gather)
    slots.view(rows, {capacity});
  if (c.delta)
    slots.view(delta, {inputs});
  slots.view(w);
  if (c.delta)
    slots.view(sum, {capacity});
  if (c.emitAct)
    slots.view(y, {capacity});
  if (c.quantize)
    slots.view(q, {capacity});
  slots.sizes(sizes);
  kernel.run(slots, capacity);

  std::vector<Row> expected;
  for (int64_t m = 0; m < count; ++m) {
    int64_t source = c.gather ? 8 - m : m;
    Row row = rowOf(x, source, 0, c.width);
    if (c.delta)
      for (int64_t i = 0; i < c.width; ++i) {
        row[i] += delta.at(m, i);
        EXPECT_NEAR(sum.at(m, i), row[i],
                    std::fabs(row[i]) / (c.act == Act::bf16 ? 256 : 1e6) +
                        1e-7);
      }
    expected.push_back(rmsNorm(row, rowOf(w, 0, 0, c.width), c.eps));
    if (c.quantize)
      expectQuantized(q, m, expected.back(), c.format);
  }
  if (c.emitAct) {
    HADAL_EXPECT_CLOSE(compare(y, count,
                               [&](int64_t m, int64_t i) {
                                 return expected[m][i];
                               }),
                       toleranceOf(c.act));
    EXPECT_TRUE(y.untouched(count));
  }
  EXPECT_TRUE(y.guardIntact() && q.guardIntact() && sum.guardIntact());
  EXPECT_TRUE(q.untouched(count) && sum.untouched(count));
}

TEST(NormQuant, matchesTheReference) {
  for (Mode mode : kModes) {
    checkNorm({128, Act::f32, false, true, false, false}, mode);
    checkNorm({96, Act::bf16, true, true, true, false}, mode);
    checkNorm({160, Act::bf16, true, false, true, false, ScaleFormat::ue8m0},
              mode);
    checkNorm({200, Act::f32, false, true, false, true}, mode);
    checkNorm({384, Act::f32, true, true, true, false}, mode);
  }
}

TEST(NormQuant, Gotcha38EpsIsTheSpecs) {
  // Small rows, so that eps decides.
  for (double eps : {1e-6, 1e-5}) {
    NormQuantSpec spec{{Act::f32}, 64};
    spec.eps = eps;
    Executable kernel(builderOf(spec), Mode::loops);
    Buffer x(Format::f32, 1, 64), w(Format::f32, 1, 64), y(Format::f32, 1, 64);
    for (int c = 0; c < 64; ++c) {
      x.set(0, c, 1e-3);
      w.set(0, c, 1);
    }
    std::vector<int32_t> sizes = makeSizes(1);
    kernel.run(Slots().view(x, {1}).view(w).view(y, {1}).sizes(sizes), 1);
    double expected = 1e-3 / std::sqrt(1e-6 + eps);
    EXPECT_NEAR(y.at(0, 0), expected, 1e-5 * expected);
  }
}

TEST(NormQuant, Gotcha39RoundsOnceAtTheEnd) {
  // The variant of HF rounds before the weight: at most one ulp apart, and
  // ours is the nearest bf16 of the exact value.
  Random random(39);
  NormQuantSpec spec{{Act::bf16}, 256};
  Executable kernel(builderOf(spec), Mode::loops);
  Buffer x = random.matrix(Format::bf16, 4, 256),
         w = random.matrix(Format::f32, 1, 256), y(Format::bf16, 4, 256);
  std::vector<int32_t> sizes = makeSizes(4);
  kernel.run(Slots().view(x, {4}).view(w).view(y, {4}).sizes(sizes), 4);
  Row ones(256, 1.0), weights = rowOf(w, 0, 0, 256);
  int64_t notNearest = 0;
  for (int m = 0; m < 4; ++m) {
    Row exact = rmsNorm(rowOf(x, m, 0, 256), weights, 1e-6);
    Row unit = rmsNorm(rowOf(x, m, 0, 256), ones, 1e-6);
    for (int c = 0; c < 256; ++c) {
      double hf = roundToBf16(roundToBf16(unit[c]) * weights[c]);
      EXPECT_NEAR(y.at(m, c), hf, std::fabs(hf) / 64);
      notNearest += y.at(m, c) != roundToBf16(exact[c]);
    }
  }
  EXPECT_LE(notNearest, 4);
}

Buffer quantizeRow(const Row &row, ScaleFormat format) {
  QuantizeSpec spec{{Act::f32, format}, static_cast<int64_t>(row.size())};
  Executable kernel(builderOf(spec), Mode::loops);
  Buffer x(Format::f32, 1, row.size()), q(Format::fp8, 1, row.size());
  for (size_t c = 0; c < row.size(); ++c)
    x.set(0, c, row[c]);
  std::vector<int32_t> sizes = makeSizes(1);
  kernel.run(Slots().view(x, {1}).view(q, {1}).sizes(sizes), 1);
  EXPECT_TRUE(q.guardIntact());
  return q;
}

TEST(Quantize, goldenGroupOfTheModelSpec) {
  Row x;
  for (int j = 0; j < 128; ++j)
    x.push_back((j - 64) / 16.0);
  Buffer q = quantizeRow(x, ScaleFormat::f32);
  EXPECT_EQ(q.scale(0, 0), 0.00892857183f);
  auto codeOf = [&](const Buffer &b, double value) {
    return b.code(0, static_cast<int64_t>(value * 16) + 64);
  };
  EXPECT_EQ(codeOf(q, -4), 0xFE);
  EXPECT_EQ(codeOf(q, -3.9375), 0xFE);
  EXPECT_EQ(codeOf(q, -3.875), 0xFE);
  EXPECT_EQ(codeOf(q, -0.0625), 0xCE);
  EXPECT_EQ(codeOf(q, 0), 0x00);
  EXPECT_EQ(codeOf(q, 0.0625), 0x4E);
  EXPECT_EQ(codeOf(q, 2.25), 0x78);
  EXPECT_EQ(codeOf(q, 3.9375), 0x7E);
  Buffer u = quantizeRow(x, ScaleFormat::ue8m0);
  EXPECT_EQ(u.scale(0, 0), std::ldexp(1.0f, -6));
  EXPECT_EQ(codeOf(u, -4), 0xF8);
  EXPECT_EQ(codeOf(u, -3.9375), 0xF8);
  EXPECT_EQ(codeOf(u, -0.0625), 0xC8);
  EXPECT_EQ(codeOf(u, 0.0625), 0x48);
  EXPECT_EQ(codeOf(u, 2.25), 0x71);
  EXPECT_EQ(codeOf(u, 3.9375), 0x78);
}

TEST(Quantize, raggedWidthsMatchTheReference) {
  for (int64_t width : {1, 100, 128, 130, 1500})
    for (ScaleFormat format : {ScaleFormat::f32, ScaleFormat::ue8m0}) {
      Random random(width);
      Row x;
      for (int64_t c = 0; c < width; ++c)
        x.push_back(static_cast<float>(random.normal()));
      expectQuantized(quantizeRow(x, format), 0, x, format);
    }
}

TEST(Quantize, Gotcha25ZeroInputGivesZero) {
  for (ScaleFormat format : {ScaleFormat::f32, ScaleFormat::ue8m0}) {
    Buffer q = quantizeRow(Row(200, 0.0), format);
    for (int c = 0; c < 200; ++c)
      EXPECT_EQ(q.at(0, c), 0.0);
    EXPECT_EQ(q.scale(0, 0), format == ScaleFormat::f32
                                 ? 1e-4f / 448.0f
                                 : std::ldexp(1.0f, -22));
  }
}

TEST(Quantize, Gotcha26CastSaturates) {
  // amax / scale can exceed 448 by a rounding; a non-saturating cast is NaN.
  Random random(26);
  for (int i = 0; i < 8; ++i) {
    Row x(128, 0.0);
    for (double &value : x)
      value = static_cast<float>(448.0 * (1 + random.uniform(0, 1e-6)));
    Buffer q = quantizeRow(x, ScaleFormat::f32);
    for (int c = 0; c < 128; ++c)
      EXPECT_EQ(q.code(0, c), 0x7E);
  }
}

TEST(Quantize, Gotcha27And29Ue8m0DividesByTheStoredPowerOfTwo) {
  Random random(27);
  for (double amax : {3.5, 7.0, 7.0001, 448.0, 449.0, 0.3}) {
    Row x(128, 0.0);
    for (double &value : x)
      value = static_cast<float>(random.uniform(-amax, amax));
    x[5] = static_cast<float>(amax);
    Buffer q = quantizeRow(x, ScaleFormat::ue8m0);
    float scale = q.scale(0, 0);
    int exponent;
    EXPECT_EQ(std::frexp(scale, &exponent), 0.5f);
    if (amax == 3.5) {
      EXPECT_EQ(scale, std::ldexp(1.0f, -7));
    }
    if (amax == 7.0) {
      EXPECT_EQ(scale, std::ldexp(1.0f, -6));
    }
    if (amax == 7.0001) {
      EXPECT_EQ(scale, std::ldexp(1.0f, -5));
    }
    if (amax == 448.0) {
      EXPECT_EQ(scale, 1.0f);
    }
    if (amax == 449.0) {
      EXPECT_EQ(scale, 2.0f);
    }
    for (int c = 0; c < 128; ++c) {
      double halfStep = std::max(std::fabs(x[c]) / 16,
                                 std::ldexp(static_cast<double>(scale), -10));
      EXPECT_LE(std::fabs(q.at(0, c) - x[c]), halfStep * 1.0001);
    }
  }
}

TEST(Pointwise, addAndSiluMulMatchTheReference) {
  for (Mode mode : kModes)
    for (Act act : {Act::bf16, Act::f32})
      for (int64_t width : {5, 1030}) {
        Random random(width);
        Buffer a = random.matrix(formatOf(act), 3, width, 1, 3.0),
               b = random.matrix(formatOf(act), 3, width),
               sum(formatOf(act), 3, width), gated(formatOf(act), 3, width);
        std::vector<int32_t> sizes = makeSizes(2);
        AddSpec add{{act}, width};
        Executable addKernel(builderOf(add), mode);
        addKernel.run(
            Slots().view(a, {3}).view(b, {3}).view(sum, {3}).sizes(sizes), 3);
        SiluMulSpec silu_{{act}, width};
        Executable siluKernel(builderOf(silu_), mode);
        siluKernel.run(
            Slots().view(a, {3}).view(b, {3}).view(gated, {3}).sizes(sizes), 3);
        HADAL_EXPECT_CLOSE(compare(sum, 2,
                                   [&](int64_t m, int64_t c) {
                                     return a.at(m, c) + b.at(m, c);
                                   }),
                           toleranceOf(act));
        HADAL_EXPECT_CLOSE(compare(gated, 2,
                                   [&](int64_t m, int64_t c) {
                                     return silu(a.at(m, c)) * b.at(m, c);
                                   }),
                           toleranceOf(act));
        EXPECT_TRUE(sum.untouched(2) && gated.untouched(2));
        EXPECT_TRUE(sum.guardIntact() && gated.guardIntact());
      }
}

TEST(Pointwise, siluOfExtremesIsFinite) {
  SiluMulSpec spec{{Act::f32}, 4};
  Executable kernel(builderOf(spec), Mode::loops);
  Buffer gate(Format::f32, 1, 4), up(Format::f32, 1, 4), y(Format::f32, 1, 4);
  const double values[] = {-1e30, -100, 100, 1e30};
  for (int c = 0; c < 4; ++c) {
    gate.set(0, c, values[c]);
    up.set(0, c, 1);
  }
  std::vector<int32_t> sizes = makeSizes(1);
  kernel.run(Slots().view(gate, {1}).view(up, {1}).view(y, {1}).sizes(sizes),
             1);
  EXPECT_NEAR(y.at(0, 0), 0, 1e-30);
  EXPECT_NEAR(y.at(0, 1), 0, 1e-40);
  EXPECT_EQ(y.at(0, 2), 100);
  EXPECT_EQ(y.at(0, 3), static_cast<float>(1e30));
}

//===----------------------------------------------------------------------===//
// latent_norm_rope_cache
//===----------------------------------------------------------------------===//

struct LatentCase {
  int64_t qLora, latent, rope;
  Act act;
  bool quantize;
};

void checkLatent(LatentCase c, Mode mode) {
  Random random(c.latent);
  LatentNormRopeCacheSpec spec{{c.act}, c.qLora, c.latent, c.rope, 50};
  spec.eps = 1e-5;
  spec.quantize = c.quantize;
  Executable kernel(builderOf(spec), mode);
  int64_t width = c.qLora + c.latent + c.rope, row = c.latent + c.rope;
  const int64_t capacity = 6, tokens = 5, slots = 20;
  Format act = formatOf(c.act);
  Buffer x = random.matrix(act, capacity, width),
         qNorm = random.matrix(Format::f32, 1, std::max<int64_t>(c.qLora, 1)),
         kvNorm = random.matrix(Format::f32, 1, c.latent),
         table = cosSinTable(50, c.rope), positions(Format::i32, capacity, 1),
         slot(Format::i64, capacity, 1), cache(act, slots, row),
         cq(c.quantize ? Format::fp8 : act, capacity,
            std::max<int64_t>(c.qLora, 1));
  const int64_t places[] = {7, 0, -1, 19, 3, 4};
  for (int64_t m = 0; m < capacity; ++m) {
    positions.set(m, 0, 11 * m % 50);
    slot.set(m, 0, places[m]);
  }
  std::vector<int32_t> sizes = makeSizes(tokens);
  Slots args;
  args.view(x, {capacity});
  if (c.qLora)
    args.view(qNorm);
  args.view(kvNorm).view(table).view(positions, {capacity});
  args.view(slot, {capacity}).view(cache, {slots});
  if (c.qLora)
    args.view(cq, {capacity});
  args.sizes(sizes);
  kernel.run(args, capacity);

  Comparison cached, queries;
  for (int64_t m = 0; m < tokens; ++m) {
    if (c.qLora) {
      Row expected =
          rmsNorm(rowOf(x, m, 0, c.qLora), rowOf(qNorm, 0, 0, c.qLora), 1e-5);
      if (c.quantize)
        expectQuantized(cq, m, expected, ScaleFormat::f32);
      else
        for (int64_t i = 0; i < c.qLora; ++i)
          queries.add(cq.at(m, i), expected[i]);
    }
    if (places[m] < 0)
      continue;
    // Gotcha 17: the latent is normed before it is cached, the rotary part is
    // rotated and not normed.
    Row latent = rmsNorm(rowOf(x, m, c.qLora, c.qLora + c.latent),
                         rowOf(kvNorm, 0, 0, c.latent), 1e-5);
    Row rotary = rope(rowOf(x, m, c.qLora + c.latent, width),
                      rowOf(table, 11 * m % 50, 0, c.rope));
    for (int64_t i = 0; i < row; ++i)
      cached.add(cache.at(places[m], i),
                 i < c.latent ? latent[i] : rotary[i - c.latent]);
  }
  HADAL_EXPECT_CLOSE(cached, toleranceOf(c.act));
  if (c.qLora && !c.quantize) {
    HADAL_EXPECT_CLOSE(queries, toleranceOf(c.act));
  }
  // Slot -1 and the padding token wrote nothing.
  for (int64_t s : {1, 2, 4, 5, 18})
    EXPECT_TRUE(cache.untouched(s)) << s;
  if (c.qLora) {
    EXPECT_TRUE(cq.untouched(tokens));
  }
  EXPECT_TRUE(cache.guardIntact() && cq.guardIntact());
}

TEST(LatentNormRopeCache, Gotcha17CachesTheNormedLatentAndTheRotatedKey) {
  for (Mode mode : kModes) {
    checkLatent({0, 24, 8, Act::f32, false}, mode);
    checkLatent({40, 96, 16, Act::bf16, false}, mode);
    checkLatent({160, 128, 64, Act::bf16, true}, mode);
    checkLatent({128, 32, 2, Act::f32, true}, mode);
  }
}

} // namespace
} // namespace hadal::kernels::test
