// Requests in queues: what may run, what ends.
#include "runtime/engine/Scheduler.h"

#include <algorithm>
#include <random>

namespace hadal::engine {

namespace {

template <typename T>
Status tooMany(const char *field, T value, uint64_t low, uint64_t high) {
  return error(5005, "{} is {}: expected {} to {}", field, value, low, high);
}

} // namespace

Scheduler::Scheduler(Runner &runner, const Tokenizer *tokenizer,
                     const SchedulerOptions &options, const TimeSource &time)
    : runner_(runner), limits_(runner.limits()), tokenizer_(tokenizer),
      options_(options), time_(time), pool_(limits_.pages),
      cache_(pool_, limits_.pageSize) {
  if (!options_.maxRows || options_.maxRows > limits_.maxRows)
    options_.maxRows = limits_.maxRows;
  for (Phase phase : {Phase::Prompt, Phase::Decode})
    seconds_[static_cast<size_t>(phase)].resize(limits_.of(phase).size());
}

Scheduler::~Scheduler() {
  abort(error(5016, "the engine has ended"), /*all=*/true);
}

Status Scheduler::validate(const Request &request) const {
  const auto inVocabulary = [&](int32_t id) {
    return id >= 0 && static_cast<uint64_t>(id) < limits_.vocabSize;
  };
  HADAL_RETURN_IF_ERROR(validateSampling(request.sampling, limits_.vocabSize));
  if (request.prompt.empty())
    return error(5005, "the prompt has no tokens; give at least one");
  if (request.prompt.size() > limits_.maxSeqLen)
    return error(5005,
                 "the prompt has {} tokens, max-seq-len is {}; shorten it or "
                 "compile with a larger --max-seq-len",
                 request.prompt.size(), limits_.maxSeqLen);
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (!inVocabulary(request.prompt[i]))
      return error(5005,
                   "token {} of the prompt is {}; the vocabulary has ids 0 to "
                   "{}",
                   i, request.prompt[i], limits_.vocabSize - 1);
    if (request.prompt[i] == limits_.mediaToken)
      return error(5005,
                   "vision input is not supported: token {} of the prompt is "
                   "{}, which stands for an image",
                   i, request.prompt[i]);
  }
  if (!request.choices || request.choices > options_.maxRows)
    return tooMany("n", request.choices, 1, options_.maxRows);
  for (int32_t id : request.stopTokens)
    if (!inVocabulary(id))
      return error(5005, "a stop token is {}; the vocabulary has ids 0 to {}",
                   id, limits_.vocabSize - 1);
  if (request.stopStrings.size() > kMostStopStrings)
    return tooMany("the number of stop strings", request.stopStrings.size(), 0,
                   kMostStopStrings);
  for (const std::string &stop : request.stopStrings)
    if (stop.empty() || stop.size() > kMostStopBytes)
      return tooMany("the length of a stop string in bytes", stop.size(), 1,
                     kMostStopBytes);
  if (!request.stopStrings.empty() && !tokenizer_)
    return error(5005, "stop strings need a tokenizer, and the model was "
                       "loaded without one; give stop token ids");
  if (request.logprobs && *request.logprobs > kMostLogprobs)
    return tooMany("logprobs", *request.logprobs, 0, kMostLogprobs);
  if (request.promptLogprobs && !request.logprobs)
    return error(5005, "logprobs of the prompt were asked for without "
                       "logprobs; say how many");
  // Each further choice has a copy of the prompt's last page, if not full.
  const uint64_t size = request.prompt.size();
  const uint64_t pages =
      limits_.pagesFor(size) +
      (request.choices - 1) * (size % limits_.pageSize ? 1 : 0);
  if (pages > limits_.pages)
    return error(5013,
                 "a prompt of {} tokens for {} choices takes {} pages of the "
                 "cache, which has {}; shorten it or give the cache more pages",
                 size, request.choices, pages, limits_.pages);
  return {};
}

std::shared_ptr<Ticket> Scheduler::makeTicket(Request request,
                                              std::function<void()> notify) {
  static std::atomic<uint64_t> next = 1;
  uint64_t seed = 0;
  if (request.seed) {
    seed = *request.seed;
  } else if (request.sampling.temperature > 0) {
    std::random_device device;
    seed = uint64_t{device()} << 32 | device();
  }
  return std::make_shared<Ticket>(next++, std::move(request), seed,
                                  std::move(notify));
}

