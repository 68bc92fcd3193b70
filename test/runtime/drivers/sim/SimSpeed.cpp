// Warp instructions per second of CPU time of the simulator, on a loop of arithmetic and on
// a loop of global loads, shared stores and shared loads.
#include <cstdio>
#include <ctime>

#include "runtime/drivers/sim/Launch.h"

using namespace hadal;
using namespace hadal::sim;

static const char *const text = R"(.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 16 .b8 s[];
.visible .entry arithmetic(.param .u64 a, .param .u32 n)
{
 .reg .b64 %a, %x; .reg .b32 %r<20>; .reg .b32 %f<9>; .reg .pred %p;
 ld.param.u64 %a, [a]; ld.param.u32 %r9, [n];
 mov.u32 %r0, %tid.x; mov.u32 %r1, 0; mov.u32 %r2, 1;
 cvt.rn.f32.s32 %f0, %r0; mov.b32 %f1, 0f3F800000; mov.b32 %f2, 0f3F000000;
LOOP:
 fma.rn.f32 %f0, %f0, %f2, %f1; add.rn.f32 %f1, %f1, %f2;
 mul.rn.f32 %f3, %f1, %f0; max.f32 %f4, %f3, %f0;
 fma.rn.f32 %f5, %f3, %f2, %f4; cvt.rn.bf16x2.f32 %r3, %f4, %f5;
 xor.b32 %r2, %r2, %r3; shl.b32 %r4, %r2, 3; add.s32 %r5, %r4, %r2;
 and.b32 %r6, %r5, 255; mad.lo.s32 %r7, %r6, %r5, %r4;
 selp.b32 %r8, %r7, %r5, %p; add.s32 %r1, %r1, 1;
 setp.lt.s32 %p, %r1, %r9;
 @%p bra LOOP;
 mov.u32 %r0, %tid.x; mul.wide.u32 %x, %r0, 4; add.s64 %a, %a, %x;
 st.global.b32 [%a], %r7;
 ret;
}
.visible .entry memory(.param .u64 a, .param .u32 n)
{
 .reg .b64 %a, %x, %y; .reg .b32 %r<20>; .reg .pred %p;
 ld.param.u64 %a, [a]; ld.param.u32 %r9, [n];
 mov.u32 %r0, %tid.x; mul.wide.u32 %x, %r0, 16; add.s64 %x, %a, %x;
 mov.u32 %r1, 0; shl.b32 %r7, %r0, 4; mov.u32 %r8, s; add.s32 %r7, %r7, %r8;
LOOP:
 ld.global.v4.b32 {%r2, %r3, %r4, %r5}, [%x];
 st.shared.v4.b32 [%r7], {%r2, %r3, %r4, %r5};
 ld.shared.b32 %r6, [%r7+8];
 add.s32 %r1, %r1, 1; st.global.b32 [%x], %r6;
 setp.lt.s32 %p, %r1, %r9;
 @%p bra LOOP;
 ret;
}
)";

int main() {
  auto module = PtxModule::parse(text);
  if (!module.ok()) {
    std::fprintf(stderr, "%s\n", module.status().toString().c_str());
    return 1;
  }
  for (const char *kernel : {"arithmetic", "memory"})
    for (bool races : {false, true}) {
      Memory memory(1 << 24);
      uint64_t a = *memory.allocate(1 << 16, "a");
      if (!memory.fill(a, 1, 1 << 16).ok())
        return 1;
      LaunchConfig config;
      config.block[0] = 256;
      config.sharedBytes = 8192;
      uint8_t block[12];
      uint32_t n = 40000;
      std::memcpy(block, &a, 8);
      std::memcpy(block + 8, &n, 4);
      Options options;
      options.checkRaces = races;
      std::clock_t start = std::clock();
      auto report = launch(**module, kernel, config, block, memory, options);
      if (!report.ok()) {
        std::fprintf(stderr, "%s\n", report.status().toString().c_str());
        return 1;
      }
      const Statistics &s = report->statistics;
      double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
      std::printf("%-10s races %d: %.1f M warp instructions/s (%llu in %.2f s of CPU), "
                  "%zu findings\n",
                  kernel, races, s.instructions / seconds / 1e6,
                  static_cast<unsigned long long>(s.instructions), seconds,
                  report->findings.size());
    }
  return 0;
}
