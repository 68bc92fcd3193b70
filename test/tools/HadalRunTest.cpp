// hadal-run on the toy model: what it writes, and how bad input ends.
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include <gtest/gtest.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "test/tools/ToolHarness.h"

using namespace hadal;
using namespace hadal::toy;

namespace {

ToyCheckpoint &checkpoint() {
  static ToyCheckpoint c;
  return c;
}

std::string file(const std::string &name) {
  return checkpoint().dir().file(name);
}

/// The prompts whose generation, by the definition, has more than one token.
const char *const kPrompts[] = {"hello", "sea", "The deep 3", "x"};

} // namespace

TEST(HadalRun, TextGoesToStdoutAndTheRestToStderr) {
  for (const char *prompt : kPrompts) {
    ToolResult r =
        checkpoint().runModel("-n 20 -p '" + std::string(prompt) + "'");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, textOf(greedy(idsOf(prompt), 20)) + "\n");
    EXPECT_NE(r.err.find("mapped"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("anonymous"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("tokens/s"), std::string::npos) << r.err;
  }
}

TEST(HadalRun, QuietMeansNothingOnStderr) {
  ToolResult r = checkpoint().runModel("-q -n 3 -p hello");
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.err, "");
}

TEST(HadalRun, PromptsOfUnequalLengthGiveOneLineEach) {
  std::ofstream out(file("prompts.txt"));
  std::vector<std::string> expected;
  for (int i = 0; i < 11; ++i) {
    std::string prompt = std::string(kPrompts[i % 4]) + char('a' + i);
    out << prompt << "\n";
    std::string text = textOf(greedy(idsOf(prompt), 15));
    std::string escaped;
    for (char c : text)
      escaped += c == '\n' ? "\\n" : std::string(1, c);
    expected.push_back(escaped);
  }
  out.close();
  ToolResult r =
      checkpoint().runModel("-n 15 --prompts " + file("prompts.txt"));
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(splitLines(r.out), expected);
}

TEST(HadalRun, InputIdsGiveIds) {
  ToolResult r = checkpoint().runModel("--input-ids 5,17,3 -n 8");
  EXPECT_EQ(r.status, 0) << r.err;
  std::string expected;
  for (int32_t id : greedy({5, 17, 3}, 8))
    expected += (expected.empty() ? "" : ",") + std::to_string(id);
  EXPECT_EQ(r.out, expected + "\n");
}

TEST(HadalRun, AnAnswerThatHasNoRoomIsSaidToEnd) {
  // The last of 62 positions chooses one more token.
  ToolResult r =
      checkpoint().runModel("--input-ids 5,17,3 -n 100 --ignore-eos");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), ','), 62 - 3);
  const std::string said = "notice: prompt 0 ends short of its -n 100 tokens: "
                           "the artifact was compiled with --max-seq-len=62\n";
  EXPECT_NE(r.err.find(said), std::string::npos) << r.err;
  r = checkpoint().runModel("--input-ids 5,17,3 -n 60 --ignore-eos");
  EXPECT_EQ(r.err.find("ends short"), std::string::npos) << r.err;
}

TEST(HadalRun, LogitsOfAllPositionsOrTheLast) {
  const std::vector<int32_t> ids = {5, 17, 3, 60, 0, 1, 2, 9, 9, 9, 30, 31};
  std::string list;
  for (int32_t id : ids)
    list += (list.empty() ? "" : ",") + std::to_string(id);
  auto expected = referenceLogits(ids);
  for (const char *extra : {"", " --prefill-chunk 1", " --prefill-chunk 5"}) {
    ToolResult r = checkpoint().runModel("--input-ids " + list +
                                         " --logits all --output " +
                                         file("all.npy") + extra);
    ASSERT_EQ(r.status, 0) << r.err;
    NpyMatrix all = readNpy(file("all.npy"));
    ASSERT_EQ(all.rows, ids.size());
    ASSERT_EQ(all.columns, uint64_t(kVocab));
    for (size_t p = 0; p < ids.size(); ++p)
      EXPECT_EQ(std::vector<float>(all.values.begin() + p * kVocab,
                                   all.values.begin() + (p + 1) * kVocab),
                expected[p])
          << "position " << p << extra;
  }
  ToolResult r = checkpoint().runModel(
      "--input-ids " + list + " --logits last --output " + file("last.npy"));
  ASSERT_EQ(r.status, 0) << r.err;
  NpyMatrix last = readNpy(file("last.npy"));
  ASSERT_EQ(last.rows, 1u);
  EXPECT_EQ(last.values, expected.back());
}

