// Races in global memory between CTAs and between warps, the ticket protocol,
// what bulk stores publish, and griddepcontrol.wait thread by thread: right
// kernels and planted bugs.
#include "test/Sanitizers.h"
#include "test/runtime/drivers/sim/planted/Planted.h"

#include <set>

namespace hadal::sim::test {
namespace {

/// Kernel k(a, b, ticket): |body| has %a, %b, %t (the pointers), %tid, %cta,
/// %n (CTAs), %s (4096 shared bytes), %i (4 x the thread of the grid).
std::string globalText(const std::string &body) {
  return R"(.version 8.7
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 pa, .param .u64 pb, .param .u64 pt)
{
  .shared .align 16 .b8 smem[4096];
  .reg .pred %p<8>;
  .reg .b32 %r<16>, %tid, %cta, %n, %s;
  .reg .b64 %d<8>, %a, %b, %t, %i;
  mov.u32 %tid, %tid.x; mov.u32 %cta, %ctaid.x; mov.u32 %n, %nctaid.x;
  mov.u32 %s, smem;
  ld.param.u64 %a, [pa]; ld.param.u64 %b, [pb]; ld.param.u64 %t, [pt];
  mov.u32 %r0, %ntid.x; mad.lo.u32 %r0, %cta, %r0, %tid;
  mul.wide.u32 %i, %r0, 4;
)" + body + "\n  ret;\n}\n";
}

constexpr unsigned threads = 64, ctas = 4, words = threads * ctas;

struct Outcome {
  Report report;
  std::vector<uint32_t> a, b;
};

/// a[i] = i, b and the ticket zero; a launch before writes 1000 + i to a if
/// |dependent|.
Outcome runGlobal(const std::string &text, AsyncPolicy policy, uint64_t seed = 0,
                  bool dependent = false, unsigned grid = ctas,
                  unsigned hostThreads = 1) {
  Memory memory(1 << 20);
  std::vector<uint32_t> a(words), zero(words);
  for (unsigned i = 0; i < words; ++i)
    a[i] = i;
  ParameterBlock parameters;
  uint64_t at = upload(memory, a, "a"), bt = upload(memory, zero, "b");
  parameters.add(at).add(bt).add(
      upload(memory, std::vector<uint32_t>(32), "ticket"));
  LaunchConfig config;
  config.block[0] = threads;
  config.grid[0] = grid;
  Options options;
  options.policy = policy;
  options.seed = seed;
  options.threads = hostThreads;
  if (dependent) {
    Report first = launchText(
        globalText("  add.s64 %d0, %a, %i;\n  ld.global.b32 %r1, [%d0];\n"
                   "  add.u32 %r1, %r1, 1000;\n  st.global.b32 [%d0], %r1;"),
        "k", config, parameters, memory, options);
    EXPECT_TRUE(first.clean()) << first.toString();
    config.pdl = true;
  }
  Outcome run;
  run.report = launchText(text, "k", config, parameters, memory, options);
  run.a.resize(words);
  run.b.resize(words);
  EXPECT_TRUE(memory.read(at, run.a.data(), words * 4).ok());
  EXPECT_TRUE(memory.read(bt, run.b.data(), words * 4).ok());
  return run;
}

/// Clean, or a finding of |kind| at the line marked |where|, under both
/// policies and in several orders of the CTAs.
void expectClean(const std::string &text, bool dependent = false,
                 unsigned grid = ctas) {
  forBothPolicies([&](AsyncPolicy policy) {
    for (uint64_t seed : {0, 1, 2}) {
      Outcome run = runGlobal(text, policy, seed, dependent, grid);
      EXPECT_TRUE(run.report.clean()) << run.report.toString();
    }
  });
}
void expectFinding(const std::string &text, FindingKind kind,
                   const std::string &where, bool dependent = false,
                   unsigned grid = ctas) {
  forBothPolicies([&](AsyncPolicy policy) {
    for (uint64_t seed : {0, 1, 2}) {
      Outcome run = runGlobal(text, policy, seed, dependent, grid);
      EXPECT_TRUE(found(run.report, text, kind, where)) << text;
    }
  });
}

