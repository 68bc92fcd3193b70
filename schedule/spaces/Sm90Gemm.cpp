// gemm on sm_90a: tiles of wgmma, rings of TMA.
#include "schedule/spaces/Sm90RingWords.h"

namespace hadal::schedule {

using namespace kernels;
using namespace sm90;

namespace {

/// The most rows of a bucket whose GEMMs take weights as the rows of wgmma. A
/// product of 64 rows of tokens costs the tensor core the same whether 1 or 64
/// of them exist, and its stage 8 KiB of rows beside the weight's 16: up to
/// half of 64, tokens as columns halve both. Above, one tile of 64 rows holds
/// the bucket, and an epilogue in rows needs no way through shared memory.
constexpr int64_t kMostSwappedRows = 32;

bool isGated(const GemmSpec &spec) {
  return spec.epilogue == Epilogue::swiglu ||
         spec.epilogue == Epilogue::swigluQuantize;
}

bool isScaled(const GemmSpec &spec) {
  return spec.weight == Weight::fp8 && spec.quantizedInput;
}

/// The rows that an expert is expected to get, four times the mean: routing is
/// skewed.
int64_t rowsOfExpert(const GemmSpec &spec) {
  return std::clamp<int64_t>(4 * spec.expectedPairs() / spec.experts, 1,
                             spec.rows);
}

} // namespace

Fold sm90::gemmFold(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  Fold fold;
  fold.bm = f.number("bm");
  fold.bn = f.number("bn");
  fold.bk = f.number("bk");
  fold.swaps = f.flag("swap_ab");
  fold.steps = ceilDiv(spec.k, fold.bk);
  fold.states = isGated(spec) ? 2 : 1;
  fold.rows = spec.rows;
  fold.itemsOfRows = ceilDiv(spec.n, fold.bn);
  // Of the experts as many as the tokens name, each the tiles of its share: of
  // several ranks few experts meet the rows of all.
  if (spec.experts > 0) {
    int64_t pairs = spec.expectedPairs();
    fold.rowTiles = ceilDiv(ceilDiv(pairs, spec.experts), fold.bm);
    fold.itemsOfRows *= std::min(spec.experts, pairs);
  } else {
    fold.rowTiles = ceilDiv(spec.rows, fold.bm);
  }
  fold.itemsOfRows *= fold.rowTiles;
  fold.xBytes = spec.quantizedInput ? 1 : bytesOf(spec.act);
  fold.wBytes = bytesOf(spec.weight);
  fold.scaled = isScaled(spec);
  fold.oneRowTile = spec.experts == 0 && spec.rows <= fold.bm;
  fold.staticViews = !spec.gather;
  fold.cuttable = spec.epilogue != Epilogue::rope;
  return fold;
}

namespace {

/// What is known before bm: with |bm| of the rules in its place.
Fold gemmFoldBeforeRows(const Facts<GemmSpec> &f, int64_t bm) {
  Words words = f.words;
  words["bm"] = bm;
  words.emplace("swap_ab", false);
  words.emplace("bk", int64_t(128));
  return gemmFold({f.spec, f.chip, words});
}

Check limitColumns(const Facts<GemmSpec> &f) {
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
  if (n > alignTo(spec.n, 64) && n != kScaleGroup)
    return Broken{Prune::P14, text + " of " + std::to_string(spec.n)};
  Fold fold = gemmFoldBeforeRows(f, 64);
  return unfit(fold, pickWarpgroups(fold));
}

/// The most tokens of a tile, wgmma's columns.
constexpr int64_t kMaxTokens = 64;

Value gemmRows(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  if (f.flag("swap_ab"))
    return std::min(alignTo(spec.rows, 8), kMaxTokens);
  // Two accumulators beside a product: the warpgroups split the columns.
  if (isGated(spec) && spec.weight == Weight::fp8)
    return int64_t(64);
  int64_t rows = spec.experts > 0 ? rowsOfExpert(spec) : spec.rows;
  return int64_t(rows <= 64 ? 64 : 128);
}

Check limitRows(const Facts<GemmSpec> &f) {
  Fold fold = gemmFold(f);
  return unfit(fold, pickWarpgroups(fold));
}

/// Of tiles beyond the rows the smallest is enough.
Check unwiseRows(const Facts<GemmSpec> &f) {
  int64_t rows = f.number("bm"), least = f.flag("swap_ab") ? 8 : 64;
  if (rows > alignTo(f.spec.rows, least))
    return Broken{Prune::P14, "tiles of " + std::to_string(rows) + ", " +
                                  std::to_string(f.spec.rows) + " rows"};
  return std::nullopt;
}

bool swapsByRule(const Facts<GemmSpec> &f) {
  // Blocks of 64 weights, in one box of TMA: a head that is none would read
  // rows of the next.
  if (f.number("bn") % 64 != 0 || f.number("bn") > 256)
    return false;
  if (f.spec.rows <= kMostSwappedRows)
    return true;
  // A rotated head is whole where it is rotated: two warpgroups cannot cut its
  // columns, but as rows of wgmma they can.
  if (f.spec.epilogue != Epilogue::rope)
    return false;
  Fold fold = gemmFoldBeforeRows(f, f.spec.rows <= 64 ? 64 : 128);
  return unfit(fold, pickWarpgroups(fold)).has_value();
}

} // namespace

const Space<GemmSpec> &sm90aSpace(const GemmSpec *) {
  using F = Facts<GemmSpec>;
  static const Space<GemmSpec> space = [] {
    Space<GemmSpec> words = {
        {.name = "bn",
         .meaning = "columns of a tile",
         .bits = Bits::same,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return f.spec.epilogue == Epilogue::rope ? f.spec.headDim
                                                    : int64_t(128);
         },
         .values =
             [](const F &) { return numbers({64, 96, 128, 160, 192, 256}); },
         .limit = limitColumns},
        // 128 bytes of K, or twice as many.
        {.name = "bk",
         .meaning = "step along K",
         .bits = Bits::order,
         .inBody = true,
         .rule = [](const F &f) -> Value {
           return int64_t(f.spec.weight == Weight::fp8 ? 128 : 64);
         },
         .values =
             [](const F &f) {
               return f.spec.weight == Weight::fp8 ? numbers({128, 256})
                                                   : numbers({64, 128});
             },
         .tries = none<GemmSpec>},
        {.name = "swap_ab",
         .meaning = "weights are the rows of wgmma, tokens its columns",
         .bits = Bits::order,
         .inBody = false,
         .rule = [](const F &f) -> Value { return swapsByRule(f); },
         .values = [](const F &) { return flags(true); },
         .limit = [](const F &f) -> Check {
           if (f.flag("swap_ab") && f.number("bn") > 256)
             return Broken{Prune::P04,
                           std::to_string(f.number("bn")) + " rows of weights"};
           return std::nullopt;
         },
         .unwise = [](const F &f) -> Check {
           if (f.flag("swap_ab") && f.number("bn") % 64 != 0)
             return Broken{Prune::P05,
                           std::to_string(f.number("bn")) + " weights"};
           return std::nullopt;
         }},
        {.name = "bm",
         .meaning = "rows of a tile",
         .bits = Bits::order,
         .inBody = true,
         .rule = gemmRows,
         .values =
             [](const F &f) {
               return f.flag("swap_ab") ? range(8, kMaxTokens, 8)
                                        : numbers({64, 128});
             },
         .limit = limitRows,
         .tries =
             [](const F &f) {
               return f.flag("swap_ab") ? numbers({8, 16, 32, 64})
                                        : numbers({64, 128});
             },
         .unwise = unwiseRows},
    };
    addRingWords<GemmSpec>(words, gemmFold);
    return words;
  }();
  return space;
}

} // namespace hadal::schedule
