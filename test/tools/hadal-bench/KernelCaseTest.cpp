// The checks of hadal-bench --kernels: right outputs pass, wrong ones do not.
#include <cmath>

#include <gtest/gtest.h>

#include "cost/Chip.h"
#include "test/tools/hadal-bench/RightOutputs.h"

using namespace hadal;
using namespace hadal::bench;
using namespace hadal::kernels;

namespace {

Bucket smallBucket() {
  Bucket bucket;
  bucket.tokens = 5;
  bucket.rows = 3;
  bucket.logitRows = 2;
  bucket.maxSeqLen = 96;
  bucket.experts = 8;
  bucket.topk = 2;
  bucket.extent = [](std::string_view argument, unsigned dim) -> uint64_t {
    if (argument == "page_table")
      return dim ? 6 : 3;
    if (argument == "pool")
      return 18;
    if (argument == "cache")
      return 18 * 16;
    if (argument == "q_start")
      return 4;
    if (argument == "kv_len")
      return 3;
    if (argument == "source" || argument == "back")
      return 20;
    return 10; // tokens x topk, and more than the tokens
  };
  return bucket;
}

std::vector<AnySpec> specs() {
  NormQuantSpec norm{{}, 48};
  norm.delta = true;
  NormQuantSpec quantised{{}, 160};
  quantised.emitAct = false;
  quantised.quantize = true;
  GemmSpec gemm{{}, 64, 160, 5};
  GemmSpec grouped{{}, 64, 128, 5};
  grouped.experts = 8;
  grouped.gather = true;
  grouped.quantizedInput = true;
  grouped.epilogue = Epilogue::swigluQuantize;
  GemmSpec rope{{}, 48, 32, 5};
  rope.weight = Weight::bf16;
  rope.epilogue = Epilogue::rope;
  rope.headDim = 24;
  rope.ropeDim = 8;
  rope.positions = 96;
  LatentNormRopeCacheSpec latent{{}, 32, 16, 8, 96};
  MlaPrefillSpec prefill{{}, 2, 16, 8, 16, 32, 16, 3, 0.2};
  NormQuantSpec unrounded = norm;
  unrounded.f32Delta = true;
  AddSpec unroundedAdd{{}, 24};
  unroundedAdd.f32Addend = true;
  MoePackSpec packed{{}, 160, true};
  GateTopkSpec gate{{}, 8, 2};
  gate.groups = 4;
  gate.topkGroups = 2;
  return {EmbedSpec{{}, 32, 24},
          MtpInputSpec{{}, 32, 24},
          norm,
          quantised,
          QuantizeSpec{{}, 160},
          AddSpec{{}, 24},
          unrounded,
          unroundedAdd,
          gemm,
          grouped,
          rope,
          latent,
          AbsorbQSpec{{}, 2, 16, 8, 16, 32, 5},
          AbsorbVSpec{{}, 2, 16, 16, 32, 5},
          MlaDecodeSpec{{}, 1, 32, 8, 16, 3, 0.2},
          prefill,
          gate,
          MoePermuteSpec{{}, 8, 2, 5},
          MoeCombineSpec{{}, 24, 2},
          SiluMulSpec{{}, 24},
          MoeCountSpec{{}, 8, 2, 5},
          // The second has no room for all.
          MoeRouteSpec{{}, 8, 2, 5, 2, 5, 5, 5, 2},
          MoeRouteSpec{{}, 8, 2, 4, 5, 2, 2, 2, 2},
          MoePackSpec{{}, 24},
          packed,
          MoeReceiveSpec{{}, 2, 2, 8, 5},
          MoeReturnRowsSpec{{}, 24, 2, 2, 5, 5},
          CopyRowsSpec{{}, 24},
          CopyRowsSpec{{}, 1, Moved::i32, true},
          JoinColumnsSpec{{}, 24, 2, 5}};
}

} // namespace

TEST(KernelCase, RightOutputsPassForEveryKernel) {
  const Bucket bucket = smallBucket();
  for (const AnySpec &spec : specs()) {
    SCOPED_TRACE(spec.index());
    std::unique_ptr<KernelCase> test = makeKernelCase(spec, bucket, 3);
    ASSERT_FALSE(test->expected.empty());
    EXPECT_GT(test->bytes, 0);
    Random random(1);
    const Deviation deviation = test->check(rightOutputs(*test), random);
    EXPECT_TRUE(deviation.right)
        << deviation.relative << " " << deviation.cosine;
    EXPECT_GT(deviation.elements, 0u);
  }
}

TEST(KernelCase, AWrongValueIsFound) {
  const Bucket bucket = smallBucket();
  for (const AnySpec &spec : specs()) {
    SCOPED_TRACE(spec.index());
    std::unique_ptr<KernelCase> test = makeKernelCase(spec, bucket, 3);
    for (const Expected &output : test->expected) {
      SCOPED_TRACE(output.output);
      // The first and the last row are always sampled, and their first column.
      const uint64_t row = output.rows.back();
      Arguments outputs = rightOutputs(*test);
      Tensor &tensor = outputs.find(output.output)->second;
      for (uint64_t c = 0; c < tensor.cols; ++c)
        tensor.set(row, c, tensor.blockRows ? 448
                                            : tensor.at(row, c) * 1.25 + 1);
      Random random(1);
      EXPECT_FALSE(test->check(outputs, random).right);
    }
  }
}

TEST(KernelCase, ANaNIsWrong) {
  const Bucket bucket = smallBucket();
  std::unique_ptr<KernelCase> test =
      makeKernelCase(AddSpec{{}, 24}, bucket, 3);
  Arguments outputs = rightOutputs(*test);
  outputs.find("out")->second.set(0, 0, std::nan(""));
  Random random(1);
  EXPECT_FALSE(test->check(outputs, random).right);
}

// The floor of a device is that of its board, or there is none.
TEST(ChipOfDevice, IsFoundByNameAndSize) {
  auto name = [](const char *device, unsigned multiprocessors) {
    const nvptx::Chip *chip = nvptx::chipOfDevice(device, multiprocessors);
    return chip ? std::string(chip->name) : "";
  };
  EXPECT_EQ(name("NVIDIA H100 80GB HBM3", 132), "h100");
  EXPECT_EQ(name("NVIDIA H200", 132), "h200");
  EXPECT_EQ(name("NVIDIA H100 PCIe", 114), "");
  EXPECT_EQ(name("NVIDIA GH200 480GB", 132), "");
  EXPECT_EQ(name("NVIDIA A100-SXM4-80GB", 108), "");
}
