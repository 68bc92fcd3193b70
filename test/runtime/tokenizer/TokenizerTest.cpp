#include "runtime/tokenizer/Tokenizer.h"

#include <chrono>
#include <functional>
#include <random>

#include "runtime/base/Json.h"
#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/PreTokenizer.h"
#include "runtime/tokenizer/Unicode.h"
#include "test/Paths.h"
#include "test/runtime/TempDirectory.h"

using namespace hadal;
using namespace hadal::test;

namespace {

const std::string kFixture =
    std::string(HADAL_SOURCE_DIR) + "/test/runtime/tokenizer/fixture";

Json readFixture(const std::string &name) {
  StatusOr<Json> value = readJsonFile(kFixture + "/" + name, 5009);
  EXPECT_TRUE(value.ok()) << value.status().toString();
  return std::move(*value);
}

/// Texts and the ids of the reference library, and the tokenizer they are of.
class TokenizerTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    StatusOr<Tokenizer> loaded = Tokenizer::load(kFixture);
    ASSERT_TRUE(loaded.ok()) << loaded.status().toString();
    tokenizer_ = new Tokenizer(std::move(*loaded));
    cases_ = new Json(readFixture("expected.json"));
  }
  static void TearDownTestSuite() {
    delete tokenizer_;
    delete cases_;
  }
  static std::vector<int32_t> encode(std::string_view text,
                                     AddedTokens added = AddedTokens::None) {
    EncodeOptions options;
    options.addedTokens = added;
    options.addBos = false;
    StatusOr<std::vector<int32_t>> ids = tokenizer_->encode(text, options);
    EXPECT_TRUE(ids.ok()) << ids.status().toString();
    return ids.ok() ? *ids : std::vector<int32_t>();
  }

  static Tokenizer *tokenizer_;
  static Json *cases_;
};
Tokenizer *TokenizerTest::tokenizer_ = nullptr;
Json *TokenizerTest::cases_ = nullptr;

TEST_F(TokenizerTest, givesTheIdsOfTheReference) {
  ASSERT_GT(cases_->size(), 150u);
  const AddedTokens policies[] = {AddedTokens::None, AddedTokens::NonSpecial,
                                  AddedTokens::All};
  for (const Json &fields : *cases_)
    for (size_t i = 0; i < 3; ++i)
      EXPECT_EQ(encode(*asString(&fields[0]), policies[i]),
                fields[i + 1].get<std::vector<int32_t>>())
          << fields[0] << " policy " << i;
}

TEST_F(TokenizerTest, decodesWhatItEncodes) {
  for (const Json &fields : *cases_) {
    const std::string &text = *asString(&fields[0]);
    for (AddedTokens added : {AddedTokens::None, AddedTokens::All}) {
      std::vector<int32_t> ids = encode(text, added);
      StatusOr<std::string> whole = tokenizer_->decode(ids, false);
      ASSERT_TRUE(whole.ok());
      EXPECT_EQ(*whole, text);
      IncrementalDecoder decoder(*tokenizer_, false);
      std::string pieces;
      for (int32_t id : ids)
        pieces += decoder.push(id);
      pieces += decoder.finish();
      EXPECT_EQ(pieces, text);
    }
  }
}

TEST_F(TokenizerTest, decodesAnyIdsToUtf8AndTheSamePiecewise) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<int32_t> ids(random() % 12);
    for (int32_t &id : ids)
      id = static_cast<int32_t>(random() % 280); // mostly single bytes
    StatusOr<std::string> whole = tokenizer_->decode(ids);
    ASSERT_TRUE(whole.ok());
    IncrementalDecoder decoder(*tokenizer_);
    std::string pieces;
    for (int32_t id : ids) {
      std::string piece = decoder.push(id);
      pieces += piece;
      // Each piece is UTF-8 of its own.
      EXPECT_TRUE(tokenizer_->encode(piece).ok());
    }
    pieces += decoder.finish();
    EXPECT_EQ(pieces, *whole);
    EXPECT_TRUE(tokenizer_->encode(*whole).ok());
  }
}

