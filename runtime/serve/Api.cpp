#include "runtime/serve/Api.h"

#include "runtime/serve/Completion.h"

namespace hadal::serve {

using OrderedJson = nlohmann::ordered_json;

namespace {

constexpr unsigned kWorkers = 2;

HttpResponse jsonResponse(const OrderedJson &json) {
  return {.status = 200, .body = dump(json)};
}

HttpResponse bodyError(const BodyError &failure) {
  return errorResponse(400, failure.status.code(), failure.status.message(),
                       failure.param);
}

} // namespace

Api::Api(ApiOptions options, Metrics &metrics,
         std::function<void(const RequestLog &)> log)
    : options(std::move(options)), metrics(metrics), log(std::move(log)),
      workers(std::make_unique<Workers>(kWorkers)) {}

Api::~Api() { workers.reset(); }

void Api::begin(Served now) { served = std::move(now); }

const std::vector<Api::Route> &Api::routes() {
  static const std::vector<Route> all = {
      {"GET", "/health", false, false, &Api::health},
      {"GET", "/ready", false, false, &Api::ready},
      {"GET", "/version", true, false, &Api::version},
      {"GET", "/metrics", true, false, &Api::metricsText},
      {"GET", "/v1/models", true, true, &Api::models},
      {"POST", "/tokenize", true, true, &Api::tokenize},
      {"POST", "/detokenize", true, true, &Api::detokenize},
      {"POST", "/v1/completions", true, true, &Api::completions},
      {"POST", "/v1/chat/completions", true, true, &Api::chatCompletions}};
  return all;
}

HttpResponse Api::describe(unsigned status, const std::string &message) {
  metrics.onResponse(status);
  return errorResponse(status, 0, message);
}

std::optional<HttpResponse> Api::unavailable() const {
  if (draining)
    return errorResponse(503, 0, "the server is shutting down");
  if (!served.engine)
    return errorResponse(503, 0, loading);
  return std::nullopt;
}

const StaticFile *Api::findFile(const HttpRequest &request) const {
  for (const StaticFile &file : options.files)
    if (request.path == file.path &&
        (request.method == "GET" || request.method == "HEAD"))
      return &file;
  return nullptr;
}

std::optional<HttpResponse> Api::refuse(const HttpRequest &head) {
  if (findFile(head))
    return std::nullopt;
  const Route *route = nullptr;
  std::string methods;
  for (const Route &each : routes())
    if (head.path == each.path) {
      methods += (methods.empty() ? "" : ", ") + std::string(each.method);
      if (head.method == each.method ||
          (head.method == "HEAD" && each.method == std::string_view("GET")))
        route = &each;
    }
  std::optional<HttpResponse> response;
  if (methods.empty()) {
    response = errorResponse(404, 0, "there is no " + head.path);
  } else if (head.method == "OPTIONS") {
    response = HttpResponse{.status = 204, .type = ""};
    response->headers.emplace_back("Allow", methods + ", OPTIONS");
    if (!options.allowOrigin.empty()) {
      response->headers.emplace_back("Access-Control-Allow-Methods", methods);
      response->headers.emplace_back("Access-Control-Allow-Headers",
                                     "authorization, content-type");
    }
  } else if (!route) {
    response = errorResponse(405, 0, head.method + " is not for " + head.path);
    response->headers.emplace_back("Allow", methods);
  } else if (route->needsKey && !options.keys.empty() &&
             !options.keys.find(head.header("authorization"))) {
    response = errorResponse(401, 0, "no known key in Authorization: Bearer");
    response->headers.emplace_back("WWW-Authenticate", "Bearer");
  } else if (head.method == "POST" &&
             !head.header("content-type").starts_with("application/json")) {
    response = errorResponse(415, 0, "Content-Type is '" +
                                         std::string(head.header("content-type")) +
                                         "', expected application/json");
  } else if (route->needsModel) {
    response = unavailable();
  }
  if (response) {
    metrics.onResponse(response->status);
    if (!options.allowOrigin.empty())
      response->headers.emplace_back("Access-Control-Allow-Origin",
                                     options.allowOrigin);
  }
  return response;
}

void Api::respond(Exchange &exchange, HttpResponse response) {
  metrics.onResponse(response.status);
  if (!options.allowOrigin.empty())
    response.headers.emplace_back("Access-Control-Allow-Origin",
                                  options.allowOrigin);
  exchange.respond(std::move(response));
}

void Api::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  if (const StaticFile *file = findFile(request))
    return respond(*exchange, file->response);
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  for (const Route &route : routes())
    if (request.path == route.path && method == route.method) {
      // The body came while the server changed its mind.
      if (auto response = route.needsModel ? unavailable() : std::nullopt)
        return respond(*exchange, std::move(*response));
      return (this->*route.handle)(request, std::move(exchange));
    }
}

