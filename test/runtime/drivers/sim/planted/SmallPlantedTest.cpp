// Register operands, proxy fences, dependent launches and races between warps:
// right kernels and planted bugs.
#include "test/runtime/drivers/sim/planted/SmallKernels.h"

#include <cmath>
#include <random>

#include "runtime/drivers/sim/semantics/Convert.h"

namespace hadal::sim::test {
namespace {

Options optionsOf(AsyncPolicy policy) {
  Options options;
  options.policy = policy;
  options.instructionLimit = 1'000'000;
  return options;
}

struct Outcome {
  Report report;
  std::vector<float> out;
};

/// 128 threads, |sharedBytes| of dynamic shared memory.
LaunchConfig oneCta(uint32_t sharedBytes) {
  LaunchConfig config;
  config.block[0] = 128;
  config.sharedBytes = sharedBytes;
  return config;
}

// ---- Operands in registers, generic writes before wgmma ----------------

struct ChainProblem {
  std::vector<uint16_t> q, v;
  std::vector<double> expected;

  ChainProblem() {
    std::mt19937 random(21);
    std::normal_distribution<float> normal;
    for (unsigned i = 0; i < 64 * 16; ++i)
      q.push_back(cvtBf16F32(normal(random)));
    for (unsigned i = 0; i < 16 * 64; ++i)
      v.push_back(cvtBf16F32(normal(random)));
    expected.assign(64 * 64, 0);
    for (unsigned m = 0; m < 64; ++m)
      for (unsigned n = 0; n < 64; ++n)
        for (unsigned k = 0; k < 16; ++k)
          expected[m * 64 + n] +=
              2.0 * decodeFloat(q[m * 16 + k], FloatFormat::bf16) *
              decodeFloat(v[k * 64 + n], FloatFormat::bf16);
  }
};

Outcome runChain(const std::string &text, AsyncPolicy policy) {
  ChainProblem problem;
  Memory memory;
  ParameterBlock parameters;
  auto out = memory.allocate(64 * 64 * 4, "out");
  EXPECT_TRUE(out.ok());
  parameters.add(upload(memory, problem.q, "q"))
      .add(upload(memory, problem.v, "v"))
      .add(*out);
  Outcome run;
  run.report = launchText(text, "chain", oneCta(2048), parameters, memory,
                          optionsOf(policy));
  run.out.resize(64 * 64);
  EXPECT_TRUE(memory.read(*out, run.out.data(), 64 * 64 * 4).ok());
  return run;
}

double worstOf(const Outcome &run, const std::vector<double> &expected) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double error = std::fabs(run.out[i] - expected[i]);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

void expectChainFinding(const std::string &text, FindingKind kind,
                        const std::string &where) {
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_TRUE(found(runChain(text, policy).report, text, kind, where));
  });
}

TEST(PlantedChain, TheRightKernelIsCleanAndExact) {
  forBothPolicies([](AsyncPolicy policy) {
    Outcome run = runChain(chainText(), policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    EXPECT_LT(worstOf(run, ChainProblem().expected), 1e-4);
  });
}

TEST(PlantedChain, MissingProxyFence) {
  expectChainFinding(
      planted(chainText(), "  fence.proxy.async.shared::cta;\n", ""),
      FindingKind::missingProxyFence, "wgmma.mma_async");
}

TEST(PlantedChain, FenceBehindTheBarrier) {
  std::string text =
      planted(chainText(), "  fence.proxy.async.shared::cta;\n", "");
  text = planted(text, "  bar.sync 0;\n",
                 "  bar.sync 0;\n  fence.proxy.async.shared::cta;\n");
  expectChainFinding(text, FindingKind::missingProxyFence, "wgmma.mma_async");
}

TEST(PlantedChain, FenceOfOneThreadOnly) {
  std::string text =
      planted(chainText(), "  fence.proxy.async.shared::cta;\n",
              "  setp.eq.u32 %p1, %r2, 0;\n"
              "  @%p1 fence.proxy.async.shared::cta;\n");
  expectChainFinding(text, FindingKind::missingProxyFence, "wgmma.mma_async");
}

TEST(PlantedChain, MissingBarrier) {
  expectChainFinding(planted(chainText(), "  bar.sync 0;\n", ""),
                     FindingKind::race, "wgmma.mma_async");
}

TEST(PlantedChain, OperandRegisterOverwrittenInFlight) {
  expectChainFinding(planted(chainText(), "  // in flight\n",
                             "  mov.b32 %a2, %r0; // early\n"),
                     FindingKind::inFlightRegister, "// early");
}

TEST(PlantedChain, OperandRegisterReadInFlight) {
  expectChainFinding(planted(chainText(), "  // in flight\n",
                             "  mov.b32 %r20, %a3; // early\n"),
                     FindingKind::inFlightRegister, "// early");
}

TEST(PlantedChain, StagedTileOverwrittenInFlight) {
  expectChainFinding(
      planted(chainText(), "  // in flight\n",
              "  st.shared.v4.b32 [%r8], {%r0, %r0, %r0, %r0}; // early\n"),
      FindingKind::race, "// early");
}

TEST(PlantedChain, WrongSwizzleOfTheStores) {
  std::string text = planted(chainText(), "xor.b32 %r9, %r9, %r10;", "");
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_GT(worstOf(runChain(text, policy), ChainProblem().expected), 0.1);
  });
}