TEST(HadalRun, LogitsOfSeveralRowsFollowEachOther) {
  const std::vector<std::vector<int32_t>> rows = {
      {7}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {50, 51}, {3, 3, 3}, {8}, {9, 4}};
  std::string list;
  for (const auto &row : rows) {
    list += list.empty() ? "" : ";";
    for (size_t i = 0; i < row.size(); ++i)
      list += (i ? "," : "") + std::to_string(row[i]);
  }
  ToolResult r =
      checkpoint().runModel("--input-ids '" + list +
                            "' --logits all --output " + file("rows.npy"));
  ASSERT_EQ(r.status, 0) << r.err;
  NpyMatrix got = readNpy(file("rows.npy"));
  std::vector<float> expected;
  for (const auto &row : rows)
    for (const auto &logits : referenceLogits(row))
      expected.insert(expected.end(), logits.begin(), logits.end());
  EXPECT_EQ(got.rows, 19u);
  EXPECT_EQ(got.values, expected);
}

TEST(HadalRun, ExpertLoadCountsEveryToken) {
  ToolResult r = checkpoint().runModel(
      "--input-ids 0,1,4,6 -n 1 --expert-load " + file("load.json"));
  ASSERT_EQ(r.status, 0) << r.err;
  auto json = nlohmann::json::parse(readText(file("load.json")));
  EXPECT_EQ(json["tokens"], 4);
  EXPECT_EQ(json["layers"]["0"], (std::vector<int>{2, 1, 1, 0}));
  EXPECT_EQ(json["layers"]["1"], (std::vector<int>{2, 1, 1, 0}));
}

TEST(HadalRun, SamplingFollowsTheSeed) {
  std::string flags = "-p hello -n 12 --temp 9 --ignore-eos --seed ";
  std::set<std::string> texts;
  for (int seed = 1; seed <= 4; ++seed) {
    ToolResult a = checkpoint().runModel(flags + std::to_string(seed));
    ToolResult b = checkpoint().runModel(flags + std::to_string(seed) +
                                         " --prefill-chunk 2 -t 1");
    EXPECT_EQ(a.status, 0) << a.err;
    EXPECT_EQ(a.out, b.out);
    texts.insert(a.out);
  }
  EXPECT_GT(texts.size(), 2u);
}

TEST(HadalRun, AnInterruptEndsWith130AndLeavesNoFile) {
  // Far more work than fits into the time before the signal.
  {
    std::ofstream out(file("many.txt"));
    for (int i = 0; i < 200000; ++i)
      out << "hello " << char('a' + i % 26) << "\n";
  }
  // --foreground: one signal. Without it the process group gets a second one,
  // which ends the tool at once, before it can say why.
  ToolResult r = checkpoint().runModel(
      "--ignore-eos --prompts " + file("many.txt"),
      "timeout --foreground --preserve-status -s INT 0.5");
  EXPECT_EQ(r.status, 130) << r.err;
  EXPECT_NE(r.err.find("error H5016"), std::string::npos) << r.err;
}

namespace {

struct BadCall {
  const char *name;
  std::string arguments;
  int status;
  const char *message;
  std::string prefix = "";
};

/// Every error is one line on stderr that starts with its code.
void expectError(const ToolResult &r, const BadCall &c) {
  EXPECT_EQ(r.status, c.status) << c.name << ": " << r.err;
  EXPECT_NE(r.err.find(c.message), std::string::npos) << c.name << ": "
                                                      << r.err;
  int errors = 0;
  for (const std::string &line : splitLines(r.err))
    errors += line.starts_with("error H");
  EXPECT_EQ(errors, 1) << c.name << ": " << r.err;
  EXPECT_TRUE(splitLines(r.err).back().starts_with("error H"))
      << c.name << ": " << r.err;
}

} // namespace

