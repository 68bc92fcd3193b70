#include "runtime/serve/Completion.h"

namespace hadal::serve {

using engine::FinishReason;

namespace {
constexpr std::chrono::seconds kKeepAlive{15};
}

Completion::Completion(Api &api, HttpRequest request,
                       std::shared_ptr<Exchange> exchange, CompletionBody body,
                       AnswerHead head,
                       std::vector<std::vector<int32_t>> prompts,
                       std::vector<std::string> echoes)
    : api(api), request(std::move(request)), exchange(std::move(exchange)),
      body(std::move(body)), head(std::move(head)),
      prompts(std::move(prompts)), echoes(std::move(echoes)) {}

void Completion::start() {
  const uint32_t n = body.request.choices;
  for (size_t p = 0; p < prompts.size(); ++p)
    for (uint32_t c = 0; c < n; ++c) {
      Choice &choice = choices.emplace_back();
      choice.text.index = static_cast<uint32_t>(choices.size() - 1);
      choice.text.text = echoes[p];
      choice.text.wantsLogprobs = body.request.logprobs.has_value();
      if (head.readsParts())
        choice.parser.emplace(head.format, head.startsInReasoning);
      // Without tokens to generate or to judge there is nothing to run.
      choice.ended = body.request.maxTokens == 0 && !body.request.promptLogprobs;
      if (choice.ended)
        choice.finish = choice.text.delta.finish = FinishReason::Length;
    }
  std::weak_ptr<Completion> weak = weak_from_this();
  exchange->onGone = [weak] {
    if (auto self = weak.lock()) {
      self->cancelAll(error(5016, "the client has gone"));
      self->end("gone");
    }
  };
  exchange->onWritten = [weak] {
    if (auto self = weak.lock())
      self->pump();
  };
  if (!allEnded())
    for (std::vector<int32_t> &prompt : prompts) {
      engine::Request one = body.request;
      one.prompt = std::move(prompt);
      auto ticket = api.served.engine->submit(
          std::move(one), [weak, server = api.server] {
            server->post([weak] {
              if (auto self = weak.lock())
                self->pump();
            });
          });
      if (!ticket.ok())
        return fail(ticket.status());
      tickets.push_back(std::move(*ticket));
    }
  if (body.stream) {
    streaming = true;
    exchange->beginStream({.status = 200,
                           .type = "text/event-stream",
                           .headers = {{"Cache-Control", "no-store"},
                                       {"X-Accel-Buffering", "no"}}});
    api.metrics.onResponse(200);
    keepAlive();
  }
  pump();
}

bool Completion::allEnded() const {
  return std::all_of(choices.begin(), choices.end(),
                     [](const Choice &c) { return c.ended; });
}

std::optional<ChoiceText> Completion::take(uint32_t number) {
  Choice &choice = choices[number];
  if (choice.ended || tickets.empty())
    return std::nullopt;
  const uint32_t n = body.request.choices;
  engine::Delta delta = tickets[number / n]->take(number % n);
  if (delta.empty())
    return std::nullopt;
  choice.finish = delta.finish;
  choice.ended = choice.finish != FinishReason::None;
  ChoiceText text{.index = number, .text = {}, .delta = std::move(delta)};
  text.text = std::exchange(text.delta.text, "");
  text.wantsLogprobs = body.request.logprobs.has_value();
  readParts(choice, text);
  text.textOffset = choice.text.textOffset;
  for (const auto *list : {&text.delta.promptLogprobs, &text.delta.logprobs})
    for (const engine::PositionLogprobs &position : *list)
      choice.text.textOffset += countCharacters(position.token.bytes);
  return text;
}

void Completion::readParts(Choice &choice, ChoiceText &text) {
  if (!choice.parser)
    return;
  auto add = [&](chat::AnswerDelta parts) {
    text.text += parts.content;
    text.reasoning += parts.reasoning;
    std::move(parts.calls.begin(), parts.calls.end(),
              std::back_inserter(text.calls));
  };
  const std::string written = std::exchange(text.text, "");
  text.firstCall = choice.calls;
  add(choice.parser->push(written));
  if (choice.ended)
    add(choice.parser->finish());
  choice.calls += static_cast<uint32_t>(text.calls.size());
}

void Completion::pump() {
  if (done)
    return;
  if (streaming)
    return pumpStream();
  for (uint32_t number = 0; number < choices.size(); ++number)
    while (auto text = take(number)) {
      if (text->delta.finish == FinishReason::Error)
        return fail(text->delta.status);
      ChoiceText &whole = choices[number].text;
      whole.text += text->text;
      whole.reasoning += text->reasoning;
      std::move(text->calls.begin(), text->calls.end(),
                std::back_inserter(whole.calls));
      whole.delta.append(std::move(text->delta));
    }
  if (allEnded())
    finishWhole();
}

void Completion::finishWhole() {
  const std::string how = endings();
  std::vector<ChoiceText> texts;
  for (Choice &choice : choices) {
    choice.text.textOffset = 0;
    texts.push_back(std::move(choice.text));
  }
  // Cut off before anything came, for want of room: the client may try again.
  const Status &reason = texts.front().delta.status;
  if (reason.code() == 5024 && usage().generatedTokens == 0)
    return fail(reason);
  api.respond(*exchange, {.status = 200, .body = dump(wholeAnswer(
                                             head, texts, usage()))});
  end(how);
}

void Completion::pumpStream() {
  if (exchange->busy())
    return;
  std::string events;
  for (uint32_t number = 0; number < choices.size(); ++number) {
    Choice &choice = choices[number];
    if (!choice.begun) {
      choice.begun = true;
      if (head.chat)
        events += event(roleChunk(head, number));
      else if (body.echo || choice.ended) // all of it, where nothing runs
        events += event(chunk(head, choice.text));
    }
    while (auto text = take(number)) {
      if (text->delta.finish == FinishReason::Error) {
        status = 500;
        const HttpResponse failure =
            errorResponse(500, text->delta.status.code(),
                          text->delta.status.message());
        cancelAll(error(5016, "another choice of the request failed"));
        return finishStream(events + "data: " + failure.body + "\n\n");
      }
      events += event(chunk(head, *text));
    }
  }
  if (allEnded()) {
    if (body.includeUsage)
      events += event(usageChunk(head, usage()));
    return finishStream(events + "data: [DONE]\n\n");
  }
  if (!events.empty()) {
    wrote = true;
    exchange->send(std::move(events));
  }
}

void Completion::finishStream(std::string last) {
  const auto keep = shared_from_this(); // end() lets go of it
  exchange->send(std::move(last));
  exchange->end();
  end(endings());
}

std::string Completion::endings() const {
  std::string all;
  for (const Choice &choice : choices)
    all += (all.empty() ? "" : ",") +
           std::string(choice.ended ? finishReasonName(choice.finish) : "cut");
  return all;
}

void Completion::keepAlive() {
  api.server->postAfter(kKeepAlive, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || self->done)
      return;
    if (!std::exchange(self->wrote, false) && !self->exchange->busy())
      self->exchange->send(": keep-alive\n\n");
    self->keepAlive();
  });
}

