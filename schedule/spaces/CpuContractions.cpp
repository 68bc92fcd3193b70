// The words of the CPU's kernels that contract.
#include <limits>

#include "schedule/spaces/AbsorbWords.h"
#include "schedule/spaces/CpuForms.h"
#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

using namespace kernels;

//===----------------------------------------------------------------------===//
// GEMMs
//===----------------------------------------------------------------------===//

/// No value beside the rule's.
template <typename Spec> static std::vector<Value> none(const Facts<Spec> &) {
  return {};
}

/// The first of 1, 4, 8, 16, 64, 128 that holds |rows|, else 256. Few rows per
/// tile cost repeated decoding of the weight; many cost work on rows that do
/// not exist.
static int64_t rowTile(int64_t rows) {
  for (int64_t tile : {1, 4, 8, 16, 64, 128})
    if (rows <= tile)
      return tile;
  return 256;
}

/// Of tiles beyond the rows the smallest is enough.
template <typename Spec> static Check beyondRows(const Facts<Spec> &f) {
  if (int64_t bm = f.number("bm"); bm > rowTile(f.spec.rows))
    return Broken{Prune::P14, "tiles of " + std::to_string(bm) + ", " +
                                  std::to_string(f.spec.rows) + " rows"};
  return std::nullopt;
}

/// Rows per tile of the panel form. A worker keeps bm rows of x packed, bm x K
/// of them: beyond a few MiB they no longer stay in its share of the last cache
/// from one tile of the weight to the next.
static int64_t panelRows(const GemmSpec &spec) {
  int64_t bm = rowTile(spec.rows);
  if (spec.experts > 0 && bm > 16) {
    // An expert gets a fraction of the bucket's rows.
    int64_t mean = std::max<int64_t>(spec.expectedPairs() / spec.experts, 1);
    bm = spec.rows < 256 ? 16 : std::clamp<int64_t>(rowTile(mean), 64, bm);
  }
  constexpr int64_t kPackedElements = 2 << 20;
  while (bm > 64 && bm * spec.k > kPackedElements)
    bm /= 2;
  return bm;
}

static Value gemmColumns(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  if (spec.epilogue == Epilogue::rope)
    return spec.headDim;
  if (spec.epilogue == Epilogue::swigluQuantize)
    return kScaleGroup;
  int64_t bn;
  if (f.number("bm") == 1)
    // Enough items to balance the threads, each one run of consecutive rows.
    bn = spec.n <= 4096 ? 32 : spec.n <= 16384 ? 64 : 128;
  else
    bn = spec.n <= 512 ? 64 : 128;
  bn = std::min(bn, alignTo(spec.n, 16));
  if (spec.segmentRows > 0)
    bn = std::gcd(bn, spec.segmentRows);
  return bn;
}

static Check limitColumns(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  int64_t n = f.number("bn");
  std::string text = std::to_string(n) + " columns";
  if (spec.epilogue == Epilogue::rope) {
    if (n == spec.headDim)
      return std::nullopt;
    return Broken{Prune::P02,
                  text + ", heads of " + std::to_string(spec.headDim)};
  }
  if (spec.epilogue == Epilogue::swigluQuantize) {
    if (n == kScaleGroup)
      return std::nullopt;
    return Broken{Prune::P03, text};
  }
  if (spec.segmentRows > 0)
    if (Check broken = divides("bn", f, spec.segmentRows))
      return broken;
  return covers("bn", f, alignTo(spec.n, 16));
}

/// The most rows of a tile that takes one weight row at a time: a panel would
/// compute 16 columns for them.
static constexpr int64_t kMostRows = 8;
/// The same of experts, which meet a fraction of a bucket's rows.
static constexpr int64_t kMostExpertRows = 16;
/// Activation rows are packed for the whole of K, in f32.
static constexpr int64_t kMostLegalRows = 64;
/// Fewer rows than this are not worth packing the other operand.
static constexpr int64_t kFewestDotRows = 4;

/// The form of folds over memory whose tiles have |bm| rows. An element has the
/// same bits in gemv and in rows, whatever the group of rows it is computed in.
static Value rowForm(Sums sums, int64_t bm, int64_t mostRows) {
  if (sums != Sums::free)
    mostRows = sums == Sums::rows ? kMostLegalRows : 0;
  return std::string(bm > mostRows ? "panel" : bm == 1 ? "gemv" : "rows");
}
template <typename Spec> static Check unfitRowForm(const Facts<Spec> &f) {
  const std::string &form = f.text("form");
  int64_t bm = f.number("bm");
  if (form == "gemv" ? bm != 1
                     : form == "rows" && (bm == 1 || bm > kMostLegalRows))
    return Broken{Prune::P16, form + " of tiles of " + std::to_string(bm) +
                                  (bm == 1 ? " row" : " rows")};
  return std::nullopt;
}

