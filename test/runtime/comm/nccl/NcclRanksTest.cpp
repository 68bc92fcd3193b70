// What NCCL's communicators and the collectives of the CUDA driver add to the
// suites: graphs, splitting, failures of the library, aborts.
#include <numeric>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/RankSuite.h"
#include "runtime/cts/ToyRanks.h"
#include "test/runtime/comm/nccl/NcclRanks.h"

using namespace hadal;
using namespace hadal::comm;
using namespace hadal::test;

namespace {

nccl::FakeNccl &fakeNcclState() { return openFakeNccl(HADAL_FAKE_NCCL); }

std::vector<unsigned> everyone(const Group &group) {
  std::vector<unsigned> all(group.size());
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

std::vector<std::string> takeViolations() {
  std::lock_guard held(fakeNcclState().mutex);
  return std::exchange(fakeNcclState().violations, {});
}

/// Runs `move`, the one kernel of toy::rankModel: args to, from, floats.
void executeMove(const cuda::FakeLaunch &launch, void *const *parameters) {
  ASSERT_EQ(launch.kernel, "move");
  uint64_t to, from;
  std::memcpy(&to, parameters[0], 8);
  std::memcpy(&from, parameters[1], 8);
  std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from),
               launch.grid * sizeof(float));
}

void reset() {
  resetFakes();
  fakeCudaState().execute = executeMove;
}

RankFactory overFakes(const char *name, unsigned ranks, const char *library) {
  return {.driver = {name,
                     [] {
                       reset();
                       return driverOfRank(0);
                     }},
          .ranks = ranks,
          .run =
              [library](
                  const RankFactory &factory,
                  const std::function<void(unsigned, const Endpoint &)> &body) {
                asNcclRanks(
                    factory.ranks, library, [&](Group &group, Driver &) {
                      auto communicator = group.create("ep", everyone(group));
                      ASSERT_TRUE(communicator.ok())
                          << communicator.status().toString();
                      Endpoint endpoint{{communicator->get()}, nullptr};
                      body(group.rank(), endpoint);
                    });
                EXPECT_EQ(takeViolations(), std::vector<std::string>());
              },
          .driverOf = driverOfRank,
          .comparesOperations = false};
}

INSTANTIATE_TEST_SUITE_P(Nccl, RankSuite,
                         testing::Values(overFakes("nccl", 2, HADAL_FAKE_NCCL),
                                         overFakes("nccl", 4, HADAL_FAKE_NCCL),
                                         overFakes("old", 2,
                                                   HADAL_FAKE_NCCL_OLD)),
                         rankName);

/// The toy program of |ranks| ranks on one of them.
class ToyRank {
public:
  ToyRank(unsigned rank, const std::string &path) : rank(rank), path(path) {}

  Status prepare(const Endpoint &endpoint) {
    HADAL_ASSIGN_OR_RETURN(driver, driverOfRank(rank));
    HADAL_ASSIGN_OR_RETURN(Artifact opened, Artifact::open(path));
    artifact = std::make_unique<Artifact>(std::move(opened));
    HADAL_ASSIGN_OR_RETURN(executable, driver->load(*artifact));
    Bindings bindings;
    const schema::Artifact &root = artifact->root();
    bindings.parameters.resize(root.parameters()->size());
    for (size_t i = 0; i < root.states()->size(); ++i) {
      HADAL_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                             DeviceBuffer::create(*driver, 4096));
      bindings.states.push_back(buffer.address());
      buffers.push_back(std::move(buffer));
    }
    HADAL_ASSIGN_OR_RETURN(DeviceBuffer arena,
                           DeviceBuffer::create(*driver, 4096));
    bindings.arena = arena.address();
    buffers.push_back(std::move(arena));
    HADAL_ASSIGN_OR_RETURN(entry, executable->prepare(0, bindings, &endpoint));
    return {};
  }
  ~ToyRank() { entry.reset(); }

  unsigned rank;
  std::string path;
  std::unique_ptr<Driver> driver;
  std::unique_ptr<Artifact> artifact;
  std::unique_ptr<Executable> executable;
  std::vector<DeviceBuffer> buffers;
  std::unique_ptr<PreparedEntry> entry;
};

