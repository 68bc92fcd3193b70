// Specs that tests of schedules go through.
#pragma once

#include "schedule/Space.h"

namespace hadal::schedule {

/// A few of each kind: wide and narrow, few rows and many, of either weight.
/// Every word is to be alive on one of them.
inline std::vector<kernels::AnySpec> specsOf(Target target) {
  using namespace kernels;
  bool gpu = target == Target::sm90a;
  std::vector<AnySpec> specs;
  specs.push_back(EmbedSpec{{}, 500, 1024});
  specs.push_back(NormQuantSpec{{}, 1024});
  specs.push_back(QuantizeSpec{{}, 2048});
  specs.push_back(AddSpec{{}, 2048});
  specs.push_back(SiluMulSpec{{}, 2048});
  for (int64_t rows : {1, 4, 16, 64, 512})
    for (Weight weight : {Weight::fp8, Weight::bf16}) {
      GemmSpec gemm{{}, 512, 2048, rows};
      gemm.weight = weight;
      gemm.quantizedInput = weight == Weight::fp8;
      specs.push_back(gemm);
    }
  specs.push_back(LatentNormRopeCacheSpec{{}, 256, 128, 64, 128});
  for (int64_t rows : {1, 64}) {
    specs.push_back(AbsorbQSpec{
        {}, 4, 128, 64, 128, 256, rows, gpu ? Weight::bf16 : Weight::fp8});
    specs.push_back(AbsorbVSpec{
        {}, 4, 128, 128, 512, rows, gpu ? Weight::bf16 : Weight::fp8});
  }
  MlaDecodeSpec decode{{}, 32, 256, 64, 64, 2, 0.1};
  if (gpu) {
    decode.rows = 1;
    decode.maxKeys = 4096;
  }
  specs.push_back(decode);
  MlaPrefillSpec prefill{{}, 4, 128, 64, 128, 256, 64, 512, 0.1};
  prefill.weight = gpu ? Weight::bf16 : Weight::fp8;
  specs.push_back(prefill);
  specs.push_back(GateTopkSpec{{}, 64, 8});
  specs.push_back(MoePermuteSpec{{}, 64, 8, 512});
  specs.push_back(MoeCombineSpec{{}, 2048, 8});
  specs.push_back(MoeCountSpec{{}, 64, 8, 512});
  specs.push_back(MoeRouteSpec{{}, 64, 8, 512, 4, 20, 256, 512, 2});
  specs.push_back(MoePackSpec{{}, 2048});
  specs.push_back(MoeReceiveSpec{{}, 8, 4, 20, 128});
  specs.push_back(MoeReturnRowsSpec{{}, 2048, 4, 4, 128, 256});
  specs.push_back(CopyRowsSpec{{}, 2048});
  specs.push_back(JoinColumnsSpec{{}, 2048, 4, 16});
  return specs;
}

} // namespace hadal::schedule