void Api::health(HttpRequest &, std::shared_ptr<Exchange> exchange) {
  respond(*exchange, jsonResponse({{"status", "alive"}}));
}

void Api::ready(HttpRequest &, std::shared_ptr<Exchange> exchange) {
  if (auto response = unavailable())
    return respond(*exchange, std::move(*response));
  const engine::Statistics statistics = served.engine->statistics();
  if (!statistics.failure.ok())
    return respond(*exchange,
                   errorResponse(503, statistics.failure.code(),
                                 statistics.failure.message()));
  respond(*exchange, jsonResponse({{"status", "ready"}}));
}

void Api::version(HttpRequest &, std::shared_ptr<Exchange> exchange) {
  respond(*exchange, jsonResponse({{"version", options.version}}));
}

void Api::metricsText(HttpRequest &, std::shared_ptr<Exchange> exchange) {
  std::optional<engine::Statistics> statistics;
  if (served.engine)
    statistics = served.engine->statistics();
  respond(*exchange,
          {.status = 200,
           .type = "text/plain; version=0.0.4; charset=utf-8",
           .body = metrics.text(statistics, server->connections())});
}

void Api::models(HttpRequest &, std::shared_ptr<Exchange> exchange) {
  OrderedJson json = {{"object", "list"}};
  json["data"] = OrderedJson::array({{{"id", options.modelName},
                                      {"object", "model"},
                                      {"created", 0},
                                      {"owned_by", "hadal"},
                                      {"max_model_len", served.maxSeqLen}}});
  respond(*exchange, jsonResponse(json));
}

void Api::offload(std::function<std::function<void()>()> work) {
  workers->run([this, work = std::move(work)] { server->post(work()); });
}

void Api::tokenize(HttpRequest &request, std::shared_ptr<Exchange> exchange) {
  if (!served.tokenizer)
    return respond(*exchange,
                   errorResponse(400, 5028, "the model has no tokenizer"));
  offload([this, text = std::move(request.body), exchange,
           &tokenizer = *served.tokenizer]() -> std::function<void()> {
    auto body = parseTokenize(text);
    HttpResponse response;
    if (auto *failure = std::get_if<BodyError>(&body)) {
      response = bodyError(*failure);
    } else {
      const TokenizeBody &wanted = std::get<TokenizeBody>(body);
      auto ids = tokenizer.encode(
          wanted.prompt, {.addBos = wanted.addSpecialTokens == false
                                        ? std::optional(false)
                                        : std::nullopt});
      response = ids.ok() ? jsonResponse({{"count", ids->size()},
                                          {"max_model_len", served.maxSeqLen},
                                          {"tokens", *ids}})
                          : errorResponse(ids.status(), false, "prompt");
    }
    return [this, exchange, response] { respond(*exchange, response); };
  });
}

void Api::detokenize(HttpRequest &request, std::shared_ptr<Exchange> exchange) {
  if (!served.tokenizer)
    return respond(*exchange,
                   errorResponse(400, 5028, "the model has no tokenizer"));
  offload([this, text = std::move(request.body), exchange,
           &tokenizer = *served.tokenizer]() -> std::function<void()> {
    auto body = parseDetokenize(text, served.limits.vocabulary);
    HttpResponse response;
    if (auto *failure = std::get_if<BodyError>(&body)) {
      response = bodyError(*failure);
    } else {
      auto prompt = tokenizer.decode(std::get<std::vector<int32_t>>(body),
                                     /*skipSpecial=*/false);
      response = prompt.ok() ? jsonResponse({{"prompt", *prompt}})
                             : errorResponse(prompt.status(), false, "tokens");
    }
    return [this, exchange, response] { respond(*exchange, response); };
  });
}