TEST(HadalRun, BadRequestsEndWithOneLine) {
  std::string longIds = "1";
  for (int i = 0; i < kMaxSeqLen; ++i)
    longIds += ",2";
  std::ofstream(file("utf8.txt")) << "good\nbad \xff\n";
  std::ofstream(file("none.txt")).flush();
  const std::vector<BadCall> calls = {
      {"no input", "", 2, "give exactly one of -p"},
      {"two inputs", "-p a --input-ids 1", 2, "found 2"},
      {"unknown flag", "-p a --frobnicate", 2, "--frobnicate"},
      {"number", "-p a -n many", 2, "--max-tokens = many"},
      {"negative number", "-p a -n -3", 2, "--max-tokens: Value -3"},
      {"negative chunk", "-p a --prefill-chunk -1", 2, "--prefill-chunk"},
      {"negative seed", "-p a --seed -1", 2, "--seed"},
      {"text beyond the model's vocabulary", "-p '9'", 2, "ids 0 to 63"},
      {"logits without output", "--input-ids 1 --logits all", 2,
       "--logits and --output go together"},
      {"logits of what", "--input-ids 1 --logits some --output x", 2,
       "--logits"},
      {"ids syntax", "--input-ids 1,x", 2, "'x' at character 2"},
      {"ids empty", "--input-ids '1;'", 2, "row 1 of --input-ids is empty"},
      {"no ids at all", "--input-ids ''", 2, "row 0 of --input-ids is empty"},
      {"an empty prompt without BOS", "-p ''", 2,
       "prompt 0 has no tokens, and the tokenizer adds no BOS"},
      {"special ids", "--input-ids 1 --special", 2, "--special is about text"},
      {"top-k", "-p a --top-k -1", 2, "--top-k"},
      {"output that is a directory",
       "--input-ids 1 --logits all --output " + checkpoint().dir().path(), 4,
       "Is a directory"},
      {"id too large", "--input-ids 3,64", 2, "ids 0 to 63"},
      {"id negative", "--input-ids -1", 2, "H50"},
      {"id overflow", "--input-ids 99999999999", 2, "not a list of token ids"},
      {"too long", "--input-ids " + longIds, 2, "max-seq-len is 62"},
      {"too long for logits",
       "--input-ids " + longIds + " --logits all --output " + file("x.npy"), 2,
       "max-seq-len is 62"},
      {"temperature", "-p a --temp -1", 2, "H5005"},
      {"top-p", "-p a --top-p 0", 2, "H5005"},
      {"device", "-p a --device gpu", 2, "expected cpu"},
      {"threads", "-p a -t 5000", 2, "H5011"},
      {"prompts missing", "--prompts /nonexistent", 3, "H5001"},
      {"prompts empty", "--prompts " + file("none.txt"), 2, "holds no line"},
      {"not UTF-8", "--prompts " + file("utf8.txt"), 3, "H5010: prompt 1"},
      {"variant", "-p a", 5, "HADAL_CPU_VARIANT is 'v9'",
       "HADAL_CPU_VARIANT=v9"},
      {"output directory",
       "--input-ids 1 --logits all --output /nonexistent/x.npy", 4, "H5015"},
      {"stdout full", "-p hello -n 4 >/dev/full", 4,
       "cannot write to standard output"},
  };
  for (const BadCall &c : calls)
    expectError(checkpoint().runModel(c.arguments, c.prefix), c);
  EXPECT_EQ(readText(file("x.npy")), "") << "a partial output was left";
}

TEST(HadalRun, RunsPtxOnTheSimulator) {
  ToyCheckpoint c;
  schema::ArtifactT ptx = model();
  makeSm90a(ptx);
  writeFile(c.artifact(), assemble(ptx));
  const std::string ids = "--input-ids 5,17,3 -n 9 --ignore-eos --device sim";
  std::string expected;
  std::vector<int32_t> row = {5, 17, 3};
  for (int i = 0; i < 9; ++i) {
    row.push_back(greedy(row, 1)[0]);
    expected += (i ? "," : "") + std::to_string(row.back());
  }
  for (const char *policy : {"eager", "lazy", "alternate"}) {
    ToolResult r = c.runModel(ids + " --sim poison=off,policy=" + policy);
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, expected + "\n") << policy;
    EXPECT_NE(r.err.find("on sim, " + std::string(policy)), std::string::npos)
        << r.err;
    EXPECT_NE(r.err.find("uploaded"), std::string::npos) << r.err;
  }
  EXPECT_EQ(c.runModel(ids, "HADAL_SIM=poison=off").out, expected + "\n");
  // The toy moves rows that no token has filled.
  expectError(c.runModel(ids), {"poisoned", "", 1, "kernel 'move'"});
  expectError(c.runModel(ids + " --sim policy=fast"),
              {"policy", "", 2, "expected eager or lazy or alternate"});
  ToolResult bench =
      c.run("hadal-bench", c.artifact() + " --weights " + c.dir().path() +
                               " --device sim --sim poison=off --prompt-len 4"
                               " --gen-len 2 --batch 1 --profile");
  EXPECT_EQ(bench.status, 0) << bench.err;
  EXPECT_NE(bench.out.find("decode"), std::string::npos) << bench.out;
  EXPECT_EQ(bench.out.find("plain read"), std::string::npos) << bench.out;
}

