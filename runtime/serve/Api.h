// The endpoints: from a request to the engine's answer.
#pragma once

#include <memory>
#include <set>

#include "runtime/engine/Engine.h"
#include "runtime/serve/Answers.h"
#include "runtime/serve/ChatPrompt.h"
#include "runtime/serve/HttpServer.h"
#include "runtime/serve/Keys.h"
#include "runtime/serve/Metrics.h"
#include "runtime/serve/Workers.h"

namespace hadal::serve {

/// Given to everybody at its path, also before the model is there.
struct StaticFile {
  std::string path;
  HttpResponse response;
};

struct ApiOptions {
  std::string modelName;
  std::string version;      ///< of hadal
  Keys keys;                ///< empty: everybody may
  std::string allowOrigin;  ///< CORS; empty: none
  /// A key's requests share cached prefixes with no other key's.
  bool cachePerKey = false;
  std::vector<StaticFile> files;
};

/// What is there once the model is loaded.
struct Served {
  engine::Engine *engine = nullptr;
  const Tokenizer *tokenizer = nullptr; ///< null: ids only
  BodyLimits limits;
  uint64_t maxSeqLen = 0;
  /// The prompt of a chat.
  std::function<StatusOr<ChatPrompt>(const CompletionBody &)> renderChat;
};

/// Told of each request that has ended, for the log.
struct RequestLog {
  std::string id, key, path;
  unsigned status = 0;
  std::string end; ///< finish reasons, or "gone"
  engine::Usage usage;
  double seconds = 0, firstTokenSeconds = 0;
};

class Completion;

/// All members are for the I/O thread.
class Api final : public HttpHandler {
public:
  Api(ApiOptions options, Metrics &metrics,
      std::function<void(const RequestLog &)> log);
  ~Api() override;

  void attach(HttpServer &server) { this->server = &server; }
  /// Until then everything but /health, /metrics and /version answers 503 with
  /// what progress() said.
  void begin(Served served);
  void progress(std::string text) { loading = std::move(text); }
  /// Every request that comes now answers 503.
  void drain() { draining = true; }
  bool idle() const { return running.empty(); }
  void replaceKeys(Keys keys) { options.keys = std::move(keys); }

  std::optional<HttpResponse> refuse(const HttpRequest &head) override;
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override;
  HttpResponse describe(unsigned status, const std::string &message) override;

private:
  friend class Completion;
  struct Route {
    const char *method, *path;
    bool needsKey, needsModel;
    void (Api::*handle)(HttpRequest &, std::shared_ptr<Exchange>);
  };
  static const std::vector<Route> &routes();

  void health(HttpRequest &, std::shared_ptr<Exchange>);
  void ready(HttpRequest &, std::shared_ptr<Exchange>);
  void version(HttpRequest &, std::shared_ptr<Exchange>);
  void metricsText(HttpRequest &, std::shared_ptr<Exchange>);
  void models(HttpRequest &, std::shared_ptr<Exchange>);
  void tokenize(HttpRequest &, std::shared_ptr<Exchange>);
  void detokenize(HttpRequest &, std::shared_ptr<Exchange>);
  void completions(HttpRequest &, std::shared_ptr<Exchange>);
  void chatCompletions(HttpRequest &, std::shared_ptr<Exchange>);
  void complete(HttpRequest &request, std::shared_ptr<Exchange> exchange,
                bool chat);
  const StaticFile *findFile(const HttpRequest &request) const;
  /// Why requests are refused now; nothing if they are not.
  std::optional<HttpResponse> unavailable() const;
  void respond(Exchange &exchange, HttpResponse response);
  /// Runs |work| on a worker, then what it returns on the I/O thread.
  void offload(std::function<std::function<void()>()> work);

  ApiOptions options;
  Metrics &metrics;
  const std::function<void(const RequestLog &)> log;
  HttpServer *server = nullptr;
  Served served;
  std::string loading = "the model is being loaded";
  bool draining = false;
  std::set<std::shared_ptr<Completion>> running;
  std::set<std::string> warned; ///< unknown fields, each once
  std::unique_ptr<Workers> workers;
};

} // namespace hadal::serve