class NcclRanks : public testing::Test {
protected:
  void SetUp() override {
    reset();
    nccl::FakeNccl &fake = fakeNcclState();
    std::lock_guard held(fake.mutex);
    fake.asyncError = nccl::kSuccess;
    fake.connects = true;
    fake.onGroupEnd = nullptr;
    fake.violations.clear();
    fake.inits = fake.splits = fake.groups = fake.captured = fake.aborts = 0;
    schema::ArtifactT model = toy::rankModel(2);
    toy::makeSm90a(model);
    toy::writeFile(dir.file("m.hadal"), toy::assemble(model));
  }
  void TearDown() override {
    nccl::FakeNccl &fake = fakeNcclState();
    std::lock_guard held(fake.mutex);
    fake.onGroupEnd = nullptr;
    EXPECT_EQ(fake.violations, std::vector<std::string>());
    EXPECT_EQ(fakeCudaState().graphsAtOnce, 0u);
  }

  /// Runs |body| on two ranks that have prepared the program.
  void onTwo(const std::function<void(Group &, ToyRank &)> &body,
             std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
    asNcclRanks(2, HADAL_FAKE_NCCL, [&](Group &group, Driver &) {
      auto communicator = group.create("ep", everyone(group));
      ASSERT_TRUE(communicator.ok()) << communicator.status().toString();
      Endpoint endpoint{{communicator->get()}, nullptr, timeout};
      ToyRank rank(group.rank(), dir.file("m.hadal"));
      Status status = rank.prepare(endpoint);
      ASSERT_TRUE(status.ok()) << status.toString();
      body(group, rank);
    });
  }

  toy::TempDir dir;
};

Deadline soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(20);
}

} // namespace

TEST_F(NcclRanks, TheFirstRunConnectsTheSecondIsCaptured) {
  onTwo([](Group &group, ToyRank &rank) {
    for (unsigned run = 0; run < 5; ++run) {
      ASSERT_TRUE(rank.entry->run().ok());
      ASSERT_TRUE(group.exchange({}, soon()).ok());
      if (group.rank() == 0) {
        EXPECT_EQ(fakeCudaState().captures, run ? 2u : 0u);
        EXPECT_EQ(fakeCudaState().graphLaunches, 2 * run);
        std::lock_guard held(fakeNcclState().mutex);
        // Three collectives of each rank are enqueued directly, then captured.
        EXPECT_EQ(fakeNcclState().groups, run ? 12u : 6u);
        EXPECT_EQ(fakeNcclState().captured, run ? 6u : 0u);
      }
      ASSERT_TRUE(group.exchange({}, soon()).ok());
    }
  });
  unsigned overlapping = 0;
  for (const cuda::FakeLaunch &launch : fakeCudaState().launches) {
    // It would start beside the collective that it reads the result of.
    EXPECT_FALSE(launch.joins && launch.overlaps);
    overlapping += launch.overlaps;
  }
  // Of 14 launches one begins and three come behind a wait.
  EXPECT_EQ(overlapping, 2 * 2 * (14u - 3));
}

TEST_F(NcclRanks, CommunicatorsWithinOthersAreSplitFromThem) {
  asNcclRanks(4, HADAL_FAKE_NCCL, [&](Group &group, Driver &) {
    const unsigned first = group.rank() / 2 * 2;
    const std::vector<unsigned> pair{first, first + 1};
    auto ep = group.create("ep", everyone(group));
    auto tp = group.create("tp", pair);
    ASSERT_TRUE(ep.ok() && tp.ok())
        << ep.status().toString() << tp.status().toString();
    EXPECT_EQ((*tp)->rank(), group.rank() - first);
    EXPECT_EQ((*tp)->size(), 2u);
    // A pair that lies in none is made anew.
    ep->reset();
    auto again = group.create("again", everyone(group));
    ASSERT_TRUE(again.ok()) << again.status().toString();
    EXPECT_TRUE(group.exchange({}, soon()).ok());
  });
  std::lock_guard held(fakeNcclState().mutex);
  EXPECT_EQ(fakeNcclState().inits, 8u);
  EXPECT_EQ(fakeNcclState().splits, 4u);
  EXPECT_EQ(fakeNcclState().live, 0u);
}

