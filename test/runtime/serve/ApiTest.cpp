// The endpoints over a model whose logits are a hash: answers, streams, keys,
// limits, clients that go, the end.
#include <thread>

#include "runtime/serve/Api.h"
#include "test/runtime/engine/HashRunner.h"
#include "test/runtime/serve/HttpClient.h"

using namespace hadal;
using namespace hadal::serve;
using nlohmann::json;

namespace {

/// Calls take real time, so that requests overlap.
class SlowRunner final : public engine::HashRunner {
public:
  using HashRunner::HashRunner;
  Status run(Phase phase, size_t capacity, std::span<const CallRow> rows,
             const RowLogitsSink &sink) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    return HashRunner::run(phase, capacity, rows, sink);
  }
  std::atomic<int> delay{0};
};

engine::RunnerLimits runnerLimits() {
  engine::RunnerLimits limits;
  limits.vocabSize = 50;
  limits.maxSeqLen = 200;
  limits.pageSize = 4;
  limits.pages = 400;
  limits.maxRows = 4;
  limits.prompt = {{16, 4, 16}};
  limits.decode = {{1, 1, 1}, {4, 4, 1}};
  return limits;
}

struct Answer {
  unsigned status = 0;
  std::string head, body;
  json parsed() const { return json::parse(body, nullptr, false); }
};

class ApiTest : public testing::Test {
protected:
  void start(ApiOptions options = {}, engine::SchedulerOptions scheduler = {}) {
    options.modelName = "hash";
    options.version = "1";
    api = std::make_unique<Api>(std::move(options), metrics,
                                [this](const RequestLog &line) {
                                  std::lock_guard lock(mutex);
                                  log.push_back(line);
                                });
    auto created = HttpServer::create({.port = 0}, *api);
    ASSERT_TRUE(created.ok());
    server = std::move(*created);
    api->attach(*server);
    io = std::thread([this] { server->run(); });
    auto made = std::make_unique<SlowRunner>(runnerLimits());
    runner = made.get();
    scheduler.checkInvariants = true;
    scheduler.observer = &metrics;
    engine = engine::Engine::create(std::move(made), nullptr, scheduler);
  }
  void load() {
    server->post([this] {
      api->begin({.engine = engine.get(),
                  .limits = {.defaults = {.temperature = 1},
                             .vocabulary = 50,
                             .maxChoices = 4},
                  .maxSeqLen = 200,
                  .renderChat = [](const CompletionBody &)
                      -> StatusOr<ChatPrompt> {
                    return ChatPrompt{.ids = {7, 8, 9}};
                  }});
    });
  }
  void TearDown() override {
    if (!server)
      return;
    server->stop();
    io.join();
    engine.reset();
    api.reset();
    server.reset();
  }

  static std::string request(const std::string &method, const std::string &path,
                             const std::string &body = "",
                             const std::string &more = "") {
    std::string text = method + " " + path +
                       " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more;
    if (method == "POST")
      text += "Content-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
  }
  Answer ask(const std::string &method, const std::string &path,
             const std::string &body = "", const std::string &more = "") {
    Client client(server->port());
    client.send(request(method, path, body, more));
    return parse(client.receive());
  }
  static Answer parse(const std::string &text) {
    Answer answer;
    if (text.size() > 12)
      answer.status = static_cast<unsigned>(std::atoi(text.c_str() + 9));
    const size_t end = text.find("\r\n\r\n");
    if (end != std::string::npos) {
      answer.head = text.substr(0, end + 2);
      answer.body = text.substr(end + 4);
    }
    return answer;
  }
  /// The JSON of each event of a stream, "[DONE]" as a string.
  static std::vector<json> events(const Answer &answer) {
    // Chunks of the transfer cut events anywhere.
    std::string text, rest = answer.body;
    while (!rest.empty()) {
      const size_t size = std::stoul(rest, nullptr, 16);
      const size_t at = rest.find("\r\n") + 2;
      text += rest.substr(at, size);
      rest = rest.substr(std::min(at + size + 2, rest.size()));
    }
    std::vector<json> all;
    while (!text.empty()) {
      const size_t end = text.find("\n\n");
      const std::string event = text.substr(0, end);
      text = text.substr(end + 2);
      if (event.starts_with(":"))
        continue;
      EXPECT_TRUE(event.starts_with("data: ")) << event;
      json parsed = json::parse(event.substr(6), nullptr, false);
      all.push_back(parsed.is_discarded() ? json(event.substr(6)) : parsed);
    }
    return all;
  }
  void eventually(const std::function<bool()> &holds) {
    for (int i = 0; i < 500 && !holds(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(holds());
  }

  Metrics metrics{"hash", 200};
  std::unique_ptr<engine::Engine> engine;
  SlowRunner *runner = nullptr;
  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> server;
  std::thread io;
  std::mutex mutex;
  std::vector<RequestLog> log;
};

constexpr const char *kIds =
    R"({"prompt": [3, 4, 5], "max_tokens": 6, "temperature": 0, "ignore_eos":
        true, "return_token_ids": true})";

} // namespace