TEST(PlantedChain, WrongMajorOfAnOperand) {
  std::string text = planted(chainText(), "%d5, 0, 1, 1, 1;", "%d5, 0, 1, 1, 0;");
  forBothPolicies([&](AsyncPolicy policy) {
    Outcome run = runChain(text, policy);
    // K-major lines of 64 rows are four times the tile.
    EXPECT_TRUE(found(run.report, text, FindingKind::outOfBounds,
                      "wgmma.mma_async"));
  });
}

// One warp leaves the others alone with the instruction.
TEST(PlantedChain, WarpsThatDoNotTakePart) {
  std::string text = planted(chainText(), "  wgmma.fence.sync.aligned;\n",
                             "  setp.eq.u32 %p2, %r1, 3;\n  @%p2 bra LEAVE;\n"
                             "  wgmma.fence.sync.aligned;\n");
  text = planted(text, "  ret;\n", "LEAVE:\n  ret;\n");
  expectChainFinding(text, FindingKind::deadlock, "wgmma.wait_group");
}

// ---- Bulk copies without a tensor --------------------------------------

Outcome runBulk(const std::string &text, AsyncPolicy policy) {
  Memory memory;
  std::vector<float> in(512);
  for (unsigned i = 0; i < 512; ++i)
    in[i] = static_cast<float>(i);
  ParameterBlock parameters;
  auto out = memory.allocate(2048, "out");
  EXPECT_TRUE(out.ok());
  parameters.add(upload(memory, in, "in")).add(*out);
  Outcome run;
  run.report = launchText(text, "bulk", oneCta(2048 + 16), parameters, memory,
                          optionsOf(policy));
  run.out.resize(512);
  EXPECT_TRUE(memory.read(*out, run.out.data(), 2048).ok());
  return run;
}

void expectBulkFinding(const std::string &text, FindingKind kind,
                       const std::string &where) {
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_TRUE(found(runBulk(text, policy).report, text, kind, where));
  });
}

