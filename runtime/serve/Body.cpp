#include "runtime/serve/Body.h"

#include <charconv>
#include <climits>

#include "runtime/serve/Fields.h"

namespace hadal::serve {

using engine::kMostLogprobs, engine::kMostStopBytes, engine::kMostStopStrings;

namespace {

constexpr size_t kMostPrompts = 64;
constexpr size_t kMostBias = 1024;
constexpr size_t kMostName = 1024;
constexpr int64_t kMostTokens = int64_t{1} << 32;
constexpr JsonLimits kLimits{.depth = 32};

std::variant<Json, BodyError> parseObject(std::string_view text) {
  StatusOr<Json> json = parseJson(text, 5028, "the body", kLimits);
  if (!json.ok())
    return BodyError{json.status(), ""};
  if (!json->is_object())
    return BodyError{error(5028, "the body is no JSON object"), ""};
  return std::move(*json);
}

/// |value| as ids of the vocabulary, if it is a list of such.
std::optional<std::vector<int32_t>> idsOf(const Json &value,
                                          uint64_t vocabulary) {
  if (!value.is_array())
    return std::nullopt;
  std::vector<int32_t> ids;
  for (const Json &id : value) {
    const auto number = asUnsigned(&id);
    if (!number || *number >= vocabulary)
      return std::nullopt;
    ids.push_back(static_cast<int32_t>(*number));
  }
  return ids;
}

void readPrompts(Fields &fields, CompletionBody &body, uint64_t vocabulary) {
  const Json *value = fields.find("prompt");
  const std::string expected = fmt::format(
      "a string, a list of ids below {}, or a list of 1 to {} of either",
      vocabulary, kMostPrompts);
  if (!value)
    return fields.failWith("prompt", "prompt is absent, expected " + expected);
  auto one = [&](const Json &prompt) -> std::optional<Prompt> {
    if (prompt.is_string())
      return Prompt(prompt.get<std::string>());
    if (auto ids = idsOf(prompt, vocabulary); ids && !ids->empty())
      return Prompt(std::move(*ids));
    return std::nullopt;
  };
  if (auto prompt = one(*value)) {
    body.prompts.push_back(std::move(*prompt));
    return;
  }
  if (!value->is_array() || value->empty() || value->size() > kMostPrompts)
    return fields.fail("prompt", *value, expected);
  for (const Json &each : *value) {
    auto prompt = one(each);
    if (!prompt)
      return fields.fail("prompt", each, expected);
    body.prompts.push_back(std::move(*prompt));
  }
}

void readStops(Fields &fields, engine::Request &request) {
  const Json *value = fields.find("stop");
  if (!value)
    return;
  std::vector<Json> texts;
  if (value->is_array())
    texts.assign(value->begin(), value->end());
  else
    texts.push_back(*value);
  bool usable = texts.size() <= kMostStopStrings;
  for (const Json &text : texts) {
    const std::string *stop = asString(&text);
    usable &= stop && !stop->empty() && stop->size() <= kMostStopBytes;
    if (usable)
      request.stopStrings.push_back(*stop);
  }
  if (!usable)
    fields.fail("stop", *value,
                fmt::format("a string or at most {} strings, each of 1 to {} "
                            "bytes",
                            kMostStopStrings, kMostStopBytes));
}

void readBias(Fields &fields, engine::SamplingParameters &sampling,
              uint64_t vocabulary) {
  const Json *value = fields.find("logit_bias");
  if (!value)
    return;
  const std::string expected =
      fmt::format("an object of at most {} ids below {}, each with a number "
                  "from -100 to 100",
                  kMostBias, vocabulary);
  if (!value->is_object() || value->size() > kMostBias)
    return fields.fail("logit_bias", *value, expected);
  for (const auto &[key, bias] : value->items()) {
    uint64_t id = 0;
    const char *end = key.data() + key.size();
    const auto read = std::from_chars(key.data(), end, id);
    if (read.ec != std::errc() || read.ptr != end || id >= vocabulary ||
        !bias.is_number() || !(std::fabs(bias.get<double>()) <= 100))
      return fields.fail("logit_bias", Json{{key, bias}}, expected);
    sampling.logitBias.emplace_back(static_cast<int32_t>(id),
                                    bias.get<float>());
  }
}

void readSampling(Fields &fields, engine::SamplingParameters &sampling,
                  const BodyLimits &limits) {
  sampling = limits.defaults;
  auto set = [](auto &member, auto value) {
    if (value)
      member = static_cast<std::remove_reference_t<decltype(member)>>(*value);
  };
  set(sampling.temperature, fields.number("temperature", 0, 2));
  set(sampling.topP, fields.number("top_p", 0, 1, /*open=*/true));
  // -1 is vLLM's way to say all.
  if (auto k = fields.integer("top_k", -1, INT32_MAX))
    sampling.topK = *k < 0 ? 0 : static_cast<uint64_t>(*k);
  set(sampling.minP, fields.number("min_p", 0, 1));
  set(sampling.presencePenalty, fields.number("presence_penalty", -2, 2));
  set(sampling.frequencyPenalty, fields.number("frequency_penalty", -2, 2));
  set(sampling.repetitionPenalty,
      fields.number("repetition_penalty", 0, 2, /*open=*/true));
  set(sampling.minTokens, fields.integer("min_tokens", 0, kMostTokens));
  readBias(fields, sampling, limits.vocabulary);
}

/// A field that must have the one value that is supported.
void expectOnly(Fields &fields, const char *name, const Json &only,
                const char *remedy) {
  const Json *value = fields.find(name);
  if (value && *value != only)
    fields.fail(name, *value, fmt::format("{}; {}", only.dump(), remedy));
}

void readLogprobs(Fields &fields, engine::Request &request, bool chat) {
  if (!chat) {
    if (auto count = fields.integer("logprobs", 0, kMostLogprobs))
      request.logprobs = static_cast<uint32_t>(*count);
    return;
  }
  const bool wanted = fields.flag("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMostLogprobs);
  if (top && *top && !wanted)
    fields.failWith("top_logprobs",
                    "top_logprobs needs \"logprobs\": true beside it");
  if (wanted)
    request.logprobs = static_cast<uint32_t>(top.value_or(0));
}

void readChat(Fields &fields, CompletionBody &body) {
  const Json *messages = fields.find("messages");
  if (!messages || !messages->is_array() || messages->empty())
    fields.fail("messages", messages ? *messages : Json(),
                "a list of at least one message");
  if (const Json *tools = fields.find("tools"); tools && !tools->is_array())
    fields.fail("tools", *tools, "a list");
  if (const Json *choice = fields.find("tool_choice")) {
    const std::string *word = asString(choice);
    if (!word || (*word != "auto" && *word != "none"))
      fields.fail("tool_choice", *choice,
                  "\"auto\" or \"none\"; no grammar makes the model call");
    else
      body.toolsAllowed = *word == "auto";
  }
  if (const Json *variables = fields.find("chat_template_kwargs");
      variables && !variables->is_object())
    fields.fail("chat_template_kwargs", *variables, "an object");
  body.continueFinalMessage =
      fields.flag("continue_final_message").value_or(false);
  body.addGenerationPrompt =
      fields.flag("add_generation_prompt").value_or(!body.continueFinalMessage);
  if (body.continueFinalMessage && body.addGenerationPrompt)
    fields.failWith("continue_final_message",
                    "continue_final_message and add_generation_prompt are one "
                    "or the other");
}

/// What templates see, of a |text| that has been found usable: in its order,
/// which Json forgets.
Status readOrdered(std::string_view text, CompletionBody &body) {
  HADAL_ASSIGN_OR_RETURN(OrderedJson json,
                         parseOrderedJson(text, 5028, "the body", kLimits));
  for (auto [name, member] :
       {std::pair("messages", &body.messages), {"tools", &body.tools},
        {"chat_template_kwargs", &body.templateVariables}})
    if (auto at = json.find(name); at != json.end())
      *member = std::move(*at);
  if (!body.toolsAllowed || body.tools.empty())
    body.tools = nullptr;
  return {};
}

} // namespace

std::variant<CompletionBody, BodyError>
parseCompletion(std::string_view text, bool chat, const BodyLimits &limits) {
  auto parsed = parseObject(text);
  if (auto *failure = std::get_if<BodyError>(&parsed))
    return std::move(*failure);
  const Json &json = std::get<Json>(parsed);
  Fields fields(json);
  CompletionBody body;
  engine::Request &request = body.request;

  body.model = fields.text("model", kMostName).value_or("");
  if (chat)
    readChat(fields, body);
  else
    readPrompts(fields, body, limits.vocabulary);
  readSampling(fields, request.sampling, limits);

  const auto most = fields.integer("max_tokens", 0, kMostTokens);
  const auto mostToo = fields.integer("max_completion_tokens", 0, kMostTokens);
  if (most && mostToo && *most != *mostToo)
    fields.failWith("max_completion_tokens",
                    fmt::format("max_completion_tokens is {}, max_tokens {}; "
                                "they are one",
                                *mostToo, *most));
  if (most || mostToo)
    request.maxTokens = static_cast<uint64_t>(most ? *most : *mostToo);
  if (auto seed = fields.integer("seed", INT64_MIN, INT64_MAX))
    request.seed = static_cast<uint64_t>(*seed);
  request.choices =
      static_cast<uint32_t>(fields.integer("n", 1, limits.maxChoices).value_or(1));
  if (!chat)
    if (auto best = fields.integer("best_of", 1, limits.maxChoices);
        best && *best != request.choices)
      fields.fail("best_of", Json(*best), "n; none are left out");
  readStops(fields, request);
  if (const Json *ids = fields.find("stop_token_ids")) {
    if (auto list = idsOf(*ids, limits.vocabulary))
      request.stopTokens = std::move(*list);
    else
      fields.fail("stop_token_ids", *ids,
                  fmt::format("a list of ids below {}", limits.vocabulary));
  }
  request.includeStop =
      fields.flag("include_stop_str_in_output").value_or(false);
  request.ignoreEos = fields.flag("ignore_eos").value_or(false);
  request.skipSpecial = fields.flag("skip_special_tokens").value_or(true);
  readLogprobs(fields, request, chat);
  request.priority = static_cast<int32_t>(
      fields.integer("priority", INT32_MIN, INT32_MAX).value_or(0));
  request.cacheSalt = fields.text("cache_salt", kMostName).value_or("");
  body.returnTokenIds = fields.flag("return_token_ids").value_or(false);
  body.stream = fields.flag("stream").value_or(false);
  if (const Json *options = fields.find("stream_options")) {
    if (options->is_object()) {
      Fields inner(*options);
      body.includeUsage = inner.flag("include_usage").value_or(false);
      if (inner.failure)
        fields.failure = inner.failure;
    } else {
      fields.fail("stream_options", *options, "an object");
    }
    if (!body.stream)
      fields.failWith("stream_options",
                      "stream_options needs \"stream\": true beside it");
  }
  if (const Json *format = fields.find("response_format")) {
    const std::string *type = asString(findMember(*format, "type"));
    if (!type || *type != "text")
      fields.fail("response_format", *format,
                  "{\"type\": \"text\"}; no grammar constrains the answer");
  }
  if (!chat) {
    expectOnly(fields, "suffix", "", "the model does not insert");
    body.echo = fields.flag("echo").value_or(false);
    request.promptLogprobs = body.echo && request.logprobs.has_value();
  }
  fields.find("user"); // OpenAI's, of no effect
  if (fields.failure)
    return std::move(*fields.failure);
  if (request.maxTokens == 0 && !request.promptLogprobs && !body.echo)
    return BodyError{error(5028, "max_tokens is 0, expected at least 1 without "
                                 "\"echo\": true"),
                     "max_tokens"};
  body.unknown = fields.unknownNames();
  if (chat)
    if (Status status = readOrdered(text, body); !status.ok())
      return BodyError{std::move(status), ""};
  return body;
}

std::variant<TokenizeBody, BodyError> parseTokenize(std::string_view text) {
  auto parsed = parseObject(text);
  if (auto *failure = std::get_if<BodyError>(&parsed))
    return std::move(*failure);
  Fields fields(std::get<Json>(parsed));
  TokenizeBody body;
  if (auto prompt = fields.text("prompt", SIZE_MAX))
    body.prompt = std::move(*prompt);
  else
    fields.failWith("prompt", "prompt is absent, expected a string");
  body.addSpecialTokens = fields.flag("add_special_tokens");
  if (fields.failure)
    return std::move(*fields.failure);
  return body;
}

std::variant<std::vector<int32_t>, BodyError>
parseDetokenize(std::string_view text, uint64_t vocabulary) {
  auto parsed = parseObject(text);
  if (auto *failure = std::get_if<BodyError>(&parsed))
    return std::move(*failure);
  Fields fields(std::get<Json>(parsed));
  const Json *tokens = fields.find("tokens");
  auto ids = tokens ? idsOf(*tokens, vocabulary) : std::nullopt;
  if (ids)
    return std::move(*ids);
  fields.fail("tokens", tokens ? *tokens : Json(),
              fmt::format("a list of ids below {}", vocabulary));
  return std::move(*fields.failure);
}

} // namespace hadal::serve
