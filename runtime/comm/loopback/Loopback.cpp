#include "runtime/comm/loopback/Loopback.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "runtime/comm/Operation.h"
#include "runtime/comm/RankList.h"
#include "runtime/comm/loopback/Meeting.h"
#include "runtime/comm/loopback/Transfer.h"

namespace hadal::comm {

namespace {

/// Who is where, for messages. Any thread.
class Whereabouts {
public:
  explicit Whereabouts(unsigned ranks) : places(ranks) {}

  void report(unsigned rank, const Progress &now) {
    std::lock_guard lock(mutex);
    // A copy: the rank's names may go before the others speak of it.
    places[rank] = {now.step, now.sequence, std::string(now.entry),
                    std::string(now.label)};
  }

  std::string describe(unsigned rank) const {
    std::lock_guard lock(mutex);
    const Place &p = places[rank];
    if (p.entry.empty())
      return "no step yet";
    return fmt::format("step {}, entry {}, collective {} '{}'", p.step, p.entry,
                       p.sequence, p.label);
  }

private:
  struct Place {
    uint64_t step = 0, sequence = 0;
    std::string entry, label;
  };
  mutable std::mutex mutex; // guards places
  std::vector<Place> places;
};

/// All that the ranks share. Its lock is taken before those of meetings.
class World final : public LoopbackWorld,
                    public std::enable_shared_from_this<World> {
public:
  World(unsigned ranks, const LoopbackOptions &options)
      : options(options), ranks(ranks), where(ranks), gone(ranks),
        created(ranks), exchanging(makeMeeting("exchange", everyone())) {
    meetings.push_back(exchanging);
  }

  std::unique_ptr<Group> join(unsigned rank) override;

  std::optional<Failure> firstFailure() const override {
    std::lock_guard lock(mutex);
    return failure;
  }

  /// The meeting of the communicator that |rank| creates next as |name|.
  std::shared_ptr<Meeting> open(unsigned rank, std::string_view name,
                                std::span<const unsigned> members) {
    std::lock_guard lock(mutex);
    std::vector<unsigned> list(members.begin(), members.end());
    // How often this rank has created one of that name among those members.
    Key key{std::string(name), list, 0};
    key.number = created[rank][key]++;
    std::shared_ptr<Meeting> &meeting = communicators[key];
    if (!meeting) {
      meeting = makeMeeting(std::string(name), std::move(list));
      for (unsigned r = 0; r < ranks; ++r)
        if (gone[r])
          meeting->leave(r);
      if (failure)
        meeting->fail(ended(*failure));
      meetings.push_back(meeting);
    }
    return meeting;
  }

  void fail(unsigned rank, const Status &status) {
    std::lock_guard lock(mutex);
    if (failure)
      return;
    failure = {rank, status};
    for (const std::shared_ptr<Meeting> &meeting : meetings)
      meeting->fail(ended(*failure));
  }

  void leave(unsigned rank) {
    std::lock_guard lock(mutex);
    gone[rank] = true;
    for (const std::shared_ptr<Meeting> &meeting : meetings)
      meeting->leave(rank);
  }

  const LoopbackOptions options;
  const unsigned ranks;
  Whereabouts where;

private:
  struct Key {
    std::string name;
    std::vector<unsigned> members;
    unsigned number;
    auto operator<=>(const Key &) const = default;
  };

  std::vector<unsigned> everyone() const {
    std::vector<unsigned> all(ranks);
    for (unsigned r = 0; r < ranks; ++r)
      all[r] = r;
    return all;
  }

  std::shared_ptr<Meeting> makeMeeting(std::string name,
                                       std::vector<unsigned> members) {
    return std::make_shared<Meeting>(
        std::move(name), std::move(members),
        [this](unsigned rank) { return where.describe(rank); });
  }

  static Status ended(const Failure &failure) {
    return error(6001, "rank {} ended with {}", failure.rank,
                 failure.status.toString());
  }

  mutable std::mutex mutex; // guards all below but `exchanging`
  std::vector<bool> gone;
  std::vector<std::map<Key, unsigned>> created; // by rank
  std::map<Key, std::shared_ptr<Meeting>> communicators;
  std::vector<std::shared_ptr<Meeting>> meetings;
  std::optional<Failure> failure;

public:
  /// Of Group::exchange.
  const std::shared_ptr<Meeting> exchanging;
};

class LoopbackCommunicator final : public Communicator {
public:
  LoopbackCommunicator(std::shared_ptr<World> world,
                       std::shared_ptr<Meeting> meeting, unsigned index,
                       unsigned globalRank)
      : world(std::move(world)), meeting(std::move(meeting)), index(index),
        globalRank(globalRank) {}

