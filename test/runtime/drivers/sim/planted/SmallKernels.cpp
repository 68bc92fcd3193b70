#include "test/runtime/drivers/sim/planted/SmallKernels.h"

namespace hadal::sim::test {

static std::string moduleOf(const std::string &entries) {
  return ".version 8.7\n.target sm_90a\n.address_size 64\n"
         ".extern .shared .align 1024 .b8 smem[];\n" +
         entries;
}

std::string chainText() {
  // Thread t writes 16 bytes of v: k = t / 8, columns 8 (t & 7) and up. The
  // tile is one panel of 64 columns: line k has 128 bytes, chunk j of line k
  // lies at chunk j ^ (k & 7).
  std::string text = moduleOf(R"(.visible .entry chain(
  .param .u64 pq, .param .u64 pv, .param .u64 po)
.maxntid 128
{
  .reg .pred %p<4>;
  .reg .b32 %r<32>;
  .reg .b32 %a<4>;
  .reg .b32 %c<32>;
  .reg .b64 %d<16>;
  mov.u32 %r0, %tid.x;
  shr.u32 %r1, %r0, 5;
  and.b32 %r2, %r0, 31;
  mov.u64 %d0, smem;
  cvt.u32.u64 %r3, %d0;
  ld.param.u64 %d1, [pv];
  mul.wide.u32 %d2, %r0, 16;
  add.u64 %d1, %d1, %d2;
  ld.global.v4.b32 {%r4, %r5, %r6, %r7}, [%d1];
  shr.u32 %r8, %r0, 3;
  and.b32 %r9, %r0, 7;
  and.b32 %r10, %r8, 7;
  xor.b32 %r9, %r9, %r10;
  shl.b32 %r8, %r8, 7;
  shl.b32 %r9, %r9, 4;
  add.u32 %r8, %r8, %r9;
  add.u32 %r8, %r8, %r3;
  st.shared.v4.b32 [%r8], {%r4, %r5, %r6, %r7}; // stage v
  fence.proxy.async.shared::cta;
  bar.sync 0;
  // A: rows 16 warp + lane / 4 (+ 8), k = 2 (lane & 3) + {0, 1} (+ 8).
  shr.u32 %r11, %r2, 2;
  shl.b32 %r12, %r1, 4;
  add.u32 %r11, %r11, %r12;
  and.b32 %r12, %r2, 3;
  shl.b32 %r13, %r11, 5;
  shl.b32 %r14, %r12, 2;
  add.u32 %r13, %r13, %r14;
  ld.param.u64 %d3, [pq];
  cvt.u64.u32 %d4, %r13;
  add.u64 %d3, %d3, %d4;
  ld.global.b32 %a0, [%d3];
  ld.global.b32 %a1, [%d3+256];
  ld.global.b32 %a2, [%d3+16];
  ld.global.b32 %a3, [%d3+272];
  add.rn.bf16x2 %a0, %a0, %a0;
  add.rn.bf16x2 %a1, %a1, %a1;
  add.rn.bf16x2 %a2, %a2, %a2;
  add.rn.bf16x2 %a3, %a3, %a3;
  shr.u32 %r15, %r3, 4;
  cvt.u64.u32 %d5, %r15;
  or.b64 %d5, %d5, 0x4000004000000000; // descriptor of v
  wgmma.fence.sync.aligned;
  wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 @C@, {%a0, %a1, %a2, %a3}, %d5, 0, 1, 1, 1;
  wgmma.commit_group.sync.aligned;
  // in flight
  wgmma.wait_group.sync.aligned 0;
  ld.param.u64 %d6, [po];
  shl.b32 %r16, %r11, 6;
  shl.b32 %r17, %r12, 1;
  add.u32 %r16, %r16, %r17;
  mul.wide.u32 %d7, %r16, 4;
  add.u64 %d6, %d6, %d7;
@STORE@
  ret;
}
)");
  std::string store;
  for (unsigned i = 0; i < 32; i += 2) {
    unsigned offset = 32 * (i >> 2) + 2048 * (i >> 1 & 1);
    store += "  st.global.v2.f32 [%d6+" + std::to_string(offset) + "], {%c" +
             std::to_string(i) + ", %c" + std::to_string(i + 1) + "};\n";
  }
  text = planted(text, "@STORE@\n", store);
  return replaced(text, "@C@", registerList("%c", 32));
}

