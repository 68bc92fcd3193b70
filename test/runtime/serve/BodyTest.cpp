// Bodies of requests: every field with what it takes and what it refuses.
#include <gtest/gtest.h>

#include "runtime/serve/Body.h"

using namespace hadal;
using namespace hadal::serve;

namespace {

const BodyLimits kLimits{.defaults = {.temperature = 0.5f, .topP = 0.9f},
                         .vocabulary = 100,
                         .maxChoices = 4};

/// |fields| behind a prompt, or behind messages.
std::variant<CompletionBody, BodyError> parse(const std::string &fields,
                                              bool chat = false) {
  const std::string first =
      chat ? R"("messages": [{"role": "user", "content": "x"}])"
           : R"("prompt": "x")";
  return parseCompletion("{" + first + (fields.empty() ? "" : ", ") + fields +
                             "}",
                         chat, kLimits);
}

CompletionBody good(const std::string &fields, bool chat = false) {
  auto body = parse(fields, chat);
  if (auto *failure = std::get_if<BodyError>(&body)) {
    ADD_FAILURE() << fields << ": " << failure->status.toString();
    return {};
  }
  return std::get<CompletionBody>(std::move(body));
}

void expectRefused(const std::string &fields, const std::string &param,
                   const std::string &part, bool chat = false) {
  auto body = parse(fields, chat);
  auto *failure = std::get_if<BodyError>(&body);
  ASSERT_TRUE(failure) << fields;
  EXPECT_EQ(failure->status.code(), 5028) << fields;
  EXPECT_EQ(failure->param, param) << fields;
  EXPECT_NE(failure->status.message().find(part), std::string::npos)
      << fields << ": " << failure->status.message();
}

} // namespace

TEST(Body, WhatIsLeftOutIsTheModels) {
  for (const char *none : {"", R"("temperature": null, "top_p": null,
        "max_tokens": null, "seed": null, "stop": null, "n": null,
        "logprobs": null, "stream": null, "stream_options": null,
        "logit_bias": null, "response_format": null, "user": null)"}) {
    const CompletionBody body = good(none);
    const engine::Request &r = body.request;
    EXPECT_EQ(r.sampling.temperature, 0.5f);
    EXPECT_EQ(r.sampling.topP, 0.9f);
    EXPECT_FALSE(r.maxTokens || r.seed || r.logprobs);
    EXPECT_EQ(r.choices, 1u);
    EXPECT_FALSE(body.stream || body.includeUsage || body.echo);
    EXPECT_TRUE(body.unknown.empty());
    ASSERT_EQ(body.prompts.size(), 1u);
    EXPECT_EQ(std::get<std::string>(body.prompts[0]), "x");
  }
}

TEST(Body, EveryFieldArrives) {
  const CompletionBody body = good(R"(
      "model": "m", "temperature": 2, "top_p": 0.25, "top_k": 7, "min_p": 0.5,
      "presence_penalty": -2, "frequency_penalty": 1.5,
      "repetition_penalty": 1.25, "min_tokens": 3, "max_completion_tokens": 9,
      "seed": -1, "n": 4, "stop": ["a", "b"], "stop_token_ids": [5, 99],
      "include_stop_str_in_output": true, "ignore_eos": true,
      "skip_special_tokens": false, "logprobs": 20, "echo": true,
      "priority": -3, "cache_salt": "s", "return_token_ids": true,
      "stream": true, "stream_options": {"include_usage": true},
      "logit_bias": {"7": -100, "99": 1.5}, "best_of": 4,
      "response_format": {"type": "text"}, "suffix": "", "mystery": 1)");
  const engine::Request &r = body.request;
  EXPECT_EQ(body.model, "m");
  EXPECT_EQ(r.sampling.temperature, 2.0f);
  EXPECT_EQ(r.sampling.topP, 0.25f);
  EXPECT_EQ(r.sampling.topK, 7u);
  EXPECT_EQ(r.sampling.minP, 0.5f);
  EXPECT_EQ(r.sampling.presencePenalty, -2.0f);
  EXPECT_EQ(r.sampling.frequencyPenalty, 1.5f);
  EXPECT_EQ(r.sampling.repetitionPenalty, 1.25f);
  EXPECT_EQ(r.sampling.minTokens, 3u);
  EXPECT_EQ(r.sampling.logitBias,
            (std::vector<std::pair<int32_t, float>>{{7, -100.f}, {99, 1.5f}}));
  EXPECT_EQ(r.maxTokens, 9u);
  EXPECT_EQ(r.seed, ~uint64_t(0));
  EXPECT_EQ(r.choices, 4u);
  EXPECT_EQ(r.stopStrings, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.stopTokens, (std::vector<int32_t>{5, 99}));
  EXPECT_TRUE(r.includeStop && r.ignoreEos && !r.skipSpecial);
  EXPECT_EQ(r.logprobs, 20u);
  EXPECT_TRUE(body.echo && r.promptLogprobs);
  EXPECT_EQ(r.priority, -3);
  EXPECT_EQ(r.cacheSalt, "s");
  EXPECT_TRUE(body.returnTokenIds && body.stream && body.includeUsage);
  EXPECT_EQ(body.unknown, (std::vector<std::string>{"mystery"}));
  EXPECT_EQ(good(R"("top_k": -1)").request.sampling.topK, 0u);
  EXPECT_EQ(good(R"("stop": "a")").request.stopStrings.size(), 1u);
}

