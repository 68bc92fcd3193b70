// The GEMM ring: right, and with one planted bug at a time.
#include "test/runtime/drivers/sim/planted/GemmKernel.h"

namespace hadal::sim::test {
namespace {

/// Exact products, f32 sums: only the order differs from float64.
constexpr double exactBound = 1e-6;

/// |text| on the standard problem (K = 456: four blocks, a ragged tail) under
/// both policies.
void forBothRuns(const std::string &text,
                 const std::function<void(AsyncPolicy, const GemmResult &,
                                          const GemmProblem &)> &check) {
  GemmProblem problem(456, false, 11);
  forBothPolicies([&](AsyncPolicy policy) {
    check(policy, runGemm(text, problem, policy), problem);
  });
}

/// |text| must show |kind| at a line with |where| under both policies.
void expectFinding(const std::string &text, FindingKind kind,
                   const std::string &where) {
  forBothRuns(text, [&](AsyncPolicy, const GemmResult &result,
                        const GemmProblem &) {
    EXPECT_TRUE(found(result.report, text, kind, where));
  });
}

TEST(PlantedGemm, TheRightKernelIsCleanAndExact) {
  std::string text = gemmText();
  forBothRuns(text, [](AsyncPolicy, const GemmResult &result,
                       const GemmProblem &problem) {
    EXPECT_TRUE(result.report.clean()) << result.report.toString();
    EXPECT_LT(result.worst(problem), exactBound);
  });
}

// Where the bytes are late the wait returns at once and races with them; where
// they are early it waits for a phase that never comes.
TEST(PlantedGemm, SwappedConsumerParity) {
  std::string text =
      planted(gemmText(), "and.b32 %r8, %r8, 1; // consumer parity",
              "and.b32 %r8, %r8, 1; xor.b32 %r8, %r8, 1;");
  forBothRuns(text, [&](AsyncPolicy policy, const GemmResult &result,
                        const GemmProblem &) {
    if (policy == AsyncPolicy::lazy)
      EXPECT_TRUE(found(result.report, text, FindingKind::race,
                        "wgmma.mma_async"));
    else
      EXPECT_TRUE(found(result.report, text, FindingKind::deadlock,
                        "mbarrier.try_wait"));
  });
}

TEST(PlantedGemm, SwappedProducerParityHangs) {
  std::string text =
      planted(gemmText(), "xor.b32 %r8, %r8, 1; // producer parity", "");
  forBothRuns(text, [&](AsyncPolicy, const GemmResult &result,
                        const GemmProblem &) {
    EXPECT_TRUE(found(result.report, text, FindingKind::deadlock,
                      "mbarrier.try_wait"));
    // Everyone's position is in the text.
    EXPECT_NE(result.report.toString().find("4 of 4 arrivals"),
              std::string::npos)
        << result.report.toString();
  });
}

// The producer behaves as if the ring had three stages.
TEST(PlantedGemm, OneStageTooFew) {
  expectFinding(planted(gemmText(), "  // before the empty wait\n",
                        "  setp.lt.u32 %p8, %r6, 3;\n  @%p8 bra FREE;\n"),
                FindingKind::race, "load A");
}

TEST(PlantedGemm, StageReleasedBeforeTheWait) {
  std::string text = gemmText();
  text = planted(text, "  @%p3 mbarrier.arrive.shared.b64 _, [%r9+16]; "
                       "// release\n",
                 "");
  text = planted(text, "  // before the wait\n",
                 "  setp.eq.u32 %p3, %r2, 0;\n"
                 "  @%p3 mbarrier.arrive.shared.b64 _, [%r9+16];\n");
  expectFinding(text, FindingKind::race, "load A");
}

TEST(PlantedGemm, AccumulatorReadBeforeTheWait) {
  expectFinding(planted(gemmText(), "  // before the wait\n",
                        "  mov.b32 %r30, %t5; // early\n"),
                FindingKind::inFlightRegister, "// early");
}

TEST(PlantedGemm, AccumulatorWrittenBeforeTheWait) {
  expectFinding(planted(gemmText(), "  // before the wait\n",
                        "  mov.b32 %t7, %r0; // early\n"),
                FindingKind::inFlightRegister, "// early");
}

TEST(PlantedGemm, MissingWgmmaFence) {
  expectFinding(planted(gemmText(), "  wgmma.fence.sync.aligned;\n", ""),
                FindingKind::inFlightRegister, "// first");
}

TEST(PlantedGemm, MissingWait) {
  std::string text =
      planted(gemmText(), "  wgmma.wait_group.sync.aligned 0;\n", "");
  expectFinding(text, FindingKind::inFlightRegister, "fma.rn.f32 %c0");
  expectFinding(text, FindingKind::unfinishedAsync, "wgmma.mma_async");
}

// The map claims the padding as part of the row: with garbage in it the values
// are wrong, with fresh memory undefined bits reach the output.
TEST(PlantedGemm, UnmaskedKTail) {
  GemmProblem problem(456, false, 11);
  problem.mapA.dims[0] = problem.mapB.dims[0] = problem.pitch();
  ASSERT_GT(problem.pitch(), problem.k);
  forBothPolicies([&](AsyncPolicy policy) {
    GemmResult result = runGemm(gemmText(), problem, policy);
    EXPECT_GT(result.worst(problem), 1e-2);
  });
}

TEST(PlantedGemm, WrongSwizzleInTheDescriptor) {
  std::string text =
      planted(gemmText(), "or.b64 %d2, %d2, 0x4000004000010000;",
              "or.b64 %d2, %d2, 0x0000004000010000;");
  forBothRuns(text, [](AsyncPolicy, const GemmResult &result,
                       const GemmProblem &problem) {
    EXPECT_GT(result.worst(problem), 1e-2);
  });
}

TEST(PlantedGemm, WrongSwizzleInTheMap) {
  GemmProblem problem(456, false, 11);
  problem.mapA.swizzle = Swizzle::none;
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_GT(runGemm(gemmText(), problem, policy).worst(problem), 1e-2);
  });
}

