// hadal-bench and hadal-inspect on the toy model.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/cts/ToyRanks.h"
#include "test/tools/ToolHarness.h"

using namespace hadal;
using namespace hadal::toy;

namespace {

nlohmann::json inspectJson(const ToyCheckpoint &c, const std::string &flags) {
  ToolResult r =
      c.run("hadal-inspect", c.artifact() + " --format json " + flags);
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err, "");
  return nlohmann::json::parse(r.out, nullptr, false);
}

} // namespace

TEST(HadalBench, PrintsRatesAndWritesThem) {
  ToyCheckpoint c;
  ToolResult r = c.run("hadal-bench",
                       c.artifact() + " --weights " + c.dir().path() +
                           " -t 2 --prompt-len 20 --gen-len 8 --batch 1,3 "
                           "--profile --json " +
                           c.dir().file("b.json"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("plain read"), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("share"), std::string::npos) << r.out;
  auto json = nlohmann::json::parse(readText(c.dir().file("b.json")));
  ASSERT_EQ(json["runs"].size(), 2u);
  for (int i : {0, 1}) {
    const auto &run = json["runs"][i];
    int batch = i ? 3 : 1;
    EXPECT_EQ(run["batch"], batch);
    EXPECT_EQ(run["prefill"]["tokens"], 20 * batch);
    EXPECT_GT(run["prefill"]["tokens_per_second"], 0);
    EXPECT_EQ(run["decode"]["tokens"], 8 * batch);
    // w.0, w.1 and the bias, all dense.
    EXPECT_EQ(run["decode"]["weight_bytes_per_step"], (8 + 8 + 64) * 4);
    EXPECT_GT(run["decode"]["share_of_plain_read"], 0);
    EXPECT_GT(run["decode"]["plain_read_bytes_per_second"], 0);
    uint64_t attend = 0;
    for (const auto &kernel : run["decode"]["kernels"])
      if (kernel["name"] == "attend")
        attend = kernel["launches"];
    EXPECT_EQ(attend, 8u * kLayers);
  }
}

TEST(HadalRun, ProfileSaysWhereTheTimeGoes) {
  ToyCheckpoint c;
  const ToolResult plain = c.runModel("-q -n 12 -p sea");
  const ToolResult r =
      c.runModel("-q -n 12 -p sea --profile-steps 3 --profile " +
                 c.dir().file("t.json"));
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, plain.out);
  EXPECT_EQ(r.err.find("profile of "), 0u) << r.err;
  for (const char *part : {"decode_1", "attend", "of read"})
    EXPECT_NE(r.err.find(part), std::string::npos) << part << "\n" << r.err;
  EXPECT_LE(std::ranges::count(r.err, '\n'), 40);
  const auto trace = nlohmann::json::parse(readText(c.dir().file("t.json")));
  unsigned decodes = 0;
  for (const auto &event : trace["traceEvents"])
    decodes += event["ph"] == "X" && event["name"] == "decode_1";
  EXPECT_EQ(decodes, 3u);
  // Without a file: the summary alone.
  EXPECT_EQ(c.runModel("-q -n 2 --profile -p sea").err.find("profile of "), 0u);
  // Where there can be no file nothing runs.
  const ToolResult bad = c.runModel("-q -p sea --profile /nonexistent/t.json");
  EXPECT_EQ(bad.status, 4) << bad.err;
  EXPECT_EQ(bad.out, "");
  EXPECT_NE(bad.err.find("H5015"), std::string::npos) << bad.err;
}

TEST(HadalBench, RepeatedPrefillsCountOnce) {
  ToyCheckpoint c;
  ToolResult r = c.run("hadal-bench",
                       c.artifact() + " --weights " + c.dir().path() +
                           " --prompt-len 20 --gen-len 0 --batch 2 --repeat 3 "
                           "--profile --json " +
                           c.dir().file("b.json"));
  ASSERT_EQ(r.status, 0) << r.err;
  auto json = nlohmann::json::parse(readText(c.dir().file("b.json")));
  EXPECT_EQ(json["repeat"], 3);
  const auto &prefill = json["runs"][0]["prefill"];
  EXPECT_EQ(prefill["tokens"], 40);
  // Launches of one prefill, whose calls are counted once too.
  uint64_t attend = 0;
  double sum = 0;
  for (const auto &kernel : prefill["kernels"]) {
    sum += kernel["seconds"].get<double>();
    if (kernel["name"] == "attend")
      attend = kernel["launches"];
  }
  EXPECT_EQ(attend, prefill["calls"].get<uint64_t>() * kLayers);
  EXPECT_LE(sum, prefill["seconds"].get<double>());
  EXPECT_EQ(c.run("hadal-bench", c.artifact() + " --weights " + c.dir().path() +
                                     " --repeat 0")
                .status,
            2);
}