TEST_F(NcclRanks, AnAsynchronousErrorOfTheLibraryIsSaid) {
  onTwo([](Group &group, ToyRank &rank) {
    ASSERT_TRUE(rank.entry->run().ok());
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    if (group.rank() == 1) { // does not run
      std::lock_guard held(fakeNcclState().mutex);
      fakeNcclState().asyncError = nccl::kRemoteError;
      return;
    }
    Status status = rank.entry->run();
    EXPECT_TRUE(status.code() == 6007 || status.code() == 6001)
        << status.toString();
    EXPECT_NE(status.message().find("communicator 'ep'"), std::string::npos)
        << status.toString();
  });
}

TEST_F(NcclRanks, ARankThatDoesNotRunIsNamed) {
  onTwo(
      [](Group &group, ToyRank &rank) {
        if (group.rank() == 1) {
          (void)group.exchange({}, soon());
          return;
        }
        Status status = rank.entry->run();
        expectError(status, 6001,
                    {"rank 1 ", "has not reached collective 0 'dispatch, layer "
                                "0'"});
      },
      std::chrono::milliseconds(300));
}

TEST_F(NcclRanks, MembersThatDoNotConnectAreGivenUp) {
  {
    std::lock_guard held(fakeNcclState().mutex);
    fakeNcclState().connects = false;
  }
  TempDirectory directory;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 2);
    options.openDataPlane = [](Group &group) {
      return openNccl(group, {.library = HADAL_FAKE_NCCL,
                              .timeout = std::chrono::milliseconds(200)});
    };
    auto driver = driverOfRank(rank);
    ASSERT_TRUE(driver.ok());
    ASSERT_TRUE(cuda::deviceOf(**driver).enter().ok());
    auto group = joinGroup(std::move(options));
    ASSERT_TRUE(group.ok()) << group.status().toString();
    expectError(
        (*group)->create("ep", everyone(**group)).status(), 6001,
        {"communicator 'ep'", "ncclCommInitRankConfig", "NCCL_SOCKET_IFNAME"});
    (void)(*group)->exchange({}, soon());
  });
}

TEST_F(NcclRanks, TwoRanksOnOneDeviceAreRefused) {
  TempDirectory directory;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 2);
    options.openDataPlane = [](Group &group) {
      return openNccl(group, {.library = HADAL_FAKE_NCCL});
    };
    auto driver = driverOfRank(0);
    ASSERT_TRUE(driver.ok());
    ASSERT_TRUE(cuda::deviceOf(**driver).enter().ok());
    auto group = joinGroup(std::move(options));
    ASSERT_TRUE(group.ok()) << group.status().toString();
    expectError((*group)->create("ep", everyone(**group)).status(), 6007,
                {"communicator 'ep'", "Duplicate GPU"});
    (void)(*group)->exchange({}, soon());
  });
}

// Each device works with one kind of communicators.
TEST_F(NcclRanks, OtherMemoryThanTheDevicesIsRefused) {
  auto world = LoopbackWorld::create(1);
  auto group = world->join(0);
  auto host = group->create("ep", std::vector<unsigned>{0});
  ASSERT_TRUE(host.ok());
  LaunchList list;
  list.collectives.push_back({});
  Endpoint endpoint{{host->get()}, nullptr};
  expectError(
      checkCommunicators("decode_1", list, &endpoint, /*hostOrdered=*/false),
      6005,
      {"communicator 'ep' of entry 'decode_1' moves the host's memory, the "
       "kernels' is a device's",
       "--comm nccl"});
  EXPECT_TRUE(
      checkCommunicators("decode_1", list, &endpoint, /*hostOrdered=*/true)
          .ok());
  asNcclRanks(1, HADAL_FAKE_NCCL, [&](Group &one, Driver &) {
    auto device = one.create("ep", everyone(one));
    ASSERT_TRUE(device.ok());
    Endpoint other{{device->get()}, nullptr};
    expectError(
        checkCommunicators("decode_1", list, &other, /*hostOrdered=*/true),
        6005, {"moves a device's memory", "--comm loopback or mpi"});
    // Nor does either do what the other does.
    expectError((*device)->run({}, soon()), 6005, {"NCCL moves that of"});
    expectError((*host)->enqueue({}, nullptr), 6005, {"moves host memory"});
  });
}

