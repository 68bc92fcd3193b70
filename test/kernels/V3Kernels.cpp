#include "V3Kernels.h"

#include "kernels/SpecText.h"
#include "cost/Chip.h"
#include "llvm/ADT/StringSet.h"

namespace hadal::kernels::test {

namespace {

constexpr int64_t kHidden = 7168, kHeads = 128, kNope = 128, kRope = 64,
                  kValue = 128, kLatent = 512, kQLora = 1536, kExperts = 256,
                  kTopk = 8, kPositions = 4096, kPage = 64, kRanks = 32,
                  kSlots = 9;
constexpr double kScale = 0.1352337788608801;

struct Appender {
  mlir::OpBuilder &builder;
  schedule::Target target;
  bool ok = true;
  llvm::StringSet<> symbols = {};

  void operator()(const AnySpec &spec) {
    std::string symbol = uniqueSymbol(symbolFor(spec), [&](const auto &taken) {
      return symbols.contains(taken);
    });
    symbols.insert(symbol);
    if (!buildScheduled(builder, builder.getUnknownLoc(), symbol, spec, target,
                        &nvptx::allChips().front()))
      ok = false;
  }
};

} // namespace

bool buildV3Kernels(mlir::OpBuilder &builder, int64_t rows, Act act,
                    Weight weight, bool quantize,
                    schedule::Target target) {
  Appender append{builder, target};
  Common common{act, ScaleFormat::f32};
  bool gpu = target == schedule::Target::sm90a;
  Weight plain = weight == Weight::fp8 ? Weight::bf16 : weight;
  int64_t head = kNope + kRope;

  append(EmbedSpec{common, 129280, kHidden, plain});
  append(MtpInputSpec{common, 129280, kHidden, 1e-6, plain});
  NormQuantSpec norm{common, kHidden};
  norm.delta = true;
  norm.quantize = quantize;
  append(norm);
  NormQuantSpec last{common, kHidden};
  last.gather = true;
  append(last);
  append(QuantizeSpec{common, kHidden});
  append(AddSpec{common, kHidden});
  append(SiluMulSpec{common, 18432});

  GemmSpec gemm{common};
  gemm.rows = rows;
  gemm.weight = weight;
  gemm.quantizedInput = quantize;
  GemmSpec down = gemm;
  down.n = kQLora + kLatent + kRope;
  down.k = kHidden;
  down.segmentRows = kQLora;
  append(down);
  GemmSpec qB = gemm;
  qB.n = kHeads * head;
  qB.k = kQLora;
  qB.epilogue = Epilogue::rope;
  qB.headDim = head;
  qB.ropeDim = kRope;
  qB.positions = kPositions;
  append(qB);
  GemmSpec out = gemm;
  out.n = kHidden;
  out.k = kHeads * kValue;
  out.epilogue = Epilogue::residual;
  append(out);
  GemmSpec router = gemm;
  router.n = kExperts;
  router.k = kHidden;
  router.weight = plain;
  router.quantizedInput = false;
  router.f32Output = true;
  append(router);
  GemmSpec gateUp = gemm;
  gateUp.n = 2048;
  gateUp.k = kHidden;
  gateUp.experts = kExperts;
  gateUp.topk = kTopk;
  gateUp.gather = true;
  gateUp.epilogue =
      quantize ? Epilogue::swigluQuantize : Epilogue::swiglu;
  append(gateUp);
  GemmSpec expertDown = gemm;
  expertDown.n = kHidden;
  expertDown.k = 2048;
  expertDown.experts = kExperts;
  expertDown.topk = kTopk;
  append(expertDown);

  LatentNormRopeCacheSpec latent{common, kQLora, kLatent, kRope, kPositions};
  latent.quantize = quantize;
  append(latent);
  AbsorbQSpec absorbQ{common, kHeads, kNope, kRope, kValue, kLatent, rows};
  absorbQ.weight = gpu ? plain : weight;
  append(absorbQ);
  AbsorbVSpec absorbV{common, kHeads, kNope, kValue, kLatent, rows};
  absorbV.weight = gpu ? plain : weight;
  absorbV.quantize = quantize;
  append(absorbV);
  append(MlaDecodeSpec{common, kHeads, kLatent, kRope, kPage, 1, kScale});
  MlaPrefillSpec prefill{common, kHeads, kNope, kRope, kValue,
                         kLatent, kPage, rows,  kScale};
  prefill.weight = gpu ? plain : weight;
  prefill.quantizeLatent = quantize && !gpu;
  prefill.quantize = quantize;
  append(prefill);

  GateTopkSpec gate{common, kExperts, kTopk, 8, 4};
  gate.routeScale = 2.5;
  append(gate);
  append(MoePermuteSpec{common, kExperts, kTopk, rows});
  append(MoeCombineSpec{common, kHidden, kTopk});

  // Of 32 ranks with 32 redundant experts; prefill has as much room as it
  // takes.
  const int64_t capacity = std::min<int64_t>(rows, 512), pairs = 2 * capacity;
  append(MoeCountSpec{common, kExperts, kTopk, rows});
  append(MoeRouteSpec{common, kExperts, kTopk, rows, kRanks, kSlots, capacity,
                      pairs, 2});
  append(MoePackSpec{common, kHidden, quantize});
  append(MoeReceiveSpec{common, kTopk, kRanks, kSlots, capacity});
  append(MoeReturnRowsSpec{common, kHidden, kTopk, kRanks, capacity, pairs});

  // Of 4 ranks that share tokens, heads and the vocabulary.
  append(CopyRowsSpec{common, 1, Moved::i32, true});
  append(CopyRowsSpec{common, kHidden});
  append(JoinColumnsSpec{common, 32320, 4, rows});
  return append.ok;
}

} // namespace hadal::kernels::test