/// The form of products of tiles with |rows| rows.
static Value dotForm(Sums sums, int64_t rows) {
  bool few = sums == Sums::free && rows < kFewestDotRows;
  return std::string(few ? "loops" : "dot");
}

/// The most rows of a tile whose sums have the order |sums|.
static int64_t mostRowsOf(Sums sums) {
  return sums == Sums::rows ? kMostLegalRows
                            : std::numeric_limits<int64_t>::max();
}

const Space<GemmSpec> &cpuSpace(const GemmSpec *) {
  using F = Facts<GemmSpec>;
  static const Space<GemmSpec> space = [] {
    Space<GemmSpec> words = {
        {.name = "bm",
         .meaning = "rows of a tile",
         .bits = Bits::same,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return std::min(panelRows(f.spec), mostRowsOf(f.spec.sums));
         },
         .values =
             [](const F &) { return numbers({1, 4, 8, 16, 64, 128, 256}); },
         .limit =
             [](const F &f) {
               return keepsSums(f, f.number("bm") <= mostRowsOf(f.spec.sums));
             },
         .unwise = beyondRows<GemmSpec>},
        {.name = "bn",
         .meaning = "columns of a tile",
         .bits = Bits::same,
         .inBody = true,
         .rule = gemmColumns,
         .values = [](const F &) { return numbers({16, 32, 64, 128, 256}); },
         .limit = limitColumns},
        formWord<GemmSpec>(
            {"gemv", "rows", "panel", "loops"},
            [](const F &f) {
              return rowForm(f.spec.sums, f.number("bm"),
                             f.spec.experts > 0 ? kMostExpertRows : kMostRows);
            },
            unfitRowForm<GemmSpec>),
        // Forms walk K in blocks of 128, and so do codes with scales.
        {.name = "bk",
         .meaning = "step along K",
         .bits = Bits::order,
         .inBody = true,
         .rule = [](const F &) -> Value { return kScaleGroup; },
         .values = [](const F &) { return numbers({32, 64, 128, 256}); },
         .limit = [](const F &f) -> Check {
           int64_t n = f.number("bk");
           if (n == kScaleGroup ||
               (f.text("form") == "loops" && f.spec.weight != Weight::fp8))
             return std::nullopt;
           return Broken{Prune::P16,
                         "steps of " + std::to_string(n) + ", blocks of 128"};
         },
         .tries = none<GemmSpec>},
    };
    addFormWords(words, {"gemv", "rows", "panel", "loops"});
    return words;
  }();
  return space;
}

//===----------------------------------------------------------------------===//
// The halves of wkv_b
//===----------------------------------------------------------------------===//

/// |oneRow|: an order of sums that tiles of one row alone have.
template <typename Spec> static Word<Spec> absorbRows(Sums oneRow) {
  auto isOneRow = [=](const Facts<Spec> &f) {
    return oneRow != Sums::free && f.spec.sums == oneRow;
  };
  return {
      .name = "bm",
      .meaning = "rows of a tile",
      .bits = Bits::same,
      .inBody = true,
      .rule = [=](const Facts<Spec> &f) -> Value {
        return isOneRow(f) ? int64_t(1)
                           : std::min<int64_t>(rowTile(f.spec.rows), 64);
      },
      .values = [](const Facts<Spec> &) { return numbers({1, 4, 8, 16, 64}); },
      .limit =
          [=](const Facts<Spec> &f) {
            return keepsSums(f, !isOneRow(f) || f.number("bm") == 1);
          },
      .unwise = beyondRows<Spec>};
}

