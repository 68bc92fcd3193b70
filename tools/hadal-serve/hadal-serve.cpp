// hadal-serve: a model over HTTP, by OpenAI's interface.
#include <csignal>
#include <filesystem>
#include <thread>

#include "runtime/serve/Api.h"
#include "tools/common/Cli.h"
#include "tools/common/MemoryReport.h"
#include "tools/hadal-serve/Notify.h"
#include "tools/hadal-serve/RequestLogFile.h"
#include "tools/hadal-serve/Signals.h"
#include "tools/hadal-serve/page/Page.h"

using namespace hadal;
using namespace hadal::serve;

namespace {

struct Flags {
  cli::LoadFlags load;
  HttpOptions http;
  engine::EngineOptions engine;
  std::string keyFile, allowOrigin, name, log, generation = "auto", chatTemplate,
      toolParser;
  double queueTimeout = 0, requestTimeout = 0, drainTimeout = 30,
         writeTimeout = 30;
  double watchdog = 120;
  uint64_t maxInterTokenMs = 250, cacheTokens = 0;
  std::string warmUp = "full";
  bool insecure = false, cachePerKey = false, trustUserTokens = false,
       plan = false;
};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

bool isLocal(const std::string &host) {
  return host == "::1" || host.starts_with("127.");
}

/// What a client gets that says nothing: as vLLM takes it of the checkpoint,
/// and elsewhere as OpenAI does.
engine::SamplingParameters defaultSampling(const Flags &flags,
                                           const GenerationConfig &file) {
  engine::SamplingParameters sampling{.temperature = 1};
  if (flags.generation == "none")
    return sampling;
  sampling.temperature = static_cast<float>(file.temperature.value_or(1));
  sampling.topP = static_cast<float>(file.topP.value_or(1));
  sampling.topK = file.topK.value_or(0);
  return sampling;
}

class Serve {
public:
  explicit Serve(const Flags &flags) : flags(flags) {}

  Status run() {
    if (flags.plan)
      return planMemory();
    if (!isLocal(flags.http.host) && flags.keyFile.empty() && !flags.insecure)
      return error(5011,
                   "--host {} lets others in: give --api-key-file, or "
                   "--insecure where a proxy or firewall stands before it",
                   flags.http.host);
    ApiOptions options{.modelName = nameOfModel(),
                       .version = HADAL_VERSION,
                       .allowOrigin = flags.allowOrigin,
                       .cachePerKey = flags.cachePerKey};
    for (const PageFile &file : pageFiles())
      options.files.push_back(
          {std::string(file.path),
           {.type = std::string(file.type),
            .body = std::string(file.body),
            .headers = {{"Content-Security-Policy",
                         std::string(kContentSecurityPolicy)},
                        {"X-Content-Type-Options", "nosniff"}}}});
    if (!flags.keyFile.empty()) {
      HADAL_ASSIGN_OR_RETURN(options.keys, Keys::load(flags.keyFile));
    }
    HADAL_RETURN_IF_ERROR(log.open(flags.log));
    HADAL_ASSIGN_OR_RETURN(Artifact artifact,
                           Artifact::open(flags.load.artifact));
    const uint64_t maxSeqLen = artifact.model().max_seq_len();
    HADAL_ASSIGN_OR_RETURN(cachePages, pagesOfCache(artifact));
    watchSignals([this](int signal) { end(signal); }, [this] { hangUp(); });
    metrics = std::make_unique<Metrics>(options.modelName, maxSeqLen);
    api = std::make_unique<Api>(std::move(options), *metrics,
                                [this](const RequestLog &l) { log.write(l); });
    HADAL_ASSIGN_OR_RETURN(server, HttpServer::create(flags.http, *api));
    api->attach(*server);
    listening = true;
    std::thread io([this] { server->run(); });
    Status status = load(maxSeqLen);
    if (!status.ok())
      server->stop();
    io.join();
    listening = false; // for a SIGHUP now
    // The engine's thread and the workers post to the server to their end.
    engine.reset();
    api.reset();
    server.reset();
    if (!status.ok())
      return status;
    if (cut)
      std::exit(128 + endedBy);
    return {};
  }

private:
  std::string nameOfModel() const {
    if (!flags.name.empty())
      return flags.name;
    auto path = std::filesystem::path(flags.load.weights).lexically_normal();
    return (path.filename().empty() ? path.parent_path() : path)
        .filename()
        .string();
  }

