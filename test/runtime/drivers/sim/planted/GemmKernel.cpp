#include "test/runtime/drivers/sim/planted/GemmKernel.h"

#include <cmath>
#include <random>

#include "runtime/drivers/sim/semantics/Convert.h"

namespace hadal::sim::test {

std::string gemmText() {
  std::string text = R"(.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 smem[];
.visible .entry gemm(
  .param .align 64 .b8 ma[128],
  .param .align 64 .b8 mb[128],
  .param .u64 po, .param .u64 psa, .param .u64 psb, .param .u32 pk)
.maxntid 160
{
  .reg .pred %p<16>;
  .reg .b32 %r<48>;
  .reg .b32 %t<32>;
  .reg .b32 %c<32>;
  .reg .b64 %d<24>;
  mov.u32 %r0, %tid.x;
  shr.u32 %r1, %r0, 5;
  and.b32 %r2, %r0, 31;
  mov.u64 %d0, smem;
  cvt.u32.u64 %r3, %d0;
  add.u32 %r4, %r3, 32768;
  ld.param.u32 %r5, [pk];
  setp.ne.u32 %p0, %r0, 0;
  @%p0 bra INIT_DONE;
  mbarrier.init.shared.b64 [%r4], 1;
  mbarrier.init.shared.b64 [%r4+8], 1;
  mbarrier.init.shared.b64 [%r4+16], 4;
  mbarrier.init.shared.b64 [%r4+24], 4;
  fence.mbarrier_init.release.cluster;
INIT_DONE:
  bar.sync 0;
  setp.ge.u32 %p1, %r0, 128;
  @%p1 bra PRODUCER;

  // Consumer: rows 16 warp + lane / 4 and 8 more, columns from 2 (lane & 3).
  shr.u32 %r20, %r2, 2;
  shl.b32 %r21, %r1, 4;
  add.u32 %r20, %r20, %r21;
  and.b32 %r21, %r2, 3;
  ld.param.u64 %d4, [psa];
  ld.param.u64 %d5, [psb];
  mul.wide.u32 %d6, %r20, 4;
  add.u64 %d4, %d4, %d6;
@ZERO@
  mov.u32 %r6, 0;
CONSUME:
  and.b32 %r7, %r6, 1;
  shr.u32 %r8, %r6, 1;
  and.b32 %r8, %r8, 1; // consumer parity
  shl.b32 %r9, %r7, 3;
  add.u32 %r9, %r9, %r4;
WAIT_FULL:
  mbarrier.try_wait.parity.shared.b64 %p2, [%r9], %r8; // full
  @!%p2 bra WAIT_FULL;
  shl.b32 %r10, %r7, 14;
  add.u32 %r10, %r10, %r3;
  shr.u32 %r11, %r10, 4;
  cvt.u64.u32 %d1, %r11;
  or.b64 %d1, %d1, 0x4000004000010000; // descriptor of A
  add.u32 %r12, %r10, 8192;
  shr.u32 %r12, %r12, 4;
  cvt.u64.u32 %d2, %r12;
  or.b64 %d2, %d2, 0x4000004000010000; // descriptor of B
  wgmma.fence.sync.aligned;
  wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 @T@, %d1, %d2, 0, 1, 1; // first
  add.u64 %d1, %d1, 2;
  add.u64 %d2, %d2, 2;
  wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 @T@, %d1, %d2, 1, 1, 1;
  add.u64 %d1, %d1, 2;
  add.u64 %d2, %d2, 2;
  wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 @T@, %d1, %d2, 1, 1, 1;
  add.u64 %d1, %d1, 2;
  add.u64 %d2, %d2, 2;
  wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 @T@, %d1, %d2, 1, 1, 1;
  wgmma.commit_group.sync.aligned;
  // before the wait
  wgmma.wait_group.sync.aligned 0;
  setp.eq.u32 %p3, %r2, 0;
  @%p3 mbarrier.arrive.shared.b64 _, [%r9+16]; // release
  ld.global.f32 %r13, [%d5];
  ld.global.f32 %r14, [%d4];
  ld.global.f32 %r15, [%d4+32];
  mul.rn.f32 %r14, %r14, %r13;
  mul.rn.f32 %r15, %r15, %r13;
@PROMOTE@
  add.u64 %d4, %d4, 256;
  add.u64 %d5, %d5, 4;
  add.u32 %r6, %r6, 1;
  setp.lt.u32 %p4, %r6, %r5;
  @%p4 bra CONSUME;
  // after the loop
  ld.param.u64 %d7, [po];
  shl.b32 %r16, %r20, 6;
  shl.b32 %r17, %r21, 1;
  add.u32 %r16, %r16, %r17;
  mul.wide.u32 %d8, %r16, 4;
  add.u64 %d7, %d7, %d8;
@STORE@
  bra DONE;

PRODUCER:
  setp.ne.u32 %p5, %r2, 0;
  @%p5 bra DONE;
  mov.b64 %d10, ma;
  cvta.param.u64 %d10, %d10;
  mov.b64 %d11, mb;
  cvta.param.u64 %d11, %d11;
  mov.u32 %r6, 0;
PRODUCE:
  and.b32 %r7, %r6, 1;
  shr.u32 %r8, %r6, 1;
  and.b32 %r8, %r8, 1;
  xor.b32 %r8, %r8, 1; // producer parity
  shl.b32 %r9, %r7, 3;
  add.u32 %r9, %r9, %r4;
  // before the empty wait
WAIT_EMPTY:
  mbarrier.try_wait.parity.shared.b64 %p6, [%r9+16], %r8; // empty
  @!%p6 bra WAIT_EMPTY;
FREE:
  mbarrier.arrive.expect_tx.shared.b64 _, [%r9], 16384;
  shl.b32 %r10, %r7, 14;
  add.u32 %r10, %r10, %r3;
  add.u32 %r11, %r10, 8192;
  shl.b32 %r12, %r6, 7;
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r10], [%d10, {%r12, 0}], [%r9]; // load A
  cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r11], [%d11, {%r12, 0}], [%r9]; // load B
  add.u32 %r6, %r6, 1;
  setp.lt.u32 %p7, %r6, %r5;
  @%p7 bra PRODUCE;
DONE:
  ret;
}
)";
  std::string zero, promote, store;
  for (unsigned i = 0; i < 32; ++i) {
    std::string c = "%c" + std::to_string(i), t = "%t" + std::to_string(i);
    zero += "  mov.b32 " + c + ", 0f00000000;\n";
    promote += "  fma.rn.f32 " + c + ", " + t + ", " +
               (i >> 1 & 1 ? "%r15" : "%r14") + ", " + c + ";\n";
    unsigned offset = 32 * (i >> 2) + 4 * (i & 1) + 2048 * (i >> 1 & 1);
    store += "  st.global.f32 [%d7+" + std::to_string(offset) + "], " + c +
             ";\n";
  }
  text = planted(text, "@ZERO@\n", zero);
  text = planted(text, "@PROMOTE@\n", promote);
  text = planted(text, "@STORE@\n", store);
  return replaced(text, "@T@", registerList("%t", 32));
}