  std::string_view name() const override { return meeting->name(); }
  unsigned rank() const override { return index; }
  unsigned size() const override { return meeting->size(); }
  Capabilities capabilities() const override {
    return {.exactCounts = true, .hostOrdered = true};
  }

  Status run(const Operation &operation, Deadline deadline) override {
    if (Status status = checkOperation(name(), size(), operation);
        !status.ok()) {
      meeting->fail(status);
      return status;
    }
    const LoopbackOptions &options = world->options;
    double microseconds = options.delayMicroseconds;
    if (options.gigabytesPerSecond > 0)
      microseconds += static_cast<double>(receivedBytes(operation, size())) /
                      (options.gigabytesPerSecond * 1e3);
    return meeting->run(
        index, operation,
        [&](std::span<const Operation *const> all) {
          return receive(name(), index, all);
        },
        std::chrono::nanoseconds(std::llround(microseconds * 1e3)), deadline);
  }

  void abort() noexcept override {
    meeting->fail(error(6001, "communicator '{}' was aborted by rank {}",
                        name(), globalRank));
  }

private:
  const std::shared_ptr<World> world; // which the meeting refers to
  const std::shared_ptr<Meeting> meeting;
  const unsigned index, globalRank;
};

class LoopbackGroup final : public Group {
public:
  LoopbackGroup(std::shared_ptr<World> world, unsigned rank)
      : world(std::move(world)), self(rank) {}
  ~LoopbackGroup() override { world->leave(self); }

  unsigned rank() const override { return self; }
  unsigned size() const override { return world->ranks; }

  StatusOr<std::vector<std::vector<uint8_t>>>
  exchange(std::span<const uint8_t> mine, Deadline deadline) override {
    // The record is what one would gather, but each may have its own length:
    // the part names where it lies, its counts how long it is.
    Operation operation;
    operation.kind = Kind::allGather;
    operation.sequence = exchanges++;
    operation.label = "exchange";
    operation.counts = reinterpret_cast<Address>(&mine);
    std::vector<std::vector<uint8_t>> result(size());
    HADAL_RETURN_IF_ERROR(world->exchanging->run(
        self, operation,
        [&](std::span<const Operation *const> all) -> Status {
          for (size_t i = 0; i < all.size(); ++i) {
            const auto &theirs =
                *reinterpret_cast<const std::span<const uint8_t> *>(
                    all[i]->counts);
            result[i].assign(theirs.begin(), theirs.end());
          }
          return {};
        },
        {}, deadline));
    return result;
  }

  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override {
    auto at = std::find(members.begin(), members.end(), self);
    if (at == members.end() ||
        !std::is_sorted(members.begin(), members.end()) ||
        members.back() >= size())
      return error(5014,
                   "communicator '{}' of {}: expected ascending ranks below {} "
                   "with rank {} among them",
                   name, rankList(members), size(), self);
    return std::unique_ptr<Communicator>(new LoopbackCommunicator(
        world, world->open(self, name, members),
        static_cast<unsigned>(at - members.begin()), self));
  }

  void report(const Progress &progress) noexcept override {
    world->where.report(self, progress);
  }
  void fail(const Status &status) noexcept override {
    world->fail(self, status);
  }

private:
  const std::shared_ptr<World> world;
  const unsigned self;
  uint64_t exchanges = 0;
};

std::unique_ptr<Group> World::join(unsigned rank) {
  return std::make_unique<LoopbackGroup>(shared_from_this(), rank);
}

} // namespace

StatusOr<LoopbackOptions> parseDelay(std::string_view text) {
  LoopbackOptions options;
  auto parse = [](std::string_view number, double &value) {
    auto [end, failure] =
        std::from_chars(number.data(), number.data() + number.size(), value);
    return failure == std::errc() && end == number.data() + number.size() &&
           std::isfinite(value) && value >= 0 && value <= 1e9;
  };
  const size_t comma = text.find(',');
  if (parse(text.substr(0, comma), options.delayMicroseconds) &&
      (comma == text.npos ||
       (parse(text.substr(comma + 1), options.gigabytesPerSecond) &&
        options.gigabytesPerSecond > 0)))
    return options;
  return error(5011,
               "a delay '{}': expected MICROSECONDS or MICROSECONDS,GB/s, "
               "e.g. 20,50",
               text);
}

std::shared_ptr<LoopbackWorld>
LoopbackWorld::create(unsigned ranks, const LoopbackOptions &options) {
  return std::make_shared<World>(ranks, options);
}

} // namespace hadal::comm
