// absorb_q and absorb_v on sm_90a.
#include "schedule/spaces/AbsorbWords.h"
#include "schedule/spaces/Sm90RingWords.h"

namespace hadal::schedule {

using namespace kernels;
using namespace sm90;

namespace {

template <typename Spec>
Fold absorbFold(const Facts<Spec> &f, int64_t columns, int64_t k) {
  Fold fold;
  fold.bm = f.number("bm");
  fold.bn = f.number("bn");
  fold.bk = f.number("bk");
  fold.steps = ceilDiv(k, fold.bk);
  fold.states = 1;
  fold.rows = f.spec.rows;
  fold.rowTiles = ceilDiv(f.spec.rows, fold.bm);
  fold.itemsOfRows = fold.rowTiles * f.spec.heads * ceilDiv(columns, fold.bn);
  fold.xBytes = bytesOf(f.spec.act);
  fold.wBytes = bytesOf(f.spec.weight);
  fold.scaled = false;
  fold.oneRowTile = f.spec.rows <= fold.bm;
  fold.staticViews = true;
  return fold;
}

} // namespace

Fold sm90::absorbQFold(const Facts<AbsorbQSpec> &f) {
  Fold fold = absorbFold(f, f.spec.latent, f.spec.nope);
  fold.kMajor = false;
  return fold;
}

Fold sm90::absorbVFold(const Facts<AbsorbVSpec> &f) {
  return absorbFold(f, f.spec.value, f.spec.latent);
}

namespace {

template <typename Spec> Word<Spec> absorbRows() {
  using F = Facts<Spec>;
  return {.name = "bm",
          .meaning = "rows of a tile",
          .bits = Bits::order,
          .inBody = true,
          .rule = [](const F &f) -> Value {
            return int64_t(f.spec.rows <= 64 ? 64 : 128);
          },
          .values = [](const F &) { return numbers({64, 128}); },
          .unwise = [](const F &f) -> Check {
            if (f.number("bm") > alignTo(f.spec.rows, 64))
              return Broken{Prune::P14, "tiles of 128, " +
                                            std::to_string(f.spec.rows) +
                                            " rows"};
            return std::nullopt;
          }};
}

/// Only gemm's weights are rows of K.
template <typename Spec> Word<Spec> plainOrder() {
  return {.name = "swap_ab",
          .meaning = "weights are the rows of wgmma, tokens its columns",
          .bits = Bits::order,
          .inBody = false,
          .rule = [](const Facts<Spec> &) -> Value { return false; },
          .values = [](const Facts<Spec> &) { return flags(false); }};
}

} // namespace

const Space<AbsorbQSpec> &sm90aSpace(const AbsorbQSpec *) {
  using F = Facts<AbsorbQSpec>;
  static const Space<AbsorbQSpec> space = [] {
    Space<AbsorbQSpec> words = {
        absorbRows<AbsorbQSpec>(),
        {.name = "bn",
         .meaning = "columns of a tile",
         .bits = Bits::same,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return exactStep(f.spec.latent, kScaleGroup);
         },
         .values = [](const F &) { return numbers({64, 128, 256}); },
         .limit = [](const F &f) { return divides("bn", f, f.spec.latent); }},
        {.name = "bk",
         .meaning = "step along the head",
         .bits = Bits::order,
         .inBody = true,
         .rule = [](const F &f) -> Value { return f.spec.nope; },
         .values = [](const F &) { return numbers({16, 32, 64, 128}); },
         .limit = [](const F &f) { return divides("bk", f, f.spec.nope); }},
        plainOrder<AbsorbQSpec>(),
    };
    addRingWords<AbsorbQSpec>(words, absorbQFold);
    return words;
  }();
  return space;
}

const Space<AbsorbVSpec> &sm90aSpace(const AbsorbVSpec *) {
  using F = Facts<AbsorbVSpec>;
  static const Space<AbsorbVSpec> space = [] {
    Space<AbsorbVSpec> words = {
        absorbRows<AbsorbVSpec>(),
        absorbedColumns<AbsorbVSpec>(),
        // The contraction must not leave the head's columns of o_lat.
        {.name = "bk",
         .meaning = "step along the latent",
         .bits = Bits::order,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return f.spec.latent <= kScaleGroup
                      ? f.spec.latent
                      : std::gcd(f.spec.latent, kScaleGroup);
         },
         .values = [](const F &) { return numbers({64, 128, 256}); },
         .limit = [](const F &f) { return divides("bk", f, f.spec.latent); }},
        plainOrder<AbsorbVSpec>(),
    };
    addRingWords<AbsorbVSpec>(words, absorbVFold);
    return words;
  }();
  return space;
}

} // namespace hadal::schedule
