// mbarrier instructions as written, against the published traces.
#include "test/runtime/drivers/sim/async/AsyncForms.h"

namespace hadal::sim::test {
namespace {

struct Outcome {
  Report report;
  std::vector<uint32_t> out;
};

/// One thread runs |body|, which stores to the 64 words of %out.
Outcome runThread(const std::string &body, AsyncPolicy policy) {
  Memory memory;
  std::vector<uint32_t> zeros(64);
  uint64_t in = upload(memory, zeros, "in"), out = upload(memory, zeros, "out");
  uint8_t map[128] = {};
  ParameterBlock parameters;
  parameters.append(map, 128, 64).add(in).add(out);
  LaunchConfig config;
  config.sharedBytes = 4096;
  Options options;
  options.policy = policy;
  options.instructionLimit = 100000;
  Outcome outcome;
  outcome.report = launchText(formText(body), "k", config, parameters, memory,
                              options);
  outcome.out.resize(64);
  EXPECT_TRUE(memory.read(out, outcome.out.data(), 256).ok());
  return outcome;
}

/// test_wait on parity 0 and 1, as two bits into word |slot|.
std::string probe(unsigned slot) {
  return "  mbarrier.test_wait.parity.shared.b64 %p0, [%base], 0;\n"
         "  mbarrier.test_wait.parity.shared::cta.b64 %p1, [%base], 1;\n"
         "  selp.u32 %r0, 1, 0, %p0;\n  selp.u32 %r1, 2, 0, %p1;\n"
         "  add.u32 %r0, %r0, %r1;\n  st.global.u32 [%out+" +
         std::to_string(4 * slot) + "], %r0;\n";
}

void expectTrace(const std::string &body, std::vector<uint32_t> expected) {
  forBothPolicies([&](AsyncPolicy policy) {
    Outcome outcome = runThread(body, policy);
    EXPECT_TRUE(outcome.report.clean()) << outcome.report.toString();
    outcome.out.resize(expected.size());
    EXPECT_EQ(outcome.out, expected);
  });
}

TEST(MbarrierForms, ExpectedBytes) {
  const std::string complete =
      "  mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%base], 2048;\n";
  expectTrace("  mbarrier.init.shared.b64 [%base], 1;\n" + probe(0) +
                  "  mbarrier.arrive.expect_tx.shared.b64 _, [%base], 4096;\n" +
                  probe(1) + complete + probe(2) + complete + probe(3),
              {2, 2, 2, 1});
}

TEST(MbarrierForms, EarlyBytesAndSeparateExpectation) {
  expectTrace(
      "  mbarrier.init.shared::cta.b64 [%base], 2;\n"
      "  mbarrier.complete_tx.relaxed.cta.shared.b64 [%base], 512;\n" +
          probe(0) +
          "  mbarrier.arrive.release.cta.shared.b64 %d1, [%base];\n" +
          probe(1) +
          "  mbarrier.expect_tx.relaxed.cta.shared.b64 [%base], 512;\n"
          "  mbarrier.arrive.shared.b64 _, [%base], 1;\n" +
          probe(2),
      {2, 2, 1});
}

TEST(MbarrierForms, DropTokensAndCounts) {
  expectTrace(
      "  mbarrier.init.shared.b64 [%base], 3;\n"
      "  mbarrier.init.shared.b64 [%base+8], 2;\n"
      "  mbarrier.arrive.shared.b64 %d1, [%base];\n"
      "  mbarrier.pending_count.b64 %r2, %d1;\n"
      "  st.global.u32 [%out], %r2;\n"
      "  mbarrier.arrive_drop.shared.b64 _, [%base];\n"
      "  mbarrier.test_wait.shared.b64 %p2, [%base], %d1;\n"
      "  selp.u32 %r3, 1, 0, %p2;\n  st.global.u32 [%out+4], %r3;\n"
      "  mbarrier.arrive.noComplete.shared.b64 %d2, [%base+8], 1;\n"
      "  mbarrier.arrive.shared.b64 _, [%base];\n"
      "  mbarrier.try_wait.shared.b64 %p2, [%base], %d1, 1000;\n"
      "  selp.u32 %r3, 1, 0, %p2;\n  st.global.u32 [%out+8], %r3;\n"
      "  mbarrier.arrive.shared.b64 _, [%base], 2;\n" +
          probe(3) + "  mbarrier.inval.shared.b64 [%base];\n",
      {3, 0, 1, 2});
}

TEST(MbarrierForms, MisuseIsNamed) {
  struct {
    const char *body, *text;
  } cases[] = {
      {"  mbarrier.arrive.shared.b64 _, [%base];\n", "not initialised"},
      {"  mbarrier.init.shared.b64 [%base], 0;\n", "outside 1..1048575"},
      {"  mbarrier.init.shared.b64 [%base+4], 1;\n", "multiple of 8"},
      {"  mbarrier.init.shared.b64 [%base+4096], 1;\n", "outside shared"},
      {"  mbarrier.init.shared.b64 [%base], 1;\n"
       "  mbarrier.init.shared.b64 [%base], 1;\n",
       "mbarrier.init of a live object"},
      {"  mbarrier.init.shared.b64 [%base], 1;\n"
       "  mbarrier.arrive.shared.b64 _, [%base], 2;\n",
       "more arrivals"},
      {"  mbarrier.init.shared.b64 [%base], 1;\n"
       "  mbarrier.test_wait.parity.shared.b64 %p0, [%base], 2;\n",
       "parity of a wait is 0 or 1"},
  };
  for (auto &c : cases)
    forBothPolicies([&](AsyncPolicy policy) {
      EXPECT_NE(runThread(c.body, policy).report.toString().find(c.text),
                std::string::npos)
          << c.body << runThread(c.body, policy).report.toString();
    });
}

TEST(MbarrierForms, WhatIsNotPtxIsRefused) {
  struct {
    const char *instruction, *text;
  } cases[] = {
      {"mbarrier.try_wait.parity.shared::cluster.b64 %p0, [%base], 0;",
       "of the executing CTA"},
      {"mbarrier.arrive.shared::cluster.b64 %d1, [%base];", "must be _"},
      {"mbarrier.arrive.shared.b32 _, [%base];", "b64"},
      {"mbarrier.arrive.expect_tx.shared.b64 _, [%base];", "operands"},
      {"mbarrier.init.shared.b64 [%base];", "operands"},
      {"mbarrier.spin.shared.b64 [%base];", "not modelled"},
  };
  for (auto &c : cases)
    EXPECT_NE(refusalOf(c.instruction).find(c.text), std::string::npos)
        << c.instruction << ": " << refusalOf(c.instruction);
}

} // namespace
} // namespace hadal::sim::test