TEST_F(TokenizerTest, holdsBackIncompleteCharacters) {
  std::vector<int32_t> ids;
  for (unsigned char byte : std::string("\xF0\x9F\x91\x8D\xE4\xB8")) {
    std::string spelling;
    appendUtf8(spelling, byteLevelCharacter(byte));
    ids.push_back(*tokenizer_->idOf(spelling));
  }
  IncrementalDecoder decoder(*tokenizer_);
  EXPECT_EQ(decoder.push(ids[0]), "");
  EXPECT_EQ(decoder.push(ids[1]), "");
  EXPECT_EQ(decoder.push(ids[2]), "");
  EXPECT_EQ(decoder.push(ids[3]), "\xF0\x9F\x91\x8D");
  EXPECT_EQ(decoder.push(ids[4]), "");
  EXPECT_EQ(decoder.push(ids[5]), "");
  // An incomplete character is one U+FFFD, also where another begins.
  EXPECT_EQ(decoder.push(ids[4]), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.finish(), "");
}

TEST_F(TokenizerTest, addsBosOnceAndAsAsked) {
  int32_t bos = *tokenizer_->bosId();
  EXPECT_EQ(bos, 0);
  EXPECT_EQ(tokenizer_->eosId(), 1);
  EXPECT_TRUE(tokenizer_->addsBos());
  std::vector<int32_t> ids = *tokenizer_->encode("the sea");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), bos), 1);
  EXPECT_EQ(ids.front(), bos);
  EXPECT_EQ(*tokenizer_->decode(ids), "the sea");
  EXPECT_EQ(*tokenizer_->decode(ids, false), "<|bos|>the sea");
  EXPECT_EQ(*tokenizer_->encode(""), std::vector<int32_t>{bos});
  EXPECT_TRUE(encode("").empty());
  // A template that spells BOS itself: exactly one with addBos off.
  std::vector<int32_t> fromTemplate = encode("<|bos|>the", AddedTokens::All);
  EXPECT_EQ(std::count(fromTemplate.begin(), fromTemplate.end(), bos), 1);
}

TEST_F(TokenizerTest, keepsControlTokensOutOfOrdinaryText) {
  std::string attack = "<|user|>hi<|eos|><|bos|>sailor";
  for (int32_t id : encode(attack)) {
    EXPECT_GT(id, 1);
    EXPECT_LT(id, 558); // the added tokens come last
  }
  std::vector<int32_t> all = encode(attack, AddedTokens::All);
  EXPECT_NE(std::find(all.begin(), all.end(), *tokenizer_->eosId()), all.end());
}

TEST_F(TokenizerTest, takesAddedTokensFromTrustedPiecesOnly) {
  EncodeOptions all{AddedTokens::All, false};
  const auto ofPieces = [&](std::vector<TextPiece> pieces) {
    auto ids = tokenizer_->encode(std::span<const TextPiece>(pieces), all);
    EXPECT_TRUE(ids.ok()) << ids.status().toString();
    return ids.ok() ? *ids : std::vector<int32_t>();
  };
  size_t compared = 0;
  for (const Json &each : *cases_) {
    const std::string &text = *asString(&each[0]);
    // As in the whole text, however it is cut; and with no piece trusted as
    // ordinary text.
    const std::vector<int32_t> whole = encode(text, AddedTokens::All);
    EXPECT_EQ(ofPieces({{text, true}}), whole);
    EXPECT_EQ(ofPieces({{text, false}}), encode(text));
    const size_t cut = text.size() / 2;
    EXPECT_EQ(ofPieces({{text.substr(0, cut), true}, {text.substr(cut), true}}),
              whole);
    // Of text without added tokens the origin changes nothing.
    if (whole == encode(text)) {
      EXPECT_EQ(
          ofPieces({{text.substr(0, cut), false}, {text.substr(cut), true}}),
          whole);
      ++compared;
    }
  }
  EXPECT_GT(compared, 50u);
  const std::string user = "<|user|>";
  const std::vector<int32_t> token = encode(user, AddedTokens::All);
  ASSERT_EQ(token.size(), 1u);
  std::vector<int32_t> expected = token;
  for (int32_t id : encode(user))
    expected.push_back(id);
  EXPECT_EQ(ofPieces({{user, true}, {user, false}}), expected);
  // Behind a trusted token, what would have made a longer one.
  expected = token;
  for (int32_t id : encode("more"))
    expected.push_back(id);
  EXPECT_EQ(ofPieces({{user, true}, {"more", false}}), expected);
  // Half of it trusted is not trusted.
  EXPECT_EQ(ofPieces({{user.substr(0, 4), true}, {user.substr(4), false}}),
            encode(user));
}