TEST(HadalBench, RequestsBeyondTheLimitsAreRefused) {
  ToyCheckpoint c;
  std::string model = c.artifact() + " --weights " + c.dir().path();
  EXPECT_EQ(c.run("hadal-bench", model + " --prompt-len 60 --gen-len 3").status,
            2);
  EXPECT_EQ(c.run("hadal-bench",
                  model + " --prompt-len 5 --gen-len 3 --batch 5")
                .status,
            2);
  EXPECT_EQ(c.run("hadal-bench", model + " --prompt-len 0").status, 2);
}

/// The toy artifact's kernels are written by hand: no inputs follow from them.
TEST(HadalBench, AKernelIsMeasuredByItsSpecAlone) {
  ToyCheckpoint c;
  const std::string kernels = c.artifact() + " --check-only --kernels=";
  ToolResult r = c.run("hadal-bench", kernels + "embed");
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("kernel 'embed' of '"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("cannot be measured: it has no spec; compile the model "
                       "with this version"),
            std::string::npos)
      << r.err;

  // A name says nothing of what the kernel is; the spec does.
  schema::ArtifactT artifact = model();
  artifact.kernels[kEmbed]->spec = std::make_unique<schema::KernelSpecT>();
  artifact.kernels[kEmbed]->spec->kind = "matmul";
  writeFile(c.artifact(), assemble(artifact));
  r = c.run("hadal-bench", kernels + "embed");
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("cannot be measured: no kernel is of kind 'matmul', "
                       "expected one of embed, "),
            std::string::npos)
      << r.err;
}

TEST(HadalInspect, OverviewAndSections) {
  ToyCheckpoint c;
  auto overview = inspectJson(c, "")["artifact"];
  EXPECT_EQ(overview["target"], "cpu");
  EXPECT_EQ(overview["images"], "v3");
  EXPECT_EQ(overview["deterministic"], false);
  EXPECT_EQ(overview["entries"].size(), 6u);
  EXPECT_EQ(overview["entries"][2]["tokens"], 8);

  auto kernels = inspectJson(c, "--kernels")["kernels"];
  ASSERT_EQ(kernels.size(), size_t(kNumKernels));
  EXPECT_EQ(kernels[kScratch]["scratch_bytes"], kScratchBytes);
  EXPECT_EQ(kernels[0]["schedule"], "bm=4 form=rows(option)");
  EXPECT_EQ(kernels[0]["spec"], nlohmann::json::object());

  auto program = inspectJson(c, "--program")["program"];
  auto commands = program["functions"]["decode_1"]["commands"];
  ASSERT_EQ(commands.size(), 3u);
  EXPECT_EQ(commands[0]["text"],
            "launch embed[1](x = arena+0, tokens = tokens, sizes = sizes) op "
            "forward.embed");
  EXPECT_EQ(commands[0]["op"], "forward.embed");
  EXPECT_EQ(commands[0]["members"], nlohmann::json::array({"forward.embed"}));
  EXPECT_EQ(commands[1]["text"], "repeat 2 decode_1.layer params [0, 1] states "
                                 "[0, 1, 2, 3]");
  EXPECT_FALSE(commands[1].contains("op"));
  auto layer = program["functions"]["decode_1.layer"];
  EXPECT_EQ(layer["arg_names"], "w, kv, expert_load");
  EXPECT_EQ(layer["commands"][1]["op"], "layer.attend");
  EXPECT_EQ(layer["commands"][1]["members"],
            nlohmann::json::array({"layer.append", "layer.attend"}));

  auto weights = inspectJson(c, "--weights")["weights"];
  EXPECT_EQ(weights["mapped_bytes"], (8 + 8 + 64) * 4);
  EXPECT_EQ(weights["parameters"][2]["shape"], "[64]");

  auto memory = inspectJson(c, "--memory")["memory"];
  EXPECT_EQ(memory["arena_bytes"], 128);
  EXPECT_EQ(memory["cache_bytes_per_token"], 2 * 2 * 4);
  EXPECT_EQ(memory["cache_bytes"], 16 * 4 * 4 * 16);

  auto both = inspectJson(c, "--provenance --memory");
  EXPECT_EQ(both["provenance"]["options"]["max-batch-size"], "4");
  EXPECT_EQ(both["provenance"]["remarks"][0],
            "decode_1: absorbed attention");
  EXPECT_TRUE(both.contains("memory"));
}

TEST(HadalInspect, TextIsReadable) {
  ToyCheckpoint c;
  ToolResult r = c.run("hadal-inspect", c.artifact() + " --weights --program");
  EXPECT_EQ(r.status, 0);
  EXPECT_NE(r.out.find("repeat 2 decode_1.layer"), std::string::npos) << r.out;
  EXPECT_NE(
      r.out.find(" op layer.attend members [layer.append, layer.attend]\n"),
      std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("bias"), std::string::npos) << r.out;
}