TEST_F(ApiTest, SaysWhetherItIsAliveAndReady) {
  start();
  EXPECT_EQ(ask("GET", "/health").status, 200u);
  EXPECT_EQ(ask("GET", "/version").parsed()["version"], "1");
  for (const char *path : {"/ready", "/v1/models"}) {
    const Answer answer = ask("GET", path);
    EXPECT_EQ(answer.status, 503u);
    EXPECT_EQ(answer.parsed()["error"]["message"], "the model is being loaded");
    EXPECT_NE(answer.head.find("Retry-After: "), std::string::npos);
  }
  EXPECT_EQ(ask("POST", "/v1/completions", kIds).status, 503u);
  load();
  EXPECT_EQ(ask("GET", "/ready").status, 200u);
  EXPECT_EQ(ask("GET", "/v1/models").parsed()["data"][0]["id"], "hash");
  runner->failingCall = 1;
  EXPECT_EQ(ask("POST", "/v1/completions", kIds).status, 500u);
  const Answer failed = ask("GET", "/ready");
  EXPECT_EQ(failed.status, 503u);
  EXPECT_EQ(failed.parsed()["error"]["code"], "H5017");
}

TEST_F(ApiTest, AStreamAddsUpToTheWholeAnswer) {
  start();
  load();
  for (const char *path : {"/v1/completions", "/v1/chat/completions"}) {
    const bool chat = std::string(path).find("chat") != std::string::npos;
    json body = json::parse(kIds);
    body["n"] = 2;
    body["seed"] = 5;
    body["temperature"] = 1.5;
    body["logprobs"] = chat ? json(true) : json(2);
    if (chat) {
      body.erase("prompt");
      body["messages"] = {{{"role", "user"}, {"content", "x"}}};
    }
    const Answer whole = ask("POST", path, body.dump());
    ASSERT_EQ(whole.status, 200u) << whole.body;
    const json answer = whole.parsed();
    EXPECT_EQ(answer["usage"]["completion_tokens"], 12);
    EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);

    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    const Answer stream = ask("POST", path, body.dump());
    EXPECT_EQ(stream.status, 200u);
    EXPECT_NE(stream.head.find("Content-Type: text/event-stream\r\n"),
              std::string::npos);
    EXPECT_NE(stream.head.find("Cache-Control: no-store\r\n"),
              std::string::npos);
    const std::vector<json> all = events(stream);
    // A slow reader gets few chunks; each choice has one at least.
    ASSERT_GE(all.size(), 4u);
    EXPECT_EQ(all.back(), "[DONE]");
    const json &usage = all[all.size() - 2];
    EXPECT_EQ(usage["choices"], json::array());
    EXPECT_EQ(usage["usage"]["completion_tokens"], 12);
    std::map<int, std::vector<int>> ids;
    std::map<int, std::string> finish;
    std::map<int, int> roles, logprobs;
    for (size_t i = 0; i + 2 < all.size(); ++i) {
      EXPECT_EQ(all[i]["id"], all[0]["id"]);
      const json &choice = all[i]["choices"][0];
      const int index = choice["index"];
      EXPECT_FALSE(finish.contains(index));
      if (chat && choice["delta"].contains("role")) {
        ++roles[index];
        EXPECT_TRUE(ids[index].empty());
        continue;
      }
      for (const json &id : choice["token_ids"])
        ids[index].push_back(id);
      if (choice["logprobs"].is_object())
        logprobs[index] += static_cast<int>(
            choice["logprobs"][chat ? "content" : "tokens"].size());
      if (choice["finish_reason"].is_string())
        finish[index] = choice["finish_reason"];
    }
    for (int index : {0, 1}) {
      const json &choice = answer["choices"][static_cast<size_t>(index)];
      EXPECT_EQ(json(ids[index]), choice["token_ids"]);
      EXPECT_EQ(finish[index], "length");
      EXPECT_EQ(choice["finish_reason"], "length");
      EXPECT_EQ(roles[index], chat ? 1 : 0);
      EXPECT_EQ(logprobs[index], 6);
      EXPECT_EQ(choice["logprobs"][chat ? "content" : "tokens"].size(), 6u);
    }
    EXPECT_NE(ids[0], ids[1]); // choices differ by their random numbers
  }
}