TEST(PlantedGlobal, WritesOfTwoCtas) {
  const std::string own = globalText("  add.s64 %d0, %a, %i;\n"
                                     "  st.global.b32 [%d0], %cta; // store");
  expectClean(own);
  expectFinding(planted(own, "add.s64 %d0, %a, %i",
                        "mul.wide.u32 %d0, %tid, 4; add.s64 %d0, %d0, %a"),
                FindingKind::race, "// store");
  // Strong accesses do not race with each other.
  expectClean(globalText("  add.u32 %r1, %cta, 1;\n"
                         "  st.relaxed.gpu.global.b32 [%t], %r1;\n"
                         "  ld.volatile.global.b32 %r2, [%t];\n"
                         "  red.global.add.u32 [%t], 1;"));
}

TEST(PlantedGlobal, ReadAndWriteOfTwoCtas) {
  // Each CTA reads its neighbour's words and writes its own.
  const std::string body = R"(
  add.u32 %r1, %cta, 1; rem.u32 %r1, %r1, %n;
  mad.lo.u32 %r1, %r1, 64, %tid; mul.wide.u32 %d1, %r1, 4; add.s64 %d1, %a, %d1;
  ld.global.b32 %r2, [%d1]; // cell
  add.s64 %d2, %b, %i; // target
  st.global.b32 [%d2], %r2; // cell
)";
  expectClean(globalText(body));
  expectFinding(planted(globalText(body), "%b, %i; // target", "%a, %i;"),
                FindingKind::race, "// cell");
}

TEST(PlantedGlobal, WarpsOfOneCta) {
  const std::string text = globalText(R"(
  add.s64 %d0, %b, %i;
  st.global.b32 [%d0], %tid;
  bar.sync 0; // between
  xor.b64 %d1, %i, 128; add.s64 %d1, %b, %d1;
  ld.global.b32 %r1, [%d1]; // other
  bar.sync 0; // after
  add.u32 %r1, %r1, 100;
  st.global.b32 [%d0], %r1; // again
)");
  expectClean(text);
  expectFinding(planted(text, "bar.sync 0; // between", ""), FindingKind::race,
                "// other");
  expectFinding(planted(text, "bar.sync 0; // after", ""), FindingKind::race,
                "// again");
}

/// Every CTA stores its part; the last one to take a ticket adds them up.
std::string ticketText() {
  return globalText(R"(
  add.s64 %d0, %a, %i;
  st.global.b32 [%d0], %r0;
  bar.sync 0; // stored
  setp.ne.u32 %p0, %tid, 0;
  @%p0 bra SHARE;
  sub.u32 %r1, %n, 1;
  // before
  atom.acq_rel.gpu.global.inc.u32 %r2, [%t], %r1;
  // behind
  setp.eq.u32 %p1, %r2, %r1; selp.b32 %r3, 1, 0, %p1;
  st.shared.b32 [%s], %r3;
SHARE:
  bar.sync 0; // shared
  ld.shared.b32 %r3, [%s];
  setp.eq.u32 %p2, %r3, 0;
  @%p2 ret;
  mov.u32 %r4, 0; mov.u32 %r5, 0;
  mul.wide.u32 %d1, %tid, 4; add.s64 %d2, %a, %d1;
SUM:
  ld.global.b32 %r6, [%d2]; // part
  add.u32 %r4, %r4, %r6; add.s64 %d2, %d2, 256; add.u32 %r5, %r5, 1;
  setp.lt.u32 %p3, %r5, %n;
  @%p3 bra SUM;
  add.s64 %d3, %b, %d1; st.global.b32 [%d3], %r4;
)");
}

