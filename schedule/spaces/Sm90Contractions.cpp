// gemm, absorb_q and absorb_v on sm_90a: tiles of wgmma, rings of TMA.
#include "schedule/Chip.h"
#include "schedule/Rules.h"
#include "schedule/SplitCost.h"

namespace hadal::schedule {

using namespace kernels;

namespace {

constexpr auto kSame = Bits::same, kOrder = Bits::order;

//===----------------------------------------------------------------------===//
// What the rules go by
//===----------------------------------------------------------------------===//

/// Shared memory that each CTA takes of a multiprocessor's for the system, and
/// what is left for barriers, alignment and small buffers.
constexpr int64_t kSystemShared = 1 << 10, kReservedShared = 4096;
/// Registers of a consumer thread that accumulators and products may take;
/// with weights as rows, whose blocks are all in flight, beside them scales of
/// the tile's tokens.
constexpr int64_t kMostRegisters = 200, kMostSwappedRegisters = 180;
/// The same where two CTAs share a multiprocessor: a thread has 128.
constexpr int64_t kRegistersOfHalf = 64;
/// The most rows of a bucket whose GEMMs take weights as the rows of wgmma. A
/// product of 64 rows of tokens costs the tensor core the same whether 1 or 64
/// of them exist, and its stage 8 KiB of rows beside the weight's 16: up to
/// half of 64, tokens as columns halve both. Above, one tile of 64 rows holds
/// the bucket, and an epilogue in rows needs no way through shared memory.
constexpr int64_t kMostSwappedRows = 32;
/// The most stages that a ring is given by the rules: beyond these nothing is
/// hidden. A step of few rows is mostly weight, 16 KiB: where few CTAs share
/// the memory's bandwidth, each keeps more of it in flight.
constexpr int64_t kMaxStages = 6, kMaxStagesSwapped = 10;

/// The shape of a kernel's fold.
struct Fold {
  int64_t bm, bn, bk, steps;
  int64_t states;         ///< accumulators: weights per step
  int64_t itemsOfRows;    ///< work items of the bucket that have work
  int64_t rows;           ///< of the bucket
  int64_t xBytes, wBytes; ///< of an element
  bool scaled;            ///< promoted: a product beside the accumulators
  bool kMajor = true;     ///< the weight's tile is [bn, bk], else [bk, bn]
  bool swaps = false;
  bool oneRowTile;       ///< every item has work unless the launch has none
  bool staticViews;      ///< no operand is gathered
  bool cuttable = false; ///< every tile of the epilogue has bn columns
};

/// Bytes of a tile in shared memory: columns in whole chunks of 128 bytes.
int64_t tileBytes(int64_t rows, int64_t columns, int64_t elementBytes) {
  return ceilDiv(columns * elementBytes, 128) * rows * 128;
}

int64_t xRows(const Fold &f) {
  return f.swaps ? alignTo(f.bm, 8)
                 : std::max<int64_t>(alignTo(f.bm, 8), f.bm > 64 ? 128 : 64);
}
int64_t xTileBytes(const Fold &f) {
  return tileBytes(xRows(f), f.bk, f.xBytes);
}
int64_t weightTileBytes(const Fold &f) {
  if (!f.kMajor)
    return tileBytes(alignTo(f.bk, 8), f.bn, f.wBytes);
  return tileBytes(alignTo(f.bn, f.swaps ? 64 : 8), f.bk, f.wBytes);
}
int64_t stageBytes(const Fold &f) {
  return xTileBytes(f) + f.states * weightTileBytes(f);
}

/// Shared memory for the ring of one of |ctas| CTAs of a multiprocessor.
int64_t ringBytes(const nvptx::Chip &chip, const Fold &f, int64_t ctas) {
  int64_t shared = chip.sharedPerBlock;
  if (ctas > 1)
    shared = chip.sharedPerMultiprocessor / ctas - kSystemShared;
  int64_t fixed = kReservedShared;
  if (f.swaps) // the results pass through it into rows
    fixed += f.bm * (alignTo(f.bn, 64) + 4) * 4;
  return shared - fixed;
}

/// Blocks of 64 weights of a tile whose weights are the rows of wgmma.
int64_t blocks(const Fold &f) { return ceilDiv(f.bn, 64); }

/// Whether the warpgroups cut a tile of at most 64 rows by columns.
bool cutsColumns(const Fold &f, int64_t warpgroups) {
  return !f.swaps && warpgroups == 2 && f.bm <= 64;
}

/// Accumulators of a thread.
int64_t stateRegisters(const Fold &f, int64_t warpgroups) {
  if (f.swaps)
    return f.states * (blocks(f) / warpgroups) * f.bm / 2;
  return f.states * f.bn / (cutsColumns(f, warpgroups) ? 2 : 1) / 2;
}
/// These and the product beside them.
int64_t registers(const Fold &f, int64_t warpgroups) {
  int64_t states = stateRegisters(f, warpgroups);
  return states + (f.scaled || f.swaps ? states / f.states : 0);
}

//===----------------------------------------------------------------------===//
// Words of every contraction
//===----------------------------------------------------------------------===//

template <typename Spec> using FoldOf = Fold (*)(const Facts<Spec> &);

/// Tiles of more than 64 rows, or results too wide for one warpgroup's
/// registers, take two; of a fold that promotes its products, the accumulators
/// beside one.
int64_t pickWarpgroups(const Fold &f) {
  if (f.swaps)
    return registers(f, 1) > kRegistersOfHalf && blocks(f) % 2 == 0 ? 2 : 1;
  if (f.bm > 64 || f.bn > 256)
    return 2;
  return f.scaled && f.states * f.bn / 2 >= 128 ? 2 : 1;
}

bool canHave(const Fold &f, int64_t warpgroups) {
  if (registers(f, warpgroups) >
      (f.swaps ? kMostSwappedRegisters : kMostRegisters))
    return false;
  if (f.swaps)
    return blocks(f) % warpgroups == 0;
  if (f.bm > 64)
    return warpgroups == 2;
  // Halves of the columns start at whole blocks of 64 and in one scale block.
  return warpgroups == 1 || (f.bn == 128 && f.cuttable);
}

template <typename Spec> Word<Spec> warpgroupsWord(FoldOf<Spec> of) {
  return {"warpgroups",
          "consumer warpgroups of a CTA",
          kSame,
          false,
          [=](const Facts<Spec> &f) -> Value { return pickWarpgroups(of(f)); },
          [=](const Facts<Spec> &f) {
            return numbers(
                {1, 2}, [fold = of(f)](int64_t n) { return canHave(fold, n); });
          }};
}

bool fitsHalf(const Fold &f, int64_t warpgroups) {
  return warpgroups == 1 && registers(f, 1) <= kRegistersOfHalf;
}

/// A warpgroup that holds all of a tile of few tokens needs half of the
/// registers: two CTAs then share a multiprocessor, so that one loads while the
/// other begins or ends, and the next kernel's first CTAs find room beside the
/// last of this one.
template <typename Spec> Word<Spec> ctasWord(FoldOf<Spec> of) {
  return {"ctas",
          "CTAs that share a multiprocessor",
          kSame,
          false,
          [=](const Facts<Spec> &f) -> Value {
            Fold fold = of(f);
            bool half = fold.swaps && fitsHalf(fold, f.number("warpgroups"));
            return int64_t(half ? 2 : 1);
          },
          [=](const Facts<Spec> &f) {
            return numbers({1, 2}, [&](int64_t n) {
              return n == 1 || fitsHalf(of(f), f.number("warpgroups"));
            });
          }};
}

template <typename Spec> Word<Spec> stagesWord(FoldOf<Spec> of) {
  return {"stages",
          "steps that the ring holds",
          kSame,
          false,
          [=](const Facts<Spec> &f) -> Value {
            Fold fold = of(f);
            int64_t most = fold.swaps ? kMaxStagesSwapped : kMaxStages;
            int64_t room = ringBytes(*f.chip, fold, f.number("ctas"));
            int64_t fit = room / (stageBytes(fold) + 16 + 1024 / most);
            return std::max<int64_t>(
                1, std::min({most, fit, std::max<int64_t>(fold.steps, 1)}));
          },
          [=](const Facts<Spec> &f) {
            Fold fold = of(f);
            int64_t room = ringBytes(*f.chip, fold, f.number("ctas"));
            int64_t fit = (room - 1024) / (stageBytes(fold) + 16);
            // A product in flight holds its stage until the next is issued.
            return range(fold.steps > 1 ? 2 : 1,
                         std::min({fit, fold.steps, int64_t(16)}));
          }};
}

/// Where every work item of a launch has work, the weights of all stages are
/// asked for before the previous kernel has ended.
template <typename Spec> Word<Spec> earlyWord(FoldOf<Spec> of) {
  return {"early",
          "stages whose weights are loaded before the wait",
          kSame,
          false,
          [=](const Facts<Spec> &f) -> Value {
            Fold fold = of(f);
            return fold.oneRowTile && fold.staticViews ? f.number("stages")
                                                       : int64_t(0);
          },
          [=](const Facts<Spec> &f) {
            return range(0, of(f).staticViews ? f.number("stages") : 0);
          }};
}

template <typename Spec> Word<Spec> regsWord() {
  return {
      "regs",
      "registers of a producer's and of a consumer's thread; launch: what "
      "all have at launch",
      kSame,
      false,
      [](const Facts<Spec> &f) -> Value {
        return std::string(f.number("warpgroups") == 2 ? "40/232" : "launch");
      },
      [](const Facts<Spec> &f) {
        // 504 of the 65536 that 384 threads share; 256 have enough.
        if (f.number("warpgroups") != 2)
          return std::vector<Value>{std::string("launch")};
        return std::vector<Value>{std::string("24/240"), std::string("40/232"),
                                  std::string("56/224")};
      }};
}

/// What one launch does in its fold.
template <typename Spec>
FoldWork workOf(const Facts<Spec> &f, const Fold &fold) {
  int64_t warpgroups = f.number("warpgroups");
  FoldWork work = {};
  work.items = fold.itemsOfRows;
  work.ctasPerMultiprocessor = f.number("ctas");
  work.steps = fold.steps;
  work.parameterBytesPerStep = fold.states * weightTileBytes(fold);
  // What lies beyond the rows is not brought.
  work.activationBytesPerStep = static_cast<double>(xTileBytes(fold)) /
                                xRows(fold) * std::min(fold.rows, xRows(fold));
  int64_t m = fold.swaps ? fold.bm : std::max<int64_t>(fold.bm, 64);
  work.flopsPerStep = fold.states * 2.0 * m * fold.bn * fold.bk;
  work.flopRate = fold.xBytes == 1 ? f.chip->fp8Rate : f.chip->bf16Rate;
  work.stateSize = stateRegisters(fold, warpgroups) * 128 * warpgroups * 4;
  work.stateBytes = work.stateSize;
  if (fold.rows < 64 && !fold.swaps)
    work.stateBytes = work.stateSize * fold.rows / 64;
  return work;
}

template <typename Spec> Word<Spec> splitWord(FoldOf<Spec> of) {
  return {"split",
          "CTAs that share an item's steps",
          kOrder,
          false,
          [=](const Facts<Spec> &f) -> Value {
            Fold fold = of(f);
            if (fold.steps < 2)
              return int64_t(1);
            return pickSplit(*f.chip, workOf(f, fold));
          },
          [=](const Facts<Spec> &f) {
            // Each number of parts that whole steps of one length give.
            int64_t steps = of(f).steps;
            std::vector<Value> values;
            for (int64_t n = 1; n <= std::min(steps, kMostParts); ++n)
              if (ceilDiv(steps, stepsOfPart(steps, n)) == n)
                values.push_back(n);
            return values;
          }};
}

template <typename Spec> Word<Spec> unrollWord() {
  return {"unroll",
          "parts that a step of their meeting reads",
          kSame,
          false,
          [](const Facts<Spec> &f) -> Value {
            return std::min<int64_t>(f.number("split"), 4);
          },
          [](const Facts<Spec> &f) {
            return numbers({1, 2, 4, 8},
                           [&](int64_t n) { return n <= f.number("split"); });
          }};
}

template <typename Spec>
void addRingWords(Space<Spec> &space, FoldOf<Spec> of) {
  space.push_back(warpgroupsWord(of));
  space.push_back(ctasWord(of));
  space.push_back(stagesWord(of));
  space.push_back(earlyWord(of));
  space.push_back(regsWord<Spec>());
  space.push_back(splitWord(of));
  space.push_back(unrollWord<Spec>());
}

int64_t bytesOf(Weight weight) {
  return weight == Weight::fp8 ? 1 : weight == Weight::bf16 ? 2 : 4;
}
int64_t bytesOf(Act act) { return act == Act::bf16 ? 2 : 4; }

//===----------------------------------------------------------------------===//
// gemm
//===----------------------------------------------------------------------===//

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

Fold gemmFold(const Facts<GemmSpec> &f) {
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
    fold.itemsOfRows *= std::min(spec.experts, pairs) *
                        ceilDiv(ceilDiv(pairs, spec.experts), fold.bm);
  } else {
    fold.itemsOfRows *= ceilDiv(spec.rows, fold.bm);
  }
  fold.xBytes = spec.quantizedInput ? 1 : bytesOf(spec.act);
  fold.wBytes = bytesOf(spec.weight);
  fold.scaled = isScaled(spec);
  fold.oneRowTile = spec.experts == 0 && spec.rows <= fold.bm;
  fold.staticViews = !spec.gather;
  fold.cuttable = spec.epilogue != Epilogue::rope;
  return fold;
}

/// What is known before bm: with |bm| of the rules in its place.
Fold gemmFoldBeforeRows(const Facts<GemmSpec> &f, int64_t bm) {
  Words words = f.words;
  words["bm"] = bm;
  words.emplace("swap_ab", false);
  words.emplace("bk", int64_t(128));
  return gemmFold({f.spec, f.chip, words});
}

std::vector<Value> legalGemmColumns(const Facts<GemmSpec> &f) {
  const GemmSpec &spec = f.spec;
  if (spec.epilogue == Epilogue::rope ||
      spec.epilogue == Epilogue::swigluQuantize)
    return {};
  return numbers({64, 96, 128, 160, 192, 256}, [&](int64_t n) {
    if (spec.segmentRows > 0 && spec.segmentRows % n != 0)
      return false;
    Words words = f.words;
    words["bn"] = n;
    Fold fold = gemmFoldBeforeRows({spec, f.chip, words}, 64);
    return n <= alignTo(spec.n, 64) && (canHave(fold, 1) || canHave(fold, 2)) &&
           canHave(fold, pickWarpgroups(fold));
  });
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

std::vector<Value> legalGemmRows(const Facts<GemmSpec> &f) {
  if (!f.flag("swap_ab"))
    return numbers({64, 128}, [&](int64_t n) {
      Fold fold = gemmFoldBeforeRows(f, n);
      return canHave(fold, pickWarpgroups(fold));
    });
  std::vector<Value> values;
  for (int64_t n = 8; n <= kMaxTokens; n += 8)
    if (Fold fold = gemmFoldBeforeRows(f, n);
        canHave(fold, pickWarpgroups(fold)))
      values.push_back(n);
  return values;
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
  return !canHave(fold, pickWarpgroups(fold));
}

} // namespace

const Space<GemmSpec> &sm90aSpace(const GemmSpec *) {
  using F = Facts<GemmSpec>;
  static const Space<GemmSpec> space = [] {
    Space<GemmSpec> words = {
        {"bn", "columns of a tile", kSame, true,
         [](const F &f) -> Value {
           return f.spec.epilogue == Epilogue::rope ? f.spec.headDim
                                                    : int64_t(128);
         },
         legalGemmColumns},
        // 128 bytes of K, or twice as many.
        {"bk", "step along K", kOrder, true,
         [](const F &f) -> Value {
           return int64_t(f.spec.weight == Weight::fp8 ? 128 : 64);
         },
         [](const F &f) {
           return f.spec.weight == Weight::fp8 ? numbers({128, 256})
                                               : numbers({64, 128});
         }},
        {"swap_ab", "weights are the rows of wgmma, tokens its columns", kOrder,
         false, [](const F &f) -> Value { return swapsByRule(f); },
         [](const F &f) { return flags(f.number("bn") <= 256); }},
        {"bm", "rows of a tile", kOrder, true, gemmRows, legalGemmRows},
    };
    addRingWords<GemmSpec>(words, gemmFold);
    return words;
  }();
  return space;
}

//===----------------------------------------------------------------------===//
// absorb_q, absorb_v
//===----------------------------------------------------------------------===//

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
  fold.itemsOfRows =
      ceilDiv(f.spec.rows, fold.bm) * f.spec.heads * ceilDiv(columns, fold.bn);
  fold.xBytes = bytesOf(f.spec.act);
  fold.wBytes = bytesOf(f.spec.weight);
  fold.scaled = false;
  fold.oneRowTile = f.spec.rows <= fold.bm;
  fold.staticViews = true;
  return fold;
}