uint32_t Scheduler::rowsOf(const Entry &entry) const {
  return static_cast<uint32_t>(std::ranges::count_if(
      entry.choices, [](const auto &choice) { return !choice->ended(); }));
}

uint32_t Scheduler::liveRows() const {
  uint32_t rows = 0;
  for (const auto &entry : running_)
    rows += rowsOf(*entry);
  return rows;
}

Status Scheduler::submit(std::shared_ptr<Ticket> ticket) {
  HADAL_RETURN_IF_ERROR(failure_);
  if (waiting_.size() >= uint64_t{options_.maxQueue} + options_.maxRows -
                             std::min(options_.maxRows, liveRows()))
    return error(5024, "{} requests wait, the queue holds {}; try again later",
                 waiting_.size(), options_.maxQueue);
  auto entry = std::make_unique<Entry>(std::move(ticket));
  const Request &request = entry->request();
  entry->arrival = arrivals_++;
  entry->times.arrival = time_.now();
  entry->maxTokens = request.maxTokens.value_or(options_.defaultMaxTokens);
  entry->endTokens = request.stopTokens;
  if (!request.ignoreEos)
    entry->endTokens.insert(entry->endTokens.end(), limits_.eosTokens.begin(),
                            limits_.eosTokens.end());
  const SamplingParameters &s = request.sampling;
  const bool counts = s.repetitionPenalty != 1 || s.presencePenalty != 0 ||
                      s.frequencyPenalty != 0;
  for (uint32_t c = 0; c < request.choices; ++c) {
    entry->choices.push_back(std::make_unique<Choice>(
        c, ChoiceOutput(
               request, tokenizer_,
               {limits_.eosTokens, entry->maxTokens, limits_.maxSeqLen})));
    if (counts)
      entry->choices.back()->counts.addPrompt(request.prompt);
  }
  waiting_.push_back(std::move(entry));
  return {};
}

void Scheduler::endEntry(Entry &entry, FinishReason reason,
                         const Status &status) {
  for (auto &choice : entry.choices) {
    if (choice->ended())
      continue;
    choice->output.end(reason, status);
    deliver(entry, *choice);
  }
}

void Scheduler::deliver(Entry &entry, Choice &choice) {
  Delta delta = choice.output.take();
  if (choice.child == 0 && entry.sampled)
    delta.promptLogprobs = std::exchange(entry.promptLogprobs, {});
  if (touched_.empty() || touched_.back() != entry.ticket)
    touched_.push_back(entry.ticket);
  if (choice.ended()) {
    releasePages(choice);
    statistics_.finished[static_cast<size_t>(choice.output.finish())] += 1;
    entry.times.end = now_;
    // Before the end can be seen.
    entry.ticket->update(entry.usage, entry.times);
  }
  entry.ticket->put(choice.child, std::move(delta));
}

/// Takes what has ended out of the queues.
void Scheduler::retire() {
  for (Entries *list : {&waiting_, &running_})
    std::erase_if(*list, [&](const std::unique_ptr<Entry> &entry) {
      if (rowsOf(*entry))
        return false;
      if (options_.observer) {
        std::vector<FinishReason> finished;
        for (const auto &choice : entry->choices)
          finished.push_back(choice->output.finish());
        options_.observer->onEnd({entry->ticket.get(), entry->usage,
                                  entry->times, finished, entry->preemptions});
      }
      return true;
    });
  if (options_.beforeNotify && !touched_.empty())
    options_.beforeNotify();
  for (const auto &ticket : touched_)
    ticket->notifyReader();
  touched_.clear();
}

void Scheduler::cancel(uint64_t id, const Status &reason) {
  now_ = time_.now();
  for (Entries *list : {&waiting_, &running_})
    for (auto &entry : *list)
      if (entry->ticket->id() == id)
        endEntry(*entry, FinishReason::Abort, reason);
  retire();
}

void Scheduler::abort(const Status &reason, bool all) {
  now_ = time_.now();
  for (auto &entry : waiting_)
    if (all || !entry->preemptions)
      endEntry(*entry, FinishReason::Abort, reason);
  if (all)
    for (auto &entry : running_)
      endEntry(*entry, FinishReason::Abort, reason);
  retire();
}

