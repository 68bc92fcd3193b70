#include "runtime/cts/RankSuite.h"

#include <array>
#include <cmath>
#include <thread>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/ToyRanks.h"

namespace hadal {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RankSuite);

namespace {

constexpr unsigned kBlock = toy::kBlockRows * toy::kRowFloats;

using Values = std::vector<float>;
using Counts = std::vector<int32_t>;

/// A rank with its driver, memory and program.
class Rank {
public:
  Rank(const RankFactory &factory, std::string path, unsigned number = 0)
      : factory(factory), path(std::move(path)), number(number) {}
  ~Rank() {
    entry.reset();
    buffers.clear();
  }

  Status prepare(const comm::Endpoint *endpoint) {
    HADAL_ASSIGN_OR_RETURN(driver, factory.driverOf ? factory.driverOf(number)
                                                    : factory.driver.create());
    HADAL_ASSIGN_OR_RETURN(Artifact opened, Artifact::open(path));
    artifact = std::make_unique<Artifact>(std::move(opened));
    HADAL_ASSIGN_OR_RETURN(executable, driver->load(*artifact));
    auto add = [&](uint64_t bytes) -> StatusOr<DeviceAddress> {
      HADAL_ASSIGN_OR_RETURN(DeviceBuffer b,
                             DeviceBuffer::create(*driver, bytes, "a buffer"));
      buffers.push_back(std::move(b));
      return buffers.back().address();
    };
    const schema::Artifact &root = artifact->root();
    bindings.parameters.resize(root.parameters()->size());
    bindings.states.resize(root.states()->size());
    for (DeviceAddress &address : bindings.parameters) {
      HADAL_ASSIGN_OR_RETURN(address, add(4096));
    }
    for (DeviceAddress &address : bindings.states) {
      HADAL_ASSIGN_OR_RETURN(address, add(4096));
    }
    for (DeviceAddress &address : bindings.inputs) {
      HADAL_ASSIGN_OR_RETURN(address, add(4096));
    }
    HADAL_ASSIGN_OR_RETURN(bindings.arena,
                           add(root.entries()->Get(0)->arena_bytes()));
    HADAL_ASSIGN_OR_RETURN(entry, executable->prepare(0, bindings, endpoint));
    return {};
  }

  Status run(const Values &hidden, const Counts &counts) {
    HADAL_RETURN_IF_ERROR(driver->write(bindings.states[4], hidden.data(),
                                        hidden.size() * sizeof(float)));
    HADAL_RETURN_IF_ERROR(driver->write(bindings.states[1], counts.data(),
                                        counts.size() * sizeof(int32_t)));
    return entry->run();
  }
  void setProfiling(bool enabled) { executable->setProfiling(enabled); }
  std::span<const CommandSpan> timeline() const { return entry->timeline(); }
  template <typename T> std::vector<T> read(unsigned state, size_t count) {
    std::vector<T> values(count);
    Status status =
        driver->read(values.data(), bindings.states[state], count * sizeof(T));
    EXPECT_TRUE(status.ok()) << status.toString();
    return values;
  }

private:
  const RankFactory &factory;
  std::string path;
  const unsigned number;
  std::unique_ptr<Driver> driver;
  std::unique_ptr<Artifact> artifact;
  std::unique_ptr<Executable> executable;
  std::vector<DeviceBuffer> buffers;
  Bindings bindings;
  std::unique_ptr<PreparedEntry> entry;
};

/// Writes toy::rankModel for |ranks| ranks and the driver's target to |path|.
void writeModel(const RankFactory &factory, unsigned ranks,
                const std::string &path) {
  schema::ArtifactT model = toy::rankModel(ranks);
  auto driver = factory.driver.create();
  ASSERT_TRUE(driver.ok()) << driver.status().toString();
  if ((*driver)->target() != "cpu")
    toy::makeSm90a(model);
  toy::writeFile(path, toy::assemble(model));
}

/// Runs |body| on a thread for each rank, with the communicators of its
/// program.
void runRanks(
    const RankFactory &factory,
    const std::function<void(unsigned, const comm::Endpoint &)> &body) {
  if (factory.run)
    return factory.run(factory, body);
  auto world = comm::LoopbackWorld::create(factory.ranks);
  std::vector<unsigned> members(factory.ranks);
  for (unsigned r = 0; r < factory.ranks; ++r)
    members[r] = r;
  std::vector<std::unique_ptr<comm::Group>> groups;
  for (unsigned r = 0; r < factory.ranks; ++r)
    groups.push_back(world->join(r));
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < factory.ranks; ++r)
    threads.emplace_back([&, r] {
      std::unique_ptr<comm::Group> group = std::move(groups[r]);
      auto communicator = group->create("ep", members);
      ASSERT_TRUE(communicator.ok()) << communicator.status().toString();
      auto stream = comm::createQueueStream(factory.stream);
      comm::Endpoint endpoint{{communicator->get()}, stream.get()};
      // When this rank has gone, others that wait for it fail.
      body(r, endpoint);
    });
  for (std::thread &thread : threads)
    thread.join();
}

