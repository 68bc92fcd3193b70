// Calls of the model: which rows they hold, and what becomes of their logits.
#include <algorithm>

#include "runtime/engine/Scheduler.h"

namespace hadal::engine {

double Scheduler::predicted(Phase phase, size_t capacity) const {
  const std::vector<double> &seconds = seconds_[static_cast<size_t>(phase)];
  const std::vector<CallCapacity> &sizes = limits_.of(phase);
  if (seconds[capacity] > 0)
    return seconds[capacity];
  // By the nearest smaller one that is known, as if time grew with the tokens.
  for (size_t i = capacity; i-- > 0;)
    if (seconds[i] > 0)
      return seconds[i] * sizes[capacity].tokens / sizes[i].tokens;
  return std::numeric_limits<double>::infinity();
}

size_t Scheduler::decodeCapacity(size_t rows) const {
  const std::vector<CallCapacity> &sizes = limits_.decode;
  auto holds = [&](size_t i) {
    return std::min(sizes[i].rows, sizes[i].tokens);
  };
  std::optional<size_t> best;
  size_t largest = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (holds(i) > holds(largest))
      largest = i;
    if (holds(i) >= rows && (!best || predicted(Phase::Decode, i) <
                                          predicted(Phase::Decode, *best)))
      best = i;
  }
  return best.value_or(largest);
}

size_t Scheduler::promptCapacity() const {
  const size_t sizes = limits_.prompt.size();
  if (!besideDecode_)
    return sizes - 1;
  const double limit =
      std::chrono::duration<double>(options_.maxInterTokenLatency).count();
  size_t best = 0;
  for (size_t i = 1; i < sizes; ++i)
    if (predicted(Phase::Prompt, i) <= limit)
      best = i;
  return best;
}

size_t Scheduler::smallestPrompt(std::span<const Row> rows) const {
  uint32_t tokens = 0, queries = 0;
  for (const Row &row : rows) {
    tokens += row.take;
    queries = std::max(queries, row.take);
  }
  size_t i = 0;
  auto holds = [&](const CallCapacity &c) {
    return c.tokens >= tokens && c.rows >= rows.size() && c.queries >= queries;
  };
  while (!holds(limits_.prompt[i]))
    ++i;
  return i;
}

bool Scheduler::decode() {
  for (size_t i = 0; i < running_.size();)
    if (!running_[i]->forked || reserve(i))
      ++i;
  rows_.clear();
  for (auto &entry : running_)
    for (auto &choice : entry->choices)
      if (entry->forked && !choice->ended())
        rows_.push_back({entry.get(), choice.get(), 1});
  for (std::span<const Row> left(rows_); !left.empty();) {
    const size_t capacity = decodeCapacity(left.size());
    const CallCapacity &size = limits_.decode[capacity];
    const auto count =
        std::min<size_t>(left.size(), std::min(size.rows, size.tokens));
    besideDecode_ = true;
    if (Status status = call(Phase::Decode, capacity, left.first(count));
        !status.ok()) {
      fail(status);
      return true;
    }
    left = left.subspan(count);
  }
  return besideDecode_;
}

void Scheduler::fillPrompt(std::vector<Row> &rows,
                           const CallCapacity &capacity) const {
  auto left = [&](const Row &row) {
    uint64_t tokens = row.entry->promptSize() - row.choice->length;
    if (options_.prefillChunk)
      tokens = std::min<uint64_t>(tokens, options_.prefillChunk);
    return static_cast<uint32_t>(std::min<uint64_t>(tokens, capacity.queries));
  };
  // Half for the oldest, the rest for those that have least to do: a long
  // prompt neither blocks short ones nor waits for all of them.
  uint32_t room = capacity.tokens;
  auto give = [&](Row &row, uint32_t most) {
    const uint32_t more = std::min(left(row) - row.take, std::min(most, room));
    row.take += more;
    room -= more;
  };
  give(rows[0], (capacity.tokens + 1) / 2);
  std::sort(rows.begin() + 1, rows.end(), [](const Row &a, const Row &b) {
    auto key = [](const Row &row) {
      return std::pair(row.entry->promptSize() - row.choice->length,
                       row.entry->age());
    };
    return key(a) < key(b);
  });
  if (rows.size() > capacity.rows)
    rows.resize(capacity.rows);
  for (size_t i = 1; i < rows.size(); ++i)
    give(rows[i], room);
  give(rows[0], room);
  std::erase_if(rows, [](const Row &row) { return !row.take; });
}

bool Scheduler::prompt() {
  rows_.clear();
  for (auto &entry : running_)
    if (!entry->forked)
      rows_.push_back({entry.get(), entry->owner, 0});
  if (rows_.empty())
    return false;
  fillPrompt(rows_, limits_.prompt[promptCapacity()]);
  if (Status status = call(Phase::Prompt, smallestPrompt(rows_), rows_);
      !status.ok())
    fail(status);
  return true;
}

CallRow Scheduler::callRow(const Row &row) const {
  const Choice &choice = *row.choice;
  const Entry &entry = *row.entry;
  CallRow result;
  result.position = choice.length;
  result.pages = choice.pages;
  if (entry.forked) {
    const uint64_t next = choice.length - entry.promptSize();
    result.tokens = std::span(choice.generated).subspan(next, 1);
    // What is fed again after a preemption has its next token already.
    if (next + 1 == choice.generated.size())
      result.logits = LogitsWanted::Last;
    return result;
  }
  const Request &request = entry.request();
  result.tokens = std::span(request.prompt).subspan(choice.length, row.take);
  result.writes = choice.length >= choice.chain.size() * limits_.pageSize;
  if (entry.sampled)
    return result;
  if (request.promptLogprobs)
    result.logits = LogitsWanted::All;
  else if (choice.length + row.take == entry.promptSize() && entry.maxTokens)
    result.logits = LogitsWanted::Last;
  return result;
}

