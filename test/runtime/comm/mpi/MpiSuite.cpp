// The conformance suite over MPI: this process is one of the ranks that mpirun
// has started; all run the same tests in the same order.
#include <cstdlib>

#include "runtime/comm/control/Join.h"
#include "runtime/comm/mpi/Mpi.h"
#include "runtime/cts/CommSuite.h"

using namespace hadal;
using namespace hadal::comm;

namespace {

unsigned number(const char *name) {
  const char *text = std::getenv(name);
  if (!text) {
    fmt::print(stderr, "no {}: mpirun starts this test\n", name);
    std::exit(1);
  }
  return static_cast<unsigned>(std::atoi(text));
}

/// A group for every body, each met at a place of its own.
void runBody(const std::function<void(Group &)> &body) {
  static unsigned bodies = 0;
  GroupOptions options;
  options.rank = number("OMPI_COMM_WORLD_RANK");
  options.ranks = number("OMPI_COMM_WORLD_SIZE");
  options.rendezvous = *Rendezvous::parse(fmt::format(
      "file:{}/meet-{}", std::getenv("HADAL_TEST_DIRECTORY"), bodies++));
  options.token = {1, 2, 3};
  options.openDataPlane = [](Group &group) {
    return openMpi(group.rank(), group.size());
  };
  auto group = joinGroup(std::move(options));
  ASSERT_TRUE(group.ok()) << group.status().toString();
  body(**group);
}

CommFactory factory() {
  const unsigned ranks = number("OMPI_COMM_WORLD_SIZE");
  return {fmt::format("mpi{}", ranks),
          ranks,
          {.exactCounts = true, .hostOrdered = true},
          runBody};
}

INSTANTIATE_TEST_SUITE_P(Mpi, CommSuite, testing::Values(factory()), commName);

Operation bigGather(std::vector<uint8_t> &send, std::vector<uint8_t> &received,
                    uint64_t sequence) {
  Operation operation;
  operation.kind = Kind::allGather;
  operation.sequence = sequence;
  operation.label = "a big one";
  operation.parts.push_back({reinterpret_cast<Address>(send.data()),
                             reinterpret_cast<Address>(received.data()), 1,
                             send.size()});
  return operation;
}

TEST(Mpi, MovesWhatNoEagerMessageHolds) {
  runBody([](Group &group) {
    std::vector<unsigned> members;
    for (unsigned r = 0; r < group.size(); ++r)
      members.push_back(r);
    auto all = group.create("all", members);
    ASSERT_TRUE(all.ok()) << all.status().toString();
    constexpr size_t kBytes = 5'000'001;
    std::vector<uint8_t> send(kBytes), received(kBytes * group.size());
    for (size_t i = 0; i < kBytes; ++i)
      send[i] = static_cast<uint8_t>(i * 13 + group.rank());
    for (uint64_t sequence = 0; sequence < 3; ++sequence) {
      Status status = (*all)->run(bigGather(send, received, sequence),
                                  std::chrono::steady_clock::now() +
                                      std::chrono::seconds(20));
      ASSERT_TRUE(status.ok()) << status.toString();
      for (unsigned r = 0; r < group.size(); ++r)
        for (size_t i = 0; i < kBytes; i += 997)
          ASSERT_EQ(received[r * kBytes + i], static_cast<uint8_t>(i * 13 + r));
    }
    (void)group.exchange({}, std::chrono::steady_clock::now() +
                                 std::chrono::seconds(20));
  });
}

TEST(Mpi, RefusesMoreRanksThanMpiHas) {
  // Opened by the tests before, as what mpirun says.
  runBody([](Group &group) {
    auto plane = openMpi(group.rank(), group.size());
    ASSERT_TRUE(plane.ok());
    EXPECT_NE((*plane)->description().find("mpi (Open MPI v"),
              std::string::npos);
    auto other = openMpi(group.rank(), group.size() + 1);
    EXPECT_EQ(other.status().code(), 6005);
    (void)group.exchange({}, std::chrono::steady_clock::now() +
                                 std::chrono::seconds(20));
  });
}

} // namespace
