#include "runtime/chat/AnswerParser.h"

#include <gtest/gtest.h>
#include <random>

using namespace hadal;
using namespace hadal::chat;

namespace {

struct Answer {
  std::string reasoning, content;
  std::vector<ToolCall> calls;
  bool operator==(const Answer &) const = default;
};

/// Read in parts that end at |cuts|, and between characters only.
Answer read(const std::string &text, AnswerFormat format, bool inside,
            const std::vector<size_t> &cuts) {
  AnswerParser parser(format, inside);
  Answer answer;
  const auto take = [&](AnswerDelta delta) {
    answer.reasoning += delta.reasoning;
    answer.content += delta.content;
    for (ToolCall &call : delta.calls)
      answer.calls.push_back(std::move(call));
  };
  size_t done = 0;
  for (size_t cut : cuts) {
    while (cut < text.size() &&
           (static_cast<uint8_t>(text[cut]) & 0xC0) == 0x80)
      ++cut;
    if (cut < done || cut > text.size())
      continue;
    take(parser.push(std::string_view(text).substr(done, cut - done)));
    done = cut;
  }
  take(parser.push(std::string_view(text).substr(done)));
  take(parser.finish());
  return answer;
}

constexpr AnswerFormat kV3 = {ToolFormat::DeepSeekV3, true};
constexpr AnswerFormat kV31 = {ToolFormat::DeepSeekV31, true};
constexpr AnswerFormat kK2 = {ToolFormat::KimiK2, true};

struct Case {
  const char *name;
  AnswerFormat format;
  bool inside;
  std::string text;
  Answer expected;
};

const std::string kBegin = "<｜tool▁calls▁begin｜>",
                  kEnd = "<｜tool▁calls▁end｜>",
                  kCall = "<｜tool▁call▁begin｜>",
                  kCallEnd = "<｜tool▁call▁end｜>", kSep = "<｜tool▁sep｜>";

std::vector<Case> cases() {
  const std::string v3 =
      kCall + "function" + kSep + "f\n```json\n{\"a\": \"é\"}\n```" + kCallEnd;
  const std::string v31 = kCall + "g" + kSep + "{\"b\": [1]}" + kCallEnd;
  const std::string k2 = "<|tool_call_begin|>functions.h.i:2<|tool_call_"
                         "argument_begin|>{}<|tool_call_end|>";
  const std::string k2Begin = "<|tool_calls_section_begin|>",
                    k2End = "<|tool_calls_section_end|>";
  return {
      {"plain", kV3, false, "a < b <thin é", {"", "a < b <thin é", {}}},
      {"reasoning at the token",
       kV3,
       false,
       "\n<think>r</think>\n\nc",
       {"r", "\n\nc", {}}},
      {"reasoning from the start",
       kV3,
       true,
       "r </thin </think>c",
       {"r </thin ", "c", {}}},
      {"reasoning without end", kV3, true, "r</think", {"r</think", "", {}}},
      {"<think> later is content",
       kV3,
       false,
       "c<think>d</think>",
       {"", "c<think>d</think>", {}}},
      {"no reasoning in the format",
       {ToolFormat::None, false},
       false,
       "<think>x</think>" + kBegin,
       {"", "<think>x</think>" + kBegin, {}}},
      {"two V3 calls",
       kV3,
       false,
       "t" + kBegin + v3 + "\n" + v3 + kEnd + "u",
       {"", "tu", {{"", "f", "{\"a\": \"é\"}"}, {"", "f", "{\"a\": \"é\"}"}}}},
      {"V3 markers in a reasoning",
       kV3,
       true,
       kBegin + "</think>",
       {kBegin, "", {}}},
      {"V3.1 calls",
       kV31,
       true,
       "r</think>" + kBegin + v31 + v31 + kEnd,
       {"r", "", {{"", "g", "{\"b\": [1]}"}, {"", "g", "{\"b\": [1]}"}}}},
      {"K2 section ends a reasoning",
       kK2,
       true,
       "r" + k2Begin + k2 + k2End,
       {"r", "", {{"functions.h.i:2", "h.i", "{}"}}}},
      {"K2 section without s",
       kK2,
       false,
       "<|tool_call_section_begin|>" + k2 + "<|tool_call_section_end|>c",
       {"", "c", {{"functions.h.i:2", "h.i", "{}"}}}},
      {"section that does not end",
       kV31,
       false,
       kBegin + v31,
       {"", "", {{"", "g", "{\"b\": [1]}"}}}},
      {"call that does not end",
       kV31,
       false,
       kBegin + v31 + kCall + "g" + kSep,
       {"", kCall + "g" + kSep, {{"", "g", "{\"b\": [1]}"}}}},
      {"arguments that are no JSON",
       kV31,
       false,
       kBegin + kCall + "g" + kSep + "{'b'}" + kCallEnd + kEnd,
       {"", kBegin + kCall + "g" + kSep + "{'b'}" + kCallEnd + kEnd, {}}},
      {"arguments that are no object",
       kV31,
       false,
       kBegin + kCall + "g" + kSep + "1" + kCallEnd,
       {"", kBegin + kCall + "g" + kSep + "1" + kCallEnd, {}}},
      {"V3 without fence",
       kV3,
       false,
       kBegin + kCall + "function" + kSep + "f\n{}" + kCallEnd,
       {"", kBegin + kCall + "function" + kSep + "f\n{}" + kCallEnd, {}}},
      {"K2 id without index",
       kK2,
       false,
       k2Begin + "<|tool_call_begin|>functions.h<|tool_call_argument_begin|>{}"
                 "<|tool_call_end|>",
       {"",
        k2Begin + "<|tool_call_begin|>functions.h<|tool_call_argument_begin|>{}"
                  "<|tool_call_end|>",
        {}}},
      {"text in a section",
       kV31,
       false,
       kBegin + "x" + v31 + kEnd,
       {"", kBegin + "x" + v31 + kEnd, {}}},
      {"empty section",
       kV31,
       false,
       "a" + kBegin + " " + kEnd + "b",
       {"", "ab", {}}},
      {"nothing", kV3, false, "", {"", "", {}}},
  };
}

TEST(AnswerParserTest, takesAnswersApart) {
  for (const Case &each : cases())
    EXPECT_EQ(read(each.text, each.format, each.inside, {}), each.expected)
        << each.name;
}

TEST(AnswerParserTest, givesTheSameHoweverItIsCut) {
  std::mt19937 random(1);
  for (const Case &each : cases()) {
    std::vector<size_t> all;
    for (size_t i = 0; i < each.text.size(); ++i) {
      all.push_back(i);
      EXPECT_EQ(read(each.text, each.format, each.inside, {i}), each.expected)
          << each.name << " cut at " << i;
    }
    EXPECT_EQ(read(each.text, each.format, each.inside, all), each.expected)
        << each.name << " byte by byte";
  }
  // Texts of random parts, which are mostly malformed.
  const std::vector<std::string> parts = {kBegin,
                                          kEnd,
                                          kCall,
                                          kCallEnd,
                                          kSep,
                                          "function",
                                          "f",
                                          "\n",
                                          "```json\n",
                                          "```",
                                          "{}",
                                          "{\"a\":1}",
                                          "<think>",
                                          "</think>",
                                          " ",
                                          "é",
                                          "<",
                                          "<|tool_calls_section_begin|>",
                                          "<|tool_call_section_end|>",
                                          "<|tool_call_begin|>",
                                          "functions.f:0",
                                          "<|tool_call_argument_begin|>",
                                          "<|tool_call_end|>",
                                          "<｜tool▁",
                                          "<|tool_"};
  size_t withCalls = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const AnswerFormat format = std::array{kV3, kV31, kK2}[random() % 3];
    for (size_t n = random() % 14; n; --n) {
      text += parts[random() % parts.size()];
      if (random() % 8 == 0)
        text += format.tools == ToolFormat::KimiK2
                    ? parts[17] + parts[19] + parts[20] + parts[21] + "{}" +
                          parts[22]
                    : kBegin + kCall + "f" + kSep + "{}" + kCallEnd;
    }
    const bool inside = random() % 2;
    const Answer whole = read(text, format, inside, {});
    withCalls += !whole.calls.empty();
    std::vector<size_t> cuts;
    for (size_t at = 0; at < text.size(); at += 1 + random() % 9)
      cuts.push_back(at);
    ASSERT_EQ(read(text, format, inside, cuts), whole) << text;
    // Nothing is lost: what is not told are markers of what was understood.
    if (whole.calls.empty() && whole.reasoning.empty() &&
        text.find("think>") == std::string::npos &&
        text.find(format.tools == ToolFormat::KimiK2
                      ? "section_end|>"
                      : kEnd) == std::string::npos &&
        !inside)
      ASSERT_EQ(whole.content, text);
  }
  EXPECT_GT(withCalls, 1000u);
}

