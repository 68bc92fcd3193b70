// Forms of tokenizer.json and patterns of pre-tokenizers, with what the
// reference library makes of them (generate_forms.py).
#include <fmt/ranges.h>

#include "runtime/base/Json.h"
#include "runtime/tokenizer/PreTokenizer.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using namespace hadal::test;

namespace {

Json readFixture(const std::string &name) {
  StatusOr<Json> value = readJsonFile(
      std::string(HADAL_SOURCE_DIR) + "/test/runtime/tokenizer/fixture/" + name,
      5009);
  EXPECT_TRUE(value.ok()) << value.status().toString();
  return value.ok() ? std::move(*value) : Json();
}

std::vector<std::string>
cut(const SplitRegex &regex, std::string_view text,
    SplitStep::Behavior behavior = SplitStep::Behavior::Isolated,
    bool invert = false) {
  std::vector<std::string> pieces;
  PreTokenizer({{regex, behavior, invert}}).split(text, [&](auto piece) {
    pieces.emplace_back(piece);
  });
  return pieces;
}

SplitRegex regexOf(const std::string &pattern) {
  StatusOr<SplitRegex> regex = SplitRegex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << pattern << ": " << regex.status().toString();
  return regex.ok() ? std::move(*regex) : SplitRegex::literal("?");
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<uint8_t>(c) & 0xC0) != 0x80;
      }));
}

TEST(TokenizerFormsTest, giveTheIdsOfTheReference) {
  const Json definition = readFixture("tokenizer.json");
  const Json golden = readFixture("forms.json");
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  ASSERT_GT(golden["forms"].size(), 15u);
  for (const Json &form : golden["forms"]) {
    SCOPED_TRACE(form["name"].get<std::string>());
    Json changed = definition;
    for (const auto &[path, value] : form["changes"].items())
      changed[Json::json_pointer("/" + path)] = value;
    StatusOr<Tokenizer> tokenizer =
        Tokenizer::parse(changed.dump(), "", "model");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().toString();
    const auto before = form["before"].get<std::vector<int32_t>>();
    const auto after = form["after"].get<std::vector<int32_t>>();
    for (size_t i = 0; i < texts.size(); ++i) {
      auto expected = form["ids"][i].get<std::vector<int32_t>>();
      StatusOr<std::vector<int32_t>> ids =
          tokenizer->encode(texts[i], {AddedTokens::All, /*addBos=*/false});
      ASSERT_TRUE(ids.ok()) << ids.status().toString();
      EXPECT_EQ(*ids, expected) << texts[i];
      ids = tokenizer->encode(texts[i], {AddedTokens::All, std::nullopt});
      expected.insert(expected.begin(), before.begin(), before.end());
      expected.insert(expected.end(), after.begin(), after.end());
      EXPECT_EQ(*ids, expected) << texts[i];
    }
  }
}

TEST(SplitRegexTest, cutsWhereTheReferenceDoes) {
  const Json golden = readFixture("forms.json");
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  ASSERT_GT(golden["patterns"].size(), 40u);
  for (const Json &entry : golden["patterns"]) {
    const std::string pattern = entry[0].get<std::string>();
    const SplitRegex regex = regexOf(pattern);
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<size_t> lengths;
      for (const std::string &piece : cut(regex, texts[i]))
        lengths.push_back(characters(piece));
      EXPECT_EQ(lengths, entry[1][i].get<std::vector<size_t>>())
          << pattern << " in " << texts[i];
    }
  }
}