GemmProblem::GemmProblem(unsigned k, bool positive, uint64_t seed) : k(k) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> value(positive ? 0.01f : -448.0f,
                                              448.0f);
  std::uniform_real_distribution<float> scale(0.5f, 2.0f);
  for (auto *matrix : {&a, &b})
    for (unsigned i = 0; i < 64 * pitch(); ++i)
      // The padding holds large numbers, as stale memory may.
      matrix->push_back(i % pitch() < k ? cvtE4m3F32(value(random)) : 0x7e);
  for (unsigned i = 0; i < blocks() * 64; ++i)
    scalesA.push_back(scale(random));
  for (unsigned i = 0; i < blocks(); ++i)
    scalesB.push_back(scale(random));
  computeExpected();
  for (TensorMapDesc *map : {&mapA, &mapB}) {
    map->type = TensorMapType::u8;
    map->rank = 2;
    map->dims = {k, 64, 1, 1, 1};
    map->strides = {pitch(), 0, 0, 0};
    map->box = {128, 64, 1, 1, 1};
    map->swizzle = Swizzle::b128;
  }
}

void GemmProblem::computeExpected() {
  double values[256];
  for (unsigned code = 0; code < 256; ++code)
    values[code] =
        decodeFloat(static_cast<uint16_t>(code), FloatFormat::e4m3);
  expected.assign(64 * 64, 0);
  magnitude.assign(64 * 64, 0);
  for (unsigned m = 0; m < 64; ++m)
    for (unsigned n = 0; n < 64; ++n)
      for (unsigned kk = 0; kk < k; ++kk) {
        double product = values[a[m * pitch() + kk]] *
                         values[b[n * pitch() + kk]] *
                         scalesA[kk / 128 * 64 + m] * scalesB[kk / 128];
        expected[m * 64 + n] += product;
        magnitude[m * 64 + n] += std::fabs(product);
      }
}

double GemmResult::worst(const GemmProblem &problem) const {
  double result = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    double error =
        std::fabs(out[i] - problem.expected[i]) / problem.magnitude[i];
    // A NaN must not pass for a small error.
    result = std::isnan(error) ? INFINITY : std::max(result, error);
  }
  return result;
}

GemmResult runGemm(const std::string &text, const GemmProblem &problem,
                   AsyncPolicy policy, Fp8Accumulate model) {
  Memory memory;
  TensorMapDesc mapA = problem.mapA, mapB = problem.mapB;
  mapA.address = upload(memory, problem.a, "A");
  mapB.address = upload(memory, problem.b, "B");
  uint64_t scalesA = upload(memory, problem.scalesA, "scales of A");
  uint64_t scalesB = upload(memory, problem.scalesB, "scales of B");
  auto out = memory.allocate(64 * 64 * 4, "out");
  EXPECT_TRUE(out.ok());
  auto bytesA = encodeTensorMap(mapA), bytesB = encodeTensorMap(mapB);
  EXPECT_TRUE(bytesA.ok() && bytesB.ok());
  ParameterBlock parameters;
  parameters.append(bytesA->data(), 128, 64)
      .append(bytesB->data(), 128, 64)
      .add(*out)
      .add(scalesA)
      .add(scalesB)
      .add(problem.blocks());
  LaunchConfig config;
  config.block[0] = 160;
  config.sharedBytes = problem.sharedBytes;
  Options options;
  options.policy = policy;
  options.fp8Accumulate = model;
  options.instructionLimit = 5'000'000;
  GemmResult result;
  result.report =
      launchText(text, "gemm", config, parameters, memory, options);
  result.out.resize(64 * 64);
  EXPECT_TRUE(memory.read(*out, result.out.data(), 64 * 64 * 4).ok());
  return result;
}

} // namespace hadal::sim::test