TEST(PlantedBulk, TheRightKernelIsCleanAndExact) {
  forBothPolicies([](AsyncPolicy policy) {
    Outcome run = runBulk(bulkText(), policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    for (unsigned i = 0; i < 512; ++i)
      EXPECT_EQ(run.out[i], static_cast<float>(i + 1));
  });
}

TEST(PlantedBulk, MissingFullWait) {
  std::string text = planted(bulkText(), "  @!%p1 bra WAIT;\n", "");
  text = planted(text, "mbarrier.try_wait", "mbarrier.test_wait");
  // The access that runs later is the one that is reported.
  forBothPolicies([&](AsyncPolicy policy) {
    Report report = runBulk(text, policy).report;
    EXPECT_TRUE(found(report, text, FindingKind::race, "// use") ||
                found(report, text, FindingKind::race, "// load"))
        << report.toString();
  });
}

TEST(PlantedBulk, MissingProxyFenceBeforeAStore) {
  expectBulkFinding(
      planted(bulkText(), "  fence.proxy.async.shared::cta;\n", ""),
      FindingKind::missingProxyFence, "// store");
}

TEST(PlantedBulk, MissingBarrierBeforeAStore) {
  expectBulkFinding(planted(bulkText(), "  bar.sync 0; // before the store\n",
                            ""),
                    FindingKind::race, "// ");
}

TEST(PlantedBulk, SourceOverwrittenBeforeTheGroupWait) {
  expectBulkFinding(
      planted(bulkText(), "  // in flight\n",
              "  st.shared.v4.f32 [%r2], {%r0, %r0, %r0, %r0}; // early\n"),
      FindingKind::race, "// early");
}

TEST(PlantedBulk, ExitWithoutTheGroupWait) {
  expectBulkFinding(
      planted(bulkText(), "  cp.async.bulk.wait_group.read 0;\n", ""),
      FindingKind::unfinishedAsync, "// store");
}

TEST(PlantedBulk, SizePastTheAllocation) {
  std::string text = planted(bulkText(), "[%d2], [%r1], 2048;", "[%d2+16], [%r1], 2048;");
  expectBulkFinding(text, FindingKind::outOfBounds, "// store");
}

TEST(PlantedBulk, SizePastSharedMemory) {
  std::string text = planted(bulkText(), "[%r1], [%d1], 2048, [%r9];",
                             "[%r1+1024], [%d1], 2048, [%r9];");
  expectBulkFinding(text, FindingKind::outOfBounds, "// load");
}

TEST(PlantedBulk, MisalignedSharedAddress) {
  std::string text = planted(bulkText(), "[%r1], [%d1], 2048, [%r9];",
                             "[%r1+8], [%d1], 2048, [%r9];");
  expectBulkFinding(text, FindingKind::misaligned, "// load");
}

TEST(PlantedBulk, OrdinaryAccessToABarrier) {
  std::string text =
      planted(bulkText(), "  // in flight\n",
              "  st.shared.u32 [%r1+2048], %r0; // touches\n");
  expectBulkFinding(text, FindingKind::mbarrierMisuse, "// touches");
}

// ---- Dependent launches ------------------------------------------------

Outcome runDependent(const std::string &text, AsyncPolicy policy) {
  Memory memory;
  std::vector<float> old(128, -1.0f);
  uint64_t middle = upload(memory, old, "middle");
  auto out = memory.allocate(512, "out");
  EXPECT_TRUE(out.ok());
  LaunchConfig config = oneCta(0);
  config.pdl = true;
  Report first = launchText(text, "first", config, ParameterBlock().add(middle),
                            memory, optionsOf(policy));
  EXPECT_TRUE(first.clean()) << first.toString();
  Outcome run;
  run.report =
      launchText(text, "second", config, ParameterBlock().add(middle).add(*out),
                 memory, optionsOf(policy));
  run.out.resize(128);
  EXPECT_TRUE(memory.read(*out, run.out.data(), 512).ok());
  return run;
}

TEST(PlantedLaunch, TheRightKernelIsCleanAndExact) {
  forBothPolicies([](AsyncPolicy policy) {
    Outcome run = runDependent(dependentText(), policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    for (unsigned i = 0; i < 128; ++i)
      EXPECT_EQ(run.out[i], static_cast<float>(i + 1));
  });
}

TEST(PlantedLaunch, MissingGridDependencyWait) {
  std::string text =
      planted(dependentText(), "  griddepcontrol.wait; // of second\n", "");
  forBothPolicies([&](AsyncPolicy policy) {
    Outcome run = runDependent(text, policy);
    EXPECT_TRUE(
        found(run.report, text, FindingKind::staleRead, "// dependent"));
    // The lazy policy shows what the predecessor has not written yet.
    if (policy == AsyncPolicy::lazy)
      EXPECT_EQ(run.out[5], 0.0f);
  });
}

// The same through a bulk copy.
TEST(PlantedLaunch, BulkLoadBeforeTheWait) {
  std::string text = dependentText();
  std::string bulk = bulkText();
  text += bulk.substr(bulk.find(".visible"));
  forBothPolicies([&](AsyncPolicy policy) {
    Memory memory;
    std::vector<float> old(512, -1.0f);
    uint64_t middle = upload(memory, old, "middle");
    auto out = memory.allocate(2048, "out");
    ASSERT_TRUE(out.ok());
    LaunchConfig config = oneCta(2048 + 16);
    config.pdl = true;
    launchText(text, "first", config, ParameterBlock().add(middle), memory,
               optionsOf(policy));
    Report report =
        launchText(text, "bulk", config, ParameterBlock().add(middle).add(*out),
                   memory, optionsOf(policy));
    EXPECT_TRUE(found(report, text, FindingKind::staleRead, "// load"));
    float value = 0;
    ASSERT_TRUE(memory.read(*out + 20, &value, 4).ok());
    EXPECT_EQ(value, policy == AsyncPolicy::lazy ? 0.0f : 6.0f);
  });
}

// ---- Warps and shared memory -------------------------------------------

Outcome runExchange(const std::string &text, AsyncPolicy policy) {
  Memory memory;
  auto out = memory.allocate(512, "out");
  EXPECT_TRUE(out.ok());
  Outcome run;
  run.report = launchText(text, "exchange", oneCta(16),
                          ParameterBlock().add(*out), memory,
                          optionsOf(policy));
  std::vector<uint32_t> values(128);
  EXPECT_TRUE(memory.read(*out, values.data(), 512).ok());
  run.out.assign(values.begin(), values.end());
  return run;
}

TEST(PlantedExchange, TheRightKernelIsCleanAndExact) {
  forBothPolicies([](AsyncPolicy policy) {
    Outcome run = runExchange(exchangeText(), policy);
    EXPECT_TRUE(run.report.clean()) << run.report.toString();
    for (unsigned i = 0; i < 128; ++i)
      EXPECT_EQ(run.out[i], static_cast<float>((i / 32 + 1) % 4));
  });
}

TEST(PlantedExchange, MissingBarrierBetweenWarps) {
  std::string text = planted(exchangeText(), "  bar.sync 1, 128;\n", "");
  forBothPolicies([&](AsyncPolicy policy) {
    Report report = runExchange(text, policy).report;
    EXPECT_TRUE(found(report, text, FindingKind::race, "// theirs") ||
                found(report, text, FindingKind::race, "// mine"))
        << report.toString();
  });
}

TEST(PlantedExchange, BarrierOfTooManyThreads) {
  std::string text =
      planted(exchangeText(), "  bar.sync 1, 128;\n", "  bar.sync 1, 160;\n");
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_TRUE(found(runExchange(text, policy).report, text,
                      FindingKind::deadlock, "bar.sync"));
  });
}

