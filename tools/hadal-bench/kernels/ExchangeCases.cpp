// Cases of the kernels around the exchange of rows between ranks.
#include <algorithm>

#include "runtime/schemas/ArtifactFile.h"
#include "tools/hadal-bench/kernels/CaseBuilder.h"

namespace hadal::bench {

using namespace kernels;

namespace {

/// Tokens of the rank's slice, which are those of the sizes from here on.
uint64_t sliceTokens(CaseBuilder &b, int64_t most) {
  const uint64_t tokens =
      std::min<uint64_t>(b.bucket.tokens, static_cast<uint64_t>(most));
  b.result->arguments.find("sizes")->second.set(0, 3, tokens);
  return tokens;
}

/// The router's choices of |tokens| tokens as the argument ids.
Tensor chooseExperts(CaseBuilder &b, uint64_t tokens, uint64_t experts,
                     uint64_t topk) {
  Tensor chosen = b.routing(tokens, experts, topk);
  Tensor ids(DType::i32, b.rowsOf("ids"), topk);
  for (uint64_t t = 0; t < tokens; ++t)
    for (uint64_t j = 0; j < topk; ++j)
      ids.set(t, j, chosen.at(t, j));
  b.output("ids", std::move(ids));
  return chosen;
}

/// Expects |values| of |output| in |rows|.
void expectExactly(CaseBuilder &b, const char *output,
                   std::vector<uint64_t> rows, Tensor values) {
  b.expect({output, std::move(rows),
            [values = std::move(values)](uint64_t row,
                                         const std::vector<uint64_t> &columns) {
              std::vector<double> result;
              for (uint64_t c : columns)
                result.push_back(values.at(row, c));
              return result;
            },
            Expected::Kind::exact});
}

Tensor filled(uint64_t rows, uint64_t cols, int64_t value) {
  Tensor tensor(DType::i32, rows, cols);
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t c = 0; c < cols; ++c)
      tensor.set(r, c, value);
  return tensor;
}

/// The rows that a rank is sent when every choice of |tokens| tokens a rank
/// goes to any of them; at least one pair. Choice j of token t of rank s: its
/// slot.
Tensor receivedMeta(CaseBuilder &b, uint64_t topk, uint64_t ranks,
                    uint64_t slots, uint64_t capacity, uint64_t pairs) {
  Tensor meta =
      filled(ranks * capacity, static_cast<uint64_t>(metaWords(topk)), -1);
  for (uint64_t s = 0; s < ranks; ++s) {
    uint64_t row = 0, pair = 0;
    for (uint64_t t = 0; t < b.bucket.tokens && row < capacity; ++t) {
      const uint64_t at = s * capacity + row, first = pair;
      for (uint64_t j = 0; j < topk && pair < pairs; ++j) {
        const bool isFirst = !s && !t && !j;
        if (!isFirst && b.rng.below(ranks))
          continue;
        meta.set(at, kMetaSlots + j, b.rng.below(slots));
        ++pair;
      }
      if (pair == first)
        continue;
      meta.set(at, 0, t);
      meta.set(at, 1, first);
      ++row;
    }
  }
  return meta;
}

} // namespace

void buildMoeCountCase(CaseBuilder &b, const MoeCountSpec &spec) {
  const uint64_t tokens = sliceTokens(b, spec.tokens);
  const Tensor chosen = chooseExperts(b, tokens, spec.experts, spec.topk);
  const Tensor &load =
      b.output("expert_load", Tensor(DType::i32, 1, spec.experts));
  Tensor counts = load;
  for (uint64_t t = 0; t < tokens; ++t)
    for (uint64_t j = 0; j < chosen.cols; ++j) {
      const auto e = static_cast<uint64_t>(chosen.at(t, j));
      counts.set(0, e, counts.at(0, e) + 1);
    }
  expectExactly(b, "expert_load", {0}, std::move(counts));
  b.result->bytes =
      4.0 * static_cast<double>(tokens * chosen.cols + 2 * load.cols);
}