TEST(HadalRun, BadFilesEndWithOneLine) {
  ToyCheckpoint c;
  std::vector<uint8_t> good = assemble(model());
  auto runWith = [&](std::vector<uint8_t> bytes) {
    writeFile(c.artifact(), bytes);
    return c.runModel("-p a -n 1");
  };
  std::vector<uint8_t> flipped = good;
  flipped[good.size() - 10] ^= 4;
  expectError(runWith(flipped), {"flipped bit", "", 3, "H4004"});
  std::vector<uint8_t> cut(good.begin(), good.begin() + good.size() / 2);
  expectError(runWith(cut), {"truncated", "", 3, "H4003"});
  expectError(runWith({'h', 'e', 'l', 'l', 'o'}), {"text", "", 3, "H4001"});
  schema::ArtifactT foreign = model();
  makeSm90a(foreign);
  writeFile(c.artifact(), assemble(foreign));
  expectError(c.runModel("-p a -n 1 --device cpu"), {"target", "", 3, "H4007"});
  expectError(c.runModel("-p a -n 1", "HADAL_LIBCUDA=/nonexistent"),
              {"no GPU", "", 5, "use --device sim"});
  schema::ArtifactT image = model();
  image.images[0]->variant = "v4+bf16+vbmi";
  writeFile(c.artifact(), assemble(image));
  expectError(c.runModel("-p a -n 1", "HADAL_CPU_VARIANT=v3"),
              {"another CPU", "", 5, "H5007"});
  writeFile(c.artifact(), good);
  std::string weights = readText(c.dir().file("model.safetensors"));
  std::ofstream(c.dir().file("model.safetensors"), std::ios::binary)
      << weights.substr(0, weights.size() - 4);
  expectError(c.runModel("-p a -n 1"), {"weights cut", "", 3, "H5002"});
  std::filesystem::remove(c.dir().file("model.safetensors"));
  EXPECT_EQ(c.runModel("-p a -n 1").status, 3);
  writeWeights(c.dir().path());
  std::filesystem::remove(c.dir().file("tokenizer.json"));
  EXPECT_EQ(c.runModel("-p a -n 1").status, 3);
  EXPECT_EQ(c.runModel("--input-ids 4 -n 1").status, 0)
      << "ids need no tokenizer";
}

namespace {

/// A checkpoint whose tokenizer_config.json is |config|.
std::unique_ptr<ToyCheckpoint> withConfig(const std::string &config) {
  auto c = std::make_unique<ToyCheckpoint>();
  std::ofstream(c->dir().file("tokenizer_config.json")) << config;
  return c;
}

const char *const kWithBos =
    R"({"add_bos_token":true,"bos_token":"<bos>","eos_token":"<eos>"})";

/// What the tool writes after a prompt of |ids|, by the definition.
std::string continuation(std::vector<int32_t> ids, size_t count) {
  return textOf(greedy(std::move(ids), count)) + "\n";
}

size_t count(const std::string &text, const std::string &part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1))
    ++n;
  return n;
}

} // namespace

