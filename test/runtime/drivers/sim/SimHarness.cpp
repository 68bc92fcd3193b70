#include "test/runtime/drivers/sim/SimHarness.h"

namespace hadal::sim::test {

std::string moduleText(const std::string &entries) {
  return ".version 8.7\n.target sm_90a\n.address_size 64\n" + entries;
}

std::string laneKernel(const std::string &body, const std::string &result) {
  std::string store = result == "%d"    ? ""
                      : result == "%p"  ? "selp.b64 %d, 1, 0, %p;\n"
                      : result == "%hd" ? "cvt.u64.u16 %d, %hd;\n"
                                        : "cvt.u64.u32 %d, %rd;\n";
  return moduleText(
      ".visible .entry k(.param .u64 in, .param .u64 out)\n{\n"
      ".reg .b64 %a, %b, %c, %d, %in, %out, %at;\n"
      ".reg .b32 %ra, %rb, %rc, %rd, %re, %tid;\n"
      ".reg .b16 %ha, %hb, %hc, %hd, %he;\n"
      ".reg .pred %p, %q, %s;\n"
      "mov.u32 %tid, %tid.x;\n"
      "ld.param.u64 %in, [in];\nld.param.u64 %out, [out];\n"
      "mul.wide.u32 %at, %tid, 24;\nadd.s64 %in, %in, %at;\n"
      "mul.wide.u32 %at, %tid, 8;\nadd.s64 %out, %out, %at;\n"
      "ld.global.b64 %a, [%in];\nld.global.b64 %b, [%in+8];\n"
      "ld.global.b64 %c, [%in+16];\n"
      "cvt.u32.u64 %ra, %a;\ncvt.u32.u64 %rb, %b;\ncvt.u32.u64 %rc, %c;\n"
      "cvt.u16.u64 %ha, %a;\ncvt.u16.u64 %hb, %b;\ncvt.u16.u64 %hc, %c;\n" +
      body + "\n" + store + "st.global.b64 [%out], %d;\nret;\n}\n");
}

LaneRun runLanes(const std::string &body, const std::string &result,
                 const std::vector<LaneInput> &inputs,
                 const Options &options) {
  LaneRun lanes;
  Memory memory(1 << 20);
  uint64_t in = *memory.allocate(inputs.size() * 24, "in");
  uint64_t out = *memory.allocate(inputs.size() * 8, "out");
  EXPECT_TRUE(memory.write(in, inputs.data(), inputs.size() * 24).ok());
  LaunchConfig config;
  config.block[0] = inputs.size();
  lanes.report = run(laneKernel(body, result), config, {in, out}, memory,
                     options);
  lanes.out.resize(inputs.size());
  EXPECT_TRUE(memory.read(out, lanes.out.data(), inputs.size() * 8).ok());
  return lanes;
}

uint64_t evaluate(const std::string &body, const std::string &result,
                  LaneInput input) {
  LaneRun lanes = runLanes(body, result, {input});
  EXPECT_TRUE(lanes.report.clean()) << body << "\n" << lanes.report.toString();
  return lanes.out[0];
}

std::string parseError(const std::string &body) {
  auto module = PtxModule::parse(laneKernel(body, "%d"));
  EXPECT_FALSE(module.ok()) << body;
  if (module.ok())
    return "";
  EXPECT_EQ(module.status().code(), 5021);
  return module.status().message();
}

std::vector<uint8_t> parameters(std::initializer_list<uint64_t> values) {
  std::vector<uint8_t> block(values.size() * 8);
  size_t at = 0;
  for (uint64_t value : values) {
    std::memcpy(block.data() + at, &value, 8);
    at += 8;
  }
  return block;
}

Report run(const std::string &text, const LaunchConfig &config,
           std::initializer_list<uint64_t> values, Memory &memory,
           const Options &options) {
  auto module = PtxModule::parse(text);
  EXPECT_TRUE(module.ok()) << module.status().message();
  if (!module.ok())
    return {};
  auto report =
      launch(**module, "k", config, parameters(values), memory, options);
  EXPECT_TRUE(report.ok()) << report.status().message();
  return report.ok() ? *report : Report();
}

unsigned countOf(const Report &report, FindingKind kind) {
  unsigned count = 0;
  for (const Finding &finding : report.findings)
    count += finding.kind == kind;
  return count;
}

} // namespace hadal::sim::test
