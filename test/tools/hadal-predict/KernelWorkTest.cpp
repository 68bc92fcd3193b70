// Bytes and operations of V3's kernels beside what was counted by
// hand.
#include "kernels/KernelWork.h"

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::kernels;

namespace {

StepBatch decode(double rows, double context) {
  StepBatch batch;
  batch.tokens = batch.slice = batch.sequences = batch.logitRows = rows;
  batch.context = context;
  batch.sentRows = batch.pairs = rows * 8;
  return batch;
}

GemmSpec gemm(int64_t n, int64_t k, int64_t rows) {
  GemmSpec spec;
  spec.n = n;
  spec.k = k;
  spec.rows = rows;
  spec.quantizedInput = true;
  return spec;
}

} // namespace

TEST(KernelWork, DenseGemms) {
  // 16.6 MB and 121.5 MB for 128 rows.
  LaunchWork work = workOf(gemm(2112, 7168, 128), decode(128, 0));
  EXPECT_NEAR(work.bytes, 16.6e6, 0.1e6);
  EXPECT_DOUBLE_EQ(work.flops, 2.0 * 128 * 2112 * 7168);
  EXPECT_TRUE(work.fp8);
  work = workOf(gemm(7168, 16384, 128), decode(128, 0));
  EXPECT_NEAR(work.bytes, 121.5e6, 0.5e6);
  // A rank's slice has fewer rows than the bucket.
  work = workOf(gemm(2112, 7168, 32), decode(128, 0));
  EXPECT_DOUBLE_EQ(work.flops, 2.0 * 32 * 2112 * 7168);
}

TEST(KernelWork, ExpertsAreReadWhereTheyHaveARow) {
  GemmSpec spec = gemm(2048, 7168, 128);
  spec.experts = 4;
  spec.topk = 8;
  spec.epilogue = Epilogue::swigluQuantize;
  LaunchWork work = workOf(spec, decode(128, 0));
  const double weights = 4.0 * 2 * 2048 * 7168;
  EXPECT_NEAR(work.bytes, weights + 1024 * (7168 + 2048) * (1 + 4.0 / 128),
              1e3);
  EXPECT_DOUBLE_EQ(work.flops, 2.0 * 1024 * 2 * 2048 * 7168);
  EXPECT_TRUE(isOfExperts(spec));
  // One pair meets one of four experts.
  StepBatch one = decode(1, 0);
  one.pairs = 1;
  EXPECT_NEAR(workOf(spec, one).bytes, weights / 4, 1e4);
  spec.experts = 0;
  EXPECT_FALSE(isOfExperts(spec));
}

TEST(KernelWork, AttentionOverTheCache) {
  // 2 b (s_k 576 + h 1088) bytes, 2 b h s_k 1088
  // operations.
  MlaDecodeSpec spec;
  spec.heads = 128;
  spec.latent = 512;
  spec.rope = 64;
  spec.pageSize = 64;
  spec.maxQueries = 1;
  spec.softmaxScale = 1;
  LaunchWork work = workOf(spec, decode(128, 4096));
  EXPECT_DOUBLE_EQ(work.bytes, 2.0 * 128 * (4096 * 576 + 128 * 1088));
  EXPECT_DOUBLE_EQ(work.flops, 2.0 * 128 * 128 * 4096 * 1088);
  EXPECT_FALSE(work.fp8);
}

TEST(KernelWork, PrefillSeesHalfOfItsOwnKeys) {
  // h S^2 (192 + 128) for a prompt, and the expansion.
  MlaPrefillSpec spec;
  spec.heads = 128;
  spec.nope = 128;
  spec.rope = 64;
  spec.value = 128;
  spec.latent = 512;
  spec.pageSize = 64;
  spec.maxQueries = 4096;
  spec.softmaxScale = 1;
  StepBatch batch = decode(4096, 4096);
  batch.sequences = 1;
  const double expansion = 2.0 * 4096 * 128 * 256 * 512;
  EXPECT_NEAR(workOf(spec, batch).flops - expansion, 687e9, 1e9);
}

TEST(KernelWork, RowsAreReadAndWritten) {
  NormQuantSpec norm;
  norm.width = 7168;
  norm.delta = norm.quantize = true;
  // 2 + 2 + 2 + 1 + 4/128 bytes, and 2 of the bf16 copy.
  EXPECT_NEAR(workOf(norm, decode(4096, 0)).bytes,
              4096.0 * 7168 * (9 + 4.0 / 128), 1);
  MoeCombineSpec combine;
  combine.hidden = 7168;
  combine.topk = 8;
  EXPECT_DOUBLE_EQ(workOf(combine, decode(128, 0)).bytes,
                   128.0 * 7168 * 11 * 2);
  MoePackSpec pack;
  pack.hidden = 7168;
  EXPECT_DOUBLE_EQ(workOf(pack, decode(128, 0)).bytes, 1024.0 * 7168 * 4);
  norm.f32Delta = true;
  EXPECT_NEAR(workOf(norm, decode(4096, 0)).bytes,
              4096.0 * 7168 * (11 + 4.0 / 128), 1);
  CopyRowsSpec copy;
  copy.width = 7168;
  StepBatch shared = decode(128, 0);
  shared.slice = 32;
  EXPECT_DOUBLE_EQ(workOf(copy, shared).bytes, 128.0 * 7168 * 4);
  copy.slice = true;
  EXPECT_DOUBLE_EQ(workOf(copy, shared).bytes, 32.0 * 7168 * 4);
}