  /// --cache-tokens in pages, or --cache-pages.
  StatusOr<uint64_t> pagesOfCache(const Artifact &artifact) const {
    if (flags.cacheTokens && flags.engine.cachePages)
      return error(5011, "--cache-tokens and --cache-pages say the same; give "
                         "one");
    const uint64_t page = artifact.model().page_size();
    return flags.cacheTokens ? flags.cacheTokens / page +
                                   (flags.cacheTokens % page != 0)
                             : flags.engine.cachePages;
  }

  Status planMemory() const {
    HADAL_ASSIGN_OR_RETURN(Artifact artifact,
                           Artifact::open(flags.load.artifact));
    HADAL_ASSIGN_OR_RETURN(const uint64_t pages, pagesOfCache(artifact));
    return cli::reportMemory(flags.load, flags.engine.maxRows, pages);
  }

  /// What a server that is not ready yet says, and its service manager shows.
  void progress(const std::string &text) {
    notify.send("STATUS=" + text);
    server->post([this, text] { api->progress(text); });
  }

  Status load(uint64_t maxSeqLen) {
    progress("weights are being loaded");
    HADAL_ASSIGN_OR_RETURN(model,
                           cli::loadModel(flags.load, flags.engine.maxRows));
    if (Tokenizer::isIn(flags.load.weights)) {
      HADAL_ASSIGN_OR_RETURN(Tokenizer loaded,
                             Tokenizer::load(flags.load.weights));
      tokenizer.emplace(std::move(loaded));
    }
    HADAL_RETURN_IF_ERROR(loadTemplate());
    engine::EngineOptions options = flags.engine;
    options.cachePages = cachePages;
    if (flags.warmUp == "full")
      options.warmUp = [this](size_t call, size_t calls) {
        progress(fmt::format("warming up: call {} of {}", call, calls));
      };
    options.observer = metrics.get();
    options.queueTimeout = milliseconds(flags.queueTimeout);
    options.requestTimeout = milliseconds(flags.requestTimeout);
    options.maxInterTokenLatency =
        std::chrono::milliseconds(flags.maxInterTokenMs);
    HADAL_ASSIGN_OR_RETURN(
        engine, engine::Engine::create(
                    *model, tokenizer ? &*tokenizer : nullptr, options));
    const uint32_t rows = options.maxRows
                              ? options.maxRows
                              : model->description().max_batch_size();
    Served served{
        .engine = engine.get(),
        .tokenizer = tokenizer ? &*tokenizer : nullptr,
        .limits = {.defaults = defaultSampling(flags, model->generation()),
                   .vocabulary = model->description().vocab_size(),
                   .maxChoices = std::min<uint32_t>(rows, 16)},
        .maxSeqLen = maxSeqLen,
        .renderChat =
            [this](const CompletionBody &body) -> StatusOr<ChatPrompt> {
          if (!noChat.ok())
            return noChat;
          return renderChat(body, *chatTemplate, *tokenizer, chatOptions);
        }};
    server->post([this, served = std::move(served)]() mutable {
      api->begin(std::move(served));
      notify.send("READY=1\nSTATUS=serving " + nameOfModel());
      watch();
    });
    ready = true;
    if (!flags.load.quiet)
      fmt::print(stderr, "hadal-serve: {} on http://{}:{}, {} rows of {} "
                         "tokens\n",
                 nameOfModel(), flags.http.host, server->port(), rows,
                 maxSeqLen);
    return {};
  }