/// What toy::rankModel does, for all ranks at once, if |rows| of each block are
/// meant and what is received lies among zeros.
void dispatch(std::vector<Values> &hidden, unsigned rows = toy::kBlockRows) {
  std::vector<Values> before = hidden;
  for (size_t to = 0; to < hidden.size(); ++to)
    for (size_t from = 0; from < hidden.size(); ++from)
      for (unsigned i = 0; i < kBlock; ++i)
        hidden[to][from * kBlock + i] =
            i < rows * toy::kRowFloats ? before[from][to * kBlock + i] : 0;
}

/// |hidden| of each rank, different everywhere.
std::vector<Values> differentRows(unsigned ranks) {
  std::vector<Values> hidden(ranks);
  for (unsigned r = 0; r < ranks; ++r)
    for (unsigned i = 0; i < ranks * kBlock; ++i)
      hidden[r].push_back(static_cast<float>(100 * r + i) * 0.37f);
  return hidden;
}

/// The sum over ranks of their first blocks, in rank order.
Values sumOfBlocks(const std::vector<Values> &hidden) {
  Values sum(hidden[0].begin(), hidden[0].begin() + kBlock);
  for (size_t r = 1; r < hidden.size(); ++r)
    for (unsigned i = 0; i < kBlock; ++i)
      sum[i] += hidden[r][i];
  return sum;
}

/// |found| are |expected|, whose first block is a sum of all ranks, in an order
/// that is the library's own where it says so.
void expectHidden(const Values &found, const Values &expected,
                  const comm::Endpoint &endpoint, unsigned rank) {
  if (endpoint.communicators[0]->capabilities().rankOrderSums) {
    EXPECT_EQ(found, expected) << "rank " << rank;
    return;
  }
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    if (i < kBlock)
      EXPECT_FLOAT_EQ(found[i], expected[i]) << "rank " << rank;
    else
      EXPECT_EQ(found[i], expected[i]) << "rank " << rank;
}

} // namespace

TEST_P(RankSuite, CollectivesRunBesideLaunchesAndInOrder) {
  const RankFactory &factory = GetParam();
  const unsigned ranks = factory.ranks;
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(writeModel(factory, ranks, dir.file("m.hadal")));

  constexpr int kSteps = 3;
  const std::vector<Values> initial = differentRows(ranks);
  // The same after each step: two dispatches are none.
  std::vector<Values> middle = initial;
  dispatch(middle);
  const Values sum = sumOfBlocks(initial);

  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file("m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    ASSERT_TRUE(status.ok()) << status.toString();
    for (int step = 0; step < kSteps; ++step) {
      status = rank.run(initial[r], Counts(ranks, toy::kBlockRows));
      ASSERT_TRUE(status.ok()) << "rank " << r << ": " << status.toString();
      Values expected = initial[r];
      std::copy(sum.begin(), sum.end(), expected.begin());
      expectHidden(rank.read<float>(4, ranks * kBlock), expected, endpoint, r);
      EXPECT_EQ(rank.read<int32_t>(3, ranks), Counts(ranks, toy::kBlockRows));
      // What launches read while a dispatch was under way.
      for (auto [state, was] : {std::pair(0, &initial), {2, &middle}})
        EXPECT_EQ(rank.read<float>(state, kBlock),
                  Values((*was)[r].begin(), (*was)[r].begin() + kBlock));
    }
  });
}

