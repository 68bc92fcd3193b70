#include "runtime/cts/CommSuite.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <numeric>
#include <thread>

#include "runtime/base/Float.h"

namespace hadal {

using comm::Address;
using comm::Communicator;
using comm::Group;
using comm::Kind;
using comm::Operation;
using comm::Part;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CommSuite);

namespace {

constexpr uint8_t kUntouched = 0xEE;
constexpr uint64_t kGuard = 64;

comm::Deadline soon(milliseconds time = std::chrono::seconds(20)) {
  return Clock::now() + time;
}

std::vector<unsigned> everyone(const Group &group) {
  std::vector<unsigned> all(group.size());
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

/// A byte that says where it comes from: |block| of what |rank| sends.
uint8_t sentByte(unsigned rank, unsigned part, unsigned block, uint64_t at) {
  return static_cast<uint8_t>(
      (rank * 29 + part * 83 + block * 7 + at * 3 + at / 251 + 1) % 237);
}

/// Values whose f32 sum depends on the order of addition: huge ones that cancel
/// beside small ones.
float addend(unsigned rank, uint64_t i) {
  const float huge = 1.5e8f * static_cast<float>(1 + i % 3);
  switch ((rank + i) % 4) {
  case 0:
    return huge;
  case 1:
    return -huge;
  case 2:
    return 1.25f + static_cast<float>(rank);
  default:
    return 3.0625f + static_cast<float>(i % 5);
  }
}

/// An array with guards on both sides.
class Guarded {
public:
  explicit Guarded(uint64_t bytes)
      : memory(bytes + 2 * kGuard, kUntouched), size(bytes) {}
  uint8_t *data() { return memory.data() + kGuard; }
  Address address() { return reinterpret_cast<Address>(data()); }
  bool guardsHold() const {
    for (uint64_t i = 0; i < kGuard; ++i)
      if (memory[i] != kUntouched || memory[kGuard + size + i] != kUntouched)
        return false;
    return true;
  }
  bool holds(uint64_t begin, uint64_t end, uint8_t value) {
    for (uint64_t i = begin; i < end; ++i)
      if (data()[i] != value)
        return false;
    return true;
  }

private:
  std::vector<uint8_t> memory;
  uint64_t size;
};

/// How many blocks a rank sends, and receives.
unsigned sentBlocks(Kind kind, unsigned n) {
  return kind == Kind::allToAll || kind == Kind::reduceScatter ? n : 1;
}
unsigned receivedBlocks(Kind kind, unsigned n) {
  return kind == Kind::allToAll || kind == Kind::allGather ? n : 1;
}

/// An operation with arrays of its own, and what they must hold afterwards.
class Case {
public:
  Case(Communicator &communicator, Kind kind, uint64_t rows, uint64_t rowBytes,
       unsigned parts, DType dtype, uint64_t sequence)
      : self(communicator.rank()), n(communicator.size()), dtype(dtype),
        isExact(dtype == DType::none ||
                communicator.capabilities().rankOrderSums) {
    operation.kind = kind;
    operation.sequence = sequence;
    operation.label = "a case";
    const uint64_t block = rows * rowBytes;
    for (unsigned p = 0; p < parts; ++p) {
      send.emplace_back(block * sentBlocks(kind, n));
      received.emplace_back(block * receivedBlocks(kind, n));
      for (unsigned b = 0; b < sentBlocks(kind, n); ++b)
        fill(send[p].data() + b * block, block, self, p, b);
      operation.parts.push_back({send[p].address(), received[p].address(), rows,
                                 rowBytes, dtype, -1});
    }
  }

  /// "" or what is wrong.
  std::string check() {
    for (unsigned p = 0; p < operation.parts.size(); ++p) {
      if (!received[p].guardsHold())
        return fmt::format("part {}: wrote beyond its array", p);
      const uint64_t block =
          operation.parts[p].rows * operation.parts[p].rowBytes;
      for (unsigned b = 0; b < receivedBlocks(operation.kind, n); ++b)
        if (!(isExact ? expected(p, b, block) ==
                            std::vector<uint8_t>(received[p].data() + b * block,
                                                 received[p].data() +
                                                     (b + 1) * block)
                      : isSum(p, received[p].data(), block)))
          return fmt::format("part {}: block {} differs", p, b);
    }
    return "";
  }

  Operation operation;
  std::vector<Guarded> send, received;

private:
  void fill(uint8_t *to, uint64_t bytes, unsigned rank, unsigned part,
            unsigned block) const {
    if (dtype == DType::none) {
      for (uint64_t i = 0; i < bytes; ++i)
        to[i] = sentByte(rank, part, block, i);
      return;
    }
    for (uint64_t i = 0; i < bytes / dtypeSize(dtype); ++i) {
      const float value = addend(rank, i + block + part);
      const uint16_t rounded = f32ToBf16(value);
      if (dtype == DType::f32)
        std::memcpy(to + 4 * i, &value, 4);
      else
        std::memcpy(to + 2 * i, &rounded, 2);
    }
  }

  std::vector<uint8_t> blockOf(unsigned rank, unsigned part, unsigned block,
                               uint64_t bytes) const {
    std::vector<uint8_t> result(bytes);
    fill(result.data(), bytes, rank, part, block);
    return result;
  }

  std::vector<uint8_t> expected(unsigned part, unsigned block, uint64_t bytes) {
    switch (operation.kind) {
    case Kind::allGather:
      return blockOf(block, part, 0, bytes);
    case Kind::allToAll:
      return blockOf(block, part, self, bytes);
    case Kind::reduceScatter:
      return sumOf(part, self, bytes);
    case Kind::allReduce:
      return sumOf(part, 0, bytes);
    }
    return {};
  }

  /// In f32, in rank order, rounded once.
  std::vector<uint8_t> sumOf(unsigned part, unsigned block, uint64_t bytes) {
    const uint64_t count = bytes / dtypeSize(dtype);
    std::vector<float> sum(count);
    for (unsigned rank = 0; rank < n; ++rank) {
      const std::vector<uint8_t> theirs = blockOf(rank, part, block, bytes);
      for (uint64_t i = 0; i < count; ++i) {
        const float value = valueAt(theirs.data(), i);
        sum[i] = rank ? sum[i] + value : value;
      }
    }
    std::vector<uint8_t> result(bytes);
    for (uint64_t i = 0; i < count; ++i) {
      const uint16_t code = f32ToBf16(sum[i]);
      if (dtype == DType::f32)
        std::memcpy(result.data() + 4 * i, &sum[i], 4);
      else
        std::memcpy(result.data() + 2 * i, &code, 2);
    }
    return result;
  }

  float valueAt(const uint8_t *bytes, uint64_t i) const {
    if (dtype == DType::f32) {
      float value;
      std::memcpy(&value, bytes + 4 * i, 4);
      return value;
    }
    uint16_t code;
    std::memcpy(&code, bytes + 2 * i, 2);
    return bf16ToF32(code);
  }

  /// Whether |bytes| bytes at |found| are sums formed in any order, rounded at
  /// each addition.
  bool isSum(unsigned part, const uint8_t *found, uint64_t bytes) {
    const unsigned block = operation.kind == Kind::reduceScatter ? self : 0;
    const double unit = dtype == DType::f32 ? 0x1p-23 : 0x1p-8;
    std::vector<double> sum(bytes / dtypeSize(dtype)), most(sum.size());
    for (unsigned rank = 0; rank < n; ++rank) {
      const std::vector<uint8_t> theirs = blockOf(rank, part, block, bytes);
      for (uint64_t i = 0; i < sum.size(); ++i) {
        const double value = valueAt(theirs.data(), i);
        sum[i] += value;
        most[i] += std::abs(value);
      }
    }
    for (uint64_t i = 0; i < sum.size(); ++i)
      if (!(std::abs(valueAt(found, i) - sum[i]) <= n * unit * most[i]))
        return false;
    return true;
  }

  const unsigned self, n;
  const DType dtype;
  const bool isExact;
};

/// A counted all_to_all of |rows| rows with the counts of |count|(from, to) in
/// the second of two columns.
struct CountedCase {
  CountedCase(Communicator &communicator, uint64_t rows,
              const std::function<int32_t(unsigned, unsigned)> &count)
      : base(communicator, Kind::allToAll, rows, 16, 3, DType::none, 0),
        counts(2 * communicator.size(), -1) {
    for (unsigned d = 0; d < communicator.size(); ++d)
      counts[2 * d + 1] = count(communicator.rank(), d);
    base.operation.counts = reinterpret_cast<Address>(counts.data());
    base.operation.countStride = 2;
    base.operation.parts[0].countColumn = 1;
    base.operation.parts[2].countColumn = 1;
  }
  Case base;
  std::vector<int32_t> counts;
};

} // namespace

void CommSuite::onAll(
    const std::function<void(Group &, Communicator &)> &body) const {
  GetParam().run([&](Group &group) {
    auto communicator = group.create("all", everyone(group));
    ASSERT_TRUE(communicator.ok()) << communicator.status().toString();
    body(group, **communicator);
  });
}

TEST_P(CommSuite, SaysWhoItIs) {
  onAll([&](Group &group, Communicator &all) {
    EXPECT_EQ(group.size(), ranks());
    EXPECT_EQ(all.size(), ranks());
    EXPECT_EQ(all.rank(), group.rank());
    EXPECT_EQ(all.name(), "all");
    EXPECT_EQ(all.capabilities().exactCounts,
              GetParam().capabilities.exactCounts);
    EXPECT_EQ(all.capabilities().hostOrdered,
              GetParam().capabilities.hostOrdered);
  });
}

TEST_P(CommSuite, MovesEveryShape) {
  onAll([](Group &, Communicator &all) {
    uint64_t sequence = 0;
    for (Kind kind : {Kind::allGather, Kind::allToAll})
      for (uint64_t rows : {0, 1, 7, 32})
        for (unsigned parts : {1, 3})
          for (uint64_t rowBytes : {4, 16, 7168}) {
            Case c(all, kind, rows, rowBytes, parts, DType::none, sequence++);
            Status status = all.run(c.operation, soon());
            ASSERT_TRUE(status.ok()) << status.toString();
            EXPECT_EQ(c.check(), "")
                << name(kind) << ", " << rows << " x " << rowBytes;
          }
  });
}

TEST_P(CommSuite, SumsInRankOrder) {
  // The values tell orders apart, from three addends on.
  if (ranks() >= 3) {
    float up = 0, down = 0;
    for (unsigned r = 0; r < ranks(); ++r) {
      up += addend(r, 0);
      down += addend(ranks() - 1 - r, 0);
    }
    ASSERT_NE(up, down);
  }
  onAll([](Group &, Communicator &all) {
    uint64_t sequence = 0;
    for (Kind kind : {Kind::reduceScatter, Kind::allReduce})
      for (DType dtype : {DType::f32, DType::bf16})
        for (uint64_t rows : {0, 1, 7, 32})
          for (unsigned parts : {1, 3})
            for (uint64_t rowBytes : {4, 16, 7168}) {
              Case c(all, kind, rows, rowBytes, parts, dtype, sequence++);
              Status status = all.run(c.operation, soon());
              ASSERT_TRUE(status.ok()) << status.toString();
              EXPECT_EQ(c.check(), "") << name(kind) << ", " << dtypeName(dtype)
                                       << ", " << rows << " x " << rowBytes;
            }
  });
}

TEST_P(CommSuite, CountsSayWhatIsMoved) {
  constexpr uint64_t kRows = 9;
  const unsigned n = ranks();
  const std::function<int32_t(unsigned, unsigned)> patterns[] = {
      [](unsigned, unsigned) { return 0; },
      [](unsigned, unsigned) { return int32_t{kRows}; },
      [](unsigned, unsigned to) { return to == 0 ? int32_t{kRows} : 0; },
      [n](unsigned from, unsigned to) {
        return static_cast<int32_t>((from * n + to) % (kRows + 1));
      }};
  onAll([&](Group &, Communicator &all) {
    for (const auto &count : patterns) {
      CountedCase c(all, kRows, count);
      Status status = all.run(c.base.operation, soon());
      ASSERT_TRUE(status.ok()) << status.toString();
      for (unsigned p = 0; p < 3; ++p) {
        EXPECT_TRUE(c.base.received[p].guardsHold());
        const bool counted = p != 1;
        for (unsigned from = 0; from < all.size(); ++from) {
          const uint64_t begin = from * kRows * 16;
          const uint64_t rows =
              counted ? static_cast<uint64_t>(count(from, all.rank())) : kRows;
          for (uint64_t i = 0; i < rows * 16; ++i)
            ASSERT_EQ(c.base.received[p].data()[begin + i],
                      sentByte(from, p, all.rank(), i));
          if (all.capabilities().exactCounts) {
            EXPECT_TRUE(c.base.received[p].holds(
                begin + rows * 16, begin + kRows * 16, kUntouched));
          }
        }
      }
    }
  });
}

TEST_P(CommSuite, RefusesCountsOutOfRange) {
  if (!GetParam().capabilities.exactCounts)
    GTEST_SKIP() << "it does not read counts";
  for (int32_t wrong : {-1, 10})
    onAll([&](Group &, Communicator &all) {
      CountedCase c(all, 9, [&](unsigned from, unsigned to) {
        return from == 0 && to + 1 == all.size() ? wrong : 3;
      });
      Status status = all.run(c.base.operation, soon());
      EXPECT_EQ(status.code(), 6006) << status.toString();
      EXPECT_NE(status.message().find(fmt::format("counts {} rows", wrong)),
                std::string::npos)
          << status.toString();
    });
}

TEST_P(CommSuite, RunsAThousandOnTwoCommunicators) {
  GetParam().run([](Group &group) {
    // Pairs of neighbours beside all: an odd rank out is a pair of its own.
    const unsigned first = group.rank() / 2 * 2;
    std::vector<unsigned> pair{first};
    if (first + 1 < group.size())
      pair.push_back(first + 1);
    auto all = group.create("all", everyone(group));
    auto neighbours = group.create("pairs", pair);
    ASSERT_TRUE(all.ok() && neighbours.ok());
    EXPECT_EQ((*neighbours)->rank(), group.rank() - first);
    std::unique_ptr<comm::CommStream> stream = comm::createQueueStream();
    std::deque<std::pair<uint64_t, Case>> flying;
    for (uint64_t i = 0; i < 1000; ++i) {
      Communicator &c = i % 3 == 2 ? **neighbours : **all;
      const Kind kind = i % 2 ? Kind::allToAll : Kind::allGather;
      Case next(c, kind, 1 + i % 4, 16, 1, DType::none, i);
      // Its arrays are on the heap: it may move.
      const uint64_t ticket = stream->enqueue(c, next.operation);
      ASSERT_EQ(ticket, i + 1);
      flying.emplace_back(ticket, std::move(next));
      if (flying.size() < 3) // two in flight while a third is enqueued
        continue;
      ASSERT_TRUE(stream->wait(flying.front().first).ok());
      ASSERT_EQ(flying.front().second.check(), "") << i;
      flying.pop_front();
    }
    for (auto &[ticket, last] : flying) {
      ASSERT_TRUE(stream->wait(ticket).ok());
      ASSERT_EQ(last.check(), "");
    }
  });
}

TEST_P(CommSuite, EveryPolicyGivesTheSame) {
  for (std::string_view policy :
       {"async", "eager", "lazy", "random", "random,7"})
    onAll([&](Group &, Communicator &all) {
      auto options = comm::parsePolicy(policy);
      ASSERT_TRUE(options.ok());
      auto stream = comm::createQueueStream(*options);
      for (uint64_t i = 0; i < 20; ++i) {
        Case a(all, Kind::allToAll, 5, 16, 2, DType::none, 2 * i);
        Case b(all, Kind::allReduce, 5, 16, 1, DType::f32, 2 * i + 1);
        stream->enqueue(all, a.operation);
        const uint64_t ticket = stream->enqueue(all, b.operation);
        Status status = stream->wait(ticket);
        ASSERT_TRUE(status.ok()) << status.toString();
        EXPECT_EQ(a.check(), "") << policy;
        EXPECT_EQ(b.check(), "") << policy;
      }
    });
}

TEST_P(CommSuite, LazyDeliversWhenAwaitedAndEagerAtOnce) {
  onAll([&](Group &group, Communicator &all) {
    for (comm::Policy policy : {comm::Policy::lazy, comm::Policy::eager}) {
      comm::StreamOptions options;
      options.policy = policy;
      auto stream = comm::createQueueStream(options);
      Case c(all, Kind::allGather, 4, 16, 1, DType::none, 0);
      const uint64_t ticket = stream->enqueue(all, c.operation);
      ASSERT_TRUE(group.exchange({}, soon()).ok()); // all have enqueued
      if (policy == comm::Policy::eager) {
        EXPECT_EQ(c.check(), "");
      } else {
        EXPECT_TRUE(c.received[0].holds(0, all.size() * 64, kUntouched));
      }
      // Nobody awaits, and so delivers, before all have looked.
      ASSERT_TRUE(group.exchange({}, soon()).ok());
      ASSERT_TRUE(stream->wait(ticket).ok());
      EXPECT_EQ(c.check(), "");
    }
  });
}

TEST_P(CommSuite, NamesBothSidesOfAMismatch) {
  if (!GetParam().comparesOperations)
    GTEST_SKIP() << "it does not compare what ranks issue";
  if (ranks() < 2)
    GTEST_SKIP() << "one rank agrees with itself";
  using Change = std::function<void(Operation &)>;
  const std::pair<Change, std::string> changes[] = {
      {[](Operation &o) { o.kind = Kind::allGather; }, "all_gather"},
      {[](Operation &o) { o.parts[0].rows = 3; }, "3 x 16"},
      {[](Operation &o) { o.parts[0].rowBytes = 8; }, "4 x 8"},
      {[](Operation &o) { o.parts[0].dtype = DType::bf16; }, "bf16"},
      {[](Operation &o) { o.parts.pop_back(); }, "[4 x 16]"},
      {[](Operation &o) { o.sequence = 9; }, "collective 9"}};
  for (const auto &[change, text] : changes)
    onAll([&](Group &, Communicator &all) {
      Case c(all, Kind::allToAll, 4, 16, 2, DType::none, 5);
      if (all.rank() + 1 == all.size())
        change(c.operation);
      Status status = all.run(c.operation, soon());
      EXPECT_EQ(status.code(), 6006) << status.toString();
      for (const std::string &part :
           {text,
            std::string("collective 5 'a case': all_to_all of [4 x 16, "
                        "4 x 16]"),
            fmt::format("rank {} ", all.size() - 1)})
        EXPECT_NE(status.message().find(part), std::string::npos)
            << part << " in " << status.toString();
      // It stays so.
      Case again(all, Kind::allToAll, 4, 16, 2, DType::none, 6);
      EXPECT_FALSE(all.run(again.operation, soon()).ok());
    });
}

TEST_P(CommSuite, RefusesWhatNoBackendCanRun) {
  using Change = std::function<void(Operation &)>;
  const Change changes[] = {
      [](Operation &o) { o.kind = Kind::allReduce; },
      [](Operation &o) {
        o.kind = Kind::reduceScatter;
        o.parts[0].dtype = DType::f32;
        o.parts[0].rowBytes = 6;
      },
      [](Operation &o) { o.parts[0].countColumn = 0; },
      [](Operation &o) { o.parts[0].rows = o.parts[0].rowBytes = 1ull << 40; }};
  for (const Change &change : changes)
    onAll([&](Group &, Communicator &all) {
      Case c(all, Kind::allToAll, 4, 16, 1, DType::none, 0);
      change(c.operation);
      Status status = all.run(c.operation, soon());
      EXPECT_EQ(status.code(), 6006) << status.toString();
    });
}

TEST_P(CommSuite, AbortEndsARankThatWaits) {
  if (ranks() < 2)
    GTEST_SKIP() << "one rank waits for nobody";
  onAll([](Group &group, Communicator &all) {
    if (group.rank() == 0) { // does not come, and nobody leaves before it
      (void)group.exchange({}, soon());
      return;
    }
    std::atomic<Clock::rep> aborted{0};
    std::thread other([&] {
      std::this_thread::sleep_for(milliseconds(30));
      aborted = Clock::now().time_since_epoch().count();
      all.abort();
      all.abort();
    });
    Case c(all, Kind::allToAll, 4, 16, 1, DType::none, 0);
    Status status = all.run(c.operation, soon());
    // Where another rank's abort came first, there is nothing to measure.
    const Clock::time_point now = Clock::now(),
                            since{Clock::duration(aborted.load())};
    other.join();
    EXPECT_EQ(status.code(), 6001) << status.toString();
    EXPECT_TRUE(since == Clock::time_point() ||
                now - since <= seconds(2));
    (void)group.exchange({}, soon());
  });
}

TEST_P(CommSuite, AbortEndsAStreamThatStarts) {
  // All run until somebody aborts, wherever each of them is then.
  onAll([](Group &group, Communicator &all) {
    auto stream = comm::createQueueStream();
    std::thread other;
    if (group.rank() == 0)
      other = std::thread([&] {
        std::this_thread::sleep_for(milliseconds(20));
        all.abort();
      });
    Status status;
    for (uint64_t i = 0; status.ok(); ++i) {
      Case c(all, Kind::allToAll, 8, 7168, 1, DType::none, i);
      status = stream->wait(stream->enqueue(all, c.operation));
    }
    if (other.joinable())
      other.join();
    EXPECT_EQ(status.code(), 6001) << status.toString();
    (void)group.exchange({}, soon());
  });
}

TEST_P(CommSuite, NothingRunsAfterAnAbort) {
  onAll([](Group &group, Communicator &all) {
    Case c(all, Kind::allGather, 4, 16, 1, DType::none, 0);
    ASSERT_TRUE(all.run(c.operation, soon()).ok());
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    all.abort(); // idle
    Case after(all, Kind::allGather, 4, 16, 1, DType::none, 1);
    const auto begin = Clock::now();
    EXPECT_EQ(all.run(after.operation, soon()).code(), 6001);
    EXPECT_LE(Clock::now() - begin, seconds(2));
    EXPECT_TRUE(after.received[0].holds(0, all.size() * 64, kUntouched));
    (void)group.exchange({}, soon());
  });
}

TEST_P(CommSuite, ARankThatDoesNotComeIsNamed) {
  if (ranks() < 2)
    GTEST_SKIP() << "one rank waits for nobody";
  onAll([](Group &group, Communicator &all) {
    if (all.rank() + 1 < all.size()) {
      Case c(all, Kind::allToAll, 4, 16, 1, DType::none, 3);
      Status status = all.run(c.operation, soon(milliseconds(150)));
      EXPECT_EQ(status.code(), 6001) << status.toString();
      for (std::string part :
           {fmt::format("rank {} ", all.size() - 1),
            std::string("collective 3 'a case'"), std::string("'all'")})
        EXPECT_NE(status.message().find(part), std::string::npos)
            << part << " in " << status.toString();
    }
    (void)group.exchange({}, soon());
  });
}

TEST_P(CommSuite, ARankThatLeavesIsNoticed) {
  if (ranks() < 2 || !GetParam().noticesLeaving)
    GTEST_SKIP() << "nobody to miss";
  onAll([](Group &group, Communicator &all) {
    if (all.rank() + 1 == all.size())
      return;
    Case c(all, Kind::allToAll, 4, 16, 1, DType::none, 3);
    const auto begin = Clock::now();
    Status status = all.run(c.operation, soon());
    EXPECT_LE(Clock::now() - begin, std::chrono::seconds(5));
    EXPECT_EQ(status.code(), 6001) << status.toString();
    EXPECT_NE(status.message().find(fmt::format("rank {} ", all.size() - 1)),
              std::string::npos)
        << status.toString();
    // Where others have found out, they have left as well.
    EXPECT_EQ(group.exchange({}, soon()).status().code(), 6001);
  });
}

TEST_P(CommSuite, GroupsGatherRecords) {
  GetParam().run([](Group &group) {
    for (unsigned round = 0; round < 50; ++round) {
      // Of every length, none included.
      std::vector<uint8_t> mine((group.rank() * 13 + round) % 40,
                                static_cast<uint8_t>(group.rank() + round));
      auto all = group.exchange(mine, soon());
      ASSERT_TRUE(all.ok()) << all.status().toString();
      ASSERT_EQ(all->size(), group.size());
      for (unsigned r = 0; r < group.size(); ++r)
        EXPECT_EQ((*all)[r],
                  std::vector<uint8_t>((r * 13 + round) % 40,
                                       static_cast<uint8_t>(r + round)));
    }
  });
}

TEST_P(CommSuite, AFailureEndsAllGroups) {
  if (ranks() < 2)
    GTEST_SKIP() << "nobody to tell";
  onAll([](Group &group, Communicator &all) {
    ASSERT_TRUE(group.exchange({}, soon()).ok()); // all are here
    if (group.rank() == 1) {
      group.fail(error(5016, "interrupted by a test"));
      group.fail(error(5014, "twice is once"));
      return;
    }
    Case c(all, Kind::allToAll, 4, 16, 1, DType::none, 0);
    for (Status status :
         {all.run(c.operation, soon()), group.exchange({}, soon()).status()}) {
      EXPECT_EQ(status.code(), 6001) << status.toString();
      EXPECT_NE(status.message().find("rank 1 "), std::string::npos)
          << status.toString();
      EXPECT_NE(status.message().find("interrupted by a test"),
                std::string::npos)
          << status.toString();
    }
  });
}

TEST_P(CommSuite, RefusesMembersItCannotJoin) {
  GetParam().run([](Group &group) {
    std::vector<unsigned> beyond = everyone(group);
    beyond.push_back(group.size());
    EXPECT_FALSE(group.create("beyond", beyond).ok());
    if (group.size() > 1) {
      std::vector<unsigned> others{group.rank() ? 0u : 1u};
      EXPECT_FALSE(group.create("others", others).ok());
    }
    (void)group.exchange({}, soon());
  });
}

} // namespace hadal