  /// A template that was asked for must be usable; a checkpoint without one is
  /// served without chats.
  Status loadTemplate() {
    chatOptions.trustUserTokens = flags.trustUserTokens;
    if (!flags.toolParser.empty())
      chatOptions.toolFormat = chat::toolFormatNamed(flags.toolParser);
    if (!tokenizer) {
      noChat = error(5028, "the checkpoint has no tokenizer; a chat needs "
                           "one, /v1/completions takes ids");
      return {};
    }
    auto loaded = chat::ChatTemplate::load(
        flags.load.weights, flags.chatTemplate.empty()
                                ? std::nullopt
                                : std::optional(flags.chatTemplate));
    if (loaded.ok()) {
      chatTemplate.emplace(std::move(*loaded));
    } else if (!flags.chatTemplate.empty()) {
      return loaded.status();
    } else {
      noChat = loaded.status();
      fmt::print(stderr, "hadal-serve: no chats, only completions: {}\n",
                 noChat.toString());
    }
    return {};
  }

  /// On the thread of signals.
  void end(int signal) {
    if (!ready) // nothing is under way
      _exit(128 + signal);
    endedBy = signal;
    server->post([this] {
      notify.send("STOPPING=1\nSTATUS=ending " +
                  std::to_string(engine->statistics().requestsRunning) +
                  " requests");
      api->drain();
      server->stopAccepting();
      // Before the engine's own, which so ends nothing earlier.
      deadline = std::chrono::steady_clock::now() +
                 milliseconds(flags.drainTimeout);
      engine->drain(milliseconds(flags.drainTimeout));
      waitForEnd();
    });
  }

  /// For the engine, then for the clients to get what it has made: connections
  /// close behind their answers.
  void waitForEnd() {
    const auto now = std::chrono::steady_clock::now();
    if (!drained && engine->drained()) {
      drained = true;
      cut = now >= deadline;
    }
    if (drained && api->idle() && server->connections() == 0)
      return server->stop();
    // Answers that nobody reads must not hold the process.
    if (now >= deadline + std::chrono::seconds(2)) {
      cut = true;
      return server->stop();
    }
    server->postAfter(std::chrono::milliseconds(10), [this] { waitForEnd(); });
  }

  /// On the I/O thread, so that what holds that up is noticed too: says when the
  /// engine hangs, and tells the service manager while it does not.
  void watch() {
    const engine::Tick tick = engine->tick();
    const auto limit = std::chrono::duration<double>(flags.watchdog);
    if (!flags.watchdog || tick.age <= limit) {
      hangs = false;
      if (notify.watchdog())
        notify.send("WATCHDOG=1");
    } else if (!hangs) {
      hangs = true;
      const std::string text = fmt::format(
          "{} has been running for {:.0f} s; --watchdog is {:g}", tick.call,
          std::chrono::duration<double>(tick.age).count(), flags.watchdog);
      fmt::print(stderr, "hadal-serve: {}\n", text);
      notify.send("STATUS=" + text);
    }
    auto every = std::chrono::milliseconds(1000);
    if (notify.watchdog())
      every = std::min(every,
                       std::chrono::duration_cast<std::chrono::milliseconds>(
                           *notify.watchdog() / 2));
    server->postAfter(std::max(every, std::chrono::milliseconds(1)),
                      [this] { watch(); });
  }

  void hangUp() {
    if (!listening)
      return;
    server->post([this] {
      if (Status status = log.reopen(); !status.ok())
        fmt::print(stderr, "hadal-serve: {}\n", status.toString());
      if (flags.keyFile.empty())
        return;
      auto keys = Keys::load(flags.keyFile);
      if (keys.ok())
        api->replaceKeys(std::move(*keys));
      else
        fmt::print(stderr, "hadal-serve: the keys stay as they are: {}\n",
                   keys.status().toString());
    });
  }