TEST(SplitRegexTest, refusesByName) {
  const std::pair<const char *, const char *> cases[] = {
      {"", "a pattern that matches the empty text at byte 0"},
      {"a*", "matches the empty text"},
      {"a|b*", "matches the empty text"},
      {"(?!a)", "matches the empty text"},
      {"(a", "a '(' without its ')' at byte 2"},
      {"a)", "a ')' without its '(' at byte 1"},
      {"[a", "a '[' without its ']'"},
      {"[]", "an empty class"},
      {"[a-z&&]", "an empty class"},
      {"[z-a]", "a range that ends before it begins"},
      {"[a-\\d]", "a range that ends in a class"},
      {"[[:alpha:]]", "a POSIX class"},
      {"\\p{Greek}",
       "the property 'Greek'; expected a general category such as L or Lu, or "
       "Han"},
      {"\\p{L", "a property without its '}'"},
      {"\\k", "the escape '\\k'"},
      {"\\b", "the escape '\\b'"},
      {"\\1", "the escape '\\1'"},
      {"a\\", "an end where a character is expected"},
      {"\\u12", "a code point that is none"},
      {"\\x{110000}", "a code point that is none"},
      {"(?<=a)b", "a group '(?<="},
      {"(?<n>a)", "a group '(?<n"},
      {"(?>a)", "a group '(?>a"},
      {"(?i)a", "a group '(?i)"},
      {"a(?!bc)", "a look-ahead of more than one character"},
      {"a(?=b*)", "a look-ahead of more than one character"},
      {"*a", "a repeat of nothing"},
      {"a**", "a repeat of a repeat"},
      {"a{2}{3}", "a repeat of a repeat"},
      {"a{2}+", "a repeat of a repeat"},
      {"a{2}?", "a repeat of a repeat"},
      {"a{x}", "a '{' that is no repeat"},
      {"a{3,2}", "a repeat of 3 to 2"},
      {"a{1001}", "a repeat of more than 1000"},
      {"(?:a?)+b", "a repeat of what may be empty"},
      {"(?:ab)++", "a possessive repeat of more than one character"},
      {"(?i:é)", "a character beyond ASCII where case is ignored"},
      {"(?i:ss)", "'ss' where case is ignored"},
      {"(?i:\\p{L})", "a property where case is ignored"},
      {"(?i:[^a])", "a negated class where case is ignored"},
      {"\xff", "malformed UTF-8"},
      {"(?:(?:a{1000}){1000}){9}", "a pattern of more than 16384 steps"}};
  for (auto [pattern, reason] : cases) {
    SCOPED_TRACE(pattern);
    expectError(SplitRegex::compile(pattern).status(), 5009, {reason});
  }
  std::string deep(100000, '(');
  expectError(SplitRegex::compile(deep).status(), 5009,
              {"groups nested deeper than 32"});
  deep.assign(100000, '[');
  expectError(SplitRegex::compile(deep).status(), 5009,
              {"classes nested deeper than 32"});
}

TEST(SplitRegexTest, takesTimeLinearInTheText) {
  // Each backtracks over all that is left at every position, or in every way to
  // share out a run, unless it remembers what failed.
  for (const char *pattern : {"a*b|a", "(?:a|aa)+b|a", "a*a*b|a", "\\s+$|a",
                              "a+?b|a", "(?:a+b?)+c|a"}) {
    const SplitRegex regex = regexOf(pattern);
    EXPECT_EQ(cut(regex, std::string(300000, 'a')).size(), 300000u) << pattern;
  }
  EXPECT_EQ(cut(regexOf("\\s+$"), std::string(300000, ' ') + "x").size(), 1u);
}

