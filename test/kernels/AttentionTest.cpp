// mla_decode and mla_prefill against attention over a plain cache.
#include "AttentionBatch.h"

namespace hadal::kernels::test {
namespace {

constexpr Mode kModes[] = {Mode::loops, Mode::loopsF64};

void checkDecode(Shape s, Act act, std::vector<int64_t> lengths,
                 std::vector<int64_t> queries, int64_t maxQueries,
                 bool split = false) {
  SCOPED_TRACE(s.heads);
  const double scale = 0.1352337789;
  Batch batch(s, act, Weight::f32, lengths, queries);
  Buffer query = batch.random.matrix(formatOf(act), batch.capacity * s.heads,
                                     s.width());
  for (Mode mode : kModes) {
    MlaDecodeSpec spec = decodeSpec(s, act, maxQueries, scale);
    Executable kernel(split ? splitBuilderOf(spec)
                            : builderOf(spec),
                      mode);
    Buffer o = batch.decode(kernel, query);
    Comparison comparison =
        compareRows(o, absorbedReference(batch, query, scale));
    HADAL_EXPECT_CLOSE(comparison, attentionTolerance(act));
  }
}

TEST(MlaDecode, matchesTheReference) {
  checkDecode({4, 16, 8, 16, 24, 16}, Act::f32, {1, 70, 33}, {1, 1, 1}, 1);
  checkDecode({16, 16, 16, 16, 48, 64}, Act::bf16, {200, 64}, {1, 1}, 1);
  checkDecode({80, 16, 4, 16, 20, 32}, Act::f32, {65}, {1}, 1);
  checkDecode({128, 16, 16, 16, 32, 64}, Act::bf16, {130, 5}, {1, 1}, 1);
}

TEST(MlaDecode, Gotcha21SeveralQueriesPerSequenceAreCausal) {
  checkDecode({4, 16, 8, 16, 24, 16}, Act::f32, {9, 100}, {2, 3}, 4);
  checkDecode({24, 16, 8, 16, 32, 64}, Act::f32, {90, 40, 7}, {7, 0, 7}, 8);
  checkDecode({128, 16, 4, 16, 16, 64}, Act::bf16, {70}, {2}, 2);
}

TEST(MlaDecode, aSplitFoldComputesTheSame) {
  // Lengths below two key tiles leave the first half empty, and the early
  // queries see nothing of the second.
  checkDecode({4, 16, 8, 16, 24, 16}, Act::f32, {1, 300, 130}, {1, 1, 4}, 4,
              /*split=*/true);
}

TEST(MlaDecode, Gotcha33ARowAloneAndInABatchIsBitEqual) {
  Shape s{16, 16, 8, 16, 32, 16};
  Executable kernel(
      builderOf(decodeSpec(s, Act::bf16, 1, 0.2)), Mode::loops);
  Batch batch(s, Act::bf16, Weight::f32, {90, 150, 3}, {1, 1, 1});
  Buffer query = batch.random.matrix(Format::bf16, batch.capacity * 16, 40);
  Buffer together = batch.decode(kernel, query, 3);
  for (int64_t r = 0; r < 3; ++r) {
    // The same sequence as row 0 of a launch of one row.
    Batch single = batch;
    single.sizes = makeSizes(1, 1);
    single.tokens = 1;
    for (int64_t p = 0; p < batch.table.cols(); ++p)
      single.table.set(0, p, batch.table.at(r, p));
    single.kvLen.set(0, 0, batch.kvLen.at(r, 0));
    single.positions.set(0, 0, batch.positions.at(r, 0));
    for (int64_t i = 1; i < single.qStart.rows(); ++i)
      single.qStart.set(i, 0, 1);
    Buffer own = query;
    for (int64_t h = 0; h < 16; ++h)
      for (int64_t c = 0; c < 40; ++c)
        own.set(h, c, query.at(r * 16 + h, c));
    Buffer alone = single.decode(kernel, own, 4);
    for (int64_t h = 0; h < 16; ++h)
      EXPECT_EQ(alone.rowBytes(h), together.rowBytes(r * 16 + h));
  }
}

/// The sum of a row's weights is 0 where it has no key, and where all its
/// scores are -inf: the first gives zeros, the second must not.
TEST(MlaDecode, scoresOfMinusInfinityGiveNaN) {
  Shape s{4, 16, 8, 16, 24, 16};
  for (int64_t split : {1, 2}) {
    Batch batch(s, Act::f32, Weight::f32, {3, 0, 70}, {1, 1, 1});
    batch.positions.set(1, 0, 0);
    Buffer query =
        batch.random.matrix(Format::f32, batch.capacity * s.heads, s.width());
    batch.makeScoresInfinite(query, s.latent, s.width());
    Executable kernel(
        split > 1
            ? splitBuilderOf(decodeSpec(s, Act::f32, 1, 0.2))
            : builderOf(decodeSpec(s, Act::f32, 1, 0.2)),
        Mode::loops);
    Buffer o = batch.decode(kernel, query);
    for (int64_t row = 0; row < 3 * s.heads; ++row)
      for (int64_t c = 0; c < s.latent; ++c)
        if (row / s.heads == 1)
          ASSERT_EQ(o.at(row, c), 0.0);
        else
          ASSERT_TRUE(std::isnan(o.at(row, c))) << row << ", " << c;
  }
}

void checkPrefill(Shape s, Act act, Weight weight, std::vector<int64_t> lengths,
                  std::vector<int64_t> queries, int64_t maxQueries,
                  bool quantizeLatent = false, bool quantize = false,
                  bool split = false) {
  SCOPED_TRACE(s.latent);
  const double scale = 0.2;
  Batch batch(s, act, weight, lengths, queries);
  std::vector<Row> expected = expandedReference(batch, scale, quantizeLatent);
  if (quantize)
    for (Row &row : expected)
      row = quantizeDequantize(row, ScaleFormat::f32);
  for (Mode mode : kModes) {
    MlaPrefillSpec spec = prefillSpec(s, act, weight, maxQueries, scale);
    spec.quantizeLatent = quantizeLatent;
    spec.quantize = quantize;
    Executable kernel(split ? splitBuilderOf(spec)
                            : builderOf(spec),
                      mode);
    Comparison comparison =
        compareRows(batch.prefill(kernel, quantize), expected);
    HADAL_EXPECT_CLOSE(comparison, quantize ? (Tolerance{5e-5, 1.0 / 8})
                                            : attentionTolerance(act));
  }
}

TEST(MlaPrefill, Gotcha20And21MatchesTheExpandedReference) {
  checkPrefill({3, 16, 8, 24, 32, 16}, Act::f32, Weight::f32, {70, 1, 20},
               {70, 1, 9}, 70);
  // The third head's value rows cross a scale block.
  checkPrefill({3, 24, 4, 20, 136, 64}, Act::f32, Weight::fp8, {100}, {37}, 64);
  checkPrefill({2, 16, 8, 16, 160, 64}, Act::f32, Weight::fp8, {66, 70},
               {5, 64}, 64, /*quantizeLatent=*/true);
  checkPrefill({2, 128, 64, 128, 128, 64}, Act::bf16, Weight::fp8, {80}, {30},
               512, /*quantizeLatent=*/true, /*quantize=*/true);
  checkPrefill({2, 32, 16, 48, 64, 32}, Act::bf16, Weight::bf16, {40, 90},
               {0, 90}, 90);
}

TEST(MlaPrefill, aSplitFoldComputesTheSame) {
  checkPrefill({2, 16, 8, 24, 32, 16}, Act::f32, Weight::f32, {200, 1}, {190, 1},
               190, false, false, /*split=*/true);
}

TEST(MlaPrefill, scoresOfMinusInfinityGiveNaN) {
  Shape s{2, 16, 8, 24, 32, 16};
  Batch batch(s, Act::f32, Weight::f32, {70, 0}, {5, 1});
  batch.positions.set(5, 0, 0);
  batch.makeScoresInfinite(batch.q, s.nope, s.head());
  Executable kernel(builderOf(prefillSpec(s, Act::f32, Weight::f32, 64, 0.2)),
                    Mode::loops);
  Buffer o = batch.prefill(kernel, false);
  for (int64_t m = 0; m < 6; ++m)
    for (int64_t c = 0; c < s.heads * s.value; ++c)
      if (m == 5)
        ASSERT_EQ(o.at(m, c), 0.0);
      else
        ASSERT_TRUE(std::isnan(o.at(m, c))) << m << ", " << c;
}

TEST(MlaPrefill, Gotcha21ChunksMatchOneShot) {
  Shape s{2, 16, 8, 16, 24, 16};
  const int64_t length = 130;
  Batch whole(s, Act::f32, Weight::f32, {length}, {length});
  Executable oneShot(
      builderOf(prefillSpec(s, Act::f32, Weight::f32, length, 0.2)),
      Mode::loops);
  Buffer expected = whole.prefill(oneShot, false);
  for (int64_t chunk : {1, 7, 64}) {
    Executable kernel(
        builderOf(prefillSpec(s, Act::f32, Weight::f32, chunk, 0.2)),
        Mode::loops);
    Comparison comparison;
    for (int64_t begin = 0; begin < length; begin += chunk) {
      int64_t count = std::min(chunk, length - begin);
      Batch part = whole;
      part.tokens = count;
      part.sizes = makeSizes(count, 1);
      for (int64_t i = 1; i < part.qStart.rows(); ++i)
        part.qStart.set(i, 0, count);
      part.kvLen.set(0, 0, begin + count);
      for (int64_t m = 0; m < count; ++m) {
        part.positions.set(m, 0, begin + m);
        for (int64_t c = 0; c < s.heads * s.head(); ++c)
          part.q.set(m, c, whole.q.at(begin + m, c));
      }
      Buffer o = part.prefill(kernel, false);
      for (int64_t m = 0; m < count; ++m)
        for (int64_t c = 0; c < o.cols(); ++c)
          comparison.add(o.at(m, c), expected.at(begin + m, c));
    }
    EXPECT_EQ(comparison.count, length * s.heads * s.value);
    HADAL_EXPECT_CLOSE(comparison, (Tolerance{1e-10, 1e-5}));
  }
}

TEST(MlaPrefill, Gotcha18AbsorbedEqualsExpanded) {
  Shape s{3, 24, 8, 16, 40, 16};
  const double scale = 0.1352337789;
  for (Weight weight : {Weight::f32, Weight::fp8}) {
    Batch batch(s, Act::f32, weight, {50, 9}, {3, 1});
    std::vector<int32_t> &sizes = batch.sizes;
    int64_t capacity = batch.capacity;
    Executable expanded(
        builderOf(prefillSpec(s, Act::f32, weight, 3, scale)),
        Mode::loops);
    Buffer expected = batch.prefill(expanded, false);

    AbsorbQSpec qSpec{{Act::f32}, s.heads,  s.nope,   s.rope,
                      s.value,    s.latent, capacity, weight};
    AbsorbVSpec vSpec{{Act::f32}, s.heads,  s.nope, s.value,
                      s.latent,   capacity, weight};
    Buffer qLat(Format::f32, capacity * s.heads, s.width()),
        o(Format::f32, capacity, s.heads * s.value);
    Executable(builderOf(qSpec), Mode::loops)
        .run(Slots()
                 .view(batch.q, {capacity})
                 .view(batch.w)
                 .view(qLat, {capacity})
                 .sizes(sizes),
             capacity);
    Executable decode(
        builderOf(decodeSpec(s, Act::f32, 3, scale)),
        Mode::loops);
    Buffer oLat = batch.decode(decode, qLat);
    Executable(builderOf(vSpec), Mode::loops)
        .run(Slots()
                 .view(oLat, {capacity})
                 .view(batch.w)
                 .view(o, {capacity})
                 .sizes(sizes),
             capacity);
    Comparison comparison;
    for (int64_t m = 0; m < batch.tokens; ++m)
      for (int64_t c = 0; c < o.cols(); ++c)
        comparison.add(o.at(m, c), expected.at(m, c));
    HADAL_EXPECT_CLOSE(comparison, (Tolerance{1e-9, 1e-5}));
  }
}

} // namespace
} // namespace hadal::kernels::test
