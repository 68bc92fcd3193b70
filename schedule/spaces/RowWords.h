// Words that kernels of rows have on every target: how much a work item does.
#pragma once

#include "schedule/Rules.h"

namespace hadal::schedule {

/// Columns of a work item of a kernel that maps each element, or each group of
/// 128, of |width| columns on its own. 1024 give a row of a wide model several
/// items, each still many vectors long.
template <typename Spec>
Word<Spec> columnsWord(int64_t Spec::*width, int64_t unit) {
  auto pick = [=](const Spec &spec) {
    return std::min<int64_t>(alignTo(spec.*width, unit), 1024);
  };
  return {"columns",
          "columns of a work item",
          Bits::same,
          /*inBody=*/true,
          [=](const Facts<Spec> &f) -> Value { return pick(f.spec); },
          [=](const Facts<Spec> &f) {
            return numbers(
                {128, 256, 512, 1024, 2048, 4096, 8192},
                [&](int64_t n) { return n <= alignTo(f.spec.*width, unit); });
          }};
}

/// Threads of a CTA of sm_90a: enough that each moves one or two vectors of 8
/// elements of the largest tile that is loaded or stored.
template <typename Spec>
Word<Spec> threadsWord(int64_t (*largestTile)(const Facts<Spec> &)) {
  return {"threads",
          "threads of a CTA",
          Bits::order,
          false,
          [=](const Facts<Spec> &f) -> Value {
            constexpr int64_t most = 512, vector = 8;
            int64_t vectors = ceilDiv(largestTile(f), vector);
            return alignTo(ceilDiv(vectors, ceilDiv(vectors, most)), 32);
          },
          [](const Facts<Spec> &) {
            return numbers({32, 64, 128, 256, 512, 1024});
          }};
}

/// The largest tile of a kernel that moves its columns of a row.
template <typename Spec> int64_t itemColumns(const Facts<Spec> &f) {
  return f.number("columns");
}

/// Tokens of a step of moe_permute: on a GPU the steps follow each other, so
/// they are few; on a CPU the tiles of a step stay in the first cache. About
/// 4096 assignments.
inline Word<kernels::MoePermuteSpec> permuteTokens() {
  using Spec = kernels::MoePermuteSpec;
  return {"bm",
          "tokens of a step",
          Bits::same,
          /*inBody=*/true,
          [](const Facts<Spec> &f) -> Value {
            return std::min(std::max<int64_t>(4096 / f.spec.topk, 1),
                            f.spec.tokens);
          },
          [](const Facts<Spec> &f) {
            return numbers({16, 32, 64, 128, 256, 512}, [&](int64_t n) {
              return n <= f.spec.tokens && n * f.spec.topk <= 8192;
            });
          }};
}

/// Query rows of a tile of mla_decode, at most 64: whole tokens, or a divisor
/// of a token's heads, so that the position of a row is a load and not a
/// gather.
Word<kernels::MlaDecodeSpec> decodeQueryRows();

/// Queries of a tile of mla_prefill, at most 512. Each tile expands every key
/// again, which costs C (dn + dv) per key against bm (dn + dr + dv): hence
/// whole chunks of prefill. |unit|: what other values are multiples of.
Word<kernels::MlaPrefillSpec> prefillQueryRows(int64_t unit);

/// Keys of a step of attention: how many the running maximum meets at a time.
/// |others|: what may be given beside 64.
template <typename Spec>
Word<Spec> attentionKeys(std::initializer_list<int64_t> others) {
  return {"bn",
          "keys of a step",
          Bits::order,
          /*inBody=*/true,
          [](const Facts<Spec> &) -> Value { return int64_t(64); },
          [values = numbers(others)](const Facts<Spec> &) { return values; }};
}

} // namespace hadal::schedule