TEST(SplitRegexTest, behaviorsFollowTheReference) {
  using Behavior = SplitStep::Behavior;
  using Pieces = std::vector<std::string>;
  const SplitRegex dash = regexOf("-");
  const char *text = "the-final--countdown-";
  EXPECT_EQ(cut(dash, text, Behavior::Removed),
            (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(cut(dash, text, Behavior::Isolated),
            (Pieces{"the", "-", "final", "-", "-", "countdown", "-"}));
  EXPECT_EQ(cut(dash, text, Behavior::MergedWithPrevious),
            (Pieces{"the-", "final-", "-", "countdown-"}));
  EXPECT_EQ(cut(dash, text, Behavior::MergedWithNext),
            (Pieces{"the", "-final", "-", "-countdown", "-"}));
  EXPECT_EQ(cut(dash, text, Behavior::Contiguous),
            (Pieces{"the", "-", "final", "--", "countdown", "-"}));
  EXPECT_EQ(cut(dash, text, Behavior::Removed, true),
            (Pieces{"-", "-", "-", "-"}));
}

/// A tokenizer.json may hold any number of steps: none costs stack.
TEST(TokenizerFormsTest, refusesTooManySteps) {
  Json definition = readFixture("tokenizer.json");
  Json &steps = definition["pre_tokenizer"]["pretokenizers"];
  const Json last = steps.back();
  steps = Json::array();
  for (int i = 0; i < 255; ++i)
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  steps.push_back(last);
  StatusOr<Tokenizer> most = Tokenizer::parse(definition.dump(), "", "m");
  ASSERT_TRUE(most.ok()) << most.status().toString();
  EXPECT_TRUE(most->encode(std::string(1000, '1')).ok());
  for (int i = 0; i < 200000; ++i)
    steps.push_back(last);
  expectError(Tokenizer::parse(definition.dump(), "", "m").status(), 5009,
              {"a pre_tokenizer of 200256 steps: expected at most 256"});
  std::string deep(100000, '[');
  expectError(Tokenizer::parse("{\"model\":" + deep, "", "m").status(), 5009,
              {"nested deeper than 16 levels"});
}

TEST(TokenizerFormsTest, saysWhatItDoesNotFollow) {
  Json definition = readFixture("tokenizer.json");
  definition["truncation"] = {{"max_length", 512}};
  TokenizerFiles files;
  const std::string text = definition.dump();
  files.tokenizer = text;
  files.name = "m";
  files.config = R"({"chat_template":"{{x}}","eos_token":"<|eos|>",
    "add_prefix_space":true})";
  files.specialMap = R"({"bos_token":{"content":"<|bos|>"},
    "eos_token":"<|user|>"})";
  files.addedTokens = R"({"<|user|>":558,"<|new|>":900})";
  StatusOr<Tokenizer> tokenizer = Tokenizer::parse(files);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().toString();
  std::string notices;
  for (const std::string &notice : tokenizer->notices())
    notices += notice + "\n";
  for (const char *part :
       {"m/tokenizer.json': truncation {\"max_length\":512}",
        "m/tokenizer_config.json': holds a chat template",
        "m/tokenizer_config.json': add_prefix_space is not followed",
        "m/special_tokens_map.json': eos_token is token 558 here and token 1",
        "m/added_tokens.json': token \"<|new|>\" with id 900 is not in "
        "tokenizer.json"})
    EXPECT_NE(notices.find(part), std::string::npos) << part << "\n" << notices;
  EXPECT_EQ(tokenizer->notices().size(), 5u) << notices;
  EXPECT_EQ(tokenizer->bosId(), 0);
  EXPECT_EQ(tokenizer->eosId(), 1);
  expectError(
      [&] {
        files.specialMap = "[]";
        return Tokenizer::parse(files).status();
      }(),
      5009, {"m/special_tokens_map.json", "expected an object"});
}

TEST(TokenizerFormsTest, learnsAddedTokensOfTheConfiguration) {
  const std::string definition = readFixture("tokenizer.json").dump();
  auto parse = [&](const char *config) {
    return Tokenizer::parse(definition, config, "m");
  };
  StatusOr<Tokenizer> more = parse(R"({"added_tokens_decoder":{
    "0":{"content":"<|bos|>","special":true},
    "700":{"content":"<|tool|>","special":true,"lstrip":true}}})");
  ASSERT_TRUE(more.ok()) << more.status().toString();
  std::vector<int32_t> expected = *more->encode("the");
  expected.push_back(700);
  EXPECT_EQ(*more->encode("the <|tool|>", {AddedTokens::All, false}), expected)
      << "the flags of the configuration";
  EXPECT_TRUE(more->isSpecial(700));
  StatusOr<Tokenizer> other =
      parse(R"({"added_tokens_decoder":{"3":{"content":"<|bos|>"}}})");
  ASSERT_TRUE(other.ok());
  ASSERT_EQ(other->notices().size(), 1u);
  EXPECT_NE(other->notices()[0].find("has id 3 here and 0 in tokenizer.json"),
            std::string::npos);
  for (auto [config, reason] :
       {std::pair{R"({"added_tokens_decoder":[]})", "expected an object"},
        {R"({"added_tokens_decoder":{"x":{"content":"y"}}})", "\"x\""},
        {R"({"added_tokens_decoder":{"9":{"content":""}}})", "with content"},
        {R"({"added_tokens_decoder":{"9":{"content":"<|new|>"}}})",
         "which another token has"},
        {R"({"added_tokens_decoder":{"901":{"content":"<n>","lstrip":2}}})",
         "lstrip: expected true or false"}})
    expectError(parse(config).status(), 5009,
                {"m/tokenizer_config.json", reason});
}