void Api::completions(HttpRequest &request, std::shared_ptr<Exchange> exchange) {
  complete(request, std::move(exchange), /*chat=*/false);
}
void Api::chatCompletions(HttpRequest &request,
                          std::shared_ptr<Exchange> exchange) {
  complete(request, std::move(exchange), /*chat=*/true);
}

namespace {

/// The ids of each prompt of |body|, and its text where it is to be echoed.
Status encodePrompts(const CompletionBody &body, const Served &served,
                     std::vector<std::vector<int32_t>> &prompts,
                     std::vector<std::string> &echoes) {
  for (const Prompt &prompt : body.prompts) {
    std::string echo;
    if (const auto *ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prompts.push_back(*ids);
      if (body.echo && served.tokenizer) {
        HADAL_ASSIGN_OR_RETURN(
            echo, served.tokenizer->decode(*ids, body.request.skipSpecial));
      }
    } else if (!served.tokenizer) {
      return error(5028, "the model has no tokenizer: give the prompt as "
                         "a list of ids");
    } else {
      const std::string &text = std::get<std::string>(prompt);
      HADAL_ASSIGN_OR_RETURN(std::vector<int32_t> encoded,
                             served.tokenizer->encode(text));
      if (encoded.empty())
        return error(5005, "the prompt is empty, and the tokenizer puts no "
                           "token before a text");
      prompts.push_back(std::move(encoded));
      if (body.echo)
        echo = text;
    }
    echoes.push_back(std::move(echo));
  }
  return {};
}

} // namespace

void Api::complete(HttpRequest &request, std::shared_ptr<Exchange> exchange,
                   bool chat) {
  AnswerHead head{.chat = chat,
                  .id = (chat ? "chatcmpl-" : "cmpl-") + request.id,
                  .created = std::time(nullptr),
                  .model = options.modelName};
  const std::string *key = options.keys.find(request.header("authorization"));
  std::string text = std::move(request.body);
  offload([this, text = std::move(text), request = std::move(request), exchange,
           head = std::move(head), key = key ? *key : std::string(), chat,
           served = served]() mutable -> std::function<void()> {
    auto parsed = parseCompletion(text, chat, served.limits);
    if (auto *failure = std::get_if<BodyError>(&parsed))
      return [this, exchange, response = bodyError(*failure)] {
        respond(*exchange, response);
      };
    CompletionBody body = std::get<CompletionBody>(std::move(parsed));
    if (!body.model.empty() && body.model != head.model)
      return [this, exchange, name = body.model] {
        respond(*exchange,
                errorResponse(404, 0,
                              "there is no model '" + name + "'; this is '" +
                                  options.modelName + "'",
                              "model"));
      };
    std::vector<std::vector<int32_t>> prompts;
    std::vector<std::string> echoes;
    Status status;
    if (!chat) {
      status = encodePrompts(body, served, prompts, echoes);
    } else if (auto prompt = served.renderChat(body); prompt.ok()) {
      head.format = prompt->format;
      head.startsInReasoning = prompt->startsInReasoning;
      // The parser needs the markers.
      if (head.readsParts())
        body.request.skipSpecial = false;
      prompts.push_back(std::move(prompt->ids));
      echoes.emplace_back();
    } else {
      status = prompt.status();
    }
    if (!status.ok())
      return [this, exchange,
              response = errorResponse(status, false,
                                       chat ? "messages" : "prompt")] {
        respond(*exchange, response);
      };
    body.request.key = key;
    if (options.cachePerKey)
      body.request.cacheSalt = key + "\n" + body.request.cacheSalt;
    head.returnTokenIds = body.returnTokenIds;
    return [this, exchange, request = std::move(request), body = std::move(body),
            head = std::move(head), prompts = std::move(prompts),
            echoes = std::move(echoes)]() mutable {
      if (auto response = unavailable())
        return respond(*exchange, std::move(*response));
      for (const std::string &name : body.unknown)
        if (warned.size() < 1000 && warned.insert(name).second)
          fmt::print(stderr, "hadal-serve: requests have a field '{}', which "
                             "has no effect\n",
                     name);
      auto completion = std::make_shared<Completion>(
          *this, std::move(request), exchange, std::move(body), std::move(head),
          std::move(prompts), std::move(echoes));
      running.insert(completion);
      completion->start();
    };
  });
}

} // namespace hadal::serve