void Scheduler::fail(const Status &status) {
  failure_ = statistics_.failure = status;
  for (Entries *list : {&waiting_, &running_})
    for (auto &entry : *list)
      endEntry(*entry, FinishReason::Error, status);
}

void Scheduler::expire() {
  const auto late = [&](std::chrono::milliseconds limit, const Entry &entry) {
    return limit.count() && now_ - entry.times.arrival > limit;
  };
  for (Entries *list : {&waiting_, &running_})
    for (auto &entry : *list)
      if (late(options_.requestTimeout, *entry))
        endEntry(*entry, FinishReason::Abort,
                 error(5016, "stopped after {} ms, the limit of a request",
                       options_.requestTimeout.count()));
      else if (list == &waiting_ && !entry->preemptions &&
               late(options_.queueTimeout, *entry))
        endEntry(*entry, FinishReason::Abort,
                 error(5024,
                       "waited {} ms, the limit, without being admitted; "
                       "try again later",
                       options_.queueTimeout.count()));
  retire();
}

bool Scheduler::exceedsKey(const Entry &entry) const {
  const std::string &key = entry.request().key;
  if (!options_.maxRowsPerKey || key.empty() ||
      std::ranges::all_of(waiting_, [&](const auto &other) {
        return other->request().key == key;
      }))
    return false;
  uint32_t rows = rowsOf(entry);
  for (const auto &other : running_)
    if (other->request().key == key)
      rows += rowsOf(*other);
  // One that asks for more on its own runs alone.
  return rows > options_.maxRowsPerKey && rows > rowsOf(entry);
}

/// Whether a running prompt is about to publish pages that |entry| begins with
/// too: computing them twice at once would take longer than waiting for them.
bool Scheduler::awaitsPrefix(const Entry &entry) const {
  const Request &mine = entry.request();
  if (!options_.prefixCache || mine.promptLogprobs)
    return false;
  return std::ranges::any_of(running_, [&](const auto &other) {
    const Request &theirs = other->request();
    if (other->forked || theirs.cacheSalt != mine.cacheSalt)
      return false;
    const auto [end, _] = std::ranges::mismatch(theirs.prompt, mine.prompt);
    const auto equal = static_cast<uint64_t>(end - theirs.prompt.begin());
    return equal / limits_.pageSize > other->owner->chain.size();
  });
}

void Scheduler::admit() {
  std::ranges::sort(waiting_, {}, [](const auto &entry) {
    return std::tuple(entry->request().priority, !entry->preempted,
                      entry->arrival);
  });
  for (size_t i = 0; i < waiting_.size();) {
    if (exceedsKey(*waiting_[i]) || awaitsPrefix(*waiting_[i])) {
      ++i;
      continue;
    }
    // Who comes first is not overtaken by smaller ones, which could go on for
    // ever.
    if (!admitOne(*waiting_[i]))
      return;
    const auto at = waiting_.begin() + static_cast<ptrdiff_t>(i);
    std::unique_ptr<Entry> entry = std::move(*at);
    waiting_.erase(at);
    running_.insert(std::ranges::upper_bound(
                        running_, entry->age(), {},
                        [](const auto &other) { return other->age(); }),
                    std::move(entry));
  }
}

bool Scheduler::admitOne(Entry &entry) {
  if (liveRows() + rowsOf(entry) > options_.maxRows || !takePages(entry))
    return false;
  if (entry.times.admitted == Clock::time_point())
    entry.times.admitted = now_;
  entry.preempted = false;
  entry.ticket->update(entry.usage, entry.times);
  return true;
}

bool Scheduler::tick() {
  if (!failure_.ok() || idle())
    return false;
  now_ = time_.now();
  expire();
  admit();
  statistics_.ticks += 1;
  besideDecode_ = false;
  const bool decoded = decode();
  const bool prompted = failure_.ok() && prompt();
  if (options_.checkInvariants && failure_.ok())
    if (Status status = checkInvariants(); !status.ok())
      fail(status);
  retire();
  return decoded || prompted;
}

Statistics Scheduler::statistics() const {
  Statistics result = statistics_;
  result.requestsRunning = running_.size();
  result.requestsWaiting = waiting_.size();
  result.rowsRunning = liveRows();
  result.pages.free = pool_.free();
  result.pages.cached = cache_.unheld();
  result.pages.owned = pool_.pages() - pool_.free() - cache_.unheld();
  return result;
}

} // namespace hadal::engine