TEST_F(ApiTest, RefusalsAreOpenAIs) {
  start();
  load();
  const struct {
    const char *method, *path, *body;
    unsigned status;
    const char *param, *part;
  } refusals[] = {
      {"GET", "/nothing", "", 404, nullptr, "there is no /nothing"},
      {"GET", "/v1/completions", "", 405, nullptr, "GET is not for"},
      {"POST", "/health", "{}", 405, nullptr, "POST is not for"},
      {"POST", "/v1/completions", "{", 400, nullptr, "the body"},
      {"POST", "/v1/completions", R"({"prompt": [50]})", 400, "prompt",
       "ids below 50"},
      {"POST", "/v1/completions", R"({"prompt": [1], "n": 5})", 400, "n",
       "from 1 to 4"},
      {"POST", "/v1/completions", R"({"prompt": "text"})", 400, "prompt",
       "no tokenizer"},
      {"POST", "/v1/completions", R"({"prompt": [1], "model": "other"})", 404,
       "model", "this is 'hash'"},
      {"POST", "/tokenize", R"({"prompt": "a"})", 400, nullptr,
       "no tokenizer"}};
  for (const auto &r : refusals) {
    const Answer answer = ask(r.method, r.path, r.body);
    EXPECT_EQ(answer.status, r.status) << r.path << r.body << answer.body;
    const json failure = answer.parsed()["error"];
    EXPECT_NE(failure["message"].get<std::string>().find(r.part),
              std::string::npos)
        << answer.body;
    EXPECT_EQ(failure["param"], r.param ? json(r.param) : json());
  }
  Client client(server->port());
  client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: "
              "text/plain\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(parse(client.receive()).status, 415u);
}

TEST_F(ApiTest, KeysOpenWhatIsNotOpen) {
  auto keys = Keys::parse(
      // Of "abc".
      "me:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "f");
  ASSERT_TRUE(keys.ok());
  start({.keys = *keys, .allowOrigin = "https://a.example"});
  load();
  EXPECT_EQ(ask("GET", "/health").status, 200u);
  EXPECT_EQ(ask("GET", "/ready").status, 200u);
  const Answer closed = ask("GET", "/v1/models");
  EXPECT_EQ(closed.status, 401u);
  EXPECT_NE(closed.head.find("WWW-Authenticate: Bearer\r\n"),
            std::string::npos);
  EXPECT_EQ(ask("POST", "/v1/completions", kIds).status, 401u);
  const std::string key = "Authorization: Bearer abc\r\n";
  const Answer open = ask("GET", "/v1/models", "", key);
  EXPECT_EQ(open.status, 200u);
  EXPECT_NE(open.head.find("Access-Control-Allow-Origin: https://a.example"),
            std::string::npos);
  EXPECT_EQ(ask("POST", "/v1/completions", kIds, key).status, 200u);
  const Answer preflight = ask("OPTIONS", "/v1/completions");
  EXPECT_EQ(preflight.status, 204u);
  EXPECT_NE(preflight.head.find("Access-Control-Allow-Methods: POST"),
            std::string::npos);
  std::lock_guard lock(mutex);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].key, "me");
  EXPECT_EQ(log[0].end, "length");
  EXPECT_EQ(log[0].usage.generatedTokens, 6u);
}

