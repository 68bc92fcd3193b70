// Sequences in a paged cache with the references of both attention forms.
#pragma once

#include <gtest/gtest.h>

#include "test/kernels/References.h"

namespace hadal::kernels::test {

inline double dot(const Row &a, const Row &b) {
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

  /// Makes every score of |query|'s first column |column| of each head of
  /// |width| -inf: the first rotary element is -inf there and 1 in every key.
  void makeScoresInfinite(Buffer &query, int64_t column, int64_t width) {
    for (int64_t row = 0; row < pool.rows(); ++row)
      if (!std::isnan(pool.at(row, shape.latent)))
        pool.set(row, shape.latent, 1);
    for (int64_t row = 0; row < query.rows(); ++row)
      for (int64_t c = column; c < query.cols(); c += width)
        query.set(row, c, -std::numeric_limits<double>::infinity());
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

inline MlaDecodeSpec decodeSpec(const Shape &s, Act act, int64_t maxQueries,
                         double scale) {
  return {{act}, s.heads, s.latent, s.rope, s.pageSize, maxQueries, scale};
}

inline MlaPrefillSpec prefillSpec(const Shape &s, Act act, Weight weight,
                           int64_t maxQueries, double scale) {
  return {{act},    s.heads,    s.nope,     s.rope, s.value,
          s.latent, s.pageSize, maxQueries, scale,  weight};
}

/// P is rounded to act before P.V, so bf16 gets the bound of flash attention.
inline Tolerance attentionTolerance(Act act) {
  return act == Act::bf16 ? Tolerance{2e-5, 0.02} : Tolerance{1e-9, 2e-5};
}

/// o of the absorbed form for every token and head: rows token * heads + head.
inline std::vector<Row> absorbedReference(const Batch &batch,
                                          const Buffer &query, double scale) {
  const Shape &s = batch.shape;
  std::vector<Row> result;
  for (int64_t r = 0, m = 0; r < batch.rows(); ++r)
    for (int64_t i = 0; i < batch.queries[r]; ++i, ++m)
      for (int64_t h = 0; h < s.heads; ++h) {
        Row qRow = rowOf(query, m * s.heads + h, 0, s.width()), scores;
        std::vector<Row> values;
        for (int64_t t = 0; t < batch.visible(r, m); ++t) {
          const Row &key = batch.caches[r][t];
          scores.push_back(dot(qRow, key) * scale);
          values.emplace_back(key.begin(), key.begin() + s.latent);
        }
        result.push_back(values.empty() ? Row(s.latent, 0.0)
                                        : attend(scores, values));
      }
  return result;
}

/// o of the expanded form (model-spec 2.5) for every token and head. With
/// |quantizeLatent| the latent passes through FP8 first.
inline std::vector<Row> expandedReference(const Batch &batch, double scale,
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

inline Comparison compareRows(const Buffer &actual, const std::vector<Row> &expected) {
  return compare(actual, expected.size(), [&](int64_t m, int64_t c) {
    return expected[m][c];
  });
}

} // namespace hadal::kernels::test