TEST(HadalRun, AnEmptyPromptIsAPromptWhereThereIsABos) {
  auto c = withConfig(kWithBos);
  ToolResult r = c->runModel("-n 9 -p ''");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, continuation({0}, 9));
  // Empty lines too, first, last and with the line ends of Windows.
  std::ofstream(c->dir().file("lines")) << "\nsea\r\n\r\n";
  r = c->runModel("-q -n 9 --prompts " + c->dir().file("lines"));
  EXPECT_EQ(r.status, 0) << r.err;
  const std::vector<std::string> lines = splitLines(r.out);
  ASSERT_EQ(lines.size(), 3u) << r.out;
  EXPECT_EQ(lines[0], lines[2]);
  EXPECT_EQ(count(r.out, "\n"), 3u);
  r = c->runModel("-n 1 -p '' --prompts x");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("found 2"), std::string::npos) << r.err;
}

TEST(HadalRun, ControlTokensAreTextUnlessAskedFor) {
  auto c = withConfig(kWithBos);
  // In a file: the harness takes a '>' for a redirection.
  std::ofstream(c->dir().file("one")) << "a <eos>b<bos>\n";
  ToolResult r = c->runModel("-n 2 --special --ignore-eos --prompts " +
                             c->dir().file("one"));
  EXPECT_EQ(r.status, 0) << r.err;
  std::vector<int32_t> ids = {0, idsOf("a")[0], 2, 1, idsOf("b")[0], 0};
  EXPECT_NE(r.err.find("prompt 6 tokens"), std::string::npos) << r.err;
  EXPECT_EQ(r.out, continuation(ids, 2));
  EXPECT_EQ(count(r.err, "notice: prompt"), 0u) << r.err;
  // A BOS that is written out is not doubled, and that is said once.
  std::ofstream(c->dir().file("two")) << "<bos>sea\n<bos>deep\n";
  r = c->runModel("-n 1 --special --prompts " + c->dir().file("two"));
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.err.find("prompt 9 tokens"), std::string::npos) << r.err;
  EXPECT_EQ(count(r.err, "notice: prompt"), 1u) << r.err;
  EXPECT_NE(r.err.find("notice: prompt 0 begins with the special tokens (BOS)"),
            std::string::npos)
      << r.err;
}

TEST(HadalRun, TheTextOfAControlTokenIsSaidOnce) {
  // The toy's vocabulary has no '<', so that the prompts are refused; what is
  // said before is what this is about.
  std::ofstream(file("control.txt")) << "plain\nx<eos>\n<bos>y\n";
  ToolResult r = checkpoint().runModel("-q --prompts " + file("control.txt"));
  EXPECT_EQ(count(r.err, "notice: "), 1u) << r.err;
  EXPECT_NE(r.err.find("notice: prompt 1 holds '<eos>'"), std::string::npos)
      << r.err;
  EXPECT_NE(r.err.find("--special"), std::string::npos) << r.err;
  r = checkpoint().run("hadal-run", "--help");
  EXPECT_NE(r.out.find("--special"), std::string::npos);
  EXPECT_NE(r.out.find("control tokens"), std::string::npos) << r.out;
}