/// A template's tokens stay what they are, and BOS is never doubled.
TEST(TokenizerFormsTest, bosAndTemplateTogether) {
  const Json fixture = readFixture("tokenizer.json");
  // Ids: <|bos|> 0, <|eos|> 1.
  const struct {
    std::vector<const char *> before;
    const char *config;
    std::vector<int32_t> prefix;
  } cases[] = {
      {{}, "{}", {}},
      {{}, R"({"bos_token":"<|bos|>"})", {}},
      {{}, R"({"bos_token":"<|bos|>","add_bos_token":true})", {0}},
      {{"<|bos|>"}, "{}", {0}},
      {{"<|bos|>"}, R"({"bos_token":"<|bos|>","add_bos_token":true})", {0}},
      {{"<|bos|>"}, R"({"bos_token":"<|bos|>","add_bos_token":false})", {}},
      {{"<|bos|>"}, R"({"add_bos_token":false})", {}},
      {{"<|eos|>"}, R"({"bos_token":"<|bos|>"})", {1}},
      {{"<|eos|>"}, R"({"bos_token":"<|bos|>","add_bos_token":true})", {0, 1}},
      {{"<|eos|>", "<|bos|>"}, R"({"bos_token":"<|bos|>"})", {1, 0}},
      {{"<|eos|>", "<|bos|>"},
       R"({"bos_token":"<|bos|>","add_bos_token":true})",
       {1, 0}},
      {{"<|bos|>", "<|eos|>"}, R"({"bos_token":"<|bos|>"})", {0, 1}},
      {{"<|bos|>", "<|eos|>"},
       R"({"bos_token":"<|bos|>","add_bos_token":false})",
       {1}}};
  for (const auto &c : cases) {
    SCOPED_TRACE(fmt::format("{} {}", fmt::join(c.before, " "), c.config));
    Json definition = fixture;
    Json single = Json::array();
    for (const char *token : c.before)
      single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    definition["post_processor"] = {{"type", "TemplateProcessing"},
                                    {"single", single}};
    StatusOr<Tokenizer> tokenizer =
        Tokenizer::parse(definition.dump(), c.config, "m");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().toString();
    EXPECT_EQ(*tokenizer->encode(""), c.prefix);
    EXPECT_EQ(tokenizer->writesPrefix("<|bos|><|eos|>"),
              !c.prefix.empty() && c.prefix[0] == 0);
  }
}

TEST(TokenizerFormsTest, findsControlTokensAndWrittenPrefixes) {
  const std::string definition = readFixture("tokenizer.json").dump();
  StatusOr<Tokenizer> tokenizer = Tokenizer::parse(
      definition, R"({"add_bos_token":true,"bos_token":"<|bos|>"})", "m");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(tokenizer->findAddedToken("the sea"), std::nullopt);
  EXPECT_EQ(tokenizer->findAddedToken("a <|user|> b"), "<|user|>");
  EXPECT_FALSE(tokenizer->writesPrefix("the<|bos|>"));
  EXPECT_TRUE(tokenizer->writesPrefix("<|bos|>the"));
  EXPECT_EQ(*tokenizer->encode("<|bos|>the", {AddedTokens::All, false}),
            *tokenizer->encode("the", {AddedTokens::All, true}));
}

} // namespace