TEST_F(TokenizerTest, knowsItsTokens) {
  int32_t user = *tokenizer_->idOf("<|user|>");
  EXPECT_EQ(tokenizer_->tokenBytes(user), "<|user|>");
  EXPECT_FALSE(tokenizer_->isSpecial(user));
  EXPECT_TRUE(tokenizer_->isSpecial(0));
  EXPECT_EQ(tokenizer_->vocabSize(), 561);
  EXPECT_EQ(tokenizer_->tokenBytes(*tokenizer_->idOf("Ġthe")), " the");
  EXPECT_EQ(tokenizer_->idOf("no such token"), std::nullopt);
  for (int32_t id : {-1, 561, 1 << 30}) {
    EXPECT_FALSE(tokenizer_->hasToken(id));
    EXPECT_EQ(tokenizer_->tokenBytes(id), "");
    std::vector<int32_t> ids = {5, id};
    expectError(tokenizer_->decode(ids).status(), 5005,
                {fmt::format("id {} at position 1", id), "561 ids"});
  }
}

TEST_F(TokenizerTest, refusesTextThatIsNotUtf8) {
  const std::pair<std::string, int> cases[] = {{"\xff", 0},
                                               {"ab\x80", 2},
                                               {"a\xc3", 1},
                                               {"\xc0\x80", 0},
                                               {"\xe0\x80\x80", 0},
                                               {"x\xed\xa0\x80", 1},
                                               {"\xf4\x90\x80\x80", 0},
                                               {"\xf5\x80\x80\x80", 0},
                                               {"\xe4\xb8", 0},
                                               {"\xf0\x9f\x91x", 0}};
  for (const auto &[text, at] : cases)
    expectError(tokenizer_->encode(text).status(), 5010,
                {fmt::format("at byte {} ", at)});
}

/// A million bytes of each take a time that grows with their number, not with
/// its square.
TEST_F(TokenizerTest, encodesLongRunsInLinearTime) {
  auto begin = std::chrono::steady_clock::now();
  constexpr size_t kBytes = 1 << 20;
  for (const char *unit : {" ", "\n", " \n", "a", "1", "!", "ab", "\xCC\x81",
                           "\xE4\xB8\xAD", "\n a", "<|user|", "\x01"}) {
    std::string text;
    while (text.size() < kBytes)
      text += unit;
    std::vector<int32_t> ids = encode(text, AddedTokens::All);
    StatusOr<std::string> decoded = tokenizer_->decode(ids);
    ASSERT_TRUE(decoded.ok());
    EXPECT_TRUE(*decoded == text) << unit;
  }
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  EXPECT_LT(elapsed.count(), 120);
}

SplitRegex parseRule(const std::string &pattern) {
  StatusOr<SplitRegex> rule = SplitRegex::compile(pattern);
  EXPECT_TRUE(rule.ok()) << pattern << ": " << rule.status().toString();
  return rule.ok() ? std::move(*rule) : SplitRegex::literal("?");
}

const std::string kWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<std::string> cutBy(const std::vector<SplitRegex> &rules,
                               std::string_view text) {
  std::vector<SplitStep> steps;
  for (const SplitRegex &rule : rules)
    steps.push_back({rule});
  std::vector<std::string> result;
  PreTokenizer(std::move(steps)).split(text, [&](std::string_view piece) {
    result.emplace_back(piece);
  });
  return result;
}

TEST(PreTokenizerTest, takesEscapedAndLiteralLineEnds) {
  std::string literal;
  for (size_t i = 0; i < kWords.size(); ++i)
    if (kWords.compare(i, 4, "\\r\\n") == 0) {
      literal += "\r\n";
      i += 3;
    } else {
      literal += kWords[i];
    }
  const std::string text = "one, two;\r\n\r\n  three!\n x";
  EXPECT_EQ(cutBy({parseRule(literal)}, text), cutBy({parseRule(kWords)}, text));
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(cutBy({parseRule("[\r\n]")}, "a\r\nb"),
            (Pieces{"a", "\r", "\n", "b"}));
}

