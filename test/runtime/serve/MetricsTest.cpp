#include <gtest/gtest.h>

#include "runtime/serve/Metrics.h"

using namespace hadal;
using namespace hadal::serve;

namespace {

void expectLine(const std::string &text, const std::string &line) {
  EXPECT_NE(("\n" + text).find("\n" + line + "\n"), std::string::npos)
      << line << "\nis not in\n"
      << text;
}

} // namespace

TEST(Metrics, CountsWhatHappens) {
  Metrics metrics("a \"b\"", 4096);
  const std::string labels = R"(engine="0",model_name="a \"b\"")";
  metrics.onCall({.prompt = true, .tokens = 100, .rows = 1, .seconds = 0.02});
  metrics.onTokens(2, 0.1);
  metrics.onResponse(200);
  metrics.onResponse(429);
  metrics.onResponse(200);
  engine::Ticket ticket(1, {.prompt = {1}, .maxTokens = 7}, 0, nullptr);
  const engine::Clock::time_point begin = engine::Clock::now();
  using std::chrono::milliseconds;
  const engine::FinishReason stop[] = {engine::FinishReason::Stop};
  metrics.onEnd({.ticket = &ticket,
                 .usage = {.promptTokens = 10, .generatedTokens = 5},
                 .times = {.arrival = begin,
                           .admitted = begin + milliseconds(100),
                           .firstToken = begin + milliseconds(150),
                           .end = begin + milliseconds(400)},
                 .finished = stop});
  engine::Statistics statistics;
  statistics.requestsRunning = 3;
  statistics.pages = {.free = 5, .owned = 2, .cached = 3};
  statistics.finished[1] = 4;
  const std::string text = metrics.text(statistics, 9);
  expectLine(text, "vllm:num_requests_running{" + labels + "} 3");
  expectLine(text, "vllm:kv_cache_usage_perc{" + labels + "} 0.2");
  expectLine(text, "vllm:request_success_total{" + labels +
                       ",finished_reason=\"stop\"} 4");
  expectLine(text, "hadal:pages{" + labels + ",use=\"cached\"} 3");
  expectLine(text, "hadal:connections{" + labels + "} 9");
  expectLine(text, "hadal:responses_total{" + labels + ",code=\"200\"} 2");
  expectLine(text, "hadal:call_seconds_count{" + labels +
                       ",phase=\"prompt\",tokens=\"128\"} 1");
  expectLine(text, "vllm:time_per_output_token_seconds_bucket{" + labels +
                       ",le=\"0.05\"} 2");
  expectLine(text, "vllm:time_per_output_token_seconds_bucket{" + labels +
                       ",le=\"0.025\"} 0");
  expectLine(text, "vllm:request_queue_time_seconds_count{" + labels + "} 1");
  expectLine(text, "vllm:e2e_request_latency_seconds_bucket{" + labels +
                       ",le=\"0.5\"} 1");
  expectLine(text, "vllm:request_prompt_tokens_bucket{" + labels +
                       ",le=\"10\"} 1");
  expectLine(text,
             "vllm:request_params_max_tokens_bucket{" + labels + ",le=\"5\"} 0");
  // Before the model is there: no gauges of it.
  EXPECT_EQ(metrics.text(std::nullopt, 0).find("num_requests_running"),
            std::string::npos);
  // Each family is described once.
  std::map<std::string, int> described;
  for (size_t at = 0; (at = text.find("# TYPE ", at)) != std::string::npos; ++at)
    ++described[text.substr(at + 7, text.find(' ', at + 7) - at - 7)];
  for (const auto &[name, count] : described)
    EXPECT_EQ(count, 1) << name;
}
