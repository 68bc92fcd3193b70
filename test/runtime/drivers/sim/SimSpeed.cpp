// What the simulator does per second of CPU time: warp instructions of a loop of
// arithmetic and of a loop of loads and stores, FLOPs of wgmma; and how much
// faster a launch of many blocks is on two threads.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "runtime/drivers/sim/machine/Launch.h"

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

/// Kernel `wgmma` of one warpgroup: n rounds of four m64n128k32 on FP8 tiles of
/// zeros.
static std::string wgmmaText() {
  std::string list;
  for (unsigned i = 0; i < 64; ++i)
    list += (i ? ", %f" : "%f") + std::to_string(i);
  std::string mma;
  for (unsigned k = 0; k < 4; ++k)
    mma += " add.s64 %x, %a, " + std::to_string(2 * k) + "; add.s64 %y, %b, " +
           std::to_string(2 * k) +
           ";\n wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" + list +
           "}, %x, %y, %q, 1, 1;\n";
  return R"(.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 s[];
.visible .entry wgmma(.param .u64 p, .param .u32 n)
{
 .reg .b64 %a, %b, %x, %y; .reg .b32 %r<8>; .reg .b32 %f<64>; .reg .pred %p, %q;
 ld.param.u32 %r4, [n];
 mov.u32 %r0, %tid.x; shl.b32 %r1, %r0, 4; mov.u32 %r2, s; add.s32 %r1, %r1, %r2;
 mov.u32 %r3, 0; mov.u32 %r5, 0;
FILL:
 st.shared.v4.b32 [%r1], {%r5, %r5, %r5, %r5};
 add.s32 %r1, %r1, 2048; add.s32 %r3, %r3, 1; setp.lt.s32 %p, %r3, 12; @%p bra FILL;
 fence.proxy.async.shared::cta; bar.sync 0;
 shr.u32 %r2, %r2, 4; cvt.u64.u32 %a, %r2;
 or.b64 %a, %a, 0x4000004000010000; add.s64 %b, %a, 512;
 mov.u32 %r3, 0; setp.eq.u32 %q, %r5, 1;
LOOP:
 wgmma.fence.sync.aligned;
)" + mma +
         R"( wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;
 setp.eq.u32 %q, %r5, 0;
 add.s32 %r3, %r3, 1; setp.lt.s32 %p, %r3, %r4; @%p bra LOOP;
 ret;
}
)";
}

/// Runs |kernel| of |module|; CPU and wall seconds in |cpu| and |wall|.
static Report runOnce(const PtxModule &module, const char *kernel,
                      unsigned block, unsigned grid, uint32_t n,
                      const Options &options, double &cpu, double &wall) {
  Memory memory(1 << 24);
  uint64_t a = *memory.allocate(1 << 20, "a");
  if (!memory.fill(a, 1, 1 << 20).ok())
    std::exit(1);
  LaunchConfig config;
  config.block[0] = block;
  config.grid[0] = grid;
  config.sharedBytes = 32768;
  uint8_t parameters[12];
  std::memcpy(parameters, &a, 8);
  std::memcpy(parameters + 8, &n, 4);
  std::clock_t start = std::clock();
  auto begin = std::chrono::steady_clock::now();
  auto report = launch(module, kernel, config, parameters, memory, options);
  wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
             .count();
  cpu = double(std::clock() - start) / CLOCKS_PER_SEC;
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.status().toString().c_str());
    std::exit(1);
  }
  return *report;
}

int main() {
  auto module = PtxModule::parse(text);
  if (!module.ok()) {
    std::fprintf(stderr, "%s\n", module.status().toString().c_str());
    return 1;
  }
  auto matrix = PtxModule::parse(wgmmaText());
  if (!matrix.ok()) {
    std::fprintf(stderr, "%s\n", matrix.status().toString().c_str());
    return 1;
  }
  double cpu, wall;
  Options options;
  for (const char *kernel : {"arithmetic", "memory"})
    for (bool races : {false, true}) {
      options.checkRaces = races;
      Report report =
          runOnce(**module, kernel, 256, 1, 40000, options, cpu, wall);
      std::printf("%-10s races %d: %6.1f M warp instructions/s, %zu findings\n",
                  kernel, races, report.statistics.instructions / cpu / 1e6,
                  report.findings.size());
    }
  for (bool races : {false, true}) {
    options.checkRaces = races;
    const uint32_t rounds = 4000;
    Report report =
        runOnce(**matrix, "wgmma", 128, 1, rounds, options, cpu, wall);
    std::printf("wgmma e4m3 races %d: %6.1f GFLOP/s, %zu findings\n", races,
                rounds * 4 * 2 * 64.0 * 128 * 32 / cpu / 1e9,
                report.findings.size());
  }
  // The blocks of "arithmetic" store to the same words: they race.
  options.checkRaces = false;
  double one, two;
  runOnce(**module, "arithmetic", 256, 64, 2000, options, cpu, one);
  options.threads = 2;
  runOnce(**module, "arithmetic", 256, 64, 2000, options, cpu, two);
  std::printf("64 blocks on two threads: %.2f times as fast as on one\n",
              one / two);
  return 0;
}
