// Bulk copies of boxes and of bytes, reductions, multicast; wgmma forms that do
// not exist.
#include "test/runtime/drivers/sim/async/AsyncForms.h"

#include <cmath>

#include "runtime/drivers/sim/semantics/TensorMap.h"

namespace hadal::sim::test {
namespace {

/// Runs |body| in CTAs of one thread; |map| covers `in` or `out`.
struct BoxRun {
  Report report;
  std::vector<float> out;
};

BoxRun runBox(const std::string &body, TensorMapDesc map, bool mapIsOut,
              const std::vector<float> &in, std::vector<float> out,
              AsyncPolicy policy, uint32_t cluster = 1) {
  Memory memory;
  uint64_t source = upload(memory, in, "in");
  uint64_t target = upload(memory, out, "out");
  map.address = mapIsOut ? target : source;
  auto bytes = encodeTensorMap(map);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  ParameterBlock parameters;
  parameters.append(bytes->data(), 128, 64).add(source).add(target);
  LaunchConfig config;
  config.grid[0] = config.cluster[0] = cluster;
  config.sharedBytes = 4096;
  Options options;
  options.policy = policy;
  options.instructionLimit = 100000;
  BoxRun run;
  run.report = launchText(formText(body), "k", config, parameters, memory,
                          options);
  run.out.resize(out.size());
  EXPECT_TRUE(memory.read(target, run.out.data(), out.size() * 4).ok());
  return run;
}

/// 3 x 6 x 12 floats; boxes of 2 x 4 x 8.
TensorMapDesc cube() {
  TensorMapDesc map;
  map.type = TensorMapType::f32;
  map.rank = 3;
  map.dims = {12, 6, 3, 1, 1};
  map.strides = {48, 288, 0, 0};
  map.box = {8, 4, 2, 1, 1};
  return map;
}

std::vector<float> counting(unsigned count) {
  std::vector<float> values(count);
  for (unsigned i = 0; i < count; ++i)
    values[i] = static_cast<float>(i + 1);
  return values;
}

const char *waitForBarrier = R"(
WAIT:
  mbarrier.try_wait.parity.shared.b64 %p0, [%base+2048], 0;
  @!%p0 bra WAIT;
)";

// A box that hangs over two edges comes with zeros, and goes back whole.
TEST(BulkForms, TensorLoadOfARaggedBox) {
  std::string body = std::string(R"(
  mbarrier.init.shared.b64 [%base+2048], 1;
  mbarrier.arrive.expect_tx.shared.b64 _, [%base+2048], 256;
  add.u32 %r9, %base, 2048;
  cp.async.bulk.tensor.3d.shared::cta.global.mbarrier::complete_tx::bytes [%base], [%map, {8, -1, 2}], [%r9];
)") + waitForBarrier + R"(
  cp.async.bulk.global.shared::cta.bulk_group [%out], [%base], 256;
  cp.async.bulk.commit_group;
  cp.async.bulk.wait_group 0;
)";
  auto in = counting(216);
  forBothPolicies([&](AsyncPolicy policy) {
    BoxRun run = runBox(body, cube(), false, in, std::vector<float>(64, -1.0f),
                        policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    for (unsigned i = 0; i < 64; ++i) {
      int x = 8 + static_cast<int>(i % 8), y = static_cast<int>(i / 8 % 4) - 1,
          z = 2 + static_cast<int>(i / 32);
      bool inside = x < 12 && y >= 0 && y < 6 && z < 3;
      EXPECT_EQ(run.out[i],
                inside ? in[static_cast<size_t>(z * 72 + y * 12 + x)] : 0.0f)
          << i;
    }
  });
}

/// Fills 256 bytes of shared memory by a plain copy and names them to |tail|.
std::string afterLoad(const std::string &tail) {
  return std::string(R"(
  mbarrier.init.shared.b64 [%base+2048], 1;
  mbarrier.arrive.expect_tx.shared.b64 _, [%base+2048], 256;
  add.u32 %r9, %base, 2048;
  cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%base], [%in], 256, [%r9];
)") + waitForBarrier +
         tail +
         "  cp.async.bulk.commit_group;\n  cp.async.bulk.wait_group.read 0;\n";
}

TEST(BulkForms, TensorStoreDropsWhatIsOutside) {
  std::string body = afterLoad(
      "  cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%map, "
      "{-4, 3, 1}], [%base];\n");
  auto in = counting(64);
  forBothPolicies([&](AsyncPolicy policy) {
    BoxRun run = runBox(body, cube(), true, in, std::vector<float>(216, -1.0f),
                        policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    std::vector<float> expected(216, -1.0f);
    for (int i = 0; i < 64; ++i) {
      int x = i % 8 - 4, y = i / 8 % 4 + 3, z = i / 32 + 1;
      if (x >= 0 && y < 6 && z < 3)
        expected[static_cast<size_t>(z * 72 + y * 12 + x)] =
            in[static_cast<size_t>(i)];
    }
    EXPECT_EQ(run.out, expected);
  });
}

TEST(BulkForms, ReductionsAddToGlobalMemory) {
  auto in = counting(64);
  forBothPolicies([&](AsyncPolicy policy) {
    BoxRun tensor = runBox(
        afterLoad("  cp.reduce.async.bulk.tensor.3d.global.shared::cta.add."
                  "tile.bulk_group [%map, {4, 2, 0}], [%base];\n"),
        cube(), true, in, std::vector<float>(216, 0.5f), policy);
    EXPECT_TRUE(tensor.report.clean()) << tensor.report.toString();
    EXPECT_EQ(tensor.out[2 * 12 + 4], 1.5f);
    EXPECT_EQ(tensor.out[72 + 5 * 12 + 11], 64.5f);
    EXPECT_EQ(tensor.out[0], 0.5f);
    BoxRun plain = runBox(
        afterLoad("  cp.reduce.async.bulk.global.shared::cta.bulk_group.add."
                  "f32 [%out], [%base], 256;\n"),
        cube(), true, in, std::vector<float>(216, 0.25f), policy);
    EXPECT_TRUE(plain.report.clean()) << plain.report.toString();
    EXPECT_EQ(plain.out[63], 64.25f);
    EXPECT_EQ(plain.out[64], 0.25f);
  });
}

// Rank 0 sends its box to both CTAs of the cluster; rank 1 tells rank 0 when it
// is done by a remote arrival.
TEST(BulkForms, MulticastAndRemoteArrival) {
  std::string body = R"(
  mov.u32 %r1, %cluster_ctarank;
  mbarrier.init.shared.b64 [%base+2048], 1;
  mbarrier.init.shared.b64 [%base+2056], 1;
  fence.mbarrier_init.release.cluster;
  barrier.cluster.arrive.release;
  barrier.cluster.wait.acquire;
  mbarrier.arrive.expect_tx.shared.b64 _, [%base+2048], 256;
  setp.ne.u32 %p1, %r1, 0;
  add.u32 %r9, %base, 2048;
  mov.u16 %h0, 3;
  @!%p1 cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%base], [%map, {0, 0, 0}], [%r9], %h0;
)" + std::string(waitForBarrier) +
                     R"(
  @!%p1 bra FIRST;
  ld.shared.f32 %r2, [%base+36];
  st.global.f32 [%out+4], %r2;
  mapa.shared::cluster.u32 %r3, %base, 0;
  mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r3+2056];
  getctarank.shared::cluster.u32 %r4, %r3;
  cvt.rn.f32.u32 %r4, %r4;
  st.global.f32 [%out+8], %r4;
  bra END;