const Space<AbsorbQSpec> &cpuSpace(const AbsorbQSpec *) {
  using F = Facts<AbsorbQSpec>;
  // The form reads whole blocks of columns.
  auto hasColumns = [](const F &f) {
    return f.spec.sums != Sums::panel && f.number("bm") == 1 &&
           f.number("bn") % kScaleGroup == 0;
  };
  // Tiles of one row that nothing else computes may be loops.
  auto tileForm = [](const F &f) {
    return dotForm(f.spec.sums == Sums::panel ? Sums::panel : Sums::free,
                   f.number("bm"));
  };
  auto stepOfHead = [](const F &f) -> Value {
    return f.number("bm") == 1 && f.spec.nope % 16 == 0 &&
                   f.spec.sums != Sums::panel
               ? int64_t(16)
               : f.spec.nope;
  };
  static const Space<AbsorbQSpec> space = [&] {
    Space<AbsorbQSpec> words = {
        // Columns and tiles add in orders of their own, and a row's columns are
        // as fast as a weight that stays in L2 between rows.
        absorbRows<AbsorbQSpec>(/*oneRow=*/Sums::rows),
        // One row: whole rows of the weight, a few at a time. More: the usual
        // tile.
        {.name = "bn",
         .meaning = "columns of a tile",
         .bits = Bits::same,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return exactStep(f.spec.latent,
                            f.number("bm") == 1 ? 512 : kScaleGroup);
         },
         .values = [](const F &) { return numbers({128, 256, 512}); },
         .limit = [](const F &f) { return divides("bn", f, f.spec.latent); }},
        formWord<AbsorbQSpec>(
            {"columns", "dot", "loops"},
            [=](const F &f) -> Value {
              return hasColumns(f) ? std::string("columns") : tileForm(f);
            },
            [=](const F &f) -> Check {
              if (f.text("form") != "columns" || hasColumns(f))
                return std::nullopt;
              return Broken{Prune::P16, "columns of tiles of " +
                                            std::to_string(f.number("bm")) +
                                            " x " +
                                            std::to_string(f.number("bn"))};
            }),
        // A step of tiles is a few rows, so that their exact f32 values stay in
        // the first cache; columns has no tiles.
        {.name = "bk",
         .meaning = "step along the head",
         .bits = Bits::order,
         .inBody = true,
         .rule = stepOfHead,
         .values = [](const F &) { return numbers({16, 32, 64, 128}); },
         .limit = [=](const F &f) -> Check {
           const bool isRule = Value(f.number("bk")) == stepOfHead(f);
           if (Check broken = keepsSums(f, isRule))
             return broken;
           if (!isRule && f.text("form") == "columns")
             return Broken{Prune::P16, "columns has no steps"};
           return isRule ? std::nullopt : divides("bk", f, f.spec.nope);
         }},
    };
    addFormWords(words, {"columns", "dot", "loops"});
    return words;
  }();
  return space;
}

const Space<AbsorbVSpec> &cpuSpace(const AbsorbVSpec *) {
  using F = Facts<AbsorbVSpec>;
  auto stepOfLatent = [](const F &f) -> Value {
    return f.spec.latent <= kScaleGroup ? f.spec.latent
                                        : std::gcd(f.spec.latent, kScaleGroup);
  };
  static const Space<AbsorbVSpec> space = [&] {
    Space<AbsorbVSpec> words = {
        absorbRows<AbsorbVSpec>(/*oneRow=*/Sums::free),
        absorbedColumns<AbsorbVSpec>(),
        formWord<AbsorbVSpec>(
            {"gemv", "rows", "panel", "loops"},
            [](const F &f) {
              return rowForm(f.spec.sums, f.number("bm"), kMostRows);
            },
            unfitRowForm<AbsorbVSpec>),
        // The contraction must not leave the head's columns of o_lat, and a
        // step must lie in one scale block.
        {.name = "bk",
         .meaning = "step along the latent",
         .bits = Bits::order,
         .inBody = true,
         .rule = stepOfLatent,
         .values = [](const F &) { return numbers({32, 64, 128}); },
         .limit = [=](const F &f) -> Check {
           if (Value(f.number("bk")) == stepOfLatent(f))
             return std::nullopt;
           if (f.text("form") != "loops")
             return Broken{Prune::P16, "forms walk K in blocks"};
           return divides("bk", f, f.spec.latent);
         },
         .tries = none<AbsorbVSpec>},
    };
    addFormWords(words, {"gemv", "rows", "panel", "loops"});
    return words;
  }();
  return space;
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

const Space<MlaDecodeSpec> &cpuSpace(const MlaDecodeSpec *) {
  using F = Facts<MlaDecodeSpec>;
  static const Space<MlaDecodeSpec> space = [] {
    Space<MlaDecodeSpec> words = {
        decodeQueryRows(),
        attentionKeys<MlaDecodeSpec>({16, 32, 128, 256}),
        formWord<MlaDecodeSpec>(
            {"dot", "loops"},
            [](const F &f) { return dotForm(f.spec.sums, f.number("bm")); },
            nullptr),
    };
    addFormWords(words, {"dot", "loops"});
    return words;
  }();
  return space;
}

const Space<MlaPrefillSpec> &cpuSpace(const MlaPrefillSpec *) {
  using F = Facts<MlaPrefillSpec>;
  static const Space<MlaPrefillSpec> space = [] {
    Space<MlaPrefillSpec> words = {
        prefillQueryRows(16),
        attentionKeys<MlaPrefillSpec>({16, 32, 128, 256}),
        formWord<MlaPrefillSpec>(
            {"dot", "loops"},
            [](const F &f) { return dotForm(f.spec.sums, f.number("bm")); },
            nullptr),
    };
    addFormWords(words, {"dot", "loops"});
    return words;
  }();
  return space;
}

} // namespace hadal::schedule