TEST(Body, IntegersAreWholeAndInRange) {
  const struct {
    const char *name, *least, *below, *most, *above;
  } fields[] = {
      {"max_tokens", "1", "-1", "4294967296", "4294967297"},
      {"max_completion_tokens", "1", "-1", "4294967296", "4294967297"},
      {"min_tokens", "0", "-1", "4294967296", "4294967297"},
      {"top_k", "-1", "-2", "2147483647", "2147483648"},
      {"n", "1", "0", "4", "5"},
      {"logprobs", "0", "-1", "20", "21"},
      {"seed", "-9223372036854775808", "-9223372036854775809",
       "9223372036854775807", "9223372036854775808"},
      {"priority", "-2147483648", "-2147483649", "2147483647", "2147483648"}};
  for (const auto &f : fields) {
    const std::string name = "\"" + std::string(f.name) + "\": ";
    good(name + f.least);
    good(name + f.most);
    for (const char *bad : {f.below, f.above, "1.5", "1.0", "\"1\"", "true",
                            "[]", "{}", "18446744073709551616", "1e3"})
      expectRefused(name + bad, f.name, "expected an integer from ");
  }
}

TEST(Body, NumbersAreFiniteAndInRange) {
  const struct {
    const char *name, *least, *below, *most, *above;
  } fields[] = {{"temperature", "0", "-0.1", "2", "2.1"},
                {"top_p", "0.001", "0", "1", "1.1"},
                {"min_p", "0", "-0.1", "1", "1.1"},
                {"presence_penalty", "-2", "-2.1", "2", "2.1"},
                {"frequency_penalty", "-2", "-2.1", "2", "2.1"},
                {"repetition_penalty", "0.01", "0", "2", "2.1"}};
  for (const auto &f : fields) {
    const std::string name = "\"" + std::string(f.name) + "\": ";
    good(name + f.least);
    good(name + f.most);
    for (const char *bad : {f.below, f.above, "\"1\"", "true", "[1]",
                            "-9223372036854775808", "9223372036854775808"})
      expectRefused(name + bad, f.name, "expected a number ");
  }
  // No such number.
  expectRefused(R"("temperature": 1e999)", "", "");
}

TEST(Body, FlagsAreTrueOrFalse) {
  for (const char *name :
       {"echo", "stream", "ignore_eos", "skip_special_tokens",
        "include_stop_str_in_output", "return_token_ids"})
    for (const char *bad : {"1", "\"true\"", "[]"})
      expectRefused("\"" + std::string(name) + "\": " + bad, name,
                    "expected true or false");
}

