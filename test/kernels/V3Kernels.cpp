#include "V3Kernels.h"

#include "kernels/SpecText.h"
#include "llvm/ADT/StringSet.h"

namespace hadal::kernels::test {

namespace {

constexpr int64_t kHidden = 7168, kHeads = 128, kNope = 128, kRope = 64,
                  kValue = 128, kLatent = 512, kQLora = 1536, kExperts = 256,
                  kTopk = 8, kPositions = 4096, kPage = 64;
constexpr double kScale = 0.1352337788608801;

struct Appender {
  mlir::OpBuilder &builder;
  bool ok = true;
  llvm::StringSet<> symbols = {};

  template <typename Spec, typename Build>
  void operator()(const Spec &spec, Build build) {
    std::string symbol = uniqueSymbol(symbolFor(spec), [&](const auto &taken) {
      return symbols.contains(taken);
    });
    symbols.insert(symbol);
    if (!build(builder, builder.getUnknownLoc(), symbol, spec))
      ok = false;
  }
};

} // namespace

bool buildV3Kernels(mlir::OpBuilder &builder, int64_t rows, Act act,
                    Weight weight, bool quantize, Target target) {
  Appender append{builder};
  Common common{act, ScaleFormat::f32, target};
  bool gpu = target == Target::sm90a;
  Weight plain = weight == Weight::fp8 ? Weight::bf16 : weight;
  int64_t head = kNope + kRope;

  append(EmbedSpec{common, 129280, kHidden, plain}, buildEmbed);
  NormQuantSpec norm{common, kHidden};
  norm.delta = true;
  norm.quantize = quantize;
  append(norm, buildNormQuant);
  NormQuantSpec last{common, kHidden};
  last.gather = true;
  append(last, buildNormQuant);
  append(QuantizeSpec{common, kHidden}, buildQuantize);
  append(AddSpec{common, kHidden}, buildAdd);
  append(SiluMulSpec{common, 18432}, buildSiluMul);

  GemmSpec gemm{common};
  gemm.rows = rows;
  gemm.weight = weight;
  gemm.quantizedInput = quantize;
  GemmSpec down = gemm;
  down.n = kQLora + kLatent + kRope;
  down.k = kHidden;
  down.segmentRows = kQLora;
  append(down, buildGemm);
  GemmSpec qB = gemm;
  qB.n = kHeads * head;
  qB.k = kQLora;
  qB.epilogue = Epilogue::rope;
  qB.headDim = head;
  qB.ropeDim = kRope;
  qB.positions = kPositions;
  append(qB, buildGemm);
  GemmSpec out = gemm;
  out.n = kHidden;
  out.k = kHeads * kValue;
  out.epilogue = Epilogue::residual;
  append(out, buildGemm);
  GemmSpec router = gemm;
  router.n = kExperts;
  router.k = kHidden;
  router.weight = plain;
  router.quantizedInput = false;
  router.f32Output = true;
  append(router, buildGemm);
  GemmSpec gateUp = gemm;
  gateUp.n = 2048;
  gateUp.k = kHidden;
  gateUp.experts = kExperts;
  gateUp.gather = true;
  gateUp.epilogue =
      quantize ? Epilogue::swigluQuantize : Epilogue::swiglu;
  append(gateUp, buildGemm);
  GemmSpec expertDown = gemm;
  expertDown.n = kHidden;
  expertDown.k = 2048;
  expertDown.experts = kExperts;
  append(expertDown, buildGemm);

  LatentNormRopeCacheSpec latent{common, kQLora, kLatent, kRope, kPositions};
  latent.quantize = quantize;
  append(latent, buildLatentNormRopeCache);
  AbsorbQSpec absorbQ{common, kHeads, kNope, kRope, kValue, kLatent, rows};
  absorbQ.weight = gpu ? plain : weight;
  append(absorbQ, buildAbsorbQ);
  AbsorbVSpec absorbV{common, kHeads, kNope, kValue, kLatent, rows};
  absorbV.weight = gpu ? plain : weight;
  absorbV.quantize = quantize;
  append(absorbV, buildAbsorbV);
  append(MlaDecodeSpec{common, kHeads, kLatent, kRope, kPage, 1, kScale},
         buildMlaDecode);
  MlaPrefillSpec prefill{common, kHeads, kNope, kRope, kValue,
                         kLatent, kPage, rows,  kScale};
  prefill.weight = gpu ? plain : weight;
  prefill.quantizeLatent = quantize && !gpu;
  prefill.quantize = quantize;
  append(prefill, buildMlaPrefill);

  GateTopkSpec gate{common, kExperts, kTopk, 8, 4};
  gate.routeScale = 2.5;
  append(gate, buildGateTopk);
  append(MoePermuteSpec{common, kExperts, kTopk, rows}, buildMoePermute);
  append(MoeCombineSpec{common, kHidden, kTopk}, buildMoeCombine);
  return append.ok;
}

} // namespace hadal::kernels::test
