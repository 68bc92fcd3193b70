#include "test/schedule/RandomSpecs.h"

namespace hadal::schedule {

using namespace kernels;

AnySpec RandomSpecs::next() { return chance(3) ? rowKernel() : contraction(); }

GemmSpec RandomSpecs::gemm() {
  GemmSpec spec{{}, 0, 0, 0};
  spec.n = pick({24, 64, 128, 192, 256, 384, 512, 2112});
  spec.k = pick({128, 256, 512, 1024, 1536, 7168});
  spec.rows = pick({1, 2, 4, 7, 16, 33, 64, 100, 512});
  // sm_90a takes no codes of four bits.
  spec.weight = !isGpu && chance(4) ? Weight::int4 : weight();
  spec.quantizedInput = spec.weight == Weight::fp8 && chance(2);
  spec.f32Output = chance(4);
  spec.sums = sums();
  switch (random() % 6) {
  case 0:
    spec.epilogue = Epilogue::rope;
    spec.headDim = pick({64, 96, 128, 192, 256});
    spec.ropeDim = std::min<int64_t>(spec.headDim, pick({32, 64}));
    spec.n = spec.headDim * pick({1, 4, 6});
    spec.positions = 256;
    spec.f32Output = false;
    break;
  case 1:
    spec.epilogue = Epilogue::residual;
    spec.f32Output = false;
    break;
  case 2:
    spec.epilogue = Epilogue::swiglu;
    break;
  case 3:
    spec.epilogue = Epilogue::swigluQuantize;
    spec.n = 128 * pick({1, 3, 4});
    spec.f32Output = false;
    break;
  default:
    break;
  }
  const bool canBeGrouped =
      spec.epilogue != Epilogue::rope && spec.epilogue != Epilogue::residual;
  if (canBeGrouped && chance(3)) {
    spec.experts = pick({4, 16, 64});
    spec.topk = pick({1, 2, 4});
    spec.gather = chance(2);
  } else if (spec.weight == Weight::fp8 && spec.epilogue == Epilogue::none &&
             chance(3)) {
    spec.segmentRows = pick({64, 128, 192});
    spec.n = spec.segmentRows * pick({2, 3});
  }
  return dressed(spec);
}

AnySpec RandomSpecs::contraction() {
  switch (random() % 6) {
  case 0: {
    AbsorbQSpec spec{{},
                     pick({2, 4, 16}),
                     pick({32, 64, 128, 192}),
                     64,
                     128,
                     pick({64, 128, 256, 512}),
                     pick({1, 4, 16, 64, 100}),
                     latentWeight()};
    spec.sums = sums();
    return dressed(spec);
  }
  case 1: {
    AbsorbVSpec spec{{},
                     pick({2, 4, 16}),
                     128,
                     pick({64, 128}),
                     pick({64, 128, 256, 512}),
                     pick({1, 4, 16, 64, 100}),
                     latentWeight()};
    spec.quantize = spec.value == 128 && chance(2);
    spec.sums = sums();
    return dressed(spec);
  }
  case 2: {
    MlaDecodeSpec spec{{},
                       pick({4, 16, 32, 128}),
                       pick({64, 256, 512}),
                       64,
                       64,
                       pick({1, 2, 4}),
                       0.1};
    spec.sums = sums();
    if (isGpu) {
      spec.rows = pick({1, 4, 64});
      spec.maxKeys = pick({256, 4096});
    }
    return dressed(spec);
  }
  case 3: {
    MlaPrefillSpec spec{{}, pick({2, 4}),         pick({64, 128}),
                        64, pick({64, 128}),      pick({128, 256, 512}),
                        64, pick({64, 128, 512}), 0.1};
    spec.weight = latentWeight();
    spec.quantize = spec.value == 128 && chance(2);
    spec.quantizeLatent = spec.weight == Weight::fp8 && chance(2);
    spec.sums = sums();
    return dressed(spec);
  }
  default:
    return gemm();
  }
}

AnySpec RandomSpecs::rowKernel() {
  const int64_t width = pick({128, 512, 1024, 2048, 7168});
  const int64_t topk = pick({2, 4, 8}), tokens = pick({4, 64, 512});
  switch (random() % 14) {
  case 0:
    return dressed(EmbedSpec{{}, 500, width});
  case 1: {
    NormQuantSpec spec{{}, width};
    spec.delta = chance(2);
    spec.quantize = chance(2);
    return dressed(spec);
  }
  case 2:
    return dressed(QuantizeSpec{{}, width});
  case 3:
    return dressed(AddSpec{{}, width});
  case 4:
    return dressed(SiluMulSpec{{}, width});
  case 5:
    return dressed(LatentNormRopeCacheSpec{{}, width, 128, 64, 128});
  case 6:
    return GateTopkSpec{{}, 64, topk};
  case 7:
    return MoePermuteSpec{{}, 64, topk, tokens};
  case 8:
    return dressed(MoeCombineSpec{{}, width, topk});
  case 9:
    return MoeCountSpec{{}, 64, topk, tokens};
  case 10:
    return MoeRouteSpec{{}, 64, topk, tokens, 4, 20, 256, 512, 2};
  case 11:
    return dressed(MoePackSpec{{}, width});
  case 12:
    return MoeReceiveSpec{{}, topk, 4, 20, pick({64, 128, 256})};
  default:
    return dressed(MoeReturnRowsSpec{{}, width, topk, 4, 128, 256});
  }
}

} // namespace hadal::schedule
