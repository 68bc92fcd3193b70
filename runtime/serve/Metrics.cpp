#include "runtime/serve/Metrics.h"

#include <bit>

namespace hadal::serve {

namespace {

constexpr const char *kTimeToFirst = "vllm:time_to_first_token_seconds";
constexpr const char *kPerToken = "vllm:time_per_output_token_seconds";
constexpr const char *kEndToEnd = "vllm:e2e_request_latency_seconds";
constexpr const char *kQueue = "vllm:request_queue_time_seconds";
constexpr const char *kPrefill = "vllm:request_prefill_time_seconds";
constexpr const char *kDecode = "vllm:request_decode_time_seconds";
constexpr const char *kInference = "vllm:request_inference_time_seconds";
constexpr const char *kPromptTokens = "vllm:request_prompt_tokens";
constexpr const char *kGenerated = "vllm:request_generation_tokens";
constexpr const char *kIteration = "vllm:iteration_tokens_total";
constexpr const char *kChoices = "vllm:request_params_n";
constexpr const char *kMaxTokens = "vllm:request_params_max_tokens";

/// vLLM's buckets of whole requests, seconds.
const std::vector<double> kRequestSeconds = {
    0.3, 0.5, 0.8, 1, 1.5, 2,   2.5, 5,   10,  15,   20,
    30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};

/// 1, 2, 5, 10, ... up to |most|.
std::vector<double> decades(uint64_t most) {
  std::vector<double> bounds;
  for (double power = 1;; power *= 10)
    for (double mantissa : {1, 2, 5}) {
      if (mantissa * power > static_cast<double>(most))
        return bounds;
      bounds.push_back(mantissa * power);
    }
}

std::string escaped(const std::string &text) {
  std::string out;
  for (char c : text)
    out += c == '\\' || c == '"' ? std::string("\\") + c
           : c == '\n'           ? "\\n"
                                 : std::string(1, c);
  return out;
}

double seconds(engine::Clock::time_point from, engine::Clock::time_point to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

void family(std::string &text, const std::string &name, const char *type,
            const std::string &help) {
  text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

} // namespace

void Histogram::add(double value) {
  const auto at = static_cast<size_t>(
      std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
  ++counts[at];
  ++total;
  sum += value;
}

void Histogram::write(std::string &text, const std::string &name,
                      const std::string &labels) const {
  uint64_t below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    below += counts[i];
    text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels,
                        bounds[i], below);
  }
  text += fmt::format("{0}_bucket{{{1},le=\"+Inf\"}} {2}\n{0}_sum{{{1}}} {3}\n"
                      "{0}_count{{{1}}} {2}\n",
                      name, labels, total, sum);
}

Metrics::Metrics(std::string modelName, uint64_t maxSeqLen)
    : labels(fmt::format("engine=\"0\",model_name=\"{}\"",
                         escaped(modelName))) {
  const std::vector<double> tokens = decades(maxSeqLen);
  histograms = {
      {kTimeToFirst, "Seconds from a request's arrival to its first token.",
       Histogram({0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                  0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10,
                  20,    40,    80,   160,  640,  2560})},
      {kPerToken, "Seconds from a token to the next.",
       Histogram({0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
                  0.75, 1,     2.5,  5,     7.5, 10,   20,  40,  80})},
      {kEndToEnd, "Seconds from a request's arrival to its end.",
       Histogram(kRequestSeconds)},
      {kQueue, "Seconds that a request waited for its first row.",
       Histogram(kRequestSeconds)},
      {kPrefill, "Seconds from the first row to the first token.",
       Histogram(kRequestSeconds)},
      {kDecode, "Seconds from the first token to the end.",
       Histogram(kRequestSeconds)},
      {kInference, "Seconds from the first row to the end.",
       Histogram(kRequestSeconds)},
      {kPromptTokens, "Tokens of a request's prompt.", Histogram(tokens)},
      {kGenerated, "Tokens generated for a request.", Histogram(tokens)},
      {kIteration, "Tokens of a call of the model.",
       Histogram({1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
                  16384})},
      {kChoices, "n of a request.", Histogram({1, 2, 5, 10, 20})},
      {kMaxTokens, "max_tokens of a request.", Histogram(tokens)}};
}

void Metrics::add(const char *name, double value) {
  for (Named &named : histograms)
    if (named.name == name)
      return named.histogram.add(value);
}

void Metrics::onCall(const engine::CallRecord &record) {
  std::lock_guard lock(mutex);
  add(kIteration, record.tokens);
  const std::pair key(record.prompt,
                      std::bit_ceil(std::max(record.tokens, 1u)));
  calls
      .try_emplace(key, std::vector<double>{0.001, 0.002, 0.005, 0.01, 0.02,
                                            0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10})
      .first->second.add(record.seconds);
}

void Metrics::onTokens(uint32_t tokens, double seconds) {
  std::lock_guard lock(mutex);
  for (uint32_t i = 0; i < tokens; ++i)
    add(kPerToken, seconds / tokens);
}

void Metrics::onEnd(const engine::RequestRecord &record) {
  const engine::RequestTimes &t = record.times;
  const engine::Clock::time_point never;
  std::lock_guard lock(mutex);
  add(kEndToEnd, seconds(t.arrival, t.end));
  if (t.admitted != never) {
    add(kQueue, seconds(t.arrival, t.admitted));
    add(kInference, seconds(t.admitted, t.end));
  }
  if (t.firstToken != never) {
    add(kTimeToFirst, seconds(t.arrival, t.firstToken));
    add(kPrefill, seconds(t.admitted, t.firstToken));
    add(kDecode, seconds(t.firstToken, t.end));
  }
  add(kPromptTokens, static_cast<double>(record.usage.promptTokens));
  add(kGenerated, static_cast<double>(record.usage.generatedTokens));
  const engine::Request &request = record.ticket->request();
  add(kChoices, request.choices);
  if (request.maxTokens)
    add(kMaxTokens, static_cast<double>(*request.maxTokens));
}

void Metrics::onResponse(unsigned status) {
  std::lock_guard lock(mutex);
  ++responses[status];
}

std::string Metrics::text(const std::optional<engine::Statistics> &statistics,
                          uint32_t connections) const {
  std::string text;
  auto one = [&](const std::string &name, const char *type, const char *help,
                 auto value) {
    family(text, name, type, help);
    text += fmt::format("{}{{{}}} {}\n", name, labels, value);
  };
  if (statistics) {
    const engine::Statistics &s = *statistics;
    one("vllm:num_requests_running", "gauge", "Requests that have rows.",
        s.requestsRunning);
    one("vllm:num_requests_waiting", "gauge", "Requests in the queue.",
        s.requestsWaiting);
    one("vllm:kv_cache_usage_perc", "gauge",
        "Share of the cache's pages that running requests own; 1 is all.",
        s.cacheUse());
    one("vllm:prompt_tokens_total", "counter",
        "Tokens of prompts, computed or taken from the cache.", s.promptTokens);
    one("vllm:generation_tokens_total", "counter", "Tokens generated.",
        s.generatedTokens);
    one("vllm:num_preemptions_total", "counter",
        "Requests that lost their rows and started again.", s.preemptions);
    one("vllm:prefix_cache_queries_total", "counter",
        "Tokens looked for in the prefix cache.", s.prefixQueries);
    one("vllm:prefix_cache_hits_total", "counter",
        "Tokens found in the prefix cache.", s.prefixHits);
    family(text, "vllm:request_success_total", "counter",
           "Choices that have ended, by reason.");
    for (size_t i = 1; i < s.finished.size(); ++i)
      text += fmt::format(
          "vllm:request_success_total{{{},finished_reason=\"{}\"}} {}\n",
          labels, finishReasonName(static_cast<engine::FinishReason>(i)),
          s.finished[i]);
    family(text, "hadal:pages", "gauge", "Pages of the latent cache by use.");
    for (auto [use, count] : {std::pair("free", s.pages.free),
                              {"owned", s.pages.owned},
                              {"cached", s.pages.cached}})
      text += fmt::format("hadal:pages{{{},use=\"{}\"}} {}\n", labels, use,
                          count);
    family(text, "hadal:calls_total", "counter", "Calls of the model.");
    for (auto [phase, count] : {std::pair("prompt", s.promptCalls),
                                {"decode", s.decodeCalls}})
      text += fmt::format("hadal:calls_total{{{},phase=\"{}\"}} {}\n", labels,
                          phase, count);
    one("hadal:ticks_total", "counter", "Ticks of the scheduler.", s.ticks);
  }
  one("hadal:connections", "gauge", "Open connections.", connections);
  std::lock_guard lock(mutex);
  family(text, "hadal:responses_total", "counter",
         "Answers by HTTP status; of a stream that of its head.");
  for (auto [status, count] : responses)
    text += fmt::format("hadal:responses_total{{{},code=\"{}\"}} {}\n", labels,
                        status, count);
  family(text, "hadal:call_seconds", "histogram",
         "Seconds of a call of the model, by phase and tokens (rounded up to a "
         "power of two).");
  for (const auto &[key, histogram] : calls)
    histogram.write(text, "hadal:call_seconds",
                    fmt::format("{},phase=\"{}\",tokens=\"{}\"", labels,
                                key.first ? "prompt" : "decode", key.second));
  for (const Named &named : histograms) {
    family(text, named.name, "histogram", named.help);
    named.histogram.write(text, named.name, labels);
  }
  return text;
}

} // namespace hadal::serve
