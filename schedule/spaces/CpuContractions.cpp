// The words of the CPU's kernels that contract.
#include <limits>

#include "schedule/spaces/CpuForms.h"
#include "schedule/spaces/RowWords.h"

namespace hadal::schedule {

using namespace kernels;

//===----------------------------------------------------------------------===//
// GEMMs
//===----------------------------------------------------------------------===//

/// The first of 1, 4, 8, 16, 64, 128 that holds |rows|, else 256. Few rows per
/// tile cost repeated decoding of the weight; many cost work on rows that do
/// not exist.
static int64_t rowTile(int64_t rows) {
  for (int64_t tile : {1, 4, 8, 16, 64, 128})
    if (rows <= tile)
      return tile;
  return 256;
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

static std::vector<Value> legalGemmColumns(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  if (spec.epilogue == Epilogue::rope ||
      spec.epilogue == Epilogue::swigluQuantize)
    return {};
  return numbers({16, 32, 64, 128, 256}, [&](int64_t n) {
    return n <= alignTo(spec.n, 16) &&
           (spec.segmentRows == 0 || spec.segmentRows % n == 0);
  });
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

/// Legal are |values|, but where |spec| says the order of its sums that of the
/// rule alone.
template <typename Spec>
static std::vector<Value> unlessFixed(const Spec &spec,
                                      std::vector<Value> values) {
  return spec.sums == Sums::free ? std::move(values) : std::vector<Value>{};
}

/// The form of folds over memory whose tiles have |bm| rows. An element has the
/// same bits in gemv and in rows, whatever the group of rows it is computed in.
static Value rowForm(Sums sums, int64_t bm, int64_t mostRows) {
  if (sums != Sums::free)
    mostRows = sums == Sums::rows ? kMostLegalRows : 0;
  return std::string(bm > mostRows ? "panel" : bm == 1 ? "gemv" : "rows");
}
static std::vector<Value> legalRowForms(int64_t bm) {
  if (bm == 1)
    return texts({"gemv", "panel", "loops"});
  if (bm <= kMostLegalRows)
    return texts({"rows", "panel", "loops"});
  return texts({"panel", "loops"});
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
        {"bm", "rows of a tile", Bits::same, true,
         [](const F &f) -> Value {
           return std::min(panelRows(f.spec), mostRowsOf(f.spec.sums));
         },
         [](const F &f) {
           return numbers({1, 4, 8, 16, 64, 128, 256}, [&](int64_t n) {
             return n <= mostRowsOf(f.spec.sums);
           });
         }},
        {"bn", "columns of a tile", Bits::same, true, gemmColumns,
         legalGemmColumns},
        formWord<GemmSpec>(
            [](const F &f) {
              return rowForm(f.spec.sums, f.number("bm"),
                             f.spec.experts > 0 ? kMostExpertRows : kMostRows);
            },
            [](const F &f) {
              return unlessFixed(f.spec, legalRowForms(f.number("bm")));
            }),
        // Forms walk K in blocks of 128, and so do codes with scales.
        {"bk", "step along K", Bits::order, true,
         [](const F &) -> Value { return kScaleGroup; },
         [](const F &f) {
           return f.text("form") == "loops" && f.spec.weight != Weight::fp8
                      ? numbers({32, 64, 128, 256})
                      : numbers({128});
         }},
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
  return {"bm",
          "rows of a tile",
          Bits::same,
          true,
          [=](const Facts<Spec> &f) -> Value {
            return isOneRow(f) ? int64_t(1)
                               : std::min<int64_t>(rowTile(f.spec.rows), 64);
          },
          [=](const Facts<Spec> &f) {
            return isOneRow(f) ? std::vector<Value>{}
                               : numbers({1, 4, 8, 16, 64});
          }};
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
  static const Space<AbsorbQSpec> space = [&] {
    Space<AbsorbQSpec> words = {
        // Columns and tiles add in orders of their own, and a row's columns are
        // as fast as a weight that stays in L2 between rows.
        absorbRows<AbsorbQSpec>(/*oneRow=*/Sums::rows),
        // One row: whole rows of the weight, a few at a time. More: the usual
        // tile.
        {"bn", "columns of a tile", Bits::same, true,
         [](const F &f) -> Value {
           return exactStep(f.spec.latent,
                            f.number("bm") == 1 ? 512 : kScaleGroup);
         },
         [](const F &f) {
           return numbers({128, 256, 512},
                          [&](int64_t n) { return f.spec.latent % n == 0; });
         }},
        formWord<AbsorbQSpec>(
            [=](const F &f) -> Value {
              return hasColumns(f) ? std::string("columns") : tileForm(f);
            },
            [=](const F &f) {
              return unlessFixed(f.spec,
                                 hasColumns(f)
                                     ? texts({"columns", "dot", "loops"})
                                     : texts({"dot", "loops"}));
            }),
        // A step of tiles is a few rows, so that their exact f32 values stay in
        // the first cache; columns has no tiles.
        {"bk", "step along the head", Bits::order, true,
         [](const F &f) -> Value {
           return f.number("bm") == 1 && f.spec.nope % 16 == 0 &&
                          f.spec.sums != Sums::panel
                      ? int64_t(16)
                      : f.spec.nope;
         },
         [](const F &f) {
           return unlessFixed(
               f.spec, numbers({16, 32, 64, 128}, [&](int64_t n) {
                 return f.text("form") != "columns" && f.spec.nope % n == 0;
               }));
         }},
    };
    addFormWords(words, {"columns", "dot", "loops"});
    return words;
  }();
  return space;
}

const Space<AbsorbVSpec> &cpuSpace(const AbsorbVSpec *) {
  using F = Facts<AbsorbVSpec>;
  static const Space<AbsorbVSpec> space = [] {
    Space<AbsorbVSpec> words = {
        absorbRows<AbsorbVSpec>(/*oneRow=*/Sums::free),
        {"bn", "columns of a tile", Bits::same, true,
         [](const F &f) -> Value {
           return exactStep(f.spec.value, kScaleGroup);
         },
         [](const F &f) {
           return numbers({32, 64, 128}, [&](int64_t n) {
             return f.spec.value % n == 0 &&
                    (!f.spec.quantize || n == kScaleGroup);
           });
         }},
        formWord<AbsorbVSpec>(
            [](const F &f) {
              return rowForm(f.spec.sums, f.number("bm"), kMostRows);
            },
            [](const F &f) {
              return unlessFixed(f.spec, legalRowForms(f.number("bm")));
            }),
        // The contraction must not leave the head's columns of o_lat, and a
        // step must lie in one scale block.
        {"bk", "step along the latent", Bits::order, true,
         [](const F &f) -> Value {
           return f.spec.latent <= kScaleGroup
                      ? f.spec.latent
                      : std::gcd(f.spec.latent, kScaleGroup);
         },
         [](const F &f) {
           return numbers({32, 64, 128}, [&](int64_t n) {
             return f.text("form") == "loops" && f.spec.latent % n == 0;
           });
         }},
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
            [](const F &f) { return dotForm(f.spec.sums, f.number("bm")); },
            [](const F &f) {
              return unlessFixed(f.spec, texts({"dot", "loops"}));
            }),
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
            [](const F &f) { return dotForm(f.spec.sums, f.number("bm")); },
            [](const F &f) {
              return unlessFixed(f.spec, texts({"dot", "loops"}));
            }),
    };
    addFormWords(words, {"dot", "loops"});
    return words;
  }();
  return space;
}

} // namespace hadal::schedule