TEST(PlantedGlobal, TicketOrdersTheParts) {
  const std::string text = ticketText();
  const std::string atom = "atom.acq_rel.gpu.global.inc";
  expectClean(text);
  Outcome run = runGlobal(text, AsyncPolicy::eager, 5);
  for (unsigned t = 0; t < threads; ++t)
    EXPECT_EQ(run.b[t], 4 * t + threads * (1 + 2 + 3));
  // Fences around a relaxed atomic do as well; one of the two does not.
  const std::string fence = "fence.acq_rel.gpu;";
  std::string fenced = planted(text, atom, "atom.relaxed.gpu.global.inc");
  expectFinding(fenced, FindingKind::race, "// part");
  std::string before = planted(fenced, "// before", fence);
  expectFinding(before, FindingKind::race, "// part");
  expectClean(planted(before, "// behind", fence));
  expectFinding(planted(fenced, "// behind", fence), FindingKind::race,
                "// part");
}

TEST(PlantedGlobal, WrongTickets) {
  const std::string text = ticketText();
  const std::string atom = "atom.acq_rel.gpu.global.inc";
  for (const char *wrong :
       {"atom.acquire.gpu.global.inc", "atom.release.gpu.global.inc",
        "atom.acq_rel.cta.global.inc", "atom.global.inc"})
    expectFinding(planted(text, atom, wrong), FindingKind::race, "// part");
  // The ticket may overtake the stores of the other warp.
  expectFinding(planted(text, "bar.sync 0; // stored", ""), FindingKind::race,
                "// part");
}

/// A bulk store by one thread, read by the other warp.
std::string bulkText() {
  return globalText(R"(
  shl.b32 %r1, %tid, 2; add.u32 %r1, %r1, %s; add.u32 %r2, %tid, 500;
  st.shared.b32 [%r1], %r2;
  fence.proxy.async.shared::cta;
  bar.sync 0;
  setp.ne.u32 %p0, %tid, 0;
  @%p0 bra READ;
  cp.async.bulk.global.shared::cta.bulk_group [%b], [%s], 256;
  cp.async.bulk.commit_group;
  cp.async.bulk.wait_group 0; // first
READ:
  bar.sync 0;
  mov.u32 %r3, 7; st.shared.b32 [%r1], %r3; // reuse
  add.s64 %d0, %b, %i; add.s64 %d1, %a, %i;
  // read
  st.global.b32 [%d1], %r3;
  @%p0 ret;
  cp.async.bulk.wait_group 0; // second
)");
}

TEST(PlantedGlobal, BulkStoresAreVisibleAfterTheirWaitGroup) {
  const std::string read = "ld.global.b32 %r3, [%d0]; // read";
  const std::string full = planted(bulkText(), "// read", read);
  expectClean(full, false, 1);
  EXPECT_EQ(runGlobal(full, AsyncPolicy::lazy, 0, false, 1).a[40], 540u);

  // .read frees the source, and nobody may read the target yet.
  const std::string wait = "wait_group 0; // first";
  const std::string source =
      planted(bulkText(), wait, "wait_group.read 0; // first");
  expectClean(source, false, 1);
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_EQ(runGlobal(source, policy, 0, false, 1).b[40], 540u);
  });
  const std::string early = planted(source, "// read", read);
  expectFinding(early, FindingKind::race, "// read", false, 1);
  EXPECT_EQ(runGlobal(early, AsyncPolicy::lazy, 0, false, 1).a[8], 0u);
  EXPECT_EQ(runGlobal(early, AsyncPolicy::eager, 0, false, 1).a[8], 508u);

  // Without the first wait the source is written in flight.
  expectFinding(planted(bulkText(), "cp.async.bulk.wait_group 0; // first", ""),
                FindingKind::race, "// reuse", false, 1);
}

