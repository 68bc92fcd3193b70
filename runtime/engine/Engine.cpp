#include "runtime/engine/Engine.h"

#include <condition_variable>
#include <cstdlib>
#include <thread>

#include "runtime/base/Interrupt.h"
#include "runtime/engine/ModelRunner.h"
#include "runtime/engine/WarmUp.h"

namespace hadal::engine {

namespace {

class ThreadedEngine : public Engine {
public:
  ThreadedEngine(std::unique_ptr<Runner> runner, const Tokenizer *tokenizer,
                 const SchedulerOptions &options)
      : runner_(std::move(runner)),
        scheduler_(*runner_, tokenizer, publishing(options), time_) {
    statistics_ = scheduler_.statistics();
    thread_ = std::thread([this] { loop(); });
  }

  ~ThreadedEngine() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  StatusOr<std::shared_ptr<Ticket>>
  submit(Request request, std::function<void()> notify) override {
    HADAL_RETURN_IF_ERROR(scheduler_.validate(request));
    std::shared_ptr<Ticket> ticket =
        Scheduler::makeTicket(std::move(request), std::move(notify));
    {
      std::lock_guard lock(mutex_);
      HADAL_RETURN_IF_ERROR(statistics_.failure);
      if (draining_)
        return error(5024, "the server is about to end and takes no more "
                           "requests; ask another one");
      // Of those that the thread has not seen yet each may find a free row.
      const SchedulerOptions &options = scheduler_.options();
      const uint64_t waiting = statistics_.requestsWaiting + submitted_.size();
      const uint64_t room =
          uint64_t{options.maxQueue} + options.maxRows -
          std::min<uint64_t>(options.maxRows, statistics_.rowsRunning);
      if (waiting >= room)
        return error(5024,
                     "{} requests wait, the queue holds {}; try again later",
                     waiting, options.maxQueue);
      submitted_.push_back(ticket);
    }
    wake_.notify_one();
    return ticket;
  }

  void cancel(const Ticket &ticket, Status reason) override {
    {
      std::lock_guard lock(mutex_);
      cancelled_.emplace_back(ticket.id(), std::move(reason));
    }
    wake_.notify_one();
  }

  void drain(std::chrono::milliseconds timeout) override {
    {
      std::lock_guard lock(mutex_);
      if (!draining_)
        deadline_ = Clock::now() + timeout;
      draining_ = true;
    }
    wake_.notify_one();
  }

  bool drained() const override {
    std::lock_guard lock(mutex_);
    return draining_ && idle_ && submitted_.empty();
  }

  Statistics statistics() const override {
    std::lock_guard lock(mutex_);
    return statistics_;
  }

  Tick tick() const override {
    const Clock::rep begun = tickBegun_;
    if (!begun)
      return {};
    return {Clock::now() - Clock::time_point(Clock::duration(begun)),
            runner_->lastCall()};
  }

  const RunnerLimits &limits() const override { return runner_->limits(); }

private:
  /// Who is told of an end finds it in the statistics: a failed call in
  /// particular, which ends the readiness of a server.
  SchedulerOptions publishing(SchedulerOptions options) {
    options.beforeNotify = [this] {
      std::lock_guard lock(mutex_);
      statistics_ = scheduler_.statistics();
    };
    return options;
  }

  void loop() {
    while (true) {
      std::vector<std::shared_ptr<Ticket>> submitted;
      std::vector<std::pair<uint64_t, Status>> cancelled;
      bool draining = false, late = false;
      {
        std::unique_lock lock(mutex_);
        statistics_ = scheduler_.statistics();
        idle_ = scheduler_.idle();
        wake_.wait(lock, [&] {
          return stopping_ || !idle_ || !submitted_.empty() ||
                 !cancelled_.empty();
        });
        if (stopping_)
          break;
        submitted.swap(submitted_);
        cancelled.swap(cancelled_);
        idle_ = false;
        draining = draining_;
        late = draining_ && Clock::now() >= deadline_;
      }
      for (std::shared_ptr<Ticket> &ticket : submitted)
        if (Status status = scheduler_.submit(ticket); !status.ok())
          refuse(*ticket, status);
      for (const auto &[id, reason] : cancelled)
        scheduler_.cancel(id, reason);
      if (draining)
        scheduler_.abort(error(5016, "the server is about to end"), late);
      tickBegun_ = Clock::now().time_since_epoch().count();
      scheduler_.tick();
      tickBegun_ = 0;
    }
    // What is left ends with the scheduler; what it has not seen ends here.
    for (const auto &ticket : submitted_)
      refuse(*ticket, error(5016, "the engine has ended"));
  }

  /// Ends what was accepted and then found no place.
  static void refuse(Ticket &ticket, const Status &status) {
    for (uint32_t c = 0; c < ticket.request().choices; ++c) {
      Delta delta;
      delta.finish = FinishReason::Abort;
      delta.status = status;
      ticket.put(c, std::move(delta));
    }
    ticket.notifyReader();
  }

  /// Of the clock; 0: no tick is under way.
  std::atomic<Clock::rep> tickBegun_{0};
  const TimeSource time_;
  const std::unique_ptr<Runner> runner_;
  mutable std::mutex mutex_; // guards all below but the scheduler
  Statistics statistics_;    // published by the scheduler to its last moment
  Scheduler scheduler_;      // of the thread, but for validate() and options()
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Ticket>> submitted_;
  std::vector<std::pair<uint64_t, Status>> cancelled_;
  Clock::time_point deadline_;
  bool draining_ = false, stopping_ = false, idle_ = true;
  std::thread thread_; // last: it uses all of the above
};

} // namespace

std::unique_ptr<Engine> Engine::create(std::unique_ptr<Runner> runner,
                                       const Tokenizer *tokenizer,
                                       const SchedulerOptions &options) {
  SchedulerOptions own = options;
  const char *check = std::getenv("HADAL_CHECK_SCHEDULER");
  own.checkInvariants |= check && std::string_view(check) == "1";
  return std::make_unique<ThreadedEngine>(std::move(runner), tokenizer, own);
}

StatusOr<std::unique_ptr<Engine>> Engine::create(Model &model,
                                                 const Tokenizer *tokenizer,
                                                 const EngineOptions &options) {
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<ModelRunner> runner,
      ModelRunner::create(model, options.maxRows,
                          {.cachePages = options.cachePages}));
  if (options.warmUp)
    HADAL_RETURN_IF_ERROR(
        warmUp(*runner, options.warmUp, &interruptFlag()));
  return create(std::move(runner), tokenizer, options);
}

} // namespace hadal::engine
