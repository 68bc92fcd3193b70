// Answers of chats that have parts: reasoning and calls of tools.
#include <gtest/gtest.h>

#include "runtime/serve/Answers.h"

namespace hadal::serve {
namespace {

using engine::FinishReason;

AnswerHead chatHead() {
  return {.chat = true, .id = "chatcmpl-1", .model = "m"};
}

ChoiceText choiceWithCalls() {
  ChoiceText choice{.index = 1};
  choice.reasoning = "so";
  choice.calls = {{"functions.f:0", "f", "{\"a\": 1}"}, {"", "g", "{}"}};
  choice.delta.finish = FinishReason::Stop;
  return choice;
}

TEST(Answers, AWholeAnswerWithCallsHasNoContent) {
  const auto json = wholeAnswer(chatHead(), {choiceWithCalls()}, {});
  const auto &choice = json["choices"][0];
  const auto &message = choice["message"];
  EXPECT_TRUE(message["content"].is_null());
  EXPECT_EQ(message["reasoning"], "so");
  EXPECT_EQ(message["reasoning_content"], "so");
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  EXPECT_EQ(message["tool_calls"][0]["id"], "functions.f:0");
  EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
  // The model gives no id: one of ours, of its own for each call.
  EXPECT_EQ(message["tool_calls"][1]["id"], "call-chatcmpl-1-1-1");
  EXPECT_FALSE(message["tool_calls"][1].contains("index"));
}

TEST(Answers, ChunksNumberCallsThroughTheAnswer) {
  ChoiceText later = choiceWithCalls();
  later.firstCall = 3;
  const auto delta = chunk(chatHead(), later)["choices"][0]["delta"];
  EXPECT_EQ(delta["tool_calls"][0]["index"], 3);
  EXPECT_EQ(delta["tool_calls"][1]["index"], 4);
  EXPECT_EQ(delta["tool_calls"][1]["id"], "call-chatcmpl-1-1-4");
  // The last chunk may hold nothing but the end.
  ChoiceText last{.index = 1, .firstCall = 5};
  last.delta.finish = FinishReason::Stop;
  EXPECT_EQ(chunk(chatHead(), last)["choices"][0]["finish_reason"],
            "tool_calls");
  last.delta.finish = FinishReason::Length;
  EXPECT_EQ(chunk(chatHead(), last)["choices"][0]["finish_reason"], "length");
}

TEST(Answers, PlainAnswersAreAsBefore) {
  ChoiceText choice{.text = ""};
  choice.delta.finish = FinishReason::Stop;
  const auto json = wholeAnswer(chatHead(), {choice}, {});
  EXPECT_EQ(json["choices"][0]["message"]["content"], "");
  EXPECT_FALSE(json["choices"][0]["message"].contains("tool_calls"));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
}

} // namespace
} // namespace hadal::serve