void buildMoeRouteCase(CaseBuilder &b, const MoeRouteSpec &spec) {
  const uint64_t tokens = sliceTokens(b, spec.tokens);
  const uint64_t topk = spec.topk, ranks = spec.ranks, slots = spec.slots,
                 capacity = spec.capacity, pairs = spec.pairs,
                 width = 1 + spec.replicas;
  const Tensor chosen = chooseExperts(b, tokens, spec.experts, topk);
  // Slot s of rank r is expert (r * slots + s) mod experts.
  Tensor table = filled(spec.experts * width, 1, -1);
  std::vector<std::vector<uint64_t>> physical(spec.experts);
  for (uint64_t p = 0; p < ranks * slots; ++p) {
    std::vector<uint64_t> &list = physical[p % spec.experts];
    if (list.size() + 1 < width)
      list.push_back(p);
  }
  for (uint64_t e = 0; e < physical.size(); ++e) {
    table.set(e * width, 0, physical[e].size());
    for (uint64_t i = 0; i < physical[e].size(); ++i)
      table.set(e * width + 1 + i, 0, physical[e][i]);
  }
  b.output("table", std::move(table));

  const uint64_t words = metaWords(topk);
  Tensor sendToken = filled(ranks * capacity, 1, -1),
         sendMeta = filled(ranks * capacity, words, -1),
         place = filled(tokens * topk, 1, -1), sent = filled(ranks, 2, 0),
         overflow = filled(ranks, 2, 0);
  for (uint64_t d = 0; d < ranks; ++d) {
    uint64_t rows = 0, met = 0, fitting = 0;
    for (uint64_t t = 0; t < tokens; ++t) {
      const uint64_t at = d * capacity + rows, first = met;
      const bool hasRow = rows < capacity;
      for (uint64_t j = 0; j < topk; ++j) {
        const std::vector<uint64_t> &list =
            physical[static_cast<uint64_t>(chosen.at(t, j))];
        const uint64_t p = list[(t + j) % list.size()];
        if (p / slots != d)
          continue;
        if (hasRow && met < pairs) {
          sendMeta.set(at, kMetaSlots + j, p % slots);
          place.set(t * topk + j, 0, d * pairs + met);
          ++fitting;
        }
        ++met;
      }
      if (met == first)
        continue;
      if (hasRow) {
        sendToken.set(at, 0, t);
        sendMeta.set(at, 0, t);
        sendMeta.set(at, 1, first);
        for (uint64_t w = kMetaSlots + topk; w < words; ++w)
          sendMeta.set(at, w, 0);
      }
      ++rows;
    }
    sent.set(d, 0, std::min(rows, capacity));
    sent.set(d, 1, fitting);
    overflow.set(d, 0, rows);
    overflow.set(d, 1, met);
  }
  const std::vector<uint64_t> all = CaseBuilder::firstRows(ranks * capacity);
  b.output("send_token", Tensor(DType::i32, b.rowsOf("send_token"), 1));
  b.output("send_meta", Tensor(DType::i32, b.rowsOf("send_meta"), words));
  b.output("place", Tensor(DType::i32, b.rowsOf("place"), 1));
  b.output("sent", Tensor(DType::i32, ranks, 2));
  b.output("overflow", Tensor(DType::i32, ranks, 2));
  expectExactly(b, "send_token", all, std::move(sendToken));
  expectExactly(b, "send_meta", all, std::move(sendMeta));
  expectExactly(b, "place", CaseBuilder::firstRows(tokens * topk),
                std::move(place));
  expectExactly(b, "sent", CaseBuilder::firstRows(ranks), std::move(sent));
  expectExactly(b, "overflow", CaseBuilder::firstRows(ranks),
                std::move(overflow));
  b.result->bytes =
      4.0 * static_cast<double>(tokens * topk * 3 +
                                ranks * capacity * (1 + words) + ranks * 6);
}

void buildMoePackCase(CaseBuilder &b, const MoePackSpec &spec) {
  const Tensor &x =
      b.random("x", spec.quantized ? b.fp8Rows("x", spec.hidden)
                                   : b.act("x", spec.act, spec.hidden));
  // As many rows as there are choices, spread over all that could be.
  const uint64_t rows = b.rowsOf("send_token"), tokens = b.bucket.tokens;
  const uint64_t used = std::clamp<uint64_t>(
      tokens * std::max<uint64_t>(b.bucket.topk, 1), 1, rows);
  Tensor sendToken = filled(rows, 1, -1);
  std::vector<uint64_t> written;
  for (uint64_t i = 0; i < used; ++i) {
    written.push_back(i * rows / used);
    sendToken.set(written.back(), 0, i % tokens);
  }
  const Tensor &source = b.output("send_token", std::move(sendToken));
  b.output("out", spec.quantized ? b.fp8Rows("out", spec.hidden)
                                 : b.act("out", spec.act, spec.hidden));
  b.expect(
      {"out", written,
       [&x, &source](uint64_t row, const std::vector<uint64_t> &columns) {
         std::vector<double> values;
         for (uint64_t c : columns)
           values.push_back(x.at(static_cast<uint64_t>(source.at(row, 0)), c));
         return values;
       },
       spec.quantized ? Expected::Kind::quantised : Expected::Kind::exact});
  b.result->bytes =
      4.0 * static_cast<double>(rows) +
      2.0 * static_cast<double>(used * x.rowBytes() + used * x.scaleCols() * 4);
}

