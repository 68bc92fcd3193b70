// Ranks as threads: the conformance suite, and what loopback adds to it.
#include <thread>

#include "runtime/comm/Operation.h"
#include "runtime/comm/RankList.h"
#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/CommSuite.h"

using namespace hadal;
using namespace hadal::comm;

namespace {

/// Runs |body| on a thread for each rank of |world|.
void runRanks(LoopbackWorld &world, unsigned ranks,
              const std::function<void(Group &)> &body) {
  std::vector<std::unique_ptr<Group>> groups;
  for (unsigned r = 0; r < ranks; ++r)
    groups.push_back(world.join(r));
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      std::unique_ptr<Group> group = std::move(groups[r]);
      body(*group);
    });
  for (std::thread &thread : threads)
    thread.join();
}

CommFactory factory(unsigned ranks) {
  return {fmt::format("loopback{}", ranks),
          ranks,
          {.exactCounts = true, .hostOrdered = true},
          [ranks](const std::function<void(Group &)> &body) {
            runRanks(*LoopbackWorld::create(ranks), ranks, body);
          }};
}

INSTANTIATE_TEST_SUITE_P(Loopback, CommSuite,
                         testing::Values(factory(1), factory(2), factory(3),
                                         factory(4), factory(8)),
                         commName);

Operation gather(std::vector<uint8_t> &send, std::vector<uint8_t> &received) {
  Operation operation;
  operation.kind = Kind::allGather;
  operation.label = "a gather";
  operation.parts.push_back({reinterpret_cast<Address>(send.data()),
                             reinterpret_cast<Address>(received.data()), 1,
                             send.size()});
  return operation;
}

Deadline soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(20);
}

TEST(Loopback, ADelayLastsAndTakesNoProcessor) {
  auto options = parseDelay("1000000,1");
  ASSERT_TRUE(options.ok());
  auto world = LoopbackWorld::create(2, *options);
  runRanks(*world, 2, [](Group &group) {
    auto all = group.create("all", std::vector<unsigned>{0, 1});
    ASSERT_TRUE(all.ok());
    // 2 x 5 MB at 1 GB/s: 10 ms, and a second.
    std::vector<uint8_t> send(5'000'000, 1), received(10'000'000);
    auto stream = createQueueStream();
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t ticket = stream->enqueue(**all, gather(send, received));
    const auto enqueued = std::chrono::steady_clock::now();
    ASSERT_TRUE(stream->wait(ticket).ok());
    const auto end = std::chrono::steady_clock::now();
    EXPECT_LT(enqueued - begin, std::chrono::milliseconds(500));
    EXPECT_GE(end - begin, std::chrono::milliseconds(1010));
    EXPECT_LT(end - begin, std::chrono::seconds(5));
  });
}

TEST(Loopback, AnAbortEndsADelay) {
  auto world = LoopbackWorld::create(2, {.delayMicroseconds = 30e6});
  runRanks(*world, 2, [](Group &group) {
    auto all = group.create("all", std::vector<unsigned>{0, 1});
    ASSERT_TRUE(all.ok());
    std::vector<uint8_t> send(4), received(8);
    auto stream = createQueueStream();
    const uint64_t ticket = stream->enqueue(**all, gather(send, received));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    (*all)->abort();
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(stream->wait(ticket).code(), 6001);
    EXPECT_LT(std::chrono::steady_clock::now() - begin,
              std::chrono::seconds(2));
  });
}

TEST(Loopback, KeepsTheFirstFailureWithItsCode) {
  auto world = LoopbackWorld::create(3);
  EXPECT_FALSE(world->firstFailure());
  runRanks(*world, 3, [](Group &group) {
    if (group.rank() == 2)
      group.fail(error(5012, "a file shrank"));
    else
      group.fail(group.exchange({}, soon()).status());
  });
  ASSERT_TRUE(world->firstFailure());
  EXPECT_EQ(world->firstFailure()->rank, 2u);
  EXPECT_EQ(world->firstFailure()->status.code(), 5012);
}

TEST(Loopback, SaysWhereAMissingRankIs) {
  auto world = LoopbackWorld::create(2);
  runRanks(*world, 2, [](Group &group) {
    group.report({.step = 42,
                  .sequence = 117,
                  .entry = "decode_64",
                  .label = "dispatch"});
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    if (group.rank() == 1)
      return;
    Status status = group.exchange({}, soon()).status();
    EXPECT_EQ(status.code(), 6001);
    EXPECT_NE(status.message().find("rank 1 is gone; rank 0 waited"),
              std::string::npos)
        << status.toString();
    EXPECT_NE(status.message().find("rank 1 is at step 42, entry decode_64, "
                                    "collective 117 'dispatch'"),
              std::string::npos)
        << status.toString();
  });
}

TEST(Loopback, OptionsAreRead) {
  EXPECT_EQ(parseDelay("2.5")->delayMicroseconds, 2.5);
  EXPECT_EQ(parseDelay("20,50")->gigabytesPerSecond, 50);
  for (std::string_view bad : {"", "x", "-1", "1,", "1,0", "1,2,3", "nan"})
    EXPECT_EQ(parseDelay(bad).status().code(), 5011) << bad;
  EXPECT_EQ(parsePolicy("random,9")->seed, 9u);
  EXPECT_EQ(parsePolicy("lazy")->policy, Policy::lazy);
  for (std::string_view bad : {"", "now", "eager,1", "random,", "random,-1"})
    EXPECT_EQ(parsePolicy(bad).status().code(), 5011) << bad;
}

TEST(Comm, RanksAsText) {
  EXPECT_EQ(rankList(std::vector<unsigned>{3}), "rank 3");
  EXPECT_EQ(rankList(std::vector<unsigned>{0, 1, 2, 5}), "ranks 0-2, 5");
  EXPECT_EQ(rankList(std::vector<unsigned>{0, 2}), "ranks 0, 2");
}

TEST(Comm, AStreamRefusesATicketItHasNotGiven) {
  EXPECT_EQ(createQueueStream()->wait(1).code(), 5014);
}

} // namespace
