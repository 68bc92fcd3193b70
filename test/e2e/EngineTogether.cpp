// Requests of many clients against each alone, on a compiled model: ids and
// logprobs must be the same bits, whatever runs beside them, however the prompt
// is cut, cached, preempted. One line a configuration, then `N passed, M
// failed`.
//
//   EngineTogether ARTIFACT --weights DIR [-t N] [--requests N] [--ids]
//                  [--measure]
//
// --ids: ids alone are compared, for artifacts that are not deterministic.
// --measure: no comparison, but tokens a second of 1 and of 8 streams and the
// processor's time a token, beside the same steps of a session without an
// engine.
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <random>
#include <thread>

#include "runtime/base/Hash.h"
#include "runtime/engine/Engine.h"
#include "runtime/session/Session.h"
#include "tools/common/Cli.h"

using namespace hadal;
using namespace hadal::engine;

namespace {

struct Flags {
  cli::LoadFlags load;
  uint32_t requests = 48;
  bool measure = false, idsOnly = false;
  uint32_t tokens = 200;
};

/// Prompts of all lengths, some with the same beginning; greedy and sampled.
std::vector<Request> makeRequests(const schema::Model &m, uint32_t count) {
  std::mt19937 random(11);
  auto below = [&](uint64_t n) { return random() % n; };
  const uint64_t longest =
      std::min<uint64_t>(m.max_seq_len() - 140, 2 * m.page_size() + 40);
  std::vector<int32_t> common;
  for (uint64_t i = 0; i < longest; ++i)
    common.push_back(static_cast<int32_t>(below(m.vocab_size())));
  std::vector<Request> requests;
  for (uint32_t i = 0; i < count; ++i) {
    Request r;
    const bool grows = i % 4 != 2; // from one page to two or three
    const uint64_t size = 1 + below(grows ? 60 : longest);
    const uint64_t shared = i % 2 ? 0 : std::min(size, below(2 * longest));
    for (uint64_t t = 0; t < size; ++t)
      r.prompt.push_back(
          t < shared ? common[t] : static_cast<int32_t>(below(m.vocab_size())));
    r.maxTokens = grows ? 80 + below(50) : 1 + below(40);
    r.ignoreEos = true;
    r.seed = i;
    if (i % 3) {
      r.sampling.temperature = i % 3 == 1 ? 0.8f : 1.5f;
      r.sampling.topP = i % 5 ? 0.95f : 1;
    }
    if (i % 7 == 0)
      r.sampling.repetitionPenalty = 1.2f;
    r.choices = i % 8 == 3 ? 2 : 1;
    r.logprobs = 1;
    requests.push_back(std::move(r));
  }
  return requests;
}

/// What a client compares: ids, and the bits of their logprobs.
struct Answer {
  std::vector<int32_t> ids;
  std::vector<uint32_t> logprobs;
  FinishReason finish = FinishReason::None;
  bool operator==(const Answer &) const = default;
};

Answer answerOf(const Delta &delta) {
  Answer answer;
  answer.ids = delta.ids;
  answer.finish = delta.finish;
  for (const PositionLogprobs &p : delta.logprobs)
    answer.logprobs.push_back(std::bit_cast<uint32_t>(p.token.logprob));
  return answer;
}

/// To compare runs of several processes.
uint64_t digestOf(const std::vector<std::vector<Answer>> &answers) {
  std::vector<uint32_t> words;
  for (const auto &choices : answers)
    for (const Answer &answer : choices) {
      words.insert(words.end(), answer.ids.begin(), answer.ids.end());
      words.insert(words.end(), answer.logprobs.begin(), answer.logprobs.end());
    }
  return xxh3(std::span(reinterpret_cast<const uint8_t *>(words.data()),
                        words.size() * sizeof(uint32_t)));
}

void wait(const Ticket &ticket) {
  while (!ticket.ended())
    std::this_thread::sleep_for(std::chrono::microseconds(200));
}

/// All |requests| by |clients| threads; answers by request, then choice.
StatusOr<std::vector<std::vector<Answer>>>
runAll(Engine &engine, const std::vector<Request> &requests, unsigned clients) {
  std::vector<std::vector<Answer>> answers(requests.size());
  std::vector<Status> statuses(clients);
  std::vector<std::thread> threads;
  for (unsigned c = 0; c < clients; ++c)
    threads.emplace_back([&, c] {
      for (size_t i = c; i < requests.size(); i += clients) {
        auto ticket = engine.submit(requests[i], {});
        if (!ticket.ok()) {
          statuses[c] = ticket.status();
          return;
        }
        wait(**ticket);
        for (uint32_t choice = 0; choice < requests[i].choices; ++choice)
          answers[i].push_back(answerOf((*ticket)->take(choice)));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const Status &status : statuses)
    HADAL_RETURN_IF_ERROR(status);
  HADAL_RETURN_IF_ERROR(engine.statistics().failure);
  return answers;
}

Status compare(Model &model, const Flags &flags) {
  const schema::Model &m = model.description();
  const std::vector<Request> requests = makeRequests(m, flags.requests);
  std::vector<std::vector<Answer>> alone;
  {
    EngineOptions options;
    options.prefixCache = false;
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                           Engine::create(model, nullptr, options));
    HADAL_ASSIGN_OR_RETURN(alone, runAll(*engine, requests, 1));
    fmt::print("alone: {:016x}\n", digestOf(alone));
  }
  struct Row {
    const char *name;
    uint32_t chunk;
    uint64_t pages; // 0: enough
    bool cache;
    unsigned clients;
  };
  const Row rows[] = {{"together", 0, 0, false, 8},
                      {"chunks of 7", 7, 0, false, 8},
                      {"chunks of 64", 64, 0, false, 8},
                      {"prefix cache, cold and warm", 0, 0, true, 8},
                      {"few pages", 0, 6, false, 8},
                      {"few pages, chunks of 64, prefix cache", 64, 6, true, 8},
                      {"one client, prefix cache", 0, 0, true, 1}};
  unsigned failed = 0;
  for (const Row &row : rows) {
    EngineOptions options;
    options.prefillChunk = row.chunk;
    options.prefixCache = row.cache;
    options.cachePages = row.pages;
    options.checkInvariants = true;
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                           Engine::create(model, nullptr, options));
    // Who meets whom is up to the clients' threads: again until what the row is
    // about has happened.
    const int least = row.cache ? 2 : 1, most = 20;
    size_t equal = 0, all = 0;
    Statistics s;
    bool exercised = false;
    for (int turn = 0; turn < least || (!exercised && turn < most); ++turn) {
      HADAL_ASSIGN_OR_RETURN(auto together,
                             runAll(*engine, requests, row.clients));
      for (size_t i = 0; i < requests.size(); ++i)
        for (size_t c = 0; c < together[i].size(); ++c, ++all)
          equal += flags.idsOnly ? together[i][c].ids == alone[i][c].ids
                                 : together[i][c] == alone[i][c];
      s = engine->statistics();
      exercised = (!row.cache || row.pages || s.prefixHits) &&
                  (!row.pages || s.preemptions);
    }
    const bool ok = equal == all && exercised;
    failed += !ok;
    fmt::print("{} {}: {} of {} equal; {} tokens cached, {} preemptions\n",
               ok ? "ok  " : "FAIL", row.name, equal, all, s.prefixHits,
               s.preemptions);
    std::fflush(stdout);
  }
  fmt::print("{} passed, {} failed\n", std::size(rows) - failed, failed);
  return failed ? error(5019,
                        "{} configurations give other tokens than each "
                        "request alone",
                        failed)
                : Status();
}

double cpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto of = [](timeval t) {
    return static_cast<double>(t.tv_sec) +
           static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

struct Rate {
  double tokensPerSecond, cpuPerToken;
};

/// Greedy decoding of |streams| rows by steps of a session.
StatusOr<Rate> ofSession(Model &model, uint32_t streams, uint32_t tokens) {
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                         Session::create(model, {.maxRows = streams}));
  std::vector<std::vector<int32_t>> ids(streams, {7, 8, 9});
  std::vector<StepRow> rows;
  for (uint32_t i = 0; i < streams; ++i) {
    HADAL_ASSIGN_OR_RETURN(uint32_t row, session->addRow());
    ids[i].push_back(static_cast<int32_t>(i));
    rows.push_back({row, ids[i], LogitsWanted::Last});
  }
  auto greedy = [&](size_t index, uint64_t, std::span<const float> logits) {
    ids[index].assign(1, static_cast<int32_t>(std::ranges::max_element(logits) -
                                              logits.begin()));
    return Status();
  };
  HADAL_RETURN_IF_ERROR(session->step(rows, greedy));
  const auto begin = Clock::now();
  const double cpu = cpuSeconds();
  for (uint32_t t = 1; t < tokens; ++t) {
    for (uint32_t i = 0; i < streams; ++i) {
      rows[i].tokens = ids[i];
      rows[i].phase = Phase::Decode;
    }
    HADAL_RETURN_IF_ERROR(session->step(rows, greedy));
  }
  const double count = double(tokens - 1) * streams;
  return Rate{count /
                  std::chrono::duration<double>(Clock::now() - begin).count(),
              (cpuSeconds() - cpu) / count};
}

StatusOr<Rate> ofEngine(Model &model, uint32_t streams, uint32_t tokens) {
  EngineOptions options;
  options.maxRows = streams;
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                         Engine::create(model, nullptr, options));
  std::vector<std::shared_ptr<Ticket>> tickets;
  for (uint32_t i = 0; i < streams; ++i) {
    Request r;
    r.prompt = {7, 8, 9, static_cast<int32_t>(i)};
    r.maxTokens = tokens;
    r.ignoreEos = true;
    HADAL_ASSIGN_OR_RETURN(std::shared_ptr<Ticket> ticket,
                           engine->submit(r, {}));
    tickets.push_back(std::move(ticket));
  }
  while (engine->statistics().generatedTokens < streams)
    std::this_thread::yield();
  const auto begin = Clock::now();
  const double cpu = cpuSeconds();
  const uint64_t before = engine->statistics().generatedTokens;
  for (const auto &ticket : tickets)
    while (!ticket->ended())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const auto count = static_cast<double>(uint64_t{tokens} * streams - before);
  return Rate{count /
                  std::chrono::duration<double>(Clock::now() - begin).count(),
              (cpuSeconds() - cpu) / count};
}

