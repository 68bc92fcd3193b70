// Cases of the kernels around the latent cache.
#include <algorithm>
#include <cmath>

#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

namespace {

/// Ragged sequences over a paged cache whose pages are in random order.
struct Sequences {
  std::vector<uint64_t> length; // of the cache, by row, after append
  std::vector<uint64_t> row;    // of a token: its sequence
  std::vector<uint64_t> position;
  const Tensor *pool = nullptr, *table = nullptr;
  uint64_t pageSize = 1;
  uint64_t keys = 0; // sum of the lengths

  Row cached(uint64_t sequence, uint64_t t, uint64_t width) const {
    const uint64_t page =
        static_cast<uint64_t>(table->at(sequence, t / pageSize));
    return rowOf(*pool, page * pageSize + t % pageSize, 0, width);
  }
};

/// |queries|: most queries of a row. Lengths lie between a quarter and the
/// whole of the longest sequence that the cache holds.
Sequences makeSequences(CaseBuilder &b, Act act, uint64_t width,
                        uint64_t pageSize, uint64_t queries) {
  Sequences s;
  s.pageSize = pageSize;
  const uint64_t rows = b.bucket.rows, pagesPerRow = b.rowsOf("page_table", 1),
                 pages = b.rowsOf("pool"),
                 longest = std::min({b.bucket.maxSeqLen, pagesPerRow * pageSize,
                                     pages / rows * pageSize});
  std::vector<uint64_t> freePages = CaseBuilder::firstRows(pages);
  for (uint64_t i = pages; i > 1; --i)
    std::swap(freePages[i - 1], freePages[b.rng.below(i)]);
  Tensor table(DType::i32, b.rowsOf("page_table"), pagesPerRow);
  Tensor qStart(DType::i32, b.rowsOf("q_start"), 1);
  Tensor kvLen(DType::i32, b.rowsOf("kv_len"), 1);
  Tensor positions(DType::i32, b.rowsOf("positions"), 1);
  uint64_t token = 0;
  for (uint64_t r = 0; r < rows; ++r) {
    // Tokens go to the rows evenly, as far as a row may take them.
    const uint64_t count = std::min(
        {queries, longest, (b.bucket.tokens - token) / (rows - r)});
    const uint64_t least = std::max(longest / 4, count);
    const uint64_t length =
        least + static_cast<uint64_t>(b.rng.below(longest - least + 1));
    s.length.push_back(length);
    s.keys += length;
    qStart.set(r, 0, token);
    kvLen.set(r, 0, length);
    for (uint64_t p = 0; p * pageSize < length; ++p) {
      table.set(r, p, freePages.back());
      freePages.pop_back();
    }
    for (uint64_t i = 0; i < count; ++i, ++token) {
      s.row.push_back(r);
      s.position.push_back(length - count + i);
      positions.set(token, 0, s.position.back());
    }
  }
  for (uint64_t r = rows; r < qStart.rows; ++r)
    qStart.set(r, 0, token);
  s.table = &b.output("page_table", std::move(table));
  b.output("q_start", std::move(qStart));
  b.output("kv_len", std::move(kvLen));
  b.output("positions", std::move(positions));
  s.pool = &b.random("pool", Tensor(dtypeOf(act), pages * pageSize, width));
  return s;
}

/// softmax(scores) . values, with P rounded as the kernel stores it.
Row attendAs(Act act, const Row &scores, const std::vector<Row> &values) {
  return attend(scores, values, [act](double p) { return roundToAct(act, p); });
}

Expected::Kind kindOf(Act act, bool quantised = false) {
  return quantised         ? Expected::Kind::quantised
         : act == Act::bf16 ? Expected::Kind::act
                            : Expected::Kind::f32;
}

} // namespace

