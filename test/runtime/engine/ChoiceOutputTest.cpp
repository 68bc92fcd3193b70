#include "runtime/engine/ChoiceOutput.h"

#include <random>

#include "test/runtime/engine/TestTokenizer.h"

using namespace hadal;
using namespace hadal::engine;

namespace {

constexpr int32_t kEnd = 256, kStopWord = 257;

class ChoiceOutputTest : public testing::Test {
protected:
  static std::vector<int32_t> bytes(std::string_view text) {
    std::vector<int32_t> ids;
    for (char c : text)
      ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  /// Runs to the end of |ids| and takes all, the end from outside included.
  Delta run(const std::vector<int32_t> &ids) {
    ChoiceOutput output(request, &tokenizer, {eos, maxTokens, maxSeqLen});
    Delta all;
    for (int32_t id : ids) {
      std::optional<PositionLogprobs> logprobs;
      if (request.logprobs)
        logprobs = PositionLogprobs{{id, -1, {}}, {}};
      if (output.push(id, std::move(logprobs)) != FinishReason::None)
        break;
      all.append(output.take());
    }
    output.end(FinishReason::Abort, error(5016, "cancelled"));
    all.append(output.take());
    return all;
  }
  static std::vector<int32_t> idsOf(const std::vector<PositionLogprobs> &list) {
    std::vector<int32_t> ids;
    for (const PositionLogprobs &p : list)
      ids.push_back(p.token.id);
    return ids;
  }

  Tokenizer tokenizer = testTokenizer();
  std::vector<int32_t> eos = {kEnd};
  Request request{.prompt = {1, 2, 3}};
  uint64_t maxTokens = 100, maxSeqLen = 200;
};

TEST_F(ChoiceOutputTest, endOfSequenceEndsWithoutText) {
  std::vector<int32_t> ids = bytes("ab");
  ids.insert(ids.end(), {kEnd, 'c'});
  Delta all = run(ids);
  EXPECT_EQ(all.text, "ab");
  EXPECT_EQ(all.ids, (std::vector<int32_t>{'a', 'b', kEnd}));
  EXPECT_EQ(all.finish, FinishReason::Stop);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(all.stop));
  request.ignoreEos = true;
  request.skipSpecial = false;
  EXPECT_EQ(run(ids).text, "ab<end>c");
  EXPECT_EQ(run(ids).finish, FinishReason::Abort);
}

TEST_F(ChoiceOutputTest, aStopTokenEndsAlsoWhereEosIsIgnored) {
  request.stopTokens = {kStopWord};
  request.ignoreEos = true;
  std::vector<int32_t> ids = {'a', kStopWord, 'b'};
  Delta all = run(ids);
  EXPECT_EQ(all.text, "a");
  EXPECT_EQ(all.finish, FinishReason::Stop);
  EXPECT_EQ(std::get<int32_t>(all.stop), kStopWord);
  request.includeStop = true;
  EXPECT_EQ(run(ids).text, "astop");
}

TEST_F(ChoiceOutputTest, stopStringsCutTheTextAndCountTheTokens) {
  request.stopStrings = {"END", "xyz"};
  ChoiceOutput output(request, &tokenizer, {eos, maxTokens, maxSeqLen});
  std::vector<std::string> pieces;
  for (int32_t id : bytes("aEENDq")) {
    const FinishReason reason = output.push(id, std::nullopt);
    pieces.push_back(output.take().text);
    if (reason != FinishReason::None)
      break;
  }
  EXPECT_EQ(pieces, (std::vector<std::string>{"a", "", "E", "", ""}));
  EXPECT_EQ(output.finish(), FinishReason::Stop);
  EXPECT_EQ(output.generated(), 5u);
  Delta all = run(bytes("aEENDq"));
  EXPECT_EQ(all.text, "aE");
  EXPECT_EQ(std::get<std::string>(all.stop), "END");
  request.includeStop = true;
  EXPECT_EQ(run(bytes("aEENDq")).text, "aEEND");
  // What was held back goes out where no stop string comes of it.
  EXPECT_EQ(run(bytes("aEN")).text, "aEN");
}

TEST_F(ChoiceOutputTest, aStopInsideTheBudgetWinsOverMaxTokens) {
  request.stopStrings = {"b"};
  maxTokens = 2;
  Delta all = run(bytes("abc"));
  EXPECT_EQ(all.finish, FinishReason::Stop);
  EXPECT_EQ(all.text, "a");
  maxTokens = 1;
  all = run(bytes("abc"));
  EXPECT_EQ(all.finish, FinishReason::Length);
  EXPECT_FALSE(all.contextFull);
  EXPECT_EQ(all.text, "a");
}

TEST_F(ChoiceOutputTest, theContextEndsWhenNoTokenCanFollow) {
  maxSeqLen = 5; // 3 of the prompt; the last token needs no place
  Delta all = run(bytes("abcdef"));
  EXPECT_EQ(all.text, "abc");
  EXPECT_EQ(all.finish, FinishReason::Length);
  EXPECT_TRUE(all.contextFull);
}

TEST_F(ChoiceOutputTest, minTokensDisarmsStopStrings) {
  request.stopStrings = {"ab"};
  request.sampling.minTokens = 2;
  EXPECT_EQ(run(bytes("abxab")).text, "abx");
  request.sampling.minTokens = 1; // begins before, ends behind
  EXPECT_EQ(run(bytes("abxab")).text, "");
}

TEST_F(ChoiceOutputTest, charactersAreNeverSplit) {
  ChoiceOutput output(request, &tokenizer, {eos, maxTokens, maxSeqLen});
  std::vector<std::string> pieces;
  for (int32_t id : bytes("\xE4\xB8\xADx\xE4")) {
    (void)output.push(id, std::nullopt);
    pieces.push_back(output.take().text);
  }
  EXPECT_EQ(pieces,
            (std::vector<std::string>{"", "", "\xE4\xB8\xAD", "x", ""}));
  output.end(FinishReason::Error, error(5008, "not finite"));
  Delta last = output.take();
  EXPECT_EQ(last.text, "\xEF\xBF\xBD");
  EXPECT_EQ(last.finish, FinishReason::Error);
  EXPECT_EQ(last.status.code(), 5008);
  output.end(FinishReason::Abort, error(5016, "again"));
  EXPECT_TRUE(output.take().empty());
}

TEST_F(ChoiceOutputTest, logprobsWaitWithTheirText) {
  request.logprobs = 0;
  request.stopStrings = {"END"};
  ChoiceOutput output(request, &tokenizer, {eos, maxTokens, maxSeqLen});
  auto push = [&](int32_t id) {
    (void)output.push(id, PositionLogprobs{{id, -1, {}}, {}});
    return idsOf(output.take().logprobs);
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(push('a'), Ids{'a'});
  EXPECT_EQ(push('E'), Ids{});
  EXPECT_EQ(push('N'), Ids{});
  EXPECT_EQ(push('x'), (Ids{'E', 'N', 'x'}));
  EXPECT_EQ(push(0xE4), Ids{}); // a part of a character
  EXPECT_EQ(push(0xB8), Ids{});
  EXPECT_EQ(push(0xAD), (Ids{0xE4, 0xB8, 0xAD}));
  EXPECT_EQ(push('E'), Ids{});
  EXPECT_EQ(push('N'), Ids{});
  EXPECT_EQ(push('D'), Ids{}); // of the stop string: not in the text
  EXPECT_EQ(output.finish(), FinishReason::Stop);
  // All of them, those that end included, where nothing is cut.
  EXPECT_EQ(idsOf(run({'a', 'E', kEnd}).logprobs), (Ids{'a', 'E', kEnd}));
}

TEST_F(ChoiceOutputTest, worksWithoutATokenizer) {
  request.logprobs = 0;
  ChoiceOutput output(request, nullptr, {eos, maxTokens, maxSeqLen});
  EXPECT_EQ(output.push(5, PositionLogprobs{{5, -1, {}}, {}}),
            FinishReason::None);
  EXPECT_EQ(output.push(kEnd, PositionLogprobs{{kEnd, -1, {}}, {}}),
            FinishReason::Stop);
  Delta all = output.take();
  EXPECT_EQ(all.ids, (std::vector<int32_t>{5, kEnd}));
  EXPECT_EQ(all.logprobs.size(), 2u);
  EXPECT_EQ(all.text, "");
}

TEST_F(ChoiceOutputTest, textDoesNotDependOnWhenItIsTaken) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 2000; ++trial) {
    request.stopStrings = {"aab", "\xC3\xA4"
                                  "b"};
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i)
      ids.push_back(std::array{int('a'), int('b'), 0xC3, 0xA4}[random() % 4]);
    ids.push_back(kEnd);
    const std::string decoded = *tokenizer.decode(ids);
    const size_t cut = std::min(decoded.find("aab"), decoded.find("\xC3\xA4"
                                                                  "b"));
    ChoiceOutput output(request, &tokenizer, {eos, maxTokens, maxSeqLen});
    std::string text;
    for (int32_t id : ids) {
      const FinishReason reason = output.push(id, std::nullopt);
      if (random() % 3 == 0)
        text += output.take().text;
      if (reason != FinishReason::None)
        break;
    }
    text += output.take().text;
    ASSERT_EQ(text, decoded.substr(0, cut)) << trial;
  }
}

} // namespace