// ---- aborts: nobody hangs

TEST_F(NcclRanks, AnAbortInACaptureEndsTheRun) {
  onTwo([](Group &group, ToyRank &rank) {
    ASSERT_TRUE(rank.entry->run().ok());
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    if (group.rank() == 0) {
      // In the midst of the capture, the other rank is lost.
      std::lock_guard held(fakeNcclState().mutex);
      fakeNcclState().onGroupEnd = [&group] {
        group.fail(error(5014, "lost by a test"));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      };
    }
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    const auto begin = std::chrono::steady_clock::now();
    Status status = rank.entry->run();
    EXPECT_FALSE(status.ok());
    EXPECT_LT(std::chrono::steady_clock::now() - begin,
              std::chrono::seconds(5));
    // And so does every later one.
    EXPECT_FALSE(rank.entry->run().ok());
  });
}

TEST_F(NcclRanks, AnAbortEndsAGraphThatWaits) {
  onTwo([](Group &group, ToyRank &rank) {
    for (uint64_t step = 0; step < 3; ++step) {
      group.report({.step = step, .entry = "decode_1"});
      ASSERT_TRUE(rank.entry->run().ok());
    }
    group.report({.step = 3, .entry = "decode_1"});
    ASSERT_TRUE(group.exchange({}, soon()).ok());
    if (group.rank() == 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      return; // leaves
    }
    const auto begin = std::chrono::steady_clock::now();
    Status status = rank.entry->run();
    expectError(status, 6001, {"rank 1 ", "collective 0 'dispatch, layer 0'"});
    EXPECT_LT(std::chrono::steady_clock::now() - begin,
              std::chrono::seconds(5));
  });
}

// ---- the fake refuses what NCCL forbids

namespace {

/// An operation of one part on |device|, put on its stream of collectives.
class Raw {
public:
  Raw(Driver &driver, uint64_t rows) : driver(driver) {
    for (comm::Address *address : {&send, &receive})
      *address = *driver.allocate(4096, MemoryUse::Dense, "raw");
    operation.kind = Kind::allToAll;
    operation.label = "raw";
    operation.parts.push_back(
        {.send = send, .receive = receive, .rows = rows, .rowBytes = 16});
  }
  Status enqueue(Communicator &communicator) {
    return communicator.enqueue(operation, *device().collectiveStream());
  }
  Status await(Communicator &communicator) {
    return communicator.await(
        operation, [] { return true; },
        [&]() -> StatusOr<bool> {
          return device().api().streamQuery(*device().collectiveStream()) ==
                 cuda::kSuccess;
        },
        std::chrono::seconds(20));
  }
  const cuda::CudaDevice &device() const { return cuda::deviceOf(driver); }

  Driver &driver;
  Operation operation;
  comm::Address send = 0, receive = 0;
};

} // namespace

TEST_F(NcclRanks, UnequalCountsAreRefused) {
  asNcclRanks(2, HADAL_FAKE_NCCL, [&](Group &group, Driver &driver) {
    auto all = group.create("all", everyone(group));
    ASSERT_TRUE(all.ok());
    Raw raw(driver, 4 + group.rank());
    Status status = raw.enqueue(**all);
    if (status.ok())
      status = raw.await(**all);
    EXPECT_TRUE(status.code() == 6007 || status.code() == 6001)
        << status.toString();
  });
  EXPECT_FALSE(takeViolations().empty());
}