Status Scheduler::call(Phase phase, size_t capacity,
                       std::span<const Row> rows) {
  callRows_.clear();
  uint32_t tokens = 0;
  for (const Row &row : rows) {
    callRows_.push_back(callRow(row));
    tokens += row.take;
  }
  if (options_.checkInvariants)
    HADAL_RETURN_IF_ERROR(checkCall(callRows_));
  const Clock::time_point begin = time_.now();
  Status status =
      runner_.run(phase, capacity, callRows_, [&](const RowLogits &logits) {
        take(rows[logits.row], logits);
      });
  now_ = time_.now();
  const double seconds = std::chrono::duration<double>(now_ - begin).count();
  double &average = seconds_[static_cast<size_t>(phase)][capacity];
  average = average > 0 ? 0.8 * average + 0.2 * seconds : seconds;
  (phase == Phase::Prompt ? statistics_.promptCalls
                          : statistics_.decodeCalls) += 1;
  if (options_.observer)
    options_.observer->onCall({phase == Phase::Prompt, tokens,
                               static_cast<uint32_t>(rows.size()), seconds});
  for (const Row &row : rows) {
    Entry &entry = *row.entry;
    if (status.ok()) {
      row.choice->length += row.take;
      if (phase == Phase::Prompt)
        publish(entry); // only now: what others find must have been written
    }
    if (phase == Phase::Decode) {
      deliver(entry, *row.choice);
      continue;
    }
    if (status.ok() && row.choice->length == entry.promptSize())
      status = finishPrompt(entry);
    for (auto &choice : entry.choices)
      if (!choice->output.pending().empty())
        deliver(entry, *choice);
  }
  return status;
}

Status Scheduler::finishPrompt(Entry &entry) {
  if (!std::exchange(entry.sampled, true)) {
    entry.usage.promptTokens = entry.promptSize();
    statistics_.promptTokens += entry.promptSize();
  }
  if (!entry.maxTokens)
    for (auto &choice : entry.choices)
      choice->output.end(FinishReason::Length, {});
  return fork(entry);
}

void Scheduler::take(const Row &row, const RowLogits &logits) {
  Entry &entry = *row.entry;
  if (row.choice->ended())
    return;
  if (!logits.finite) {
    const Status status =
        error(5008,
              "the logits after position {} are not finite; check the weights, "
              "or compile with --activations f32",
              logits.position);
    for (auto &choice : entry.choices)
      if (!entry.forked || choice.get() == row.choice)
        choice->output.end(FinishReason::Error, status);
    return;
  }
  if (entry.forked)
    return sample(entry, *row.choice, logits.values);
  if (entry.request().promptLogprobs &&
      logits.position + 1 < entry.promptSize())
    entry.promptLogprobs.push_back(
        logprobsOf(entry.request(), logits.values,
                   entry.request().prompt[logits.position + 1]));
  if (logits.position + 1 == entry.promptSize() && entry.maxTokens)
    for (auto &choice : entry.choices)
      sample(entry, *choice, logits.values);
}

void Scheduler::sample(Entry &entry, Choice &choice,
                       std::span<const float> logits) {
  const Request &request = entry.request();
  StatusOr<int32_t> token = sampler_.sample(
      logits, request.sampling, {&choice.counts, entry.endTokens},
      {entry.ticket->seed(), choice.generated.size(), choice.child});
  if (!token.ok()) {
    choice.output.end(FinishReason::Error, token.status());
    return;
  }
  std::optional<PositionLogprobs> logprobs;
  if (request.logprobs)
    logprobs = logprobsOf(request, logits, *token);
  choice.generated.push_back(*token);
  const SamplingParameters &s = request.sampling;
  if (s.repetitionPenalty != 1 || s.presencePenalty != 0 ||
      s.frequencyPenalty != 0)
    choice.counts.addOutput(*token);
  choice.output.push(*token, std::move(logprobs));
  entry.usage.generatedTokens += 1;
  statistics_.generatedTokens += 1;
  const Clock::time_point now = time_.now();
  if (entry.times.firstToken == Clock::time_point()) {
    entry.times.firstToken = now;
    entry.ticket->update(entry.usage, entry.times);
  }
  if (options_.observer && choice.generated.size() > 1)
    options_.observer->onTokens(
        1, std::chrono::duration<double>(now - choice.lastToken).count());
  choice.lastToken = now;
}

PositionLogprobs Scheduler::logprobsOf(const Request &request,
                                       std::span<const float> logits,
                                       int32_t id) const {
  const LogSoftmax logprob(logits);
  auto of = [&](int32_t token) {
    return TokenLogprob{token, static_cast<float>(logprob[token]),
                        tokenizer_ ? std::string(tokenizer_->tokenBytes(token))
                                   : std::string()};
  };
  PositionLogprobs result{of(id), {}};
  for (int32_t token : logprob.top(*request.logprobs))
    result.top.push_back(of(token));
  return result;
}

} // namespace hadal::engine
