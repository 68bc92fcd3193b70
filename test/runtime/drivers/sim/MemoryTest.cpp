// ld, st, atom, cp.async, ldmatrix: values, and the findings of bad accesses.
#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {
namespace {

/// A kernel `k(a, b)` of |threads| with the registers that the bodies use.
std::string kernel(const std::string &body, const std::string &before = "") {
  return moduleText(before +
                    ".visible .entry k(.param .u64 a, .param .u64 b)\n{\n"
                    ".reg .b64 %a, %b, %x, %y, %z; .reg .b32 %r<20>;\n"
                    ".reg .b16 %h<4>; .reg .pred %p, %q;\n"
                    "ld.param.u64 %a, [a]; ld.param.u64 %b, [b];\n"
                    "mov.u32 %r0, %tid.x; mul.wide.u32 %x, %r0, 4;\n" +
                    body + "\nret;\n}\n");
}

struct Launched {
  Memory memory{1 << 20};
  uint64_t a = 0, b = 0;
  Report report;

  Launched(const std::string &text, uint32_t threads,
           const std::vector<uint32_t> &input, uint64_t outBytes,
           uint32_t shared = 0, const Options &options = {}) {
    a = *memory.allocate(input.size() * 4, "a");
    b = *memory.allocate(outBytes, "b");
    EXPECT_TRUE(memory.write(a, input.data(), input.size() * 4).ok());
    LaunchConfig config;
    config.block[0] = threads;
    config.sharedBytes = shared;
    report = run(text, config, {a, b}, memory, options);
  }
  std::vector<uint32_t> words(size_t count) {
    std::vector<uint32_t> out(count);
    EXPECT_TRUE(memory.read(b, out.data(), count * 4).ok());
    return out;
  }
};

std::vector<uint32_t> counting(uint32_t count) {
  std::vector<uint32_t> v(count);
  for (uint32_t i = 0; i < count; ++i)
    v[i] = i * 0x01010101;
  return v;
}

TEST(SimMemory, VectorsAndSmallTypes) {
  Launched l(kernel("shl.b64 %y, %x, 2; add.s64 %z, %a, %y;\n"
                    "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%z];\n"
                    "add.s64 %z, %b, %y;\n"
                    "ld.global.u8 %r5, [%a+5]; ld.global.s8 %r6, [%a+512];\n"
                    "st.global.v2.b32 [%z], {%r4, %r1};\n"
                    "st.global.v2.b16 [%z+8], {%h0, %h0};\n"
                    "st.global.b8 [%z+12], %r5; st.global.b8 [%z+13], %r5;\n"
                    "st.global.b16 [%z+14], %r6;"),
             32, counting(132), 32 * 16);
  // The undefined %h0 pair is reported once, with its line.
  ASSERT_EQ(l.report.findings.size(), 1u) << l.report.toString();
  EXPECT_EQ(l.report.findings[0].kind, FindingKind::undefinedStore);
  EXPECT_EQ(l.report.findings[0].line, 15u);
  std::vector<uint32_t> out = l.words(128);
  for (uint32_t t = 0; t < 32; ++t) {
    EXPECT_EQ(out[4 * t], (4 * t + 3) * 0x01010101);
    EXPECT_EQ(out[4 * t + 1], 4 * t * 0x01010101);
    EXPECT_EQ(out[4 * t + 3], 0xFF800101u) << t;
  }
}

TEST(SimMemory, SharedLocalParamAndGeneric) {
  Launched l(kernel("cvt.u32.u64 %r1, %x; mov.u32 %r2, s; add.u32 %r3, %r2, "
                    "%r1;\n"
                    "add.s64 %z, %a, %x; ld.global.b32 %r4, [%z];\n"
                    "st.shared.b32 [%r3], %r4; bar.sync 0;\n"
                    "mov.b64 %y, s; cvta.shared.u64 %y, %y;\n"
                    "sub.s64 %z, %y, %x; ld.b32 %r5, [%z+124];\n"
                    ".local .align 4 .b8 stack[8];\n"
                    "mov.b64 %y, stack; st.local.b32 [%y+4], %r5;\n"
                    "cvta.local.u64 %y, %y; ld.b32 %r6, [%y+4];\n"
                    "add.s64 %z, %b, %x; st.b32 [%z], %r6;",
                    ".extern .shared .align 16 .b8 s[];\n"),
             32, counting(32), 128, 128);
  EXPECT_TRUE(l.report.clean()) << l.report.toString();
  std::vector<uint32_t> out = l.words(32);
  for (uint32_t t = 0; t < 32; ++t)
    EXPECT_EQ(out[t], (31 - t) * 0x01010101);
}

TEST(SimMemory, OutOfBoundsNamesAllocationLineAndLane) {
  Launched l(kernel("add.s64 %z, %a, %x;\nld.global.b32 %r1, [%z+8];\n"
                    "add.s64 %z, %b, %x;\nst.global.b32 [%z], %r1;"),
             32, counting(32), 128);
  ASSERT_EQ(l.report.findings.size(), 1u) << l.report.toString();
  const Finding &finding = l.report.findings[0];
  EXPECT_EQ(finding.kind, FindingKind::outOfBounds);
  EXPECT_EQ(finding.line, 11u);
  EXPECT_EQ(finding.lane, 30u);
  EXPECT_EQ(finding.count, 2u);
  EXPECT_EQ(finding.address, l.a + 128);
  EXPECT_NE(finding.text.find("0 bytes past the end of 'a' (128 bytes)"),
            std::string::npos)
      << finding.text;
}

TEST(SimMemory, MisalignedAndSharedOutOfBounds) {
  Launched l(kernel("ld.global.b32 %r1, [%a+2];\n"
                    "mov.u32 %r2, 0x480;\nld.shared.b32 %r3, [%r2];\n"
                    "st.shared.b32 [%r2+-4], %r0;\n"
                    "mov.u32 %r2, 0;\nst.shared.b32 [%r2], %r0;"),
             32, counting(32), 128, 128);
  EXPECT_EQ(countOf(l.report, FindingKind::misaligned), 1u);
  EXPECT_EQ(countOf(l.report, FindingKind::outOfBounds), 2u)
      << l.report.toString();
}

TEST(SimMemory, UndefinednessTravelsAndIsReportedWhereItMatters) {
  // Bytes never written in shared memory, copied about: no finding before the
  // store; a select that drops them is clean.
  Launched l(kernel("mov.u32 %r2, 0x400; ld.shared.b32 %r1, [%r2];\n"
                    "add.s32 %r3, %r1, 1; shfl.sync.bfly.b32 %r3, %r3, 1, 31, "
                    "-1;\n"
                    "st.shared.b32 [%r2+4], %r3; ld.shared.b32 %r4, [%r2+4];\n"
                    "setp.lt.u32 %p, %r0, 0; selp.b32 %r5, %r4, %r0, %p;\n"
                    "add.s64 %z, %b, %x; st.global.b32 [%z], %r5;\n"
                    "st.global.b32 [%z], %r4;"),
             32, counting(32), 128, 128);
  ASSERT_EQ(l.report.findings.size(), 1u) << l.report.toString();
  EXPECT_EQ(l.report.findings[0].kind, FindingKind::undefinedStore);
  EXPECT_EQ(l.report.findings[0].line, 15u);
}

TEST(SimMemory, UndefinedAddressAndBranch) {
  Launched l(kernel("add.s64 %z, %b, %y;\nst.global.b32 [%z], %r0;\n"
                    "setp.eq.s32 %p, %r9, 0;\n@%p bra L;\nL:"),
             32, counting(32), 128);
  EXPECT_EQ(countOf(l.report, FindingKind::undefinedAddress), 1u);
  EXPECT_EQ(countOf(l.report, FindingKind::undefinedBranch), 1u);
}

TEST(SimMemory, PartlyDefinedWordsKeepTheirBytes) {
  // Half a word is defined; taking it out again is clean.
  Launched l(kernel("cvt.u16.u32 %h1, %r0; mov.b32 %r1, {%h1, %h2};\n"
                    "and.b32 %r2, %r1, 0xFFFF; shl.b32 %r3, %r1, 16;\n"
                    "shr.u32 %r3, %r3, 16; prmt.b32 %r4, %r1, 0, 0x7710;\n"
                    "bfe.u32 %r5, %r1, 0, 16; add.s32 %r2, %r2, %r3;\n"
                    "add.s32 %r4, %r4, %r5; add.s32 %r2, %r2, %r4;\n"
                    "add.s64 %z, %b, %x; st.global.b32 [%z], %r2;"),
             32, counting(32), 128);
  EXPECT_TRUE(l.report.clean()) << l.report.toString();
  EXPECT_EQ(l.words(32)[31], 4u * 31);
}

TEST(SimMemory, Atomics) {
  struct Case {
    const char *op;
    uint32_t expected; ///< of 32 lanes with operand lane + 1, memory 5
  };
  for (Case c : {Case{"add.u32", 5 + 528}, Case{"max.u32", 32},
                 Case{"min.s32", 1}, Case{"or.b32", 63}, Case{"and.b32", 0},
                 Case{"xor.b32", 5 ^ 32}, Case{"inc.u32", 17}}) {
    Launched l(kernel(std::string("add.s32 %r1, %r0, 1;\n") +
                      "red.relaxed.gpu.global." + c.op + " [%a], %r1;\n"
                      "bar.sync 0; ld.global.b32 %r2, [%a];\n"
                      "st.global.b32 [%b], %r2;"),
               32, {5}, 4);
    EXPECT_TRUE(l.report.clean()) << l.report.toString();
    if (std::string(c.op) != "inc.u32")
      EXPECT_EQ(l.words(1)[0], c.expected) << c.op;
  }
  // inc with bound 6: 5, 6, 0, 1, ... : 32 steps from 5 mod 7 is 2.
  Launched inc(kernel("atom.global.inc.u32 %r1, [%a], 6;\n"
                      "bar.sync 0; ld.global.b32 %r2, [%a];\n"
                      "st.global.b32 [%b], %r2;"),
               32, {5}, 4);
  EXPECT_EQ(inc.words(1)[0], 2u);
  // Tickets: each lane its own old value, in ascending order of lanes.
  Launched ticket(kernel("atom.acq_rel.gpu.global.add.u32 %r1, [%a], 1;\n"
                         "add.s64 %z, %b, %x; st.global.b32 [%z], %r1;"),
                  32, {7}, 128);
  std::vector<uint32_t> out = ticket.words(32);
  for (uint32_t t = 0; t < 32; ++t)
    EXPECT_EQ(out[t], 7 + t);
  Launched cas(kernel("atom.global.cas.b32 %r1, [%a], %r0, 100;\n"
                      "add.s64 %z, %b, %x; st.global.b32 [%z], %r1;"),
               32, {7}, 128);
  out = cas.words(32);
  EXPECT_EQ(out[7], 7u);
  EXPECT_EQ(out[8], 100u);
}

TEST(SimMemory, CopiesToSharedUnderBothPolicies) {
  std::string body =
      "mov.u32 %r2, 0x400; shl.b32 %r3, %r0, 4; add.u32 %r2, %r2, %r3;\n"
      "mul.wide.u32 %y, %r0, 16; add.s64 %z, %a, %y;\n"
      "cp.async.cg.shared.global [%r2], [%z], 16;\n"
      "cp.async.ca.shared.global [%r2+512], [%z], 16, 8;\n"
      "cp.async.commit_group;\nWAIT\n"
      "ld.shared.b32 %r4, [%r2+12]; ld.shared.b32 %r5, [%r2+516];\n"
      "ld.shared.b32 %r6, [%r2+520]; add.s32 %r4, %r4, %r5;\n"
      "add.s32 %r4, %r4, %r6; add.s64 %z, %b, %x;\n"
      "st.global.b32 [%z], %r4;";
  for (AsyncPolicy policy : {AsyncPolicy::eager, AsyncPolicy::lazy})
    for (bool wait : {true, false}) {
      Options options;
      options.policy = policy;
      std::string text = body;
      text.replace(text.find("WAIT"), 4, wait ? "cp.async.wait_group 0;" : "");
      Launched l(kernel(text), 32, counting(128), 128, 1024, options);
      if (wait) {
        EXPECT_TRUE(l.report.clean()) << l.report.toString();
        std::vector<uint32_t> out = l.words(32);
        for (uint32_t t = 0; t < 32; ++t)
          EXPECT_EQ(out[t], (8 * t + 4) * 0x01010101u);
      } else if (policy == AsyncPolicy::lazy) {
        EXPECT_EQ(countOf(l.report, FindingKind::undefinedStore), 1u)
            << "a missing wait must be found";
      }
    }
}

TEST(SimMemory, MatrixLoadAndStore) {
  // Element (r, c) of an 8x8 matrix of halves is 8 r + c; from the ISA follow
  // the elements of lanes 13 and 31.
  std::vector<uint32_t> matrix(32);
  for (uint32_t i = 0; i < 32; ++i)
    matrix[i] = (2 * i) | (2 * i + 1) << 16;
  std::string load =
      "mov.u32 %r2, 0x400; cvt.u32.u64 %r3, %x; add.u32 %r3, %r3, %r2;\n"
      "add.s64 %z, %a, %x; ld.global.b32 %r4, [%z]; st.shared.b32 [%r3], "
      "%r4;\nbar.sync 0; and.b32 %r5, %r0, 7; shl.b32 %r5, %r5, 4;\n"
      "add.u32 %r5, %r5, %r2; add.s64 %z, %b, %x;\n";
  for (bool transposed : {false, true}) {
    Launched l(kernel(load + "ldmatrix.sync.aligned.m8n8.x1" +
                      (transposed ? ".trans" : "") +
                      ".shared.b16 {%r6}, [%r5];\nst.global.b32 [%z], %r6;"),
               32, matrix, 128, 128);
    EXPECT_TRUE(l.report.clean()) << l.report.toString();
    std::vector<uint32_t> out = l.words(32);
    auto element = [](uint32_t r, uint32_t c) { return 8 * r + c; };
    EXPECT_EQ(out[13], transposed
                           ? element(2, 3) | element(3, 3) << 16
                           : element(3, 2) | element(3, 3) << 16);
    EXPECT_EQ(out[31], transposed
                           ? element(6, 7) | element(7, 7) << 16
                           : element(7, 6) | element(7, 7) << 16);
    // Storing what was loaded puts it back.
    Launched s(kernel(load + "ldmatrix.sync.aligned.m8n8.x1" +
                      (transposed ? ".trans" : "") +
                      ".shared.b16 {%r6}, [%r5];\n"
                      "stmatrix.sync.aligned.m8n8.x1" +
                      (transposed ? ".trans" : "") +
                      ".shared.b16 [%r5+128], {%r6}; bar.sync 0;\n"
                      "ld.shared.b32 %r7, [%r3+128]; st.global.b32 [%z], "
                      "%r7;"),
               32, matrix, 128, 256);
    EXPECT_TRUE(s.report.clean()) << s.report.toString();
    EXPECT_EQ(s.words(32), matrix);
  }
}

TEST(SimMemory, StaleDataBeforeGridDependencyWait) {
  std::string writer = kernel("griddepcontrol.wait;\nadd.s64 %z, %b, %x;\n"
                              "st.global.b32 [%z], %r0;");
  std::string reader =
      "add.s64 %z, %a, %x;\nld.global.b32 %r1, [%z];\nadd.s64 %z, %b, %x;\n";
  for (AsyncPolicy policy : {AsyncPolicy::eager, AsyncPolicy::lazy})
    for (bool waits : {true, false}) {
      Options options;
      options.policy = policy;
      Memory memory(1 << 20);
      uint64_t a = *memory.allocate(128, "a"), b = *memory.allocate(128, "b");
      ASSERT_TRUE(memory.fill(a, 0xEE, 128).ok());
      LaunchConfig config;
      config.block[0] = 32;
      Report first = run(writer, config, {b, a}, memory, options);
      EXPECT_TRUE(first.clean()) << first.toString();
      config.pdl = true;
      std::string text =
          waits ? "griddepcontrol.wait;\n" + reader +
                      "st.global.b32 [%z], %r1;"
                : reader + "griddepcontrol.wait;\nst.global.b32 [%z], %r1;";
      Report second = run(kernel(text), config, {a, b}, memory, options);
      std::vector<uint32_t> out(32);
      ASSERT_TRUE(memory.read(b, out.data(), 128).ok());
      EXPECT_EQ(countOf(second, FindingKind::staleRead), waits ? 0u : 1u);
      bool old = !waits && policy == AsyncPolicy::lazy;
      EXPECT_EQ(out[3], old ? 0xEEEEEEEEu : 3u);
    }
}

// One warp's wait says nothing of another's reads, unless a barrier lies between.
TEST(SimMemory, StaleDataInAWarpThatDidNotWait) {
  std::string wait = "setp.lt.u32 %p, %r0, 32;\n"
                     "@!%p bra BEHIND;\ngriddepcontrol.wait;\nBEHIND:\n",
              read = "add.s64 %z, %a, %x;\nld.global.b32 %r1, [%z];\n";
  for (bool barrier : {true, false}) {
    Memory memory(1 << 20);
    uint64_t a = *memory.allocate(256, "a"), b = *memory.allocate(256, "b");
    ASSERT_TRUE(memory.fill(a, 0xEE, 256).ok());
    LaunchConfig config;
    config.block[0] = 64;
    Report first = run(kernel("griddepcontrol.wait;\nadd.s64 %z, %b, %x;\n"
                              "st.global.b32 [%z], %r0;"),
                       config, {b, a}, memory, {});
    EXPECT_TRUE(first.clean()) << first.toString();
    config.pdl = true;
    Report second = run(kernel(wait + (barrier ? "bar.sync 0;\n" : "") + read),
                        config, {a, b}, memory, {});
    EXPECT_EQ(countOf(second, FindingKind::staleRead), barrier ? 0u : 1u);
  }
}

TEST(SimMemory, HostSide) {
  Memory memory(1 << 16);
  uint64_t a = *memory.allocate(100, "a");
  EXPECT_FALSE(memory.defined(a, 100));
  EXPECT_TRUE(memory.fill(a + 3, 7, 90).ok());
  EXPECT_TRUE(memory.defined(a + 3, 90));
  EXPECT_FALSE(memory.defined(a + 3, 91));
  uint8_t byte = 0;
  EXPECT_EQ(memory.read(a + 100, &byte, 1).code(), 5022);
  EXPECT_EQ(memory.write(a - 1, &byte, 1).code(), 5022);
  EXPECT_EQ(memory.allocate(1 << 20, "big").status().code(), 5006);
  EXPECT_TRUE(memory.release(a).ok());
  EXPECT_EQ(memory.release(a).code(), 5022);
  EXPECT_EQ(*memory.allocate(50, "b"), a);
}

} // namespace
} // namespace hadal::sim::test