void buildMoeReceiveCase(CaseBuilder &b, const MoeReceiveSpec &spec) {
  const uint64_t topk = spec.topk, slots = spec.slots,
                 rows = spec.ranks * spec.capacity;
  const Tensor &meta =
      b.output("meta", receivedMeta(b, topk, spec.ranks, slots, spec.capacity,
                                    spec.capacity * std::min(topk, slots)));
  Tensor got = filled(b.rowsOf("got"), 2, 0);
  for (uint64_t row = 0; row < rows; ++row)
    if (meta.at(row, 0) >= 0) {
      const uint64_t from = row / spec.capacity;
      got.set(from, 0, got.at(from, 0) + 1);
      for (uint64_t j = 0; j < topk; ++j)
        got.set(from, 1, got.at(from, 1) + (meta.at(row, kMetaSlots + j) >= 0));
    }
  uint64_t arrived = 0;
  for (uint64_t s = 0; s < got.rows; ++s)
    arrived += static_cast<uint64_t>(got.at(s, 0));
  b.output("got", std::move(got));
  b.output("source", Tensor(DType::i32, b.rowsOf("source"), 1));
  b.output("back", Tensor(DType::i32, b.rowsOf("back"), 1));
  Tensor source(DType::i32, rows * topk, 1), back(DType::i32, rows * topk, 1);
  Tensor sizes = b["sizes"];
  std::vector<uint64_t> written;
  uint64_t routed = 0;
  for (uint64_t s = 0; s < slots; ++s) {
    for (uint64_t pair = 0; pair < rows * topk; ++pair)
      if (meta.at(pair / topk, kMetaSlots + pair % topk) ==
          static_cast<double>(s)) {
        source.set(routed, 0, pair / topk);
        back.set(pair, 0, routed++);
        written.push_back(pair);
      }
    sizes.set(0, artifact::kSizesHead + s + 1, routed);
  }
  std::sort(written.begin(), written.end());
  expectExactly(b, "source", CaseBuilder::firstRows(routed), std::move(source));
  expectExactly(b, "back", std::move(written), std::move(back));
  expectExactly(b, "sizes", {0}, std::move(sizes));
  b.result->bytes =
      4.0 * static_cast<double>(arrived * meta.cols + routed * 2 + slots + 1);
}

void buildMoeReturnRowsCase(CaseBuilder &b, const MoeReturnRowsSpec &spec) {
  const uint64_t topk = spec.topk, capacity = spec.capacity,
                 rows = spec.ranks * capacity;
  const Tensor &y = b.random("y", b.act("y", spec.act, spec.hidden));
  const Tensor &meta = b.output(
      "meta", receivedMeta(b, topk, spec.ranks, 1, capacity, spec.pairs));
  Tensor back = filled(rows, topk, -1);
  std::map<uint64_t, uint64_t> moved; // returned row: row of y
  for (uint64_t r = 0; r < rows; ++r) {
    uint64_t to = r / capacity * spec.pairs +
                  static_cast<uint64_t>(std::max(meta.at(r, 1), 0.0));
    for (uint64_t j = 0; j < topk; ++j) {
      if (meta.at(r, kMetaSlots + j) < 0)
        continue;
      const uint64_t from = b.rng.below(y.rows);
      back.set(r, j, from);
      moved[to++] = from;
    }
  }
  b.output("back", std::move(back));
  b.output("out", b.act("out", spec.act, spec.hidden));
  std::vector<uint64_t> written;
  for (const auto &[to, from] : moved)
    written.push_back(to);
  b.result->bytes = 4.0 * static_cast<double>(rows * (meta.cols + topk)) +
                    2.0 * static_cast<double>(moved.size() * y.rowBytes());
  b.expect({"out", std::move(written),
            [&y, moved = std::move(moved)](
                uint64_t row, const std::vector<uint64_t> &columns) {
              std::vector<double> values;
              for (uint64_t c : columns)
                values.push_back(y.at(moved.at(row), c));
              return values;
            },
            Expected::Kind::exact});
}

} // namespace hadal::bench
