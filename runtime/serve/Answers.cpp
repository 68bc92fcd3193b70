#include "runtime/serve/Answers.h"

namespace hadal::serve {

using OrderedJson = nlohmann::ordered_json;
using engine::FinishReason;

std::string dump(const OrderedJson &json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

HttpResponse errorResponse(unsigned status, int code,
                           const std::string &message,
                           const std::string &param) {
  const char *type = status == 401   ? "authentication_error"
                     : status == 404 ? "not_found_error"
                     : status == 429 ? "rate_limit_error"
                     : status < 500  ? "invalid_request_error"
                                     : "server_error";
  OrderedJson json;
  json["error"] = {
      {"message", message},
      {"type", type},
      {"param", param.empty() ? OrderedJson() : OrderedJson(param)},
      {"code", code ? OrderedJson(fmt::format("H{}", code)) : OrderedJson()}};
  HttpResponse response{.status = status, .body = dump(json)};
  if (status == 429 || status == 503)
    response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse errorResponse(const Status &status, bool draining,
                           const std::string &param) {
  // The client's: arguments, text, messages. 5024: no room, another time there
  // may be some. All else is ours.
  const int code = status.code();
  const bool bad = code == 5005 || code == 5010 || code == 5028 ||
                   code == 5025 || code == 5026;
  return errorResponse(code == 5024 ? (draining ? 503 : 429)
                       : bad        ? 400
                                    : 500,
                       code, status.message(), param);
}

uint64_t countCharacters(std::string_view text) {
  return static_cast<uint64_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

namespace {

OrderedJson usageJson(const engine::Usage &usage) {
  return {{"prompt_tokens", usage.promptTokens},
          {"completion_tokens", usage.generatedTokens},
          {"total_tokens", usage.promptTokens + usage.generatedTokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cachedTokens}}}};
}

OrderedJson finishOf(const ChoiceText &choice) {
  const FinishReason reason = choice.delta.finish;
  if (reason == FinishReason::None)
    return nullptr;
  // As clients tell that it is their turn to call.
  const bool called = choice.firstCall + choice.calls.size() > 0;
  return reason == FinishReason::Stop && called ? "tool_calls"
                                                : finishReasonName(reason);
}

/// Adds reasoning, under both of its names, and calls to a message or a delta
/// of one.
void addParts(const AnswerHead &head, const ChoiceText &choice, bool isDelta,
              OrderedJson &message) {
  if (!choice.reasoning.empty()) {
    message["reasoning_content"] = choice.reasoning;
    message["reasoning"] = choice.reasoning;
  }
  uint32_t number = choice.firstCall;
  for (const chat::ToolCall &call : choice.calls) {
    OrderedJson one;
    if (isDelta)
      one["index"] = number;
    one["id"] = !call.id.empty() ? call.id
                                 : fmt::format("call-{}-{}-{}", head.id,
                                               choice.index, number);
    one["type"] = "function";
    one["function"] = {{"name", call.name}, {"arguments", call.arguments}};
    message["tool_calls"].push_back(std::move(one));
    ++number;
  }
}

OrderedJson stopOf(const engine::Delta &delta) {
  if (const auto *id = std::get_if<int32_t>(&delta.stop))
    return *id;
  if (const auto *text = std::get_if<std::string>(&delta.stop))
    return *text;
  return nullptr;
}

/// JSON has no infinity; a probability of zero is a very small one there.
double finite(float logprob) { return std::max(logprob, -9999.0f); }

OrderedJson chatLogprob(const engine::TokenLogprob &token) {
  OrderedJson bytes = OrderedJson::array();
  for (unsigned char byte : token.bytes)
    bytes.push_back(byte);
  return {{"token", token.bytes},
          {"logprob", finite(token.logprob)},
          {"bytes", std::move(bytes)}};
}

OrderedJson chatLogprobs(const engine::Delta &delta) {
  OrderedJson content = OrderedJson::array();
  for (const engine::PositionLogprobs &position : delta.logprobs) {
    OrderedJson one = chatLogprob(position.token);
    one["top_logprobs"] = OrderedJson::array();
    for (const engine::TokenLogprob &top : position.top)
      one["top_logprobs"].push_back(chatLogprob(top));
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}};
}

OrderedJson textLogprobs(const ChoiceText &choice) {
  OrderedJson tokens = OrderedJson::array(), values = OrderedJson::array(),
              tops = OrderedJson::array(), offsets = OrderedJson::array();
  uint64_t offset = choice.textOffset;
  for (const auto *list :
       {&choice.delta.promptLogprobs, &choice.delta.logprobs})
    for (const engine::PositionLogprobs &position : *list) {
      tokens.push_back(position.token.bytes);
      values.push_back(finite(position.token.logprob));
      OrderedJson top = OrderedJson::object();
      for (const engine::TokenLogprob &each : position.top)
        top[each.bytes] = finite(each.logprob);
      tops.push_back(std::move(top));
      offsets.push_back(offset);
      offset += countCharacters(position.token.bytes);
    }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(values)},
          {"tokens", std::move(tokens)},
          {"top_logprobs", std::move(tops)}};
}