TEST_P(RankSuite, RowsBeyondTheCountsAreNotReceived) {
  const RankFactory &factory = GetParam();
  const unsigned ranks = factory.ranks;
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(writeModel(factory, ranks, dir.file("m.hadal")));
  const std::vector<Values> initial = differentRows(ranks);
  std::vector<Values> expected = initial;
  dispatch(expected, 1);
  dispatch(expected, 1);
  const Values sum = sumOfBlocks(expected);
  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file("m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    ASSERT_TRUE(status.ok()) << status.toString();
    status = rank.run(initial[r], Counts(ranks, 1));
    if (factory.findsUndefined) {
      // The program takes all rows of what it received.
      EXPECT_EQ(status.code(), 5018) << status.toString();
      EXPECT_NE(status.message().find("kernel 'move'"), std::string::npos)
          << status.toString();
      EXPECT_NE(status.message().find("undefined"), std::string::npos)
          << status.toString();
      return;
    }
    ASSERT_TRUE(status.ok()) << status.toString();
    EXPECT_EQ(rank.read<int32_t>(3, ranks), Counts(ranks, 1));
    // Padding is whatever its sender has there.
    if (!endpoint.communicators[0]->capabilities().exactCounts)
      return;
    Values mine = expected[r];
    std::copy(sum.begin(), sum.end(), mine.begin());
    expectHidden(rank.read<float>(4, ranks * kBlock), mine, endpoint, r);
  });
}

TEST_P(RankSuite, ProfilingSaysWhenEachCommandRan) {
  const RankFactory &factory = GetParam();
  const unsigned ranks = factory.ranks;
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(writeModel(factory, ranks, dir.file("m.hadal")));
  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file("m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    ASSERT_TRUE(status.ok()) << status.toString();
    const Values hidden(ranks * kBlock, 1.0f);
    const Counts counts(ranks, toy::kBlockRows);
    ASSERT_TRUE(rank.run(hidden, counts).ok());
    EXPECT_TRUE(rank.timeline().empty());
    rank.setProfiling(true);
    for (int step = 0; step < 2; ++step) {
      ASSERT_TRUE(rank.run(hidden, counts).ok());
      using Kind = CommandSpan::Kind;
      const char *labels[] = {"dispatch, layer 0", "dispatch, layer 1",
                              "sum, layers 0 and 1"};
      unsigned launches = 0, waits = 0, collectives = 0;
      std::chrono::steady_clock::time_point computed, exchanged;
      for (const CommandSpan &span : rank.timeline()) {
        EXPECT_LE(span.begin, span.end);
        auto &last = span.kind == Kind::collective ? exchanged : computed;
        EXPECT_LE(last, span.begin) << span.name;
        last = span.end;
        if (span.kind == Kind::launch) {
          EXPECT_EQ(span.index, launches++);
          EXPECT_EQ(span.name, "move");
          continue;
        }
        unsigned &seen = span.kind == Kind::wait ? waits : collectives;
        EXPECT_EQ(span.index, seen);
        EXPECT_EQ(span.name, labels[seen++]);
        // What launches waited for was complete.
        if (span.kind == Kind::collective)
          EXPECT_LE(span.end, computed);
      }
      EXPECT_EQ(launches, 2u * 6 + 2);
      EXPECT_EQ(waits, 3u);
      EXPECT_EQ(collectives, 3u);
    }
  });
}