TEST(PlantedGemm, TooManyArrivalsExpected) {
  expectFinding(planted(gemmText(), "mbarrier.init.shared.b64 [%r4+16], 4;",
                        "mbarrier.init.shared.b64 [%r4+16], 5;"),
                FindingKind::deadlock, "mbarrier.try_wait");
}

// Four warps arrive where three are expected: the phases run ahead by one
// arrival a round, until a stage in use counts as free.
TEST(PlantedGemm, TooFewArrivalsExpected) {
  std::string text = planted(gemmText(), "mbarrier.init.shared.b64 [%r4+16], 4;",
                             "mbarrier.init.shared.b64 [%r4+16], 3;");
  GemmProblem problem(2048, false, 11);
  forBothPolicies([&](AsyncPolicy policy) {
    GemmResult result = runGemm(text, problem, policy);
    EXPECT_TRUE(found(result.report, text, FindingKind::race, "load A"));
  });
}

TEST(PlantedGemm, TooFewBytesExpected) {
  expectFinding(planted(gemmText(), "[%r9], 16384;", "[%r9], 8192;"),
                FindingKind::race, "wgmma.mma_async");
}

TEST(PlantedGemm, BoxPastSharedMemory) {
  // The stages lie 8 KB too high: the last box ends past the memory.
  std::string text = planted(gemmText(), "  add.u32 %r11, %r10, 8192;\n",
                             "  add.u32 %r11, %r10, 24576;\n");
  expectFinding(text, FindingKind::outOfBounds, "load B");
}

TEST(PlantedGemm, BoxOverTheBarriers) {
  std::string text = planted(gemmText(), "  add.u32 %r11, %r10, 8192;\n",
                             "  add.u32 %r11, %r10, 12288;\n");
  GemmProblem problem(456, false, 11);
  problem.sharedBytes = 49152;
  forBothPolicies([&](AsyncPolicy policy) {
    GemmResult result = runGemm(text, problem, policy);
    EXPECT_TRUE(
        found(result.report, text, FindingKind::mbarrierMisuse, "load B"));
  });
}

TEST(PlantedGemm, GlobalReadOutOfBounds) {
  // Four scales of B, five read.
  std::string text = planted(gemmText(), "ld.global.f32 %r13, [%d5];",
                             "ld.global.f32 %r13, [%d5+4];");
  expectFinding(text, FindingKind::outOfBounds, "ld.global.f32 %r13");
}

TEST(PlantedGemm, UninitialisedAccumulatorReachesTheOutput) {
  expectFinding(planted(gemmText(), "  mov.b32 %c9, 0f00000000;\n", ""),
                FindingKind::undefinedStore, "], %c9;");
}