OrderedJson begin(const AnswerHead &head, const char *object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model}};
}

/// What stands behind a choice's text.
void addEnd(const AnswerHead &head, const ChoiceText &choice,
            OrderedJson &json) {
  json["logprobs"] = !choice.wantsLogprobs ? OrderedJson()
                     : head.chat           ? chatLogprobs(choice.delta)
                                           : textLogprobs(choice);
  json["finish_reason"] = finishOf(choice);
  json["stop_reason"] = stopOf(choice.delta);
  if (head.returnTokenIds)
    json["token_ids"] = choice.delta.ids;
}

} // namespace

OrderedJson wholeAnswer(const AnswerHead &head,
                        const std::vector<ChoiceText> &choices,
                        const engine::Usage &usage) {
  OrderedJson json =
      begin(head, head.chat ? "chat.completion" : "text_completion");
  json["choices"] = OrderedJson::array();
  for (const ChoiceText &choice : choices) {
    OrderedJson one = {{"index", choice.index}};
    if (head.chat) {
      const bool isNull = choice.text.empty() &&
                          (!choice.reasoning.empty() || !choice.calls.empty());
      OrderedJson &message = one["message"];
      message = {{"role", "assistant"},
                 {"content", isNull ? OrderedJson() : OrderedJson(choice.text)}};
      addParts(head, choice, /*isDelta=*/false, message);
    } else {
      one["text"] = choice.text;
    }
    addEnd(head, choice, one);
    json["choices"].push_back(std::move(one));
  }
  json["usage"] = usageJson(usage);
  return json;
}

OrderedJson chunk(const AnswerHead &head, const ChoiceText &choice) {
  OrderedJson json =
      begin(head, head.chat ? "chat.completion.chunk" : "text_completion");
  OrderedJson one = {{"index", choice.index}};
  if (head.chat) {
    OrderedJson &delta = one["delta"];
    delta = OrderedJson::object();
    if (!choice.text.empty())
      delta["content"] = choice.text;
    addParts(head, choice, /*isDelta=*/true, delta);
  } else {
    one["text"] = choice.text;
  }
  addEnd(head, choice, one);
  json["choices"] = OrderedJson::array({std::move(one)});
  return json;
}

OrderedJson roleChunk(const AnswerHead &head, uint32_t index) {
  OrderedJson json = begin(head, "chat.completion.chunk");
  json["choices"] = OrderedJson::array(
      {{{"index", index},
        {"delta", {{"role", "assistant"}, {"content", ""}}},
        {"logprobs", nullptr},
        {"finish_reason", nullptr}}});
  return json;
}

OrderedJson usageChunk(const AnswerHead &head, const engine::Usage &usage) {
  OrderedJson json =
      begin(head, head.chat ? "chat.completion.chunk" : "text_completion");
  json["choices"] = OrderedJson::array();
  json["usage"] = usageJson(usage);
  return json;
}

std::string event(const OrderedJson &json) {
  return "data: " + dump(json) + "\n\n";
}

} // namespace hadal::serve