std::string bulkText() {
  return moduleOf(R"(.visible .entry bulk(.param .u64 pi, .param .u64 po)
.maxntid 128
{
  .reg .pred %p<4>;
  .reg .b32 %r<16>;
  .reg .b64 %d<8>;
  mov.u32 %r0, %tid.x;
  mov.u64 %d0, smem;
  cvt.u32.u64 %r1, %d0;
  setp.ne.u32 %p0, %r0, 0;
  @%p0 bra READY;
  mbarrier.init.shared::cta.b64 [%r1+2048], 1;
READY:
  bar.sync 0;
  @%p0 bra WAIT;
  mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%r1+2048], 2048;
  ld.param.u64 %d1, [pi];
  add.u32 %r9, %r1, 2048;
  cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d1], 2048, [%r9]; // load
WAIT:
  mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p1, [%r1+2048], 0;
  @!%p1 bra WAIT;
  shl.b32 %r2, %r0, 4;
  add.u32 %r2, %r2, %r1;
  ld.shared.v4.f32 {%r3, %r4, %r5, %r6}, [%r2]; // use
  add.rn.f32 %r3, %r3, 0f3F800000;
  add.rn.f32 %r4, %r4, 0f3F800000;
  add.rn.f32 %r5, %r5, 0f3F800000;
  add.rn.f32 %r6, %r6, 0f3F800000;
  st.shared.v4.f32 [%r2], {%r3, %r4, %r5, %r6}; // result
  fence.proxy.async.shared::cta;
  bar.sync 0; // before the store
  @%p0 bra DONE;
  ld.param.u64 %d2, [po];
  cp.async.bulk.global.shared::cta.bulk_group [%d2], [%r1], 2048; // store
  cp.async.bulk.commit_group;
  // in flight
  cp.async.bulk.wait_group.read 0;
DONE:
  ret;
}
)");
}

std::string dependentText() {
  return moduleOf(R"(.visible .entry first(.param .u64 po)
{
  .reg .b32 %r<4>;
  .reg .b64 %d<4>;
  mov.u32 %r0, %tid.x;
  ld.param.u64 %d0, [po];
  mul.wide.u32 %d1, %r0, 4;
  add.u64 %d0, %d0, %d1;
  cvt.rn.f32.u32 %r1, %r0;
  griddepcontrol.wait;
  st.global.f32 [%d0], %r1;
  griddepcontrol.launch_dependents;
  ret;
}
.visible .entry second(.param .u64 pi, .param .u64 po)
{
  .reg .b32 %r<4>;
  .reg .b64 %d<8>;
  mov.u32 %r0, %tid.x;
  griddepcontrol.launch_dependents;
  ld.param.u64 %d0, [pi];
  ld.param.u64 %d1, [po];
  mul.wide.u32 %d2, %r0, 4;
  add.u64 %d0, %d0, %d2;
  add.u64 %d1, %d1, %d2;
  griddepcontrol.wait; // of second
  ld.global.f32 %r1, [%d0]; // dependent
  add.rn.f32 %r1, %r1, 0f3F800000;
  st.global.f32 [%d1], %r1;
  ret;
}
)");
}

std::string exchangeText() {
  return moduleOf(R"(.visible .entry exchange(.param .u64 po)
{
  .reg .pred %p<2>;
  .reg .b32 %r<16>;
  .reg .b64 %d<4>;
  mov.u32 %r0, %tid.x;
  shr.u32 %r1, %r0, 5;
  and.b32 %r2, %r0, 31;
  mov.u64 %d0, smem;
  cvt.u32.u64 %r3, %d0;
  shl.b32 %r4, %r1, 2;
  add.u32 %r4, %r4, %r3;
  setp.ne.u32 %p0, %r2, 0;
  @!%p0 st.shared.u32 [%r4], %r1; // mine
  bar.sync 1, 128;
  add.u32 %r5, %r1, 1;
  and.b32 %r5, %r5, 3;
  shl.b32 %r5, %r5, 2;
  add.u32 %r5, %r5, %r3;
  ld.shared.u32 %r6, [%r5]; // theirs
  ld.param.u64 %d1, [po];
  mul.wide.u32 %d2, %r0, 4;
  add.u64 %d1, %d1, %d2;
  st.global.u32 [%d1], %r6;
  ret;
}
)");
}

} // namespace hadal::sim::test
