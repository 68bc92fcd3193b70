// Words that kernels of rows have on every target: how much a work item does.
#pragma once

#include "schedule/Rules.h"

namespace hadal::schedule {

/// Columns of a work item of a kernel that maps each element, or each group of
/// 128, of |width| columns on its own. The |most| of 1024 give a row of a wide
/// model several items, each still many vectors long.
template <typename Spec>
Word<Spec> columnsWord(int64_t Spec::*width, int64_t unit,
                       int64_t most = 1024) {
  auto pick = [=](const Spec &spec) {
    return std::min<int64_t>(alignTo(spec.*width, unit), most);
  };
  return {.name = "columns",
          .meaning = "columns of a work item",
          .bits = Bits::same,
          .inBody = true,
          .rule = [=](const Facts<Spec> &f) -> Value { return pick(f.spec); },
          .values =
              [](const Facts<Spec> &) {
                return numbers({128, 256, 512, 1024, 2048, 4096, 8192});
              },
          .limit =
              [=](const Facts<Spec> &f) {
                return covers("columns", f, alignTo(f.spec.*width, unit));
              }};
}

/// Threads of a CTA of sm_90a: enough that each moves one or two vectors of 8
/// elements of the largest tile that is loaded or stored.
template <typename Spec>
Word<Spec> threadsWord(int64_t (*largestTile)(const Facts<Spec> &)) {
  return {.name = "threads",
          .meaning = "threads of a CTA",
          .bits = Bits::order,
          .inBody = false,
          .rule = [=](const Facts<Spec> &f) -> Value {
            constexpr int64_t most = 512, vector = 8;
            int64_t vectors = ceilDiv(largestTile(f), vector);
            return alignTo(ceilDiv(vectors, ceilDiv(vectors, most)), 32);
          },
          .values =
              [](const Facts<Spec> &) {
                return numbers({32, 64, 128, 256, 512, 1024});
              }};
}

/// The largest tile of a kernel that moves its columns of a row.
template <typename Spec> int64_t itemColumns(const Facts<Spec> &f) {
  return f.number("columns");
}

/// The largest tile of a kernel that walks choices in steps of rows.
template <typename Spec> int64_t stepChoices(const Facts<Spec> &f) {
  return f.number("bm") * f.spec.topk;
}

/// Columns of a work item that moves a part of a row which most of its launch
/// does not have: whole rows, so that what is not there is met once.
template <typename Spec> Word<Spec> movedColumns(int64_t unit) {
  return columnsWord(&Spec::hidden, unit, 8192);
}

/// Rows of a step of a kernel that walks the choices of all |rows| of them
/// (tokens; received rows), which are no more than a capacity: on a GPU the
/// steps follow each other, so they are few; on a CPU the tiles of a step stay
/// in the first cache. About |choices| of them.
template <typename Spec>
Word<Spec> stepRows(const char *meaning, int64_t (*rows)(const Spec &),
                    int64_t choices = 4096) {
  return {.name = "bm",
          .meaning = meaning,
          .bits = Bits::same,
          .inBody = true,
          .rule = [=](const Facts<Spec> &f) -> Value {
            return std::min(std::max<int64_t>(choices / f.spec.topk, 1),
                            rows(f.spec));
          },
          .values =
              [](const Facts<Spec> &) {
                return numbers({16, 32, 64, 128, 256, 512});
              },
          .limit = [=](const Facts<Spec> &f) -> Check {
            // The tiles of a step are values of a kernel.
            constexpr int64_t most = 8192;
            if (int64_t tile = f.number("bm") * f.spec.topk; tile > most)
              return Broken{Prune::P07, std::to_string(tile) + " choices of " +
                                            std::to_string(most)};
            return covers("bm", f, rows(f.spec));
          }};
}

/// Tokens of a step of a kernel that walks all tokens of a bucket.
template <typename Spec> Word<Spec> stepTokens(int64_t choices = 4096) {
  return stepRows<Spec>(
      "tokens of a step", +[](const Spec &spec) { return spec.tokens; },
      choices);
}

/// Received rows of a step of moe_receive: about |choices| of them. Steps of
/// fewer rows than a rank's block walk what came from each rank alone.
inline Word<kernels::MoeReceiveSpec> stepReceived(int64_t choices = 4096) {
  using Spec = kernels::MoeReceiveSpec;
  return stepRows<Spec>(
      "received rows of a step",
      +[](const Spec &spec) { return spec.ranks * spec.capacity; }, choices);
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
  return {.name = "bn",
          .meaning = "keys of a step",
          .bits = Bits::order,
          .inBody = true,
          .rule = [](const Facts<Spec> &) -> Value { return int64_t(64); },
          .values = [values = numbers(others)](
                        const Facts<Spec> &) { return values; },
          .limit =
              [](const Facts<Spec> &f) {
                return keepsSums(f, f.number("bn") == 64);
              }};
}

} // namespace hadal::schedule