  const Flags &flags;
  RequestLogFile log;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Model> model;
  std::optional<Tokenizer> tokenizer;
  std::optional<chat::ChatTemplate> chatTemplate;
  ChatOptions chatOptions;
  Status noChat; ///< why there are no chats
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> server;
  Notify notify;
  uint64_t cachePages = 0;
  std::atomic<bool> listening{false}, ready{false};
  int endedBy = 0;
  bool drained = false, cut = false, hangs = false;
  std::chrono::steady_clock::time_point deadline;
};

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Serves a model over HTTP: /v1/completions, "
               "/v1/chat/completions and more of OpenAI's interface.",
               "hadal-serve");
  flags.load.add(app);
  app.add_option("--host", flags.http.host, "address to listen on")
      ->capture_default_str();
  app.add_option("--port", flags.http.port, "0: any that is free")
      ->capture_default_str();
  app.add_option("--api-key-file", flags.keyFile,
                 "lines name:sha256 of the keys that clients may use")
      ->type_name("FILE");
  app.add_flag("--insecure", flags.insecure,
               "listen for others without keys");
  app.add_option("--allow-origin", flags.allowOrigin,
                 "Access-Control-Allow-Origin of answers");
  app.add_option("--served-model-name", flags.name,
                 "default: the name of the checkpoint directory");
  app.add_option("--max-rows", flags.engine.maxRows,
                 "choices that run at once; default: as many as the artifact "
                 "was compiled for")
      ->check(cli::nonNegative());
  app.add_option("--cache-pages", flags.engine.cachePages,
                 "pages of the latent cache; default: enough for all rows")
      ->check(cli::nonNegative());
  app.add_option("--cache-tokens", flags.cacheTokens,
                 "the same in tokens, whole pages of them")
      ->check(cli::nonNegative());
  app.add_flag("--plan", flags.plan,
               "print what the model takes of memory, by use, and whether it "
               "fits; reads no weights");
  app.add_option("--warm-up", flags.warmUp,
                 "full: run a call of every size before serving; none: the "
                 "first requests wait for what is not in memory yet")
      ->check(CLI::IsMember({"full", "none"}))
      ->capture_default_str();
  app.add_option("--watchdog", flags.watchdog,
                 "seconds after which a call of the model hangs: it is named on "
                 "stderr, and a service manager no longer told that all is "
                 "well; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-queue", flags.engine.maxQueue,
                 "requests that wait; one more is answered 429")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--default-max-tokens", flags.engine.defaultMaxTokens,
                 "of a request that does not say")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--prefill-chunk", flags.engine.prefillChunk,
                 "tokens of a prompt per call; default: what the buckets hold")
      ->check(cli::nonNegative());
  app.add_option("--max-itl", flags.maxInterTokenMs,
                 "milliseconds that running rows wait for a prompt's call")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_option("--queue-timeout", flags.queueTimeout,
                 "seconds a request waits for its first row; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--request-timeout", flags.requestTimeout,
                 "seconds a request takes in all; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--max-per-key", flags.engine.maxRowsPerKey,
                 "rows of one key while others wait; 0: no limit")
      ->check(cli::nonNegative())
      ->capture_default_str();
  app.add_flag("--cache-per-key", flags.cachePerKey,
               "keys share no cached prefixes: time tells what is cached");
  app.add_flag("!--no-prefix-cache", flags.engine.prefixCache,
               "compute every prompt whole");
  app.add_option("--drain-timeout", flags.drainTimeout,
                 "seconds that running requests have after SIGTERM or SIGINT")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--write-timeout", flags.writeTimeout,
                 "seconds after which a client that reads nothing is gone")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--max-connections", flags.http.maxConnections)
      ->check(CLI::Range(1u, 65536u))
      ->capture_default_str();
  app.add_option("--generation-config", flags.generation,
                 "auto: temperature, top_p and top_k of generation_config.json "
                 "where a client says nothing; none: OpenAI's")
      ->check(CLI::IsMember({"auto", "none"}))
      ->capture_default_str();
  app.add_option("--chat-template", flags.chatTemplate,
                 "default: chat_template.jinja of the checkpoint, or what its "
                 "tokenizer_config.json has")
      ->type_name("FILE");
  app.add_option("--tool-parser", flags.toolParser,
                 "how calls of tools are written; default: by the template")
      ->check(CLI::IsMember({"none", "deepseek_v3", "deepseek_v31", "kimi_k2"}));
  app.add_flag("--trust-user-tokens", flags.trustUserTokens,
               "control tokens in messages count, as in transformers");
  app.add_option("--log-file", flags.log,
                 "a JSON line for each request; default: stderr")
      ->type_name("FILE");
  return cli::runWithoutWatch(app, argc, argv, [&] {
    flags.http.writeTimeout = milliseconds(flags.writeTimeout);
    return Serve(flags).run();
  });
}