TEST(AnswerParserTest, takesTimeLinearInTheText) {
  // A call of 4 MB in parts of 4 bytes.
  AnswerParser parser(kV31, false);
  parser.push(kBegin + kCall + "g" + kSep + "{\"a\": \"");
  for (int i = 0; i < 1'000'000; ++i)
    ASSERT_TRUE(parser.push("abc<").empty());
  const AnswerDelta delta = parser.push("\"}" + kCallEnd);
  ASSERT_EQ(delta.calls.size(), 1u);
  EXPECT_EQ(delta.calls[0].arguments.size(), 4'000'000 + 9u);
}

TEST(AnswerParserTest, isChosenByTheTemplate) {
  EXPECT_EQ(formatOf("x").tools, ToolFormat::None);
  EXPECT_FALSE(formatOf("x").hasReasoning);
  EXPECT_TRUE(formatOf("a</think>").hasReasoning);
  EXPECT_EQ(formatOf(kSep + "```json").tools, ToolFormat::DeepSeekV3);
  EXPECT_EQ(formatOf(kSep).tools, ToolFormat::DeepSeekV31);
  EXPECT_EQ(formatOf("<|tool_call_argument_begin|>").tools, ToolFormat::KimiK2);
  EXPECT_EQ(toolFormatNamed("kimi_k2"), ToolFormat::KimiK2);
  EXPECT_EQ(toolFormatNamed("other"), std::nullopt);
  const std::vector<TextPiece> open = {{"x", false}, {"<A><think>\n", true}};
  EXPECT_TRUE(endsInReasoning(open));
  const std::vector<TextPiece> user = {{"<A>", true}, {"<think>", false}};
  EXPECT_FALSE(endsInReasoning(user));
  EXPECT_FALSE(endsInReasoning({}));
}

} // namespace