/// In turns, so that a change of the machine's speed meets both.
Status measure(Model &model, const Flags &flags) {
  auto median = [](std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  double rates[2][2] = {}; // session or engine, 1 or 8 streams
  for (int s = 0; s < 2; ++s) {
    const uint32_t streams = s ? 8 : 1;
    std::vector<double> ratios, extra, tokens[2];
    for (int turn = 0; turn < 9; ++turn) {
      HADAL_ASSIGN_OR_RETURN(Rate session,
                             ofSession(model, streams, flags.tokens));
      HADAL_ASSIGN_OR_RETURN(Rate engine,
                             ofEngine(model, streams, flags.tokens));
      tokens[0].push_back(session.tokensPerSecond);
      tokens[1].push_back(engine.tokensPerSecond);
      ratios.push_back(engine.tokensPerSecond / session.tokensPerSecond);
      extra.push_back(engine.cpuPerToken - session.cpuPerToken);
    }
    rates[0][s] = median(tokens[0]);
    rates[1][s] = median(tokens[1]);
    fmt::print("{} streams: session {:.0f}, engine {:.0f} tokens/s; ratio "
               "{:.3f}, processor time a token {:+.1f} us (medians of 9)\n",
               streams, rates[0][s], rates[1][s], median(ratios),
               median(extra) * 1e6);
  }
  fmt::print("8 streams over 1: session {:.2f}, engine {:.2f}; ratio {:.3f}\n",
             rates[0][1] / rates[0][0], rates[1][1] / rates[1][0],
             rates[1][1] / rates[1][0] / (rates[0][1] / rates[0][0]));
  return {};
}

} // namespace

int main(int argc, char **argv) {
  Flags flags;
  CLI::App app("Compares requests together with each alone.", "EngineTogether");
  flags.load.add(app);
  app.add_option("--requests", flags.requests);
  app.add_option("--tokens", flags.tokens, "of a stream that is measured");
  app.add_flag("--ids", flags.idsOnly);
  app.add_flag("--measure", flags.measure);
  return cli::run(app, argc, argv, [&]() -> Status {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                           cli::loadModel(flags.load));
    return flags.measure ? measure(*model, flags) : compare(*model, flags);
  });
}