TEST_F(NcclRanks, ACaptureOnOneRankOnlyIsRefused) {
  asNcclRanks(2, HADAL_FAKE_NCCL, [&](Group &group, Driver &driver) {
    auto all = group.create("all", everyone(group));
    ASSERT_TRUE(all.ok());
    Raw raw(driver, 4);
    const cuda::Api &api = raw.device().api();
    const cuda::Stream stream = *raw.device().collectiveStream();
    cuda::GraphExec exec = nullptr;
    cuda::Graph graph = nullptr;
    if (group.rank() == 0) {
      ASSERT_EQ(api.streamBeginCapture(stream, cuda::kCaptureModeThreadLocal),
                cuda::kSuccess);
    }
    ASSERT_TRUE(raw.enqueue(**all).ok());
    if (group.rank() == 0) {
      ASSERT_EQ(api.streamEndCapture(stream, &graph), cuda::kSuccess);
      ASSERT_EQ(api.graphInstantiate(&exec, graph, 0), cuda::kSuccess);
      ASSERT_EQ(api.graphLaunch(exec, stream), cuda::kSuccess);
    }
    EXPECT_FALSE(raw.await(**all).ok());
    (void)group.exchange({}, soon());
    if (exec) {
      (void)api.graphExecDestroy(exec);
      (void)api.graphDestroy(graph);
    }
  });
  const std::vector<std::string> found = takeViolations();
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].find("captured on some ranks only"), std::string::npos);
}

TEST_F(NcclRanks, TwoGraphsAtOnceAreRefused) {
  asNcclRanks(1, HADAL_FAKE_NCCL, [&](Group &group, Driver &driver) {
    auto all = group.create("all", everyone(group));
    ASSERT_TRUE(all.ok());
    Raw raw(driver, 4);
    const cuda::Api &api = raw.device().api();
    const cuda::Stream streams[] = {*raw.device().collectiveStream(),
                                    raw.device().stream()};
    cuda::GraphExec execs[2] = {};
    cuda::Graph graphs[2] = {};
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(
          api.streamBeginCapture(streams[i], cuda::kCaptureModeThreadLocal),
          cuda::kSuccess);
      ASSERT_TRUE((*all)->enqueue(raw.operation, streams[i]).ok());
      ASSERT_EQ(api.streamEndCapture(streams[i], &graphs[i]), cuda::kSuccess);
      ASSERT_EQ(api.graphInstantiate(&execs[i], graphs[i], 0), cuda::kSuccess);
    }
    EXPECT_EQ(api.graphLaunch(execs[0], streams[0]), cuda::kSuccess);
    EXPECT_NE(api.graphLaunch(execs[1], streams[1]), cuda::kSuccess);
    EXPECT_EQ(std::exchange(fakeCudaState().graphsAtOnce, 0), 1u);
    EXPECT_TRUE(raw.await(**all).ok());
    EXPECT_EQ(api.graphLaunch(execs[1], streams[1]), cuda::kSuccess);
    EXPECT_EQ(api.streamSynchronize(streams[1]), cuda::kSuccess);
    for (int i = 0; i < 2; ++i) {
      (void)api.graphExecDestroy(execs[i]);
      (void)api.graphDestroy(graphs[i]);
    }
  });
}

TEST_F(NcclRanks, NothingIsCalledAfterAnAbort) {
  asNcclRanks(2, HADAL_FAKE_NCCL, [&](Group &group, Driver &driver) {
    auto all = group.create("all", everyone(group));
    ASSERT_TRUE(all.ok());
    Raw raw(driver, 4);
    ASSERT_TRUE(group.exchange({}, soon()).ok()); // all are here
    (*all)->abort();
    EXPECT_EQ(raw.enqueue(**all).code(), 6001);
    EXPECT_EQ((*all)->registerMemory(raw.send, 4096).code(), 6001);
    EXPECT_EQ(raw.await(**all).code(), 6001);
    (void)group.exchange({}, soon());
  });
}
