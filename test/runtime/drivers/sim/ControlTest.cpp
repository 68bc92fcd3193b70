// Divergence, barriers, warp collectives, deadlocks, refusals.
#include <algorithm>

#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {
namespace {

std::vector<LaneInput> lanes(unsigned count, uint64_t (*a)(unsigned),
                             uint64_t (*b)(unsigned) = nullptr) {
  std::vector<LaneInput> inputs(count);
  for (unsigned l = 0; l < count; ++l)
    inputs[l] = {a(l), b ? b(l) : 0, 0};
  return inputs;
}

const auto identity = [](unsigned l) -> uint64_t { return l; };

TEST(SimControl, LoopsOfDifferentLength) {
  LaneRun run = runLanes("mov.u32 %rd, 0; mov.u32 %re, 0;\n"
                         "LOOP: setp.ge.u32 %p, %re, %ra;\n@%p bra DONE;\n"
                         "add.u32 %rd, %rd, %re; add.u32 %re, %re, 1;\n"
                         "bra LOOP;\nDONE:",
                         "%rd", lanes(64, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 64; ++l)
    EXPECT_EQ(run.out[l], l * (l - 1) / 2 % (uint64_t(1) << 32)) << l;
}

TEST(SimControl, BranchesJoinBeforeACollective) {
  // Both arms meet again before the shuffle; three ways by a branch table.
  LaneRun run = runLanes("rem.u32 %re, %ra, 3;\n"
                         "T: .branchtargets A, B, C;\nbrx.idx %re, T;\n"
                         "A: mov.u32 %rd, 10; bra J;\n"
                         "B: mov.u32 %rd, 20; bra J;\n"
                         "C: mov.u32 %rd, 30;\n"
                         "J: shfl.sync.idx.b32 %rd, %rd, 4, 31, -1;",
                         "%rd", lanes(32, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 32; ++l)
    EXPECT_EQ(run.out[l], 20u);
}

TEST(SimControl, NestedScopesRepeatLabelsAndRegisters) {
  std::string block = "{ .reg .pred P1; .reg .b32 %ra; mov.u32 %ra, 0;\n"
                      "LAB_WAIT: add.u32 %ra, %ra, 1;\n"
                      "setp.ge.u32 P1, %ra, 5; @P1 bra.uni DONE;\n"
                      "bra.uni LAB_WAIT;\nDONE: add.u32 %rd, %rd, %ra; }\n";
  EXPECT_EQ(evaluate("mov.u32 %rd, 0;\n" + block + block, "%rd", {100}), 10u);
}

TEST(SimControl, SpinningLaneDoesNotStarveAnother) {
  // Lane 1 waits for a flag that lane 0 sets later in the text order.
  LaneRun run = runLanes(
      ".shared .align 4 .b8 flag[4];\nmov.u32 %re, flag;\n"
      "setp.ne.u32 %q, %ra, 0; @%q bra SKIP; st.shared.b32 [%re], 0;\nSKIP:\n"
      "bar.warp.sync -1;\nsetp.eq.u32 %p, %ra, 0;\n@%p bra SET;\n"
      "SPIN: ld.volatile.shared.b32 %rd, [%re];\nsetp.eq.u32 %s, %rd, 0;\n"
      "@%s bra SPIN;\nbra END;\n"
      "SET: st.volatile.shared.b32 [%re], 9; mov.u32 %rd, 9;\nEND:",
      "%rd", lanes(2, identity));
  EXPECT_EQ(countOf(run.report, FindingKind::instructionLimit), 0u);
  EXPECT_EQ(run.out[1], 9u);
}

TEST(SimControl, BarrierAcrossWarps) {
  LaneRun run = runLanes(
      ".shared .align 4 .b8 s[1024];\nmov.u32 %re, s;\n"
      "shl.b32 %rb, %ra, 2; add.u32 %rb, %rb, %re;\n"
      "st.shared.b32 [%rb], %ra;\nbar.sync 0;\n"
      "xor.b32 %rb, %ra, 224; shl.b32 %rb, %rb, 2; add.u32 %rb, %rb, %re;\n"
      "ld.shared.b32 %rd, [%rb];",
      "%rd", lanes(256, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 256; ++l)
    EXPECT_EQ(run.out[l], l ^ 224);
}

TEST(SimControl, NamedBarriersWithArrive) {
  // Warp 0 produces and arrives; warp 1 waits. 64 threads are counted.
  LaneRun run = runLanes(
      ".shared .align 4 .b8 s[4];\nmov.u32 %re, s; mov.u32 %rd, 5;\n"
      "setp.ge.u32 %p, %ra, 32; @%p bra CONSUME;\n"
      "st.shared.b32 [%re], 77; bar.arrive 3, 64; bra END;\n"
      "CONSUME: bar.sync 3, 64; ld.shared.b32 %rd, [%re];\nEND:",
      "%rd", lanes(64, identity));
  EXPECT_EQ(countOf(run.report, FindingKind::barrierMisuse), 0u)
      << run.report.toString();
  EXPECT_EQ(run.out[0], 5u);
  EXPECT_EQ(run.out[63], 77u);
}

TEST(SimControl, BarrierReductions) {
  auto reduce = [](const std::string &op, const std::string &d) {
    return runLanes("setp.lt.u32 %q, %ra, 3;\nbar.red." + op + " " + d +
                        ", 0, %q;",
                    d, lanes(64, identity));
  };
  EXPECT_EQ(reduce("popc.u32", "%rd").out[40], 3u);
  EXPECT_EQ(reduce("and.pred", "%p").out[0], 0u);
  EXPECT_EQ(reduce("or.pred", "%p").out[40], 1u);
}

TEST(SimControl, FindingsOfMisusedBarriers) {
  LaneRun partial = runLanes("setp.lt.u32 %p, %ra, 7;\n@%p bar.sync 0;\n"
                             "mov.u32 %rd, 0;",
                             "%rd", lanes(32, identity));
  EXPECT_EQ(countOf(partial.report, FindingKind::divergentAligned), 1u);
  LaneRun counts = runLanes(
      "mov.u32 %rd, 0; setp.lt.u32 %p, %ra, 32;\n@%p bra A;\n"
      "bar.sync 1, 64; bra B;\nA: bar.sync 1, 96;\nB:",
      "%rd", lanes(64, identity));
  EXPECT_GE(countOf(counts.report, FindingKind::barrierMisuse), 1u);
}

TEST(SimControl, BarrierAfterStoresBehindTheEnd) {
  // Both halves of each warp store; one half's block stands behind the kernel,
  // so that the other half comes to the barrier first and waits there.
  LaneRun run = runLanes(
      ".shared .align 4 .b8 s[256];\nmov.u32 %re, s;\n"
      "shl.b32 %rb, %ra, 2; add.u32 %rb, %rb, %re;\n"
      "and.b32 %rc, %ra, 16; setp.ne.u32 %p, %rc, 0;\n@%p bra AWAY;\n"
      "st.shared.b32 [%rb], %ra;\n"
      "JOIN: bar.sync 0;\n"
      "xor.b32 %rb, %ra, 48; shl.b32 %rb, %rb, 2; add.u32 %rb, %rb, %re;\n"
      "ld.shared.b32 %rd, [%rb]; bra END;\n"
      "AWAY: add.u32 %rc, %ra, 1000; st.shared.b32 [%rb], %rc; bra JOIN;\n"
      "END:",
      "%rd", lanes(64, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 64; ++l)
    EXPECT_EQ(run.out[l], (l ^ 48) + ((l ^ 48) & 16 ? 1000 : 0)) << l;
}

TEST(SimControl, BarrierAfterALoopOfDifferentLength) {
  LaneRun run = runLanes(
      ".shared .align 4 .b8 s[256];\nmov.u32 %re, s; mov.u32 %rc, 0;\n"
      "shl.b32 %rb, %ra, 2; add.u32 %rb, %rb, %re;\n"
      "LOOP: setp.ge.u32 %p, %rc, %ra;\n@%p bra DONE;\n"
      "add.u32 %rc, %rc, 1; bra LOOP;\n"
      "DONE: st.shared.b32 [%rb], %rc;\nbar.sync 0;\n"
      "xor.b32 %rb, %ra, 32; shl.b32 %rb, %rb, 2; add.u32 %rb, %rb, %re;\n"
      "ld.shared.b32 %rd, [%rb];",
      "%rd", lanes(64, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 64; ++l)
    EXPECT_EQ(run.out[l], l ^ 32);
}

TEST(SimControl, FindingsOfBarriersInDivergedCode) {
  // One barrier in each arm; then lanes that exit beside waiting ones.
  LaneRun arms = runLanes("mov.u32 %rd, 0; setp.lt.u32 %p, %ra, 7;\n"
                          "@%p bra A;\nbar.sync 0;\nbra B;\n"
                          "A: bar.sync 0;\nB:",
                          "%rd", lanes(32, identity));
  EXPECT_GE(countOf(arms.report, FindingKind::divergentAligned), 1u);
  EXPECT_EQ(countOf(arms.report, FindingKind::deadlock), 0u);
  LaneRun gone = runLanes("mov.u32 %rd, 0; setp.lt.u32 %p, %ra, 7;\n"
                          "@%p bra A;\nbar.sync 0;\nA:",
                          "%rd", lanes(32, identity));
  EXPECT_EQ(countOf(gone.report, FindingKind::divergentAligned), 1u);
  EXPECT_NE(gone.report.findings[0].text.find("exit"), std::string::npos)
      << gone.report.toString();
}

TEST(SimControl, DeadlockNamesEveryWarp) {
  LaneRun run = runLanes("mov.u32 %rd, 0; setp.lt.u32 %p, %ra, 32;\n"
                         "@%p bra A;\nbar.sync 1, 64;\nbra B;\n"
                         "A: bar.sync 2, 64;\nB:",
                         "%rd", lanes(64, identity));
  ASSERT_EQ(countOf(run.report, FindingKind::deadlock), 1u);
  const std::string &text = run.report.findings[0].text;
  EXPECT_NE(text.find("warp 0"), std::string::npos) << text;
  EXPECT_NE(text.find("waits at barrier 2"), std::string::npos) << text;
  EXPECT_NE(text.find("warp 1"), std::string::npos) << text;
  EXPECT_NE(text.find("waits at barrier 1"), std::string::npos) << text;
}

TEST(SimControl, EndlessLoopEnds) {
  Options options;
  options.instructionLimit = 100'000;
  LaneRun run = runLanes("mov.u32 %rd, 0;\nL: bra L;", "%rd",
                         lanes(32, identity), options);
  EXPECT_EQ(countOf(run.report, FindingKind::instructionLimit), 1u);
}

TEST(SimControl, GuardsAndExit) {
  LaneRun run = runLanes("mov.u32 %rd, 1; setp.lt.u32 %p, %ra, 8;\n"
                         "@%p add.u32 %rd, %rd, 1;\n@!%p add.u32 %rd, %rd, 10;"
                         "\nst.global.b64 [%out], 0;\n@!%p exit;",
                         "%rd", lanes(32, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  EXPECT_EQ(run.out[7], 2u);
  EXPECT_EQ(run.out[8], 0u);
}

TEST(SimWarp, Shuffles) {
  auto shuffle = [](const std::string &form) {
    return runLanes("shfl.sync." + form + ", -1; selp.b32 %re, 100, 0, %p;\n"
                                          "add.u32 %rd, %rd, %re;",
                    "%rd", lanes(32, identity))
        .out;
  };
  std::vector<uint64_t> bfly = shuffle("bfly.b32 %rd|%p, %ra, 1, 31");
  std::vector<uint64_t> down = shuffle("down.b32 %rd|%p, %ra, 4, 31");
  std::vector<uint64_t> up = shuffle("up.b32 %rd|%p, %ra, 4, 0");
  std::vector<uint64_t> idx = shuffle("idx.b32 %rd|%p, %ra, 3, 0x181F");
  for (unsigned l = 0; l < 32; ++l) {
    EXPECT_EQ(bfly[l], (l ^ 1) + 100);
    EXPECT_EQ(down[l], l < 28 ? l + 104 : l);
    EXPECT_EQ(up[l], l >= 4 ? l + 96 : l);
    EXPECT_EQ(idx[l], (l & ~7u) + 103) << l;
  }
}

TEST(SimWarp, Votes) {
  auto vote = [](const std::string &form, const std::string &d) {
    return runLanes("setp.lt.u32 %q, %ra, 5;\nvote.sync." + form + " " + d +
                        ", %q, -1;",
                    d, lanes(32, identity))
        .out[9];
  };
  EXPECT_EQ(vote("ballot.b32", "%rd"), 0x1Fu);
  EXPECT_EQ(vote("all.pred", "%p"), 0u);
  EXPECT_EQ(vote("any.pred", "%p"), 1u);
  EXPECT_EQ(vote("uni.pred", "%p"), 0u);
}

TEST(SimWarp, MatchReduxElect) {
  auto mod4 = [](unsigned l) -> uint64_t { return l % 4; };
  std::vector<uint64_t> any =
      runLanes("match.any.sync.b32 %rd, %ra, -1;", "%rd", lanes(32, mod4)).out;
  for (unsigned l = 0; l < 32; ++l)
    EXPECT_EQ(any[l], 0x11111111u << (l % 4));
  EXPECT_EQ(runLanes("match.all.sync.b32 %rd|%p, 5, -1;", "%rd",
                     lanes(32, identity))
                .out[3],
            0xFFFFFFFFu);
  auto redux = [](const std::string &op) {
    return runLanes("add.u32 %ra, %ra, 1; redux.sync." + op +
                        " %rd, %ra, -1;",
                    "%rd", lanes(32, identity))
        .out[5];
  };
  EXPECT_EQ(redux("add.u32"), 528u);
  EXPECT_EQ(redux("max.s32"), 32u);
  EXPECT_EQ(redux("min.u32"), 1u);
  EXPECT_EQ(redux("xor.b32"), 32u);
  EXPECT_EQ(redux("or.b32"), 63u);
  std::vector<uint64_t> elected =
      runLanes("elect.sync %rd|%p, -1; selp.b32 %re, 100, 0, %p;\n"
               "add.u32 %rd, %rd, %re;",
               "%rd", lanes(32, identity))
          .out;
  unsigned leaders = 0;
  for (uint64_t value : elected)
    leaders += value >= 100;
  EXPECT_EQ(leaders, 1u);
  EXPECT_EQ(elected[elected[1]] - 100, elected[1]);
}

TEST(SimWarp, CollectivesWaitForTheirMembers) {
  // The halves of the warp reach one shuffle by different ways and at
  // different times; each only waits for its own member mask.
  LaneRun run = runLanes(
      "setp.lt.u32 %p, %ra, 16; selp.b32 %re, 0xFFFF, 0xFFFF0000, %p;\n"
      "mov.u32 %rb, %ra;\n@%p bra S;\nadd.u32 %rb, %rb, 0;\n"
      "S: shfl.sync.bfly.b32 %rd, %rb, 1, 31, %re;",
      "%rd", lanes(32, identity));
  EXPECT_TRUE(run.report.clean()) << run.report.toString();
  for (unsigned l = 0; l < 32; ++l)
    EXPECT_EQ(run.out[l], l ^ 1);
  LaneRun bad = runLanes("mov.u32 %rd, 0; shfl.sync.bfly.b32 %rd, %ra, 1, 31, "
                         "1;",
                         "%rd", lanes(2, identity));
  EXPECT_EQ(countOf(bad.report, FindingKind::badMemberMask), 1u);
}

TEST(SimWarp, ShuffleFromAMissingLaneIsUndefined) {
  LaneRun run = runLanes("mov.u32 %rd, 0; setp.lt.u32 %p, %ra, 16;\n"
                         "@%p bra S;\nbra E;\n"
                         "S: shfl.sync.idx.b32 %rd, %ra, 20, 31, 0xFFFF;\nE:",
                         "%rd", lanes(32, identity));
  EXPECT_EQ(countOf(run.report, FindingKind::undefinedStore), 1u);
}

TEST(SimControl, ClusterBarrierAndRemoteShared) {
  // Each CTA of a cluster of two writes its rank + 40 into the other one.
  std::string text = moduleText(
      ".visible .entry k(.param .u64 out)\n{\n.reg .b64 %o, %t;\n"
      ".reg .b32 %r<9>;\n.shared .align 4 .b8 s[4];\n"
      "ld.param.u64 %o, [out]; mov.u32 %r0, %cluster_ctarank;\n"
      "xor.b32 %r1, %r0, 1; mov.u32 %r2, s;\n"
      "mapa.shared::cluster.u32 %r3, %r2, %r1; add.u32 %r4, %r0, 40;\n"
      "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n"
      "st.shared::cluster.b32 [%r3], %r4;\n"
      "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n"
      "ld.shared.b32 %r5, [%r2]; mov.u32 %r6, %ctaid.x;\n"
      "mul.wide.u32 %t, %r6, 4; add.s64 %t, %o, %t;\n"
      "st.global.b32 [%t], %r5;\nret;\n}\n");
  Memory memory(1 << 20);
  uint64_t out = *memory.allocate(16, "out");
  LaunchConfig config;
  config.grid[0] = 4;
  config.cluster[0] = 2;
  config.block[0] = 32;
  Options options;
  options.seed = 5;
  options.checkRaces = false; // 32 lanes store one value
  Report report = run(text, config, {out}, memory, options);
  EXPECT_TRUE(report.clean()) << report.toString();
  uint32_t words[4];
  ASSERT_TRUE(memory.read(out, words, 16).ok());
  for (unsigned c = 0; c < 4; ++c)
    EXPECT_EQ(words[c], 41 - c % 2);
}

TEST(SimControl, RegisterBudget) {
  LaneRun run = runLanes("mov.u32 %rd, 0;\n"
                         "setmaxnreg.dec.sync.aligned.u32 40;\n"
                         "setmaxnreg.inc.sync.aligned.u32 24;",
                         "%rd", lanes(32, identity));
  EXPECT_EQ(countOf(run.report, FindingKind::registerBudget), 1u);
}

TEST(SimParser, RefusesByNameWithItsLine) {
  struct Case {
    const char *body, *expected;
  };
  for (Case c : {Case{"frobnicate.b32 %ra, %rb;", "'frobnicate.b32'"},
                 Case{"add.rz.f32 %rd, %ra, %rb;", ".rz"},
                 Case{"add.cc.s32 %rd, %ra, %rb;", ".cc"},
                 Case{"atom.global.add.f32 %rd, [%a], %rb;", "float atomics"},
                 Case{"mov.b32 %rd, %unknown;", "%unknown"},
                 Case{"mov.b64 %d, %ra;", "%ra has 32 bits"},
                 Case{"bra NOWHERE;", "NOWHERE"},
                 Case{"ld.global.v8.b32 {%ra}, [%a];", "v8"},
                 Case{"call.uni f, (%ra);", "'call.uni'"},
                 Case{"redux.sync.add.f32 %rd, %ra, -1;", "sm_90a"},
                 Case{"cvt.rn.bf16x2.e4m3x2 %rd, %ha;", "sm_90a"}}) {
    std::string message = parseError(c.body);
    EXPECT_NE(message.find(c.expected), std::string::npos)
        << c.body << ": " << message;
    std::string text = laneKernel(c.body, "%d");
    auto line = 1 + std::count(text.begin(),
                               text.begin() + static_cast<ptrdiff_t>(
                                                  text.find(c.body)),
                               '\n');
    EXPECT_NE(message.find("PTX line " + std::to_string(line) + ":"),
              std::string::npos)
        << message;
  }
  for (const char *text :
       {".target sm_100a", ".address_size 32", "hello", ".visible .entry k(",
        ".visible .entry k() { .reg .b32 %r<2>", ".global .b8 x[3"}) {
    auto module = PtxModule::parse(text);
    EXPECT_FALSE(module.ok()) << text;
  }
}

std::string repeat(const char *text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i)
    all += text;
  return all;
}

// Text that nests as deep as it is long, or that ends where a name must follow.
TEST(SimParser, DepthAndEndsOfTextAreHarmless) {
  EXPECT_NE(parseError("mov.b32 %rd, " + repeat("{", 1 << 20)).find("operand"),
            std::string::npos);
  EXPECT_NE(parseError("ld.global.b32 %rd, " + repeat("[%a, ", 1 << 20))
                .find("operand"),
            std::string::npos);
  EXPECT_NE(parseError(repeat("{", 1 << 20)).find("4096 blocks"),
            std::string::npos);
  std::string head = laneKernel("", "%d");
  head = head.substr(0, head.rfind('}'));
  for (const char *tail : {"selp.b32 %r1, 1, 2, !", "mov.b32 %rd, -",
                           "@!", "ld.global.b32 %rd, [", "mov.b32 {%ra"}) {
    auto module = PtxModule::parse(head + tail);
    EXPECT_FALSE(module.ok()) << tail;
  }
}

TEST(SimLaunch, RefusesWhatNoDeviceAccepts) {
  auto module = PtxModule::parse(laneKernel("mov.u64 %d, 0;", "%d"));
  ASSERT_TRUE(module.ok()) << module.status().message();
  Memory memory(1 << 20);
  auto code = [&](LaunchConfig config, size_t bytes, const char *name) {
    std::vector<uint8_t> block(bytes);
    auto report = launch(**module, name, config, block, memory, {});
    return report.ok() ? 0 : report.status().code();
  };
  LaunchConfig good, threads, shared, grid, cluster;
  threads.block[0] = 1025;
  shared.sharedBytes = 232449;
  grid.grid[1] = 0;
  cluster.cluster[0] = 2;
  EXPECT_EQ(code(good, 16, "nothing"), 5021);
  EXPECT_EQ(code(good, 8, "k"), 5022);
  EXPECT_EQ(code(threads, 16, "k"), 5022);
  EXPECT_EQ(code(shared, 16, "k"), 5022);
  EXPECT_EQ(code(grid, 16, "k"), 5022);
  EXPECT_EQ(code(cluster, 16, "k"), 5022);
}

} // namespace
} // namespace hadal::sim::test