TEST(PlantedExchange, ReadPastSharedMemory) {
  std::string text = planted(exchangeText(), "ld.shared.u32 %r6, [%r5];",
                             "ld.shared.u32 %r6, [%r5+4];");
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_TRUE(found(runExchange(text, policy).report, text,
                      FindingKind::outOfBounds, "// theirs"));
  });
}

TEST(PlantedExchange, UninitialisedSharedMemoryReachesTheOutput) {
  std::string text =
      planted(exchangeText(), "@!%p0 st.shared.u32 [%r4], %r1;",
              "@!%p0 st.shared.u16 [%r4], %r1;");
  text = planted(text, "  .reg .b64 %d<4>;\n",
                 "  .reg .b64 %d<4>;\n  .reg .b16 %h<2>;\n");
  text = planted(text, "st.shared.u16 [%r4], %r1;",
                 "st.shared.u16 [%r4], %h0;");
  text = planted(text, "  setp.ne.u32 %p0, %r2, 0;\n",
                 "  setp.ne.u32 %p0, %r2, 0;\n  cvt.u16.u32 %h0, %r1;\n");
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_TRUE(found(runExchange(text, policy).report, text,
                      FindingKind::undefinedStore, "st.global.u32"));
  });
}

} // namespace
} // namespace hadal::sim::test