TEST(PreTokenizerTest, cutsIntoWordsOfV2) {
  auto pieces = [&](std::string_view text) {
    return cutBy({parseRule("[\r\n]"), parseRule("\\s?[A-Za-zé]+"),
                  parseRule("\\s?[!-/:-~　-。]+"), parseRule("\\s+$"),
                  parseRule("[一-龥]+"),
                  SplitRegex::ofSet(*CodePointSet::category("N"), false)},
                 text);
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces("é a  b\r\n "),
            (Pieces{"é", " a", " ", " b", "\r", "\n", " "}));
  EXPECT_EQ(pieces("x 123 ..  中文  "),
            (Pieces{"x", " ", "1", "2", "3", " ..", "  ", "中文", "  "}));
  EXPECT_EQ(pieces("　a 　。"), (Pieces{"　a", " 　。"}));
}

TEST(PreTokenizerTest, cutsIntoWordsOfV3) {
  auto pieces = [](std::string_view text) {
    return cutBy({parseRule("\\p{N}{1,3}"),
                  parseRule("[一-龥぀-ゟ゠-ヿ]+"), parseRule(kWords)},
                 text);
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(pieces("it's 12345 x"),
            (Pieces{"it", "'s", " ", "123", "45", " x"}));
  EXPECT_EQ(pieces("a  b\n\n c "), (Pieces{"a", " ", " b", "\n\n", " c", " "}));
  EXPECT_EQ(pieces("!!x !y ?!\r\nz"),
            (Pieces{"!!", "x", " !", "y", " ?!\r\n", "z"}));
  EXPECT_EQ(pieces("#define #é"), (Pieces{"#define", " #", "é"}));
  EXPECT_EQ(pieces("中文abc、。"), (Pieces{"中文", "abc", "、。"}));
  EXPECT_EQ(pieces("\x01\x02z"), (Pieces{"\x01", "\x02z"}));
  EXPECT_EQ(pieces(""), Pieces{});
}

/// Changes to the fixture that must be refused by name.
TEST(TokenizerParserTest, refusesWhatItDoesNotImplement) {
  const std::string definition = readFixture("tokenizer.json").dump();
  const std::string config = readFixture("tokenizer_config.json").dump();
  struct Case {
    const char *pointer, *value; // a JSON patch: replace or add
    std::vector<std::string_view> reasons;
  };
  const Case cases[] = {
      {"/normalizer", R"({"type":"NFKC"})", {"unsupported normalizer", "NFKC"}},
      {"/normalizer",
       R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]})",
       {"unsupported normalizer", "Lowercase"}},
      {"/pre_tokenizer", "null", {"no pre_tokenizer"}},
      {"/pre_tokenizer",
       R"({"type":"Metaspace"})",
       {"unsupported pre_tokenizer", "Metaspace"}},
      {"/pre_tokenizer/pretokenizers", "[]", {"unsupported pre_tokenizer"}},
      {"/pre_tokenizer/pretokenizers/0/pattern/Regex",
       R"("(?<=a)b")",
       {"unsupported pre-tokenizer pattern in step 0", "(?<=a)b",
        "a group '(?<=...' at byte 1"}},
      {"/pre_tokenizer/pretokenizers/1/behavior",
       R"("Deleted")",
       {"step 1", "Deleted"}},
      {"/pre_tokenizer/pretokenizers/1/invert", "1", {"step 1", "invert"}},
      {"/pre_tokenizer/pretokenizers/1",
       R"({"type":"Whitespace"})",
       {"step 1", "Whitespace"}},
      {"/pre_tokenizer/pretokenizers/1/pattern",
       R"({"String":""})",
       {"step 1", "the empty text"}},
      {"/pre_tokenizer/pretokenizers/1",
       R"({"type":"Sequence"})",
       {"a Sequence without its pretokenizers"}},
      {"/pre_tokenizer/pretokenizers/3",
       R"({"type":"Digits","individual_digits":true})",
       {"a Sequence of Split and Digits that ends in it"}},
      {"/pre_tokenizer/pretokenizers/2",
       R"({"type":"Digits"})",
       {"step 2", "Digits"}},
      {"/pre_tokenizer/pretokenizers/3/add_prefix_space",
       "null",
       {"last pre-tokenizer step", "add_prefix_space"}},
      {"/pre_tokenizer/pretokenizers/3/use_regex", "1", {"use_regex"}},
      {"/decoder", "null", {"unsupported decoder"}},
      {"/decoder/type", R"("Metaspace")", {"unsupported decoder"}},
      {"/decoder",
       R"({"type":"Sequence","decoders":[{"type":"Fuse"}]})",
       {"unsupported decoder"}},
      {"/added_tokens/2/lstrip", "1", {"<|user|>", "lstrip"}},
      {"/model", "null", {"unsupported model type"}},
      {"/model/type", R"("Unigram")", {"Unigram"}},
      {"/model", R"({"vocab":{}})", {"unsupported model type"}},
      {"/model/dropout", "0.1", {"unsupported dropout 0.1"}},
      {"/model/continuing_subword_prefix",
       R"("##")",
       {"continuing_subword_prefix"}},
      {"/model/end_of_word_suffix", R"("</w>")", {"end_of_word_suffix"}},
      {"/model/ignore_merges", "1", {"ignore_merges"}},
      {"/model/vocab", "[]", {"model.vocab", "found array"}},
      {"/model/vocab/Ġthe", "-1", {"expected an id below", "found -1"}},
      {"/model/vocab/Ġthe", "16777216", {"expected an id below 16777216"}},
      {"/model/vocab/Ġthe", R"("x")", {"expected an id below"}},
      {"/model/vocab/Ġthe", "5", {"id 5", "which another token has"}},
      {"/model/merges", "{}", {"model.merges", "found object"}},
      {"/model/merges/3", R"("onlyone")", {"merge 3", "two tokens"}},
      {"/model/merges/3", R"(["a","b","c"])", {"merge 3", "two tokens"}},
      {"/model/merges/3", "7", {"merge 3", "found 7"}},
      {"/model/merges/3",
       R"(["a","zzz"])",
       {"merge 3", "\"zzz\" is not in the vocabulary"}},
      {"/model/merges/3",
       R"(["q","q"])",
       {"merge 3", "\"qq\" is not in the vocabulary"}},
      {"/added_tokens", "{}", {"added_tokens", "found object"}},
      {"/added_tokens/2/content", R"("")", {"non-empty content"}},
      {"/added_tokens/2/id", "null", {"<|user|>", "expected an id"}},
      {"/added_tokens/0/id", "700", {"<|bos|>", "two ids"}},
      {"/post_processor",
       R"({"type":"BertProcessing"})",
       {"unsupported post_processor", "BertProcessing"}},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"<none>"}}]})",
       {"unsupported post_processor"}},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},{"Sequence":{"id":"B"}}]})",
       {"unsupported post_processor"}},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],"special_tokens":{"x":{"ids":[9000]}}})",
       {"unsupported post_processor"}},
  };
  for (const Case &change : cases) {
    SCOPED_TRACE(fmt::format("{} = {}", change.pointer, change.value));
    Json patched = Json::parse(definition);
    patched[Json::json_pointer(change.pointer)] = Json::parse(change.value);
    StatusOr<Tokenizer> parsed =
        Tokenizer::parse(patched.dump(), config, "model");
    ASSERT_FALSE(parsed.ok());
    expectError(parsed.status(), 5009, {"model/tokenizer.json"});
    for (std::string_view reason : change.reasons)
      expectError(parsed.status(), 5009, {reason});
  }
  Json incomplete = Json::parse(definition);
  for (const char *never : {"À", "Á", "õ", "ÿ"})
    incomplete["model"]["vocab"].erase(never);
  EXPECT_TRUE(Tokenizer::parse(incomplete.dump(), config, "m").ok());
  incomplete["model"]["vocab"].erase("Ā");
  expectError(Tokenizer::parse(incomplete.dump(), config, "m").status(), 5009,
              {"no token for byte 0x00"});
}