TEST(HadalRun, GenerationConfigIsReadAndSaid) {
  ToyCheckpoint c;
  const std::vector<int32_t> plain = greedy(idsOf("hello"), 8);
  ASSERT_GT(plain.size(), 3u);
  auto write = [&](const std::string &text) {
    std::ofstream(c.dir().file("generation_config.json")) << text;
  };
  // A second end-of-sequence id, in a list and alone.
  const std::vector<int32_t> cut(
      plain.begin(), std::find(plain.begin(), plain.end(), plain[2]));
  for (const std::string &form : {fmt::format("[1,{}]", plain[2]),
                                  fmt::format("{}", plain[2])}) {
    write("{\"eos_token_id\":" + form + "}");
    ToolResult r = c.runModel("-n 8 -p hello");
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, textOf(cut) + "\n");
    EXPECT_NE(r.err.find(fmt::format("generation_config.json adds the "
                                     "end-of-sequence id {}",
                                     plain[2])),
              std::string::npos)
        << r.err;
    r = c.runModel("-q -n 3 -p hello --ignore-eos");
    EXPECT_EQ(r.out, textOf({plain[0], plain[1], plain[2]}) + "\n");
  }
  // Sampling: shown, used on request, and options win.
  write(R"({"do_sample":true,"temperature":8.0,"top_p":0.9,"top_k":40,
            "repetition_penalty":1.1})");
  const std::string greedyText = textOf(plain) + "\n";
  ToolResult r = c.runModel("-n 8 -p hello");
  EXPECT_EQ(r.out, greedyText);
  EXPECT_NE(r.err.find("generation_config.json suggests temperature 8, top_p "
                       "0.9, top_k 40, which is not used"),
            std::string::npos)
      << r.err;
  ToolResult asked =
      c.runModel("-n 8 -p hello --sampling-defaults --seed 3");
  EXPECT_NE(asked.err.find("sampling with temperature 8, top-p 0.9, top-k 40"),
            std::string::npos)
      << asked.err;
  EXPECT_NE(asked.err.find("not supported and not applied of "
                           "generation_config.json: repetition_penalty 1.1"),
            std::string::npos)
      << asked.err;
  ToolResult given = c.runModel(
      "-q -n 8 -p hello --temp 8 --top-p 0.9 --top-k 40 --seed 3");
  EXPECT_EQ(asked.out, given.out);
  EXPECT_NE(asked.out, greedyText);
  EXPECT_EQ(c.runModel("-q -n 8 -p hello --sampling-defaults --temp 0").out,
            greedyText);
  EXPECT_EQ(c.runModel("-q -n 8 -p hello --temp 8 --top-k 1").out, greedyText);
  for (auto [text, part] :
       {std::pair{"[]", "expected an object"},
        {"{", "not valid JSON"},
        {"{\"eos_token_id\":64}", "ids below the vocabulary's 64, found 64"},
        {"{\"eos_token_id\":[1,-1]}", "found -1"},
        {"{\"temperature\":\"x\"}", "temperature: expected a number"},
        {"{\"top_k\":1.5}", "top_k: expected a whole number"},
        {"{\"do_sample\":1}", "do_sample: expected true or false"}}) {
    write(text);
    expectError(c.runModel("-p a -n 1"), {text, "", 3, part});
  }
}

TEST(HadalRun, TheTokenizersEndEndsText) {
  size_t tried = 0;
  for (const char *prompt : kPrompts) {
    const std::vector<int32_t> plain = greedy(idsOf(prompt), 8);
    // A token that is spelled as its letter.
    if (plain.size() < 2 || plain[1] < 4 || plain[0] == plain[1])
      continue;
    ++tried;
    auto c = withConfig("{\"eos_token\":\"" + textOf({plain[1]}) + "\"}");
    ToolResult r = c->runModel(fmt::format("-q -n 8 -p '{}'", prompt));
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, textOf({plain[0]}) + "\n");
  }
  EXPECT_GT(tried, 0u);
}

TEST(HadalRun, OutputsGoWhereTheUserSaid) {
  namespace fs = std::filesystem;
  const std::string flags = "--input-ids 5,6 --logits all --output ";
  ToolResult r = checkpoint().runModel(flags + file("plain.npy"));
  ASSERT_EQ(r.status, 0) << r.err;
  const std::string expected = readText(file("plain.npy"));
  ASSERT_GT(expected.size(), 128u);
  std::ofstream(file("target.npy")) << "old";
  fs::create_symlink("target.npy", file("link.npy"));
  r = checkpoint().runModel(flags + file("link.npy"));
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(fs::is_symlink(file("link.npy")));
  EXPECT_EQ(readText(file("target.npy")), expected);
  r = checkpoint().runModel(flags + "/dev/stdout");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, expected);
  r = checkpoint().runModel("-q --input-ids 5 -n 2 --expert-load /dev/stdout");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("\"experts_per_token\""), std::string::npos) << r.out;
  r = checkpoint().runModel(flags + "/dev/null");
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(HadalRun, ADiskThatFillsLeavesNoPartialFile) {
  std::string ids = "1";
  for (int i = 0; i < 40; ++i)
    ids += ",2";
  // 41 x 64 x 4 bytes do not fit into 8 blocks of 512.
  ToolResult r = checkpoint().runModel(
      "--input-ids " + ids + " --logits all --output " + file("full.npy"),
      "ulimit -f 8; trap '' XFSZ;");
  EXPECT_EQ(r.status, 4) << r.err;
  EXPECT_NE(r.err.find("H5015"), std::string::npos) << r.err;
  for (const auto &entry :
       std::filesystem::directory_iterator(checkpoint().dir().path()))
    EXPECT_EQ(entry.path().filename().string().find("full.npy"),
              std::string::npos)
        << entry.path();
}
