// tiktoken vocabularies: the ids of tiktoken, and files that are none.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "runtime/base/Json.h"
#include "runtime/tokenizer/Tiktoken.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using namespace hadal::test;

namespace {

const std::string kFixture =
    std::string(HADAL_SOURCE_DIR) + "/test/runtime/tokenizer/fixture-tiktoken";

std::string read(const std::string &name) {
  std::ifstream file(kFixture + "/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

Status refusal(const std::string &model, const std::string &config) {
  TokenizerFiles files;
  files.tiktoken = model;
  files.config = config;
  files.name = "k2";
  return Tokenizer::parse(files).status();
}

void expectRefused(const Status &status, const std::string &part) {
  EXPECT_EQ(status.code(), 5009) << status.toString();
  EXPECT_NE(status.message().find(part), std::string::npos)
      << status.toString() << "\nexpected " << part;
}

std::vector<int32_t> encode(const Tokenizer &tokenizer, std::string_view text,
                            AddedTokens added = AddedTokens::None) {
  auto ids = tokenizer.encode(text, {added, std::nullopt});
  EXPECT_TRUE(ids.ok()) << ids.status().toString();
  return ids.ok() ? *ids : std::vector<int32_t>();
}

} // namespace

TEST(Tiktoken, GivesTheIdsOfTheReference) {
  auto tokenizer = Tokenizer::load(kFixture);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().toString();
  auto cases = readJsonFile(kFixture + "/expected.json", 5009);
  ASSERT_TRUE(cases.ok());
  ASSERT_GT(cases->size(), 60u);
  for (const Json &fields : *cases) {
    const std::string &text = *asString(&fields[0]);
    EXPECT_EQ(encode(*tokenizer, text), fields[1].get<std::vector<int32_t>>())
        << fields[0];
    const auto all = fields[2].get<std::vector<int32_t>>();
    EXPECT_EQ(encode(*tokenizer, text, AddedTokens::All), all) << fields[0];
    EXPECT_EQ(*tokenizer->decode(all, /*skipSpecial=*/false), text);
  }
}

TEST(Tiktoken, NamesThePlacesBehindTheVocabulary) {
  auto tokenizer = Tokenizer::load(kFixture);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->vocabSize(), 400 + 256);
  EXPECT_EQ(tokenizer->idOf("[BOS]"), 400);
  EXPECT_EQ(tokenizer->bosId(), 400);
  EXPECT_EQ(tokenizer->eosId(), 401);
  EXPECT_FALSE(tokenizer->addsBos());
  EXPECT_EQ(tokenizer->idOf("<|reserved_token_655|>"), 655);
  EXPECT_FALSE(tokenizer->idOf("<|reserved_token_400|>"));
  EXPECT_TRUE(tokenizer->isSpecial(655));
  EXPECT_FALSE(tokenizer->isSpecial(*tokenizer->idOf("<|im_user|>")));
}

TEST(Tiktoken, EveryCutOfATokenIsAMerge) {
  std::string model;
  TokenizerModel parsed;
  const std::string base = read("tiktoken.model");
  size_t lines = 0;
  for (size_t at = 0; lines < 256; ++lines)
    at = base.find('\n', at) + 1, model = base.substr(0, at);
  // aX 256, Xa 257, aXa 258.
  model += "YVg= 256\nWGE= 257\nYVhh 258\n";
  ASSERT_TRUE(parseTiktoken(model, parsed).ok());
  auto ids = [&](std::string_view word) {
    std::vector<int32_t> result;
    parsed.encoder.encode(word, result);
    return result;
  };
  EXPECT_EQ(ids("aXa"), std::vector<int32_t>{258});
  // aX aX a: then aX|a at its end is aXa, and there is no other.
  EXPECT_EQ(ids("aXaXa"), (std::vector<int32_t>{256, 258}));
}

TEST(Tiktoken, LongTextsAreCut) {
  auto cuts = [](const std::string &text) {
    std::vector<std::pair<size_t, size_t>> result;
    cutLongText(text, [&](size_t begin, size_t end) {
      result.emplace_back(begin, end);
    });
    return result;
  };
  using Cuts = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(cuts(""), Cuts());
  EXPECT_EQ(cuts("a b"), (Cuts{{0, 3}}));
  EXPECT_EQ(cuts(std::string(25000, 'x')), (Cuts{{0, 25000}}));
  EXPECT_EQ(cuts(std::string(25001, 'x')), (Cuts{{0, 25000}, {25000, 25001}}));
  EXPECT_EQ(cuts(std::string(20000, 'x') + std::string(20000, ' ')),
            (Cuts{{0, 40000}}));
  std::string words;
  for (int i = 0; i < 200000; ++i)
    words += "a ";
  EXPECT_EQ(cuts(words), (Cuts{{0, 400000}}));
  // Runs are counted from the last cut on.
  EXPECT_EQ(cuts(words + std::string(25001, ' ')),
            (Cuts{{0, 400000}, {400000, 425000}, {425000, 425001}}));
}

TEST(Tiktoken, MalformedFilesAreRefusedByLine) {
  const std::string model = read("tiktoken.model");
  const std::string config = read("tokenizer_config.json");
  ASSERT_TRUE(refusal(model, config).ok()) << refusal(model, config).toString();
  auto with = [&](const std::string &line) { return model + line; };
  const std::pair<std::string, std::string> cases[] = {
      {with("YWI=\n"), "line 401: expected the base64"},
      {with("YWI 400\n"), "line 401: expected the base64"},
      {with("YWJ= 400\n"), "line 401: expected the base64"}, // a bit too many
      {with("Y=I= 400\n"), "line 401: expected the base64"},
      {with(" 400\n"), "line 401: expected the base64"},
      {with("YWI= -1\n"), "line 401: expected the base64"},
      {with("YWI= 4x\n"), "line 401: expected the base64"},
      {with("YWI= 99999999\n"), "line 401: expected the base64"},
      {with("YWJjZGVm 5\n"), "line 401: rank 5 is that of an earlier line"},
      {with("AA== 400\n"), "line 401: the token of rank 400 has rank "},
      {with("YWJjZGVm 402\n"), "no token has rank 400, one has 402"},
      {"YQ== 0\n", "there is no token for byte 0x00"},
  };
  for (const auto &[text, part] : cases)
    expectRefused(refusal(text, config), part);
  expectRefused(refusal(model, ""), "tokenizer_class (none)");
  expectRefused(refusal(model, R"({"tokenizer_class": "HYTokenizer"})"),
                "tokenizer_class \"HYTokenizer\" around a tiktoken.model: its "
                "pattern is not known; expected \"TikTokenTokenizer\"");
  // Cut off anywhere, and damaged: refused or read, never more.
  for (size_t size = 0; size < model.size(); size += 7)
    (void)refusal(model.substr(0, size), config);
  for (size_t at = 0; at < model.size(); at += 3) {
    std::string damaged = model;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    (void)refusal(damaged, config);
  }
}

TEST(Tiktoken, TokenizerJsonGoesFirst) {
  TempDirectory directory;
  EXPECT_FALSE(Tokenizer::isIn(directory.path()));
  directory.write("tiktoken.model", read("tiktoken.model"));
  directory.write("tokenizer_config.json", read("tokenizer_config.json"));
  EXPECT_TRUE(Tokenizer::isIn(directory.path()));
  EXPECT_TRUE(Tokenizer::load(directory.path()).ok());
  directory.write("tokenizer.json", "{}");
  EXPECT_NE(Tokenizer::load(directory.path())
                .status()
                .message()
                .find("tokenizer.json"),
            std::string::npos);
  directory.write("tiktoken.model", "");
  std::filesystem::remove(directory.file("tokenizer.json"));
  expectRefused(Tokenizer::load(directory.path()).status(), "is empty");
}