TEST_P(RankSuite, AnEntryWithCollectivesNeedsItsRanks) {
  const RankFactory &factory = GetParam();
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(
      writeModel(factory, factory.ranks, dir.file("m.hadal")));
  Rank alone(factory, dir.file("m.hadal"));
  Status status = alone.prepare(nullptr);
  EXPECT_EQ(status.code(), 6004);
  EXPECT_NE(status.message().find(fmt::format(
                "is for {} ranks, it was started alone", factory.ranks)),
            std::string::npos)
      << status.toString();
}

TEST_P(RankSuite, OtherCommunicatorsThanTheArtifactsAreRefused) {
  const RankFactory &factory = GetParam();
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(
      writeModel(factory, factory.ranks == 2 ? 4 : 2, dir.file("m.hadal")));
  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file("m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    EXPECT_EQ(status.code(), 6004);
    EXPECT_NE(status.message().find("communicator 'ep'"), std::string::npos)
        << status.toString();
    Rank second(factory, dir.file("m.hadal"), r);
    comm::Endpoint none{{}, endpoint.stream};
    status = second.prepare(&none);
    EXPECT_EQ(status.code(), 6004);
    EXPECT_NE(status.message().find("has 1 communicators, 0 were given"),
              std::string::npos)
        << status.toString();
  });
}

TEST_P(RankSuite, ARankInAnotherEntryIsNamed) {
  const RankFactory &factory = GetParam();
  if (!factory.comparesOperations)
    GTEST_SKIP() << "it does not compare what ranks issue";
  toy::TempDir dir;
  writeModel(factory, factory.ranks, dir.file("m.hadal"));
  // As of a smaller bucket: the first collective has one row less.
  schema::ArtifactT smaller = toy::rankModel(factory.ranks);
  bool changed = false;
  for (auto &function : smaller.functions)
    for (auto &command : function->commands)
      if (command->kind == schema::CommandKind::collective && !changed) {
        command->parts[0]->rows -= 1;
        changed = true;
      }
  ASSERT_TRUE(changed);
  for (size_t i = 0; i < smaller.entries.size(); ++i)
    smaller.entries[i]->collective_digest = toy::collectiveDigest(smaller, i);
  auto driver = factory.driver.create();
  ASSERT_TRUE(driver.ok()) << driver.status().toString();
  if ((*driver)->target() != "cpu")
    toy::makeSm90a(smaller);
  toy::writeFile(dir.file("smaller.hadal"), toy::assemble(smaller));
  const unsigned last = factory.ranks - 1;
  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file(r == last ? "smaller.hadal" : "m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    ASSERT_TRUE(status.ok()) << status.toString();
    status = rank.run(differentRows(factory.ranks)[r],
                      Counts(factory.ranks, toy::kBlockRows));
    EXPECT_EQ(status.code(), 6006) << status.toString();
    for (const std::string &text :
         {std::string("rank 0 issued collective"),
          fmt::format("rank {} issued collective", last)})
      EXPECT_NE(status.message().find(text), std::string::npos)
          << status.toString();
  });
}

TEST_P(RankSuite, AFailedCollectiveEndsTheRun) {
  const RankFactory &factory = GetParam();
  const unsigned ranks = factory.ranks;
  toy::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(writeModel(factory, ranks, dir.file("m.hadal")));
  runRanks(factory, [&](unsigned r, const comm::Endpoint &endpoint) {
    Rank rank(factory, dir.file("m.hadal"), r);
    Status status = rank.prepare(&endpoint);
    ASSERT_TRUE(status.ok()) << status.toString();
    if (r == 0) // leaves
      return;
    status =
        rank.run(Values(ranks * kBlock, 1.0f), Counts(ranks, toy::kBlockRows));
    EXPECT_EQ(status.code(), 6001) << status.toString();
  });
}

} // namespace hadal