/// Every thread reads what the launch before wrote; lane 0 of warp 0 waits.
std::string dependentText(const std::string &between) {
  return globalText(R"(
  setp.ne.u32 %p0, %tid, 0;
  @!%p0 mbarrier.init.shared.b64 [%s], 1;
  bar.sync 0;
  @%p0 bra JOIN;
  griddepcontrol.wait;
JOIN:
)" + between + R"(
  add.s64 %d0, %a, %i; add.s64 %d1, %b, %i;
  ld.global.b32 %r1, [%d0]; // dependent
  st.global.b32 [%d1], %r1;
)");
}

TEST(PlantedGlobal, EveryThreadWaitsForTheLaunchBefore) {
  const std::string all = "griddepcontrol.wait;", cta = "bar.sync 0;";
  expectClean(dependentText(all), true);
  expectClean(dependentText(cta), true);
  // The lanes of warp 0 synchronise, then warp 1 through its barrier.
  expectFinding(dependentText(""), FindingKind::staleRead, "// dependent",
                true);
  expectFinding(dependentText("bar.warp.sync -1;"), FindingKind::staleRead,
                "// dependent", true);
  Outcome run = runGlobal(dependentText("bar.warp.sync -1;"), AsyncPolicy::lazy, 0,
                      true);
  EXPECT_EQ(run.b[5], 1005u);
  EXPECT_EQ(run.b[37], 37u);
  // An arrival that the waiting thread makes orders whoever waits for it.
  expectClean(dependentText(R"(
  @!%p0 mbarrier.arrive.shared.b64 _, [%s];
POLL:
  mbarrier.try_wait.parity.shared.b64 %p1, [%s], 0;
  @!%p1 bra POLL;
)"),
              true);
}

TEST(PlantedGlobal, ThreadsOfTheHostChangeNothing) {
  // Results are those of one thread, and the kinds and lines of the findings,
  // in every order of the CTAs; a kernel with a ticket runs on one.
#if HADAL_TSAN
  GTEST_SKIP() << "a simulated kernel that races on global memory races on the "
                  "host's bytes too";
#endif
  const std::string own = globalText("  add.s64 %d0, %b, %i;\n"
                                     "  st.global.b32 [%d0], %r0;");
  const std::string clash = globalText(
      "  mul.wide.u32 %d0, %tid, 4; add.s64 %d0, %d0, %b;\n"
      "  st.global.b32 [%d0], %tid; // store\n"
      "  add.s64 %d1, %a, %i; add.s64 %d1, %d1, 65536;\n"
      "  setp.lt.u32 %p1, %cta, 2; @%p1 ret;\n"
      "  ld.global.b32 %r1, [%d1]; // outside");
  for (uint64_t seed : {0, 3, 4})
    for (unsigned threads : {2, 3, 9}) {
      Outcome run = runGlobal(own, AsyncPolicy::eager, seed, true, ctas, threads);
      EXPECT_TRUE(run.report.clean()) << run.report.toString();
      for (unsigned i = 0; i < words; ++i)
        EXPECT_EQ(run.b[i], i);
      EXPECT_EQ(run.report.statistics.ctas, ctas);
      run = runGlobal(ticketText(), AsyncPolicy::eager, seed, false, ctas,
                      threads);
      EXPECT_TRUE(run.report.clean()) << run.report.toString();
      Outcome one = runGlobal(clash, AsyncPolicy::eager, seed),
              many = runGlobal(clash, AsyncPolicy::eager, seed, false, ctas,
                               threads);
      EXPECT_TRUE(found(many.report, clash, FindingKind::race, "// store"));
      auto places = [](const Report &report) {
        std::set<std::pair<FindingKind, unsigned>> result;
        for (const Finding &finding : report.findings)
          result.emplace(finding.kind, finding.line);
        return result;
      };
      EXPECT_EQ(places(one.report), places(many.report));
      EXPECT_EQ(one.report.findings.size(), many.report.findings.size());
    }
}

} // namespace
} // namespace hadal::sim::test
