#include "runtime/comm/QueueStream.h"

#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace hadal::comm {

namespace {

/// SplitMix64 (Steele et al., OOPSLA14): a number of |seed| that looks random.
uint64_t mix(uint64_t seed) {
  seed += 0x9e3779b97f4a7c15u;
  seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
  seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
  return seed ^ (seed >> 31);
}

class QueueStream final : public CommStream {
public:
  explicit QueueStream(const StreamOptions &options)
      : options(options), worker([this] { work(); }) {}

  ~QueueStream() override {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      changed.notify_all();
    }
    worker.join();
  }

  uint64_t enqueue(Communicator &communicator, Operation operation) override {
    std::unique_lock lock(mutex);
    const Choice choice = choose(communicator, operation);
    queue.push_back({&communicator, std::move(operation), choice.pause});
    const uint64_t ticket = ++last;
    if (choice.policy == Policy::async) {
      ready = ticket;
      changed.notify_all();
    } else if (choice.policy == Policy::eager) {
      complete(lock, ticket);
    }
    return ticket;
  }

  Status wait(uint64_t ticket) override {
    std::unique_lock lock(mutex);
    if (ticket > last)
      return error(5014, "waiting for operation {} of {} enqueued", ticket,
                   last);
    complete(lock, ticket);
    return failure;
  }

private:
  struct Choice {
    Policy policy;
    std::chrono::microseconds pause;
  };
  struct Item {
    Communicator *communicator;
    Operation operation;
    std::chrono::microseconds pause;
  };

  Choice choose(const Communicator &communicator,
                const Operation &operation) const {
    if (options.policy != Policy::random)
      return {options.policy, std::chrono::microseconds(0)};
    const uint64_t dice =
        mix(mix(options.seed + communicator.rank()) + operation.sequence);
    constexpr Policy policies[] = {Policy::async, Policy::eager, Policy::lazy};
    return {policies[dice % 3], std::chrono::microseconds((dice >> 8) % 200)};
  }

  /// Returns when |ticket| is done; runs what nobody has begun.
  void complete(std::unique_lock<std::mutex> &lock, uint64_t ticket) {
    while (done < ticket) {
      if (running)
        changed.wait(lock);
      else
        runNext(lock);
    }
  }

  void runNext(std::unique_lock<std::mutex> &lock) {
    Item item = std::move(queue.front());
    queue.pop_front();
    running = true;
    Status status = failure;
    if (status.ok()) {
      lock.unlock();
      if (item.pause.count())
        std::this_thread::sleep_for(item.pause);
      status = item.communicator->run(
          item.operation, std::chrono::steady_clock::now() + options.timeout);
      lock.lock();
    }
    if (failure.ok())
      failure = status;
    running = false;
    ++done;
    changed.notify_all();
  }

  void work() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      if (running || done >= ready)
        changed.wait(lock);
      else
        runNext(lock);
    }
  }

  const StreamOptions options;
  std::mutex mutex; // guards all below
  std::condition_variable changed;
  std::deque<Item> queue;
  /// Tickets: the last given, the last the worker may run, the last done.
  uint64_t last = 0, ready = 0, done = 0;
  bool running = false, stopping = false;
  Status failure;
  std::thread worker; // after all that it uses
};

} // namespace

StatusOr<StreamOptions> parsePolicy(std::string_view text) {
  StreamOptions options;
  std::string_view policy = text.substr(0, text.find(','));
  if (policy == text && text == "async")
    return options;
  if (policy == text && (text == "eager" || text == "lazy")) {
    options.policy = text == "eager" ? Policy::eager : Policy::lazy;
    return options;
  }
  if (policy == "random") {
    options.policy = Policy::random;
    if (policy == text)
      return options;
    std::string_view seed = text.substr(policy.size() + 1);
    auto [end, failure] =
        std::from_chars(seed.data(), seed.data() + seed.size(), options.seed);
    if (failure == std::errc() && end == seed.data() + seed.size())
      return options;
  }
  return error(5011,
               "a policy '{}': expected async, eager, lazy, random or "
               "random,SEED",
               text);
}

std::unique_ptr<CommStream> createQueueStream(const StreamOptions &options) {
  return std::make_unique<QueueStream>(options);
}

} // namespace hadal::comm
