// mla_decode and mla_prefill against attention over a plain cache.
#include <gtest/gtest.h>

#include "References.h"

namespace hadal::kernels::test {
namespace {

constexpr Mode kModes[] = {Mode::loops, Mode::loopsF64};

double dot(const Row &a, const Row &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += a[i] * b[i];
  return sum;
}

struct Shape {
  int64_t heads, nope, rope, value, latent, pageSize;
  int64_t width() const { return latent + rope; }
  int64_t head() const { return nope + rope; }
  int64_t headRows() const { return nope + value; }
};

/// Sequences in a paged cache with shuffled pages, and queries for the last
/// tokens of each.
struct Batch {
  Shape shape;
  Act act;
  Random random;
  std::vector<int64_t> lengths, queries;
  int64_t tokens = 0, capacity;
  std::vector<std::vector<Row>> caches; ///< of each sequence, its rows
  Buffer pool, table, qStart, kvLen, positions, q, w;
  std::vector<int32_t> sizes;

  /// |queries[r]| queries at the end of the |lengths[r]| cached tokens. |q| has
  /// the expanded form; padRows more rows and tokens follow.
  Batch(Shape shape, Act act, Weight weight, std::vector<int64_t> lengths,
        std::vector<int64_t> queries, uint64_t seed = 5, int64_t padTokens = 2)
      : shape(shape), act(act), random(seed), lengths(std::move(lengths)),
        queries(std::move(queries)) {
    int64_t rows = this->lengths.size(), maxPages = 1, pages = 0;
    for (int64_t length : this->lengths) {
      int64_t count = (length + shape.pageSize - 1) / shape.pageSize;
      maxPages = std::max(maxPages, count);
      pages += count;
    }
    pages += 2;
    // Unused pages and rows stay NaN.
    pool = Buffer(formatOf(act), pages * shape.pageSize, shape.width());
    int64_t capacityRows = rows + 1;
    table = Buffer(Format::i32, capacityRows, maxPages);
    qStart = Buffer(Format::i32, capacityRows + 1, 1);
    kvLen = Buffer(Format::i32, capacityRows, 1);
    std::vector<int64_t> free;
    for (int64_t p = 0; p < pages; ++p)
      free.push_back(p);
    for (int64_t r = 0; r < rows; ++r) {
      int64_t length = this->lengths[r];
      Buffer cached = random.matrix(formatOf(act), length, shape.width());
      caches.emplace_back();
      for (int64_t t = 0; t < length; ++t) {
        caches[r].push_back(rowOf(cached, t, 0, shape.width()));
        if (t % shape.pageSize == 0) {
          size_t pick = random.below(free.size());
          table.set(r, t / shape.pageSize, free[pick]);
          free.erase(free.begin() + pick);
        }
        int64_t row = static_cast<int64_t>(table.at(r, t / shape.pageSize)) *
                          shape.pageSize +
                      t % shape.pageSize;
        for (int64_t c = 0; c < shape.width(); ++c)
          pool.set(row, c, cached.at(t, c));
      }
      qStart.set(r, 0, tokens);
      kvLen.set(r, 0, length);
      tokens += this->queries[r];
    }
    qStart.set(rows, 0, tokens);
    qStart.set(rows + 1, 0, tokens);
    kvLen.set(rows, 0, 0);
    capacity = tokens + padTokens;
    positions = Buffer(Format::i32, capacity, 1);
    for (int64_t m = 0; m < capacity; ++m)
      positions.set(m, 0, 0);
    for (int64_t r = 0, m = 0; r < rows; ++r)
      for (int64_t i = 0; i < this->queries[r]; ++i)
        positions.set(m++, 0, this->lengths[r] - this->queries[r] + i);
    q = random.matrix(formatOf(act), capacity, shape.heads * shape.head());
    w = random.matrix(weight == Weight::fp8    ? Format::fp8
                      : weight == Weight::bf16 ? Format::bf16
                                               : Format::f32,
                      shape.heads * shape.headRows(), shape.latent, 128,
                      1.0 / std::sqrt(double(shape.latent)));
    sizes = makeSizes(tokens, rows);
  }