Fold absorbQFold(const Facts<AbsorbQSpec> &f) {
  Fold fold = absorbFold(f, f.spec.latent, f.spec.nope);
  fold.kMajor = false;
  return fold;
}

Fold absorbVFold(const Facts<AbsorbVSpec> &f) {
  return absorbFold(f, f.spec.value, f.spec.latent);
}

template <typename Spec> Word<Spec> absorbRows() {
  return {"bm",
          "rows of a tile",
          kOrder,
          true,
          [](const Facts<Spec> &f) -> Value {
            return int64_t(f.spec.rows <= 64 ? 64 : 128);
          },
          [](const Facts<Spec> &) { return numbers({64, 128}); }};
}

/// Only gemm's weights are rows of K.
template <typename Spec> Word<Spec> plainOrder() {
  return {"swap_ab",
          "weights are the rows of wgmma, tokens its columns",
          kOrder,
          false,
          [](const Facts<Spec> &) -> Value { return false; },
          [](const Facts<Spec> &) { return flags(false); }};
}

} // namespace

const Space<AbsorbQSpec> &sm90aSpace(const AbsorbQSpec *) {
  using F = Facts<AbsorbQSpec>;
  static const Space<AbsorbQSpec> space = [] {
    Space<AbsorbQSpec> words = {
        absorbRows<AbsorbQSpec>(),
        {"bn", "columns of a tile", kSame, true,
         [](const F &f) -> Value {
           return exactStep(f.spec.latent, kScaleGroup);
         },
         [](const F &f) {
           return numbers({64, 128, 256},
                          [&](int64_t n) { return f.spec.latent % n == 0; });
         }},
        {"bk", "step along the head", kOrder, true,
         [](const F &f) -> Value { return f.spec.nope; },
         [](const F &f) {
           return numbers({16, 32, 64, 128},
                          [&](int64_t n) { return f.spec.nope % n == 0; });
         }},
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
        {"bn", "columns of a tile", kSame, true,
         [](const F &f) -> Value {
           return exactStep(f.spec.value, kScaleGroup);
         },
         [](const F &f) {
           return numbers({32, 64, 128}, [&](int64_t n) {
             return f.spec.value % n == 0 &&
                    (!f.spec.quantize || n == kScaleGroup);
           });
         }},
        // The contraction must not leave the head's columns of o_lat.
        {"bk", "step along the latent", kOrder, true,
         [](const F &f) -> Value {
           return f.spec.latent <= kScaleGroup
                      ? f.spec.latent
                      : std::gcd(f.spec.latent, kScaleGroup);
         },
         [](const F &f) {
           return numbers({64, 128, 256},
                          [&](int64_t n) { return f.spec.latent % n == 0; });
         }},
        plainOrder<AbsorbVSpec>(),
    };
    addRingWords<AbsorbVSpec>(words, absorbVFold);
    return words;
  }();
  return space;
}

} // namespace hadal::schedule