void buildLatentNormRopeCacheCase(CaseBuilder &b,
                                  const LatentNormRopeCacheSpec &spec) {
  const uint64_t q = spec.qLora, c = spec.latent, r = spec.rope,
                 tokens = b.bucket.tokens;
  const Tensor &x = b.random("x", b.act("x", spec.act, q + c + r));
  const Tensor *qNorm = nullptr;
  if (q)
    qNorm = &b.random("q_norm", Tensor(DType::f32, 1, q));
  const Tensor &kvNorm = b.random("kv_norm", Tensor(DType::f32, 1, c));
  const Tensor &cosSin = b.cosSin(spec.positions, r);
  const Tensor &positions = b.positions(spec.positions);
  // Every token to a row of its own, scattered over the cache.
  const uint64_t rows = b.rowsOf("cache");
  Tensor slot(DType::i64, b.rowsOf("slot"), 1);
  std::vector<uint64_t> written;
  for (uint64_t t = 0; t < slot.rows; ++t) {
    const uint64_t row = t * (rows / slot.rows) + (rows / slot.rows) / 2;
    slot.set(t, 0, t < tokens ? static_cast<double>(row) : -1);
    if (t < tokens)
      written.push_back(row);
  }
  b.output("slot", std::move(slot));
  b.output("cache", Tensor(dtypeOf(spec.act), rows, c + r));
  const uint64_t spacing = rows / b.rowsOf("slot");
  b.expect({"cache", written,
            [=, &x, &kvNorm, &cosSin,
             &positions](uint64_t row, const std::vector<uint64_t> &columns) {
              const uint64_t t = row / spacing;
              Row latent = rmsNorm(rowOf(x, t, q, c), rowOf(kvNorm, 0, 0, c),
                                   spec.eps);
              const Row rotary = rope(
                  rowOf(x, t, q + c, r),
                  rowOf(cosSin, static_cast<uint64_t>(positions.at(t, 0)), 0,
                        r));
              latent.insert(latent.end(), rotary.begin(), rotary.end());
              Row values;
              for (uint64_t column : columns)
                values.push_back(latent[column]);
              return values;
            },
            kindOf(spec.act)});
  const double act = dtypeSize(dtypeOf(spec.act));
  double rowBytes = act * (q + 2 * (c + r));
  if (q) {
    b.output("cq", spec.quantize ? b.fp8Rows("cq", q)
                                 : b.act("cq", spec.act, q));
    b.expect({"cq", CaseBuilder::firstRows(tokens),
              [=, &x](uint64_t row, const std::vector<uint64_t> &columns) {
                const Row normed =
                    rmsNorm(rowOf(x, row, 0, q), rowOf(*qNorm, 0, 0, q),
                            spec.eps);
                Row values;
                for (uint64_t column : columns)
                  values.push_back(normed[column]);
                return values;
              },
              kindOf(spec.act, spec.quantize)});
    rowBytes += spec.quantize ? q * (1 + 4.0 / 128) : act * q;
  }
  b.result->bytes = static_cast<double>(tokens) * rowBytes;
}

void buildMlaDecodeCase(CaseBuilder &b, const MlaDecodeSpec &spec) {
  const uint64_t width = spec.latent + spec.rope, heads = spec.heads;
  const Sequences s =
      makeSequences(b, spec.act, width, spec.pageSize, spec.maxQueries);
  const Tensor &q = b.random("q", b.act("q", spec.act, width));
  b.output("o", b.act("o", spec.act, spec.latent));
  b.expect({"o", CaseBuilder::firstRows(s.row.size() * heads),
            [=, &q](uint64_t row, const std::vector<uint64_t> &columns) {
              const uint64_t token = row / heads;
              const Row query = rowOf(q, row, 0, width);
              Row scores;
              std::vector<Row> values;
              for (uint64_t t = 0; t <= s.position[token]; ++t) {
                const Row key = s.cached(s.row[token], t, width);
                double score = 0;
                for (uint64_t i = 0; i < width; ++i)
                  score += query[i] * key[i];
                scores.push_back(score * spec.softmaxScale);
                Row value;
                for (uint64_t c : columns)
                  value.push_back(key[c]);
                values.push_back(std::move(value));
              }
              return attendAs(spec.act, scores, values);
            },
            kindOf(spec.act)});
  const double act = dtypeSize(dtypeOf(spec.act));
  const double queries = static_cast<double>(s.row.size() * heads);
  b.result->bytes =
      act * (static_cast<double>(s.keys) * width + queries * (width + spec.latent));
  double pairs = 0;
  for (uint64_t position : s.position)
    pairs += static_cast<double>((position + 1) * heads);
  b.result->flops = 2 * pairs * (width + spec.latent);
}