TEST(TokenizerParserTest, readsTheConfiguration) {
  const std::string definition = readFixture("tokenizer.json").dump();
  auto parse = [&](std::string_view config) {
    return Tokenizer::parse(definition, config, "m");
  };
  StatusOr<Tokenizer> none = parse("");
  ASSERT_TRUE(none.ok()) << none.status().toString();
  EXPECT_FALSE(none->addsBos());
  EXPECT_EQ(none->bosId(), std::nullopt);
  EncodeOptions withBos;
  withBos.addBos = true;
  expectError(none->encode("x", withBos).status(), 5009, {"BOS"});
  StatusOr<Tokenizer> off = parse(
      R"({"add_bos_token":false,"bos_token":"<|bos|>","eos_token":null})");
  ASSERT_TRUE(off.ok()) << off.status().toString();
  EXPECT_FALSE(off->addsBos());
  EXPECT_EQ(off->bosId(), 0);
  EXPECT_EQ(off->encode("x", withBos)->front(), 0);

  const std::pair<const char *, const char *> bad[] = {
      {"{", "not valid JSON"},
      {R"({"add_bos_token":1})", "add_bos_token"},
      {R"({"add_bos_token":true})", "there is no bos_token"},
      {R"({"add_eos_token":true})", "add_eos_token"},
      {R"({"bos_token":5})", "bos_token: expected a token, found 5"},
      {R"({"eos_token":"<none>"})", "\"<none>\" is not in the vocabulary"}};
  for (auto [config, reason] : bad)
    expectError(parse(config).status(), 5009,
                {"m/tokenizer_config.json", reason});

  // A template that begins with a token asks for it.
  Json templated = Json::parse(definition);
  templated["post_processor"] = Json::parse(
      R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
          {"type":"TemplateProcessing","single":[
            {"SpecialToken":{"id":"<|bos|>","type_id":0}},
            {"Sequence":{"id":"A","type_id":0}}]}]})");
  StatusOr<Tokenizer> asking = Tokenizer::parse(templated.dump(), "", "m");
  ASSERT_TRUE(asking.ok()) << asking.status().toString();
  EXPECT_TRUE(asking->addsBos());
  EXPECT_EQ(asking->encode("x")->front(), 0);
}