TEST(Body, PromptsAreTextsOrIds) {
  auto prompts = [](const std::string &prompt) {
    return parseCompletion("{\"prompt\": " + prompt + "}", false, kLimits);
  };
  auto count = [&](const std::string &prompt) {
    auto body = prompts(prompt);
    auto *parsed = std::get_if<CompletionBody>(&body);
    return parsed ? parsed->prompts.size() : 0;
  };
  EXPECT_EQ(count("\"a\""), 1u);
  EXPECT_EQ(count("[1, 99]"), 1u);
  EXPECT_EQ(count("[\"a\", \"b\"]"), 2u);
  EXPECT_EQ(count("[[1], [2, 3], \"a\"]"), 3u);
  std::string many = "[\"a\"";
  for (int i = 1; i < 64; ++i)
    many += ", \"a\"";
  EXPECT_EQ(count(many + "]"), 64u);
  for (const std::string &bad :
       {std::string("[]"), std::string("[100]"), std::string("[-1]"),
        std::string("[1.5]"), std::string("[[]]"), std::string("[[1], 2]"),
        std::string("null"), std::string("7"), std::string("{}"),
        many + ", \"a\"]"}) {
    auto body = prompts(bad);
    auto *failure = std::get_if<BodyError>(&body);
    ASSERT_TRUE(failure) << bad;
    EXPECT_EQ(failure->param, "prompt");
  }
}

TEST(Body, WhatContradictsOrIsNotThereIsRefused) {
  expectRefused(R"("max_tokens": 3, "max_completion_tokens": 4)",
                "max_completion_tokens", "they are one");
  expectRefused(R"("max_tokens": 0)", "max_tokens", "at least 1");
  good(R"("max_tokens": 0, "echo": true)");
  expectRefused(R"("stream_options": {})", "stream_options",
                "needs \"stream\": true");
  expectRefused(R"("stream": true, "stream_options": 1)", "stream_options",
                "expected an object");
  expectRefused(R"("stream": true, "stream_options": {"include_usage": 1})",
                "include_usage", "true or false");
  expectRefused(R"("n": 2, "best_of": 3)", "best_of", "none are left out");
  expectRefused(R"("suffix": "x")", "suffix", "does not insert");
  expectRefused(R"("response_format": {"type": "json_object"})",
                "response_format", "no grammar");
  expectRefused(R"("stop": [""])", "stop", "1 to 256 bytes");
  expectRefused("\"stop\": \"" + std::string(257, 'a') + "\"", "stop",
                "1 to 256 bytes");
  expectRefused(R"("stop": [1])", "stop", "at most 16 strings");
  expectRefused(R"("stop_token_ids": [100])", "stop_token_ids", "below 100");
  for (const char *bias : {R"({"100": 1})", R"({"-1": 1})", R"({"x": 1})",
                           R"({"7": 101})", R"({"7": "1"})", "[]"})
    expectRefused("\"logit_bias\": " + std::string(bias), "logit_bias",
                  "from -100 to 100");
}

TEST(Body, Chats) {
  const CompletionBody body =
      good(R"("tools": [{}], "tool_choice": "none", "logprobs": true,
              "top_logprobs": 5, "chat_template_kwargs": {"thinking": true})",
           true);
  EXPECT_EQ(body.messages.size(), 1u);
  EXPECT_FALSE(body.toolsAllowed);
  EXPECT_EQ(body.request.logprobs, 5u);
  EXPECT_TRUE(body.addGenerationPrompt);
  EXPECT_EQ(good(R"("logprobs": true)", true).request.logprobs, 0u);
  EXPECT_FALSE(good(R"("logprobs": false)", true).request.logprobs);
  EXPECT_FALSE(good(R"("continue_final_message": true)", true)
                   .addGenerationPrompt);
  expectRefused(R"("top_logprobs": 5)", "top_logprobs", "needs \"logprobs\"",
                true);
  expectRefused(R"("tool_choice": "required")", "tool_choice", "no grammar",
                true);
  expectRefused(R"("continue_final_message": true,
                   "add_generation_prompt": true)",
                "continue_final_message", "one or the other", true);
  auto none = parseCompletion(R"({"messages": []})", true, kLimits);
  ASSERT_TRUE(std::holds_alternative<BodyError>(none));
  EXPECT_EQ(std::get<BodyError>(none).param, "messages");
}

TEST(Body, WhatIsNoObjectIsRefused) {
  const std::string deep = "{\"a\": " + std::string(40, '[') + "1" +
                           std::string(40, ']') + "}";
  for (const std::string &text :
       {std::string(), std::string("[]"), std::string("{"), std::string("nul"),
        std::string("{\"prompt\": \"a\", \"prompt\": \"b\"}"),
        std::string("{\"prompt\": \"\xff\"}"), deep}) {
    auto body = parseCompletion(text, false, kLimits);
    auto *failure = std::get_if<BodyError>(&body);
    ASSERT_TRUE(failure) << text;
    EXPECT_EQ(failure->status.code(), 5028) << text;
  }
}