void buildMlaPrefillCase(CaseBuilder &b, const MlaPrefillSpec &spec) {
  const uint64_t width = spec.latent + spec.rope,
                 head = spec.nope + spec.rope,
                 headRows = spec.nope + spec.value;
  const Sequences s =
      makeSequences(b, spec.act, width, spec.pageSize, spec.maxQueries);
  const Tensor &q = b.random("q", b.act("q", spec.act, spec.heads * head));
  const Tensor &w = b.random(
      "wkv_b", b.weight(spec.weight, spec.heads * headRows, spec.latent));
  const uint64_t outWidth = spec.heads * spec.value;
  b.output("o", spec.quantize ? b.fp8Rows("o", outWidth)
                              : b.act("o", spec.act, outWidth));
  b.expect({"o", CaseBuilder::firstRows(s.row.size()),
            [=, &q, &w](uint64_t token, const std::vector<uint64_t> &columns) {
              std::vector<std::vector<size_t>> byHead(spec.heads);
              for (size_t i = 0; i < columns.size(); ++i)
                byHead[columns[i] / spec.value].push_back(i);
              Row result(columns.size());
              for (uint64_t h = 0; h < byHead.size(); ++h) {
                if (byHead[h].empty())
                  continue;
                // q . (W_UK c) = (q W_UK) . c, up to the rounding of keys.
                const Row query = rowOf(q, token, h * head, head);
                Row absorbed(spec.latent);
                for (int64_t d = 0; d < spec.nope; ++d)
                  for (int64_t c = 0; c < spec.latent; ++c)
                    absorbed[c] += query[d] * w.at(h * headRows + d, c);
                Row scores;
                std::vector<Row> latents;
                for (uint64_t t = 0; t <= s.position[token]; ++t) {
                  Row key = s.cached(s.row[token], t, width);
                  double score = 0;
                  for (int64_t i = 0; i < spec.rope; ++i)
                    score += query[spec.nope + i] * key[spec.latent + i];
                  key.resize(spec.latent);
                  if (spec.quantizeLatent)
                    key = quantizeDequantize(key, spec.scaleFormat);
                  for (int64_t c = 0; c < spec.latent; ++c)
                    score += absorbed[c] * key[c];
                  scores.push_back(score * spec.softmaxScale);
                  latents.push_back(std::move(key));
                }
                const Row mean = attendAs(spec.act, scores, latents);
                for (size_t i : byHead[h])
                  result[i] = dotRow(mean, w,
                                     h * headRows + spec.nope +
                                         columns[i] % spec.value);
              }
              return result;
            },
            kindOf(spec.act, spec.quantize), static_cast<uint64_t>(spec.value)});
  double pairs = 0;
  for (uint64_t position : s.position)
    pairs += static_cast<double>(position + 1);
  const double act = dtypeSize(dtypeOf(spec.act));
  const double tokens = static_cast<double>(s.row.size());
  b.result->bytes = act * (static_cast<double>(s.keys) * width +
                           tokens * spec.heads * (head + spec.value)) +
                    static_cast<double>(w.bytes());
  b.result->flops =
      2 * spec.heads *
      (pairs * (head + spec.value) +
       static_cast<double>(s.keys) * spec.latent * headRows);
}

} // namespace hadal::bench