  int64_t rows() const { return lengths.size(); }

  /// Keys that the query |m| of sequence |r| sees.
  int64_t visible(int64_t r, int64_t m) const {
    return std::min<int64_t>(static_cast<int64_t>(positions.at(m, 0)) + 1,
                             lengths[r]);
  }

  void addAttentionViews(Slots &slots, Buffer &query,
                         std::vector<int64_t> dims) {
    slots.view(query, dims)
        .view(pool, {pool.rows() / shape.pageSize})
        .view(table, {table.rows(), table.cols()})
        .view(qStart, {qStart.rows()})
        .view(kvLen, {kvLen.rows()})
        .view(positions, {capacity});
  }

  Buffer decode(const Executable &kernel, Buffer &query, uint64_t order = 1) {
    Buffer o(formatOf(act), capacity * shape.heads, shape.latent);
    Slots slots;
    addAttentionViews(slots, query, {capacity * shape.heads});
    slots.view(o, {capacity * shape.heads}).sizes(sizes);
    kernel.run(slots, kvLen.rows(), order);
    EXPECT_TRUE(o.guardIntact());
    EXPECT_TRUE(o.untouched(tokens * shape.heads));
    return o;
  }

  Buffer prefill(const Executable &kernel, bool quantize, uint64_t order = 1) {
    Buffer o(quantize ? Format::fp8 : formatOf(act), capacity,
             shape.heads * shape.value);
    Slots slots;
    addAttentionViews(slots, q, {capacity});
    slots.view(w).view(o, {capacity}).sizes(sizes);
    kernel.run(slots, kvLen.rows(), order);
    EXPECT_TRUE(o.guardIntact());
    EXPECT_TRUE(o.untouched(tokens));
    return o;
  }
};

MlaDecodeSpec decodeSpec(const Shape &s, Act act, int64_t maxQueries,
                         double scale) {
  return {{act}, s.heads, s.latent, s.rope, s.pageSize, maxQueries, scale};
}

MlaPrefillSpec prefillSpec(const Shape &s, Act act, Weight weight,
                           int64_t maxQueries, double scale) {
  return {{act},    s.heads,    s.nope,     s.rope, s.value,
          s.latent, s.pageSize, maxQueries, scale,  weight};
}

/// P is rounded to act before P.V, so bf16 gets the bound of flash attention.
Tolerance attentionTolerance(Act act) {
  return act == Act::bf16 ? Tolerance{2e-5, 0.02} : Tolerance{1e-9, 2e-5};
}

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
    Executable kernel(split ? splitBuilderOf(spec, buildMlaDecode)
                            : builderOf(spec, buildMlaDecode),
                      mode);
    Buffer o = batch.decode(kernel, query);
    Comparison comparison;
    int64_t m = 0;
    for (int64_t r = 0; r < batch.rows(); ++r)
      for (int64_t i = 0; i < queries[r]; ++i, ++m)
        for (int64_t h = 0; h < s.heads; ++h) {
          Row qRow = rowOf(query, m * s.heads + h, 0, s.width()), scores;
          std::vector<Row> values;
          for (int64_t t = 0; t < batch.visible(r, m); ++t) {
            const Row &key = batch.caches[r][t];
            scores.push_back(dot(qRow, key) * scale);
            values.emplace_back(key.begin(), key.begin() + s.latent);
          }
          Row expected = attend(scores, values);
          for (int64_t c = 0; c < s.latent; ++c)
            comparison.add(o.at(m * s.heads + h, c), expected[c]);
        }
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
      builderOf(decodeSpec(s, Act::bf16, 1, 0.2), buildMlaDecode), Mode::loops);
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

/// o of the expanded form (model-spec 2.5) for every token and head. With
/// |quantizeLatent| the latent passes through FP8 first.
std::vector<Row> expandedReference(const Batch &batch, double scale,
                                   bool quantizeLatent = false) {
  const Shape &s = batch.shape;
  std::vector<Row> result;
  int64_t m = 0;
  for (int64_t r = 0; r < batch.rows(); ++r) {
    std::vector<Row> latents;
    for (int64_t t = 0; t < batch.lengths[r]; ++t) {
      Row latent(batch.caches[r][t].begin(),
                 batch.caches[r][t].begin() + s.latent);
      latents.push_back(quantizeLatent
                            ? quantizeDequantize(latent, ScaleFormat::f32)
                            : latent);
    }
    int64_t first = m;
    result.resize(first + batch.queries[r]);
    for (int64_t h = 0; h < s.heads; ++h) {
      std::vector<Row> keys, values, weights;
      for (int64_t d = 0; d < s.headRows(); ++d)
        weights.push_back(rowOf(batch.w, h * s.headRows() + d, 0, s.latent));
      for (int64_t t = 0; t < batch.lengths[r]; ++t) {
        Row key, value;
        for (int64_t d = 0; d < s.headRows(); ++d)
          (d < s.nope ? key : value)
              .push_back(roundToAct(batch.act, dot(latents[t], weights[d])));
        key.insert(key.end(), batch.caches[r][t].begin() + s.latent,
                   batch.caches[r][t].end());
        keys.push_back(key);
        values.push_back(value);
      }
      for (int64_t i = 0; i < batch.queries[r]; ++i) {
        Row query = rowOf(batch.q, first + i, h * s.head(), (h + 1) * s.head());
        Row scores;
        int64_t visible = batch.visible(r, first + i);
        for (int64_t t = 0; t < visible; ++t)
          scores.push_back(dot(query, keys[t]) * scale);
        Row o = attend(scores, std::vector<Row>(values.begin(),
                                                values.begin() + visible));
        result[first + i].insert(result[first + i].end(), o.begin(), o.end());
      }
    }
    m += batch.queries[r];
  }
  return result;
}

Comparison compareRows(const Buffer &actual, const std::vector<Row> &expected) {
  return compare(actual, expected.size(), [&](int64_t m, int64_t c) {
    return expected[m][c];
  });
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
    Executable kernel(split ? splitBuilderOf(spec, buildMlaPrefill)
                            : builderOf(spec, buildMlaPrefill),
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

TEST(MlaPrefill, Gotcha21ChunksMatchOneShot) {
  Shape s{2, 16, 8, 16, 24, 16};
  const int64_t length = 130;
  Batch whole(s, Act::f32, Weight::f32, {length}, {length});
  Executable oneShot(
      builderOf(prefillSpec(s, Act::f32, Weight::f32, length, 0.2),
                buildMlaPrefill),
      Mode::loops);
  Buffer expected = whole.prefill(oneShot, false);
  for (int64_t chunk : {1, 7, 64}) {
    Executable kernel(
        builderOf(prefillSpec(s, Act::f32, Weight::f32, chunk, 0.2),
                  buildMlaPrefill),
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
        builderOf(prefillSpec(s, Act::f32, weight, 3, scale), buildMlaPrefill),
        Mode::loops);
    Buffer expected = batch.prefill(expanded, false);

    AbsorbQSpec qSpec{{Act::f32}, s.heads,  s.nope,   s.rope,
                      s.value,    s.latent, capacity, weight};
    AbsorbVSpec vSpec{{Act::f32}, s.heads,  s.nope, s.value,
                      s.latent,   capacity, weight};
    Buffer qLat(Format::f32, capacity * s.heads, s.width()),
        o(Format::f32, capacity, s.heads * s.value);
    Executable(builderOf(qSpec, buildAbsorbQ), Mode::loops)
        .run(Slots()
                 .view(batch.q, {capacity})
                 .view(batch.w)
                 .view(qLat, {capacity})
                 .sizes(sizes),
             capacity);
    Executable decode(
        builderOf(decodeSpec(s, Act::f32, 3, scale), buildMlaDecode),
        Mode::loops);
    Buffer oLat = batch.decode(decode, qLat);
    Executable(builderOf(vSpec, buildAbsorbV), Mode::loops)
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