TEST(PlantedGemm, WrongStartOfADescriptor) {
  expectFinding(planted(gemmText(), "  add.u32 %r12, %r10, 8192;\n",
                        "  add.u32 %r12, %r10, 8320;\n"),
                FindingKind::badDescriptor, "// first");
}

TEST(PlantedGemm, MissingBarrierInit) {
  expectFinding(
      planted(gemmText(), "  mbarrier.init.shared.b64 [%r4+8], 1;\n", ""),
      FindingKind::mbarrierMisuse, "mbarrier");
}

TEST(PlantedGemm, BarriersUsedWithoutSynchronisation) {
  expectFinding(planted(gemmText(), "  bar.sync 0;\n", ""), FindingKind::race,
                "mbarrier");
}

// ---- Numerics, in the model of Hopper's tensor cores -------------------

/// K = 7168 as in V3, positive operands: the error of an unpromoted sum grows
/// with the accumulator.
const GemmProblem &longProblem() {
  static const GemmProblem problem(7168, true, 5);
  return problem;
}

TEST(PlantedNumerics, PromotionKeepsTheErrorSmall) {
  forBothPolicies([&](AsyncPolicy policy) {
    GemmResult result = runGemm(gemmText(), longProblem(), policy,
                                Fp8Accumulate::hopper13);
    EXPECT_TRUE(result.report.clean()) << result.report.toString();
    EXPECT_LT(result.worst(longProblem()), 1e-3);
  });
}

// Without promotion the scales are applied at the end: with scales of one the
// kernel is right in exact arithmetic, and far off on the tensor core.
TEST(PlantedNumerics, MissingPromotion) {
  GemmProblem problem = longProblem();
  problem.scalesA.assign(problem.scalesA.size(), 1.0f);
  problem.scalesB.assign(problem.scalesB.size(), 1.0f);
  problem.computeExpected();
  std::string text = gemmText();
  // The first instruction accumulates too (except in the first block), and the
  // promotion overwrites.
  text = planted(text, "%d1, %d2, 0, 1, 1; // first",
                 "%d1, %d2, %p9, 1, 1; // first");
  text = planted(text, "  wgmma.fence.sync.aligned;\n",
                 "  setp.ne.u32 %p9, %r6, 0;\n  wgmma.fence.sync.aligned;\n");
  for (unsigned i = 0; i < 32; ++i) {
    std::string c = "%c" + std::to_string(i) + ";";
    std::string fma = "%t" + std::to_string(i) + ", " +
                      (i >> 1 & 1 ? "%r15, " : "%r14, ") + c;
    text = planted(text, fma, replaced(fma, c, "0f00000000;"));
  }
  forBothPolicies([&](AsyncPolicy policy) {
    GemmResult exact = runGemm(text, problem, policy, Fp8Accumulate::exact);
    EXPECT_TRUE(exact.report.clean()) << exact.report.toString();
    EXPECT_LT(exact.worst(problem), 1e-5);
    GemmResult real = runGemm(text, problem, policy, Fp8Accumulate::hopper13);
    EXPECT_GT(real.worst(problem), 1e-2);
    GemmResult promoted =
        runGemm(gemmText(), problem, policy, Fp8Accumulate::hopper13);
    EXPECT_LT(promoted.worst(problem), 1e-3);
  });
}

// Row scales of A taken for the scale of B and the other way round.
TEST(PlantedNumerics, ScalesSwapped) {
  std::string text = gemmText();
  text = planted(text, "ld.param.u64 %d4, [psa];", "ld.param.u64 %d4, [psb];");
  text = planted(text, "ld.param.u64 %d5, [psb];", "ld.param.u64 %d5, [psa];");
  GemmProblem problem(456, false, 11);
  // Equal sizes, so that no bound tells.
  problem.scalesB.resize(problem.scalesA.size(), 1.0f);
  forBothPolicies([&](AsyncPolicy policy) {
    EXPECT_GT(runGemm(text, problem, policy, Fp8Accumulate::hopper13)
                  .worst(problem),
              1e-2);
    EXPECT_LT(runGemm(gemmText(), problem, policy, Fp8Accumulate::hopper13)
                  .worst(problem),
              1e-3);
  });
}

} // namespace
} // namespace hadal::sim::test