void Completion::fail(const Status &failure) {
  cancelAll(error(5016, "another part of the request failed"));
  HttpResponse response = errorResponse(failure, api.draining);
  status = response.status;
  api.respond(*exchange, std::move(response));
  end("error");
}

void Completion::cancelAll(const Status &reason) {
  for (const auto &ticket : tickets)
    if (!ticket->ended())
      api.served.engine->cancel(*ticket, reason);
}

engine::Usage Completion::usage() const {
  engine::Usage sum;
  for (const auto &ticket : tickets) {
    const engine::Usage one = ticket->usage();
    sum.promptTokens += one.promptTokens;
    sum.cachedTokens += one.cachedTokens;
    sum.generatedTokens += one.generatedTokens;
  }
  return sum;
}

void Completion::end(const std::string &how) {
  if (std::exchange(done, true))
    return;
  exchange->onGone = exchange->onWritten = nullptr;
  RequestLog line{.id = request.id,
                  .key = body.request.key,
                  .path = request.path,
                  .status = status,
                  .end = how,
                  .usage = usage()};
  auto since = [&](engine::Clock::time_point to) {
    return std::chrono::duration<double>(to - arrival).count();
  };
  line.seconds = since(engine::Clock::now());
  if (!tickets.empty())
    if (const auto first = tickets.front()->times().firstToken;
        first != engine::Clock::time_point())
      line.firstTokenSeconds = since(first);
  api.log(line);
  api.running.erase(shared_from_this());
}

} // namespace hadal::serve