FIRST:
  mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%base+2056], 0;
  @!%p2 bra FIRST;
  ld.shared.f32 %r2, [%base+32];
  st.global.f32 [%out], %r2;
END:
  barrier.cluster.arrive.release;
  barrier.cluster.wait.acquire;
)";
  forBothPolicies([&](AsyncPolicy policy) {
    BoxRun run = runBox(body, cube(), false, counting(216),
                        std::vector<float>(4, -1.0f), policy, 2);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    EXPECT_EQ(run.out, (std::vector<float>{13.0f, 14.0f, 0.0f, -1.0f}));
  });
}

TEST(BulkForms, WrongMapsAreNamed) {
  std::string load = R"(
  mbarrier.init.shared.b64 [%base+2048], 1;
  add.u32 %r9, %base, 2048;
  cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%base], [MAP, {0, 0}], [%r9];
)";
  for (auto &[map, text] : std::vector<std::pair<std::string, std::string>>{
           {"%map", "a copy of 2 dimensions uses a map of 3"},
           {"%in", "not a tensor map"},
           {"%d0", "128 bytes of a parameter or of global"}}) {
    BoxRun run =
        runBox(replaced(load, "MAP", map), cube(), false, counting(216),
               std::vector<float>(4), AsyncPolicy::eager);
    EXPECT_NE(run.report.toString().find(text), std::string::npos)
        << run.report.toString();
  }
}

TEST(BulkForms, WhatIsNotPtxIsRefused) {
  struct {
    const char *instruction, *text;
  } cases[] = {
      {"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
       "[%base], [%in], 24, [%base];",
       "multiple of 16"},
      {"cp.async.bulk.global.shared::cta.mbarrier::complete_tx::bytes [%out], "
       "[%base], 16, [%base];",
       "does not exist"},
      {"cp.async.bulk.tensor.3d.shared::cta.global.mbarrier::complete_tx::"
       "bytes [%base], [%map, {0, 0}], [%base];",
       "needs 3 coordinates"},
      {"cp.reduce.async.bulk.global.shared::cta.bulk_group.inc.f32 [%out], "
       "[%base], 16;",
       "does not exist for its type"},
      {"cp.async.bulk.tensor.shared::cta.global.mbarrier::complete_tx::bytes "
       "[%base], [%map, {0}], [%base];",
       "number of dimensions"},
      {"wgmma.mma_async.sync.aligned.m64n12k16.f32.bf16.bf16 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1, 0, 0;",
       "shape does not exist"},
      {"wgmma.mma_async.sync.aligned.m64n8k32.f32.bf16.bf16 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1, 0, 0;",
       "shape does not exist"},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f16.bf16.bf16 {%r0, %r1}, %d1, "
       "%d2, 1, 1, 1, 0, 0;",
       "accumulator type does not exist"},
      {"wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e5m2 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1, 0, 0;",
       "expected 6 operands"},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.f16 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1, 0, 0;",
       "do not go together"},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r0, %r1}, %d1, "
       "%d2, 1, 1, 1, 0, 0;",
       "vector of 4 registers"},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 0, 1, 0, 0;",
       "imm-scale must be 1 or -1"},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1;",
       "expected 8 operands"},
      {"wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 {%r0, %r1, %r2, "
       "%r3}, %d1, %d2, 1, 1, 1;",
       "operand types are not modelled"},
      {"wgmma.fence.sync;", "aligned"},
  };
  for (auto &c : cases)
    EXPECT_NE(refusalOf(c.instruction).find(c.text), std::string::npos)
        << c.instruction << ": " << refusalOf(c.instruction);
}

} // namespace
} // namespace hadal::sim::test