/// Numbers and flags of a spec are such in JSON, words text; the table shows
/// them in one column.
TEST(HadalInspect, SpecsInBothForms) {
  ToyCheckpoint c;
  schema::ArtifactT artifact = model();
  auto spec = std::make_unique<schema::KernelSpecT>();
  spec->kind = "norm_quant";
  for (auto [key, value] : {std::pair{"act", "bf16"}, {"width", "64"},
                            {"eps", "1e-06"}, {"delta", "false"},
                            {"odd", "null"}}) {
    spec->fields.push_back(std::make_unique<schema::KeyValueT>());
    spec->fields.back()->key = key;
    spec->fields.back()->value = value;
  }
  artifact.kernels[kMove]->spec = std::move(spec);
  writeFile(c.artifact(), assemble(artifact));
  auto kernels = inspectJson(c, "--kernels")["kernels"];
  EXPECT_EQ(kernels[kMove]["spec"],
            nlohmann::json::parse(
                R"({"kind": "norm_quant", "act": "bf16", "width": 64,
                    "eps": 1e-06, "delta": false, "odd": "null"})"));
  ToolResult r = c.run("hadal-inspect", c.artifact() + " --kernels");
  EXPECT_NE(r.out.find("kind=norm_quant act=bf16 width=64 eps=1e-06 "
                       "delta=false odd=null\n"),
            std::string::npos)
      << r.out;
}

/// A program of several ranks: mesh, communicators, collectives and events.
TEST(HadalInspect, RanksInBothForms) {
  ToyCheckpoint c;
  schema::ArtifactT artifact = rankModel(2);
  auto table = std::make_unique<schema::ParameterT>();
  table->name = "placement";
  table->kind = schema::ParameterKind::generated;
  table->generator = schema::Generator::placement_table;
  table->place = schema::Placement::copy;
  table->dtype = schema::DType::i32;
  table->layer = 1;
  table->replicas = 2;
  artifact.parameters[2]->slice = std::make_unique<schema::SliceT>();
  artifact.parameters[2]->slice->axis = schema::Axis::tp;
  artifact.parameters[2]->slice->unit = 32;
  artifact.parameters.push_back(std::move(table));
  for (auto &entry : artifact.entries)
    artifact.functions[entry->function]->num_parameters += 1;
  writeFile(c.artifact(), assemble(artifact));

  auto json = inspectJson(c, "--program --weights --memory");
  EXPECT_EQ(json["program"]["mesh"]["ranks"], 2);
  EXPECT_EQ(json["program"]["mesh"]["slots"], 2);
  EXPECT_EQ(json["program"]["mesh"]["communicators"], "ep (ep of 2)");
  EXPECT_EQ(json["memory"]["exchange_bytes"], 320);
  const auto &entry = json["program"]["entries"][0];
  EXPECT_EQ(entry["rung"], "worst");
  EXPECT_EQ(entry["capacity_rows"], 2);
  EXPECT_EQ(entry["collective_digest"].get<std::string>().size(), 16u);
  const auto &commands = json["program"]["functions"]["ranks.layer"]["commands"];
  EXPECT_EQ(commands[2]["text"], "record 0 stream 0");
  EXPECT_EQ(commands[3]["text"], "wait 0 stream 1");
  EXPECT_EQ(commands[4]["text"],
            "all_to_all ep 'dispatch' [arena+0 -> arena+64: 2 x 8 counted 0, "
            "arena+192 -> arena+256: 1 x 4] counts arena+192 stride 1 stream 1");
  EXPECT_EQ(json["program"]["functions"]["ranks"]["commands"][4]["text"],
            "all_reduce ep 'sum' [arena+0 -> arena+128: 2 x 8 of f32] stream 1");
  const auto &parameters = json["weights"]["parameters"];
  EXPECT_EQ(parameters[2]["slice"], "tp rows of 32");
  EXPECT_EQ(parameters[3]["shape"], "[4, 3]");
  EXPECT_EQ(parameters[3]["bytes"], 4 * 3 * 4);
  EXPECT_EQ(parameters[3]["place"], "computed");

  ToolResult r = c.run("hadal-inspect", c.artifact() + " --program --weights");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("wait 1 stream 0"), std::string::npos) << r.out;
}

TEST(HadalInspect, DamagedFilesAreRefused) {
  ToyCheckpoint c;
  std::vector<uint8_t> bytes = assemble(model());
  bytes[100] ^= 1;
  writeFile(c.artifact(), bytes);
  ToolResult r = c.run("hadal-inspect", c.artifact());
  EXPECT_EQ(r.status, 3);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find("error H4004"), std::string::npos) << r.err;
  EXPECT_EQ(c.run("hadal-inspect", "").status, 2);
  EXPECT_EQ(c.run("hadal-inspect", c.artifact() + " --format xml").status, 2);
}