TEST_F(ApiTest, AFullQueueIsSaidAtOnce) {
  start({}, {.maxQueue = 1});
  load();
  runner->delay = 20;
  json body = json::parse(kIds);
  body["n"] = 4;
  body["max_tokens"] = 30;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(std::make_unique<Client>(server->port()));
    clients.back()->send(request("POST", "/v1/completions", body.dump()));
    eventually([&] {
      const engine::Statistics s = engine->statistics();
      return s.requestsRunning + s.requestsWaiting ==
             static_cast<uint64_t>(i) + 1;
    });
  }
  const Answer full = ask("POST", "/v1/completions", kIds);
  EXPECT_EQ(full.status, 429u);
  EXPECT_EQ(full.parsed()["error"]["code"], "H5024");
  EXPECT_NE(full.head.find("Retry-After: 1\r\n"), std::string::npos);
  runner->delay = 0;
  for (auto &client : clients)
    EXPECT_EQ(parse(client->receive()).status, 200u);
}

TEST_F(ApiTest, RequestsOfGoneClientsEnd) {
  start();
  load();
  runner->delay = 5;
  for (bool streams : {false, true}) {
    json body = json::parse(kIds);
    body["max_tokens"] = 190;
    body["stream"] = streams;
    Client client(server->port());
    client.send(request("POST", "/v1/completions", body.dump()));
    eventually([&] { return engine->statistics().requestsRunning == 1; });
    client.close();
    eventually([&] {
      const engine::Statistics s = engine->statistics();
      return s.requestsRunning == 0 && s.pages.owned == 0;
    });
  }
  EXPECT_LT(engine->statistics().generatedTokens, 300u);
  eventually([&] {
    std::lock_guard lock(mutex);
    return log.size() == 2 && log[0].end == "gone" && log[1].end == "gone";
  });
}

TEST_F(ApiTest, AFailureInAStreamIsItsLastEvent) {
  start();
  load();
  runner->failingCall = 4;
  json body = json::parse(kIds);
  body["stream"] = true;
  const std::vector<json> all = events(ask("POST", "/v1/completions",
                                           body.dump()));
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back()["error"]["code"], "H5017");
  EXPECT_EQ(all.back()["error"]["type"], "server_error");
}

TEST_F(ApiTest, FilesAreForEverybody) {
  start({.files = {{"/", {.type = "text/html", .body = "<p>"}}}});
  const Answer page = ask("GET", "/");
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.body, "<p>");
  EXPECT_NE(page.head.find("Content-Type: text/html\r\n"), std::string::npos);
  EXPECT_EQ(ask("HEAD", "/").body, "");
  EXPECT_EQ(ask("POST", "/", "{}").status, 404u);
}

TEST_F(ApiTest, AnAnswerHasTheIdOfItsRequest) {
  start();
  load();
  const Answer answer =
      ask("POST", "/v1/completions", kIds, "X-Request-Id: mine-7\r\n");
  EXPECT_EQ(answer.parsed()["id"], "cmpl-mine-7");
  std::lock_guard lock(mutex);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].id, "mine-7");
}

TEST_F(ApiTest, EchoAloneRunsNothing) {
  start();
  load();
  const Answer answer = ask(
      "POST", "/v1/completions",
      R"({"prompt": [1, 2], "echo": true, "max_tokens": 0})");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(answer.parsed()["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(runner->calls, 0u);
}

TEST_F(ApiTest, TheEndLetsWhatRunsEnd) {
  start();
  load();
  runner->delay = 5;
  json body = json::parse(kIds);
  body["max_tokens"] = 40;
  Client client(server->port());
  client.send(request("POST", "/v1/completions", body.dump()));
  eventually([&] { return engine->statistics().requestsRunning == 1; });
  // A connection from before, whose request comes too late.
  Client late(server->port());
  std::atomic<bool> draining{false};
  server->post([&] {
    api->drain();
    draining = true;
  });
  eventually([&] { return draining.load(); });
  late.send(request("POST", "/v1/completions", kIds));
  EXPECT_EQ(parse(late.receive()).status, 503u);
  engine->drain(std::chrono::seconds(20));
  const Answer whole = parse(client.receive());
  EXPECT_EQ(whole.status, 200u);
  EXPECT_EQ(whole.parsed()["choices"][0]["token_ids"].size(), 40u);
  eventually([&] { return engine->drained(); });
}
