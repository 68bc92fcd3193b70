#include "runtime/engine/Ticket.h"

#include <iterator>

namespace hadal::engine {

namespace {

template <typename T> void moveBehind(std::vector<T> &to, std::vector<T> from) {
  if (to.empty())
    to = std::move(from);
  else
    to.insert(to.end(), std::make_move_iterator(from.begin()),
              std::make_move_iterator(from.end()));
}

} // namespace

const char *finishReasonName(FinishReason reason) {
  switch (reason) {
  case FinishReason::None:
    return "";
  case FinishReason::Stop:
    return "stop";
  case FinishReason::Length:
    return "length";
  case FinishReason::Error:
    return "error";
  case FinishReason::Abort:
    return "abort";
  }
  return "";
}

void Delta::append(Delta next) {
  text += next.text;
  moveBehind(ids, std::move(next.ids));
  moveBehind(logprobs, std::move(next.logprobs));
  moveBehind(promptLogprobs, std::move(next.promptLogprobs));
  finish = next.finish;
  stop = std::move(next.stop);
  contextFull = next.contextFull;
  status = std::move(next.status);
}

Ticket::Ticket(uint64_t id, Request request, uint64_t seed,
               std::function<void()> notify)
    : id_(id), request_(std::move(request)), seed_(seed),
      notify_(std::move(notify)), slots_(request_.choices) {}

Delta Ticket::take(uint32_t choice) {
  std::lock_guard lock(mutex_);
  notified_ = false;
  return choice < slots_.size() ? std::exchange(slots_[choice], {}) : Delta();
}

bool Ticket::ended() const {
  std::lock_guard lock(mutex_);
  return ended_ == slots_.size();
}

Usage Ticket::usage() const {
  std::lock_guard lock(mutex_);
  return usage_;
}

RequestTimes Ticket::times() const {
  std::lock_guard lock(mutex_);
  return times_;
}

void Ticket::put(uint32_t choice, Delta delta) {
  if (delta.empty())
    return;
  std::lock_guard lock(mutex_);
  ended_ += delta.finish != FinishReason::None;
  slots_[choice].append(std::move(delta));
  pending_ = true;
}

void Ticket::update(const Usage &usage, const RequestTimes &times) {
  std::lock_guard lock(mutex_);
  usage_ = usage;
  times_ = times;
}

void Ticket::notifyReader() {
  {
    std::lock_guard lock(mutex_);
    if (!pending_ || notified_)
      return;
    pending_ = false;
    notified_ = true;
  }
  if (notify_)
    notify_();
}

} // namespace hadal::engine
