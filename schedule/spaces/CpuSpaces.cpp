// The words of each kind of kernel on the CPU.
#include "schedule/Rules.h"
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
    int64_t mean = std::max<int64_t>(spec.rows * spec.topk / spec.experts, 1);
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

const Space<GemmSpec> &cpuSpace(const GemmSpec *) {
  static const Space<GemmSpec> space = {
      {"bm", "rows of a tile", Bits::same, true,
       [](const Facts<GemmSpec> &f) -> Value { return panelRows(f.spec); },
       [](const Facts<GemmSpec> &f) {
         return numbers({1, 4, 8, 16, 64, 128, 256});
       }},
      {"bn", "columns of a tile", Bits::same, true, gemmColumns,
       legalGemmColumns},
      {"bk", "step along K", Bits::same, true,
       [](const Facts<GemmSpec> &) -> Value { return int64_t(128); },
       [](const Facts<GemmSpec> &) { return numbers({128}); }},
      {"form",
       "gemv: a row at a time straight from the weight; panel: the weight "
       "decoded once for many rows",
       Bits::order, false,
       [](const Facts<GemmSpec> &f) -> Value {
         return std::string(f.number("bm") == 1 ? "gemv" : "panel");
       },
       [](const Facts<GemmSpec> &) {
         return std::vector<Value>{std::string("gemv"), std::string("panel")};
       }},
  };
  return space;
}

//===----------------------------------------------------------------------===//
// The halves of wkv_b
//===----------------------------------------------------------------------===//

template <typename Spec> static Word<Spec> absorbRows() {
  return {"bm",
          "rows of a tile",
          Bits::same,
          true,
          [](const Facts<Spec> &f) -> Value {
            return std::min<int64_t>(rowTile(f.spec.rows), 64);
          },
          [](const Facts<Spec> &) {
            return numbers({1, 4, 8, 16, 64});
          }};
}

template <typename Spec> static Word<Spec> absorbForm() {
  return {
      "form",
      "gemv: a row at a time straight from the weight; panel: the weight "
      "decoded once for many rows",
      Bits::order,
      false,
      [](const Facts<Spec> &f) -> Value {
        return std::string(f.number("bm") == 1 ? "gemv" : "panel");
      },
      [](const Facts<Spec> &) {
        return std::vector<Value>{std::string("gemv"), std::string("panel")};
      }};
}

const Space<AbsorbQSpec> &cpuSpace(const AbsorbQSpec *) {
  using F = Facts<AbsorbQSpec>;
  static const Space<AbsorbQSpec> space = {
      absorbRows<AbsorbQSpec>(),
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
      {"bk", "step along the head", Bits::order, true,
       [](const F &f) -> Value {
         return f.number("bm") == 1 && f.spec.nope % 16 == 0 ? int64_t(16)
                                                             : f.spec.nope;
       },
       [](const F &f) {
         return numbers({8, 16, 32, 64, 128},
                        [&](int64_t n) { return f.spec.nope % n == 0; });
       }},
      absorbForm<AbsorbQSpec>(),
  };
  return space;
}

const Space<AbsorbVSpec> &cpuSpace(const AbsorbVSpec *) {
  using F = Facts<AbsorbVSpec>;
  static const Space<AbsorbVSpec> space = {
      absorbRows<AbsorbVSpec>(),
      {"bn", "columns of a tile", Bits::same, true,
       [](const F &f) -> Value { return exactStep(f.spec.value, kScaleGroup); },
       [](const F &f) {
         return numbers({32, 64, 128}, [&](int64_t n) {
           return f.spec.value % n == 0 &&
                  (!f.spec.quantize || n == kScaleGroup);
         });
       }},
      // The contraction must not leave the head's columns of o_lat, and a step
      // must lie in one scale block.
      {"bk", "step along the latent", Bits::order, true,
       [](const F &f) -> Value {
         return f.spec.latent <= kScaleGroup
                    ? f.spec.latent
                    : std::gcd(f.spec.latent, kScaleGroup);
       },
       [](const F &f) {
         return numbers({32, 64, 128},
                        [&](int64_t n) { return f.spec.latent % n == 0; });
       }},
      absorbForm<AbsorbVSpec>(),
  };
  return space;
}

//===----------------------------------------------------------------------===//
// Attention, routing and rows
//===----------------------------------------------------------------------===//

const Space<MlaDecodeSpec> &cpuSpace(const MlaDecodeSpec *) {
  static const Space<MlaDecodeSpec> space = {decodeQueryRows()};
  return space;
}

const Space<MlaPrefillSpec> &cpuSpace(const MlaPrefillSpec *) {
  static const Space<MlaPrefillSpec> space = {prefillQueryRows(16)};
  return space;
}

const Space<MoePermuteSpec> &cpuSpace(const MoePermuteSpec *) {
  static const Space<MoePermuteSpec> space = {permuteTokens()};
  return space;
}

const Space<QuantizeSpec> &cpuSpace(const QuantizeSpec *) {
  static const Space<QuantizeSpec> space = {
      columnsWord(&QuantizeSpec::width, kScaleGroup)};
  return space;
}

const Space<AddSpec> &cpuSpace(const AddSpec *) {
  static const Space<AddSpec> space = {
      columnsWord(&AddSpec::width, kScaleGroup)};
  return space;
}

const Space<SiluMulSpec> &cpuSpace(const SiluMulSpec *) {
  static const Space<SiluMulSpec> space = {
      columnsWord(&SiluMulSpec::width, kScaleGroup)};
  return space;
}

const Space<MoeCombineSpec> &cpuSpace(const MoeCombineSpec *) {
  static const Space<MoeCombineSpec> space = {
      columnsWord(&MoeCombineSpec::hidden, 1)};
  return space;
}

const Space<EmbedSpec> &cpuSpace(const EmbedSpec *) {
  static const Space<EmbedSpec> space;
  return space;
}

const Space<NormQuantSpec> &cpuSpace(const NormQuantSpec *) {
  static const Space<NormQuantSpec> space;
  return space;
}

const Space<LatentNormRopeCacheSpec> &
cpuSpace(const LatentNormRopeCacheSpec *) {
  static const Space<LatentNormRopeCacheSpec> space;
  return space;
}

const Space<GateTopkSpec> &cpuSpace(const GateTopkSpec *) {
  static const Space<GateTopkSpec> space;
  return space;
}

} // namespace hadal::schedule