TEST(TokenizerParserTest, readsBothSpellingsOfMergesAndWholeWords) {
  Json definition = readFixture("tokenizer.json");
  for (Json &merge : definition["model"]["merges"])
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  StatusOr<Tokenizer> spelled = Tokenizer::parse(definition.dump(), "", "m");
  ASSERT_TRUE(spelled.ok()) << spelled.status().toString();
  StatusOr<Tokenizer> paired = Tokenizer::load(kFixture);
  ASSERT_TRUE(paired.ok());
  EncodeOptions plain;
  plain.addBos = false;
  std::string text = "the old sailor remembers the sea";
  EXPECT_EQ(*spelled->encode(text, plain), *paired->encode(text, plain));

  // Without merges a word that is a token stays one only under ignore_merges.
  definition["model"]["merges"] = Json::array();
  StatusOr<Tokenizer> bytes = Tokenizer::parse(definition.dump(), "", "m");
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->encode(" the", plain)->size(), 4u);
  definition["model"]["ignore_merges"] = true;
  StatusOr<Tokenizer> whole = Tokenizer::parse(definition.dump(), "", "m");
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(*whole->encode(" the", plain),
            std::vector<int32_t>{*whole->idOf("Ġthe")});
}

TEST(TokenizerParserTest, refusesDirectoriesWithoutATokenizer) {
  TempDirectory directory;
  expectError(Tokenizer::load(directory.path()).status(), 5001,
              {"tokenizer.json"});
  directory.write("tokenizer.model", "x");
  expectError(Tokenizer::load(directory.path()).status(), 5009,
              {directory.path(), "tokenizer.model", "not supported"});
  directory.write("tokenizer.json", "");
  expectError(Tokenizer::load(directory.path()).status(), 5009,
              {"tokenizer.json", "not valid JSON"});
  directory.write("tokenizer.json", readFixture("tokenizer.json").dump());
  EXPECT_TRUE(Tokenizer::load(directory.path()).ok());
  directory.write("tokenizer_config.json", "");
  expectError(Tokenizer::load(directory.path()).status(), 5009,
              {"tokenizer_config.json", "is empty"});
}

} // namespace
