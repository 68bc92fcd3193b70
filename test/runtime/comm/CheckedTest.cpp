// --check-collectives: communicators that prove what they have done, over ones
// that do something else.
#include <cstring>
#include <numeric>
#include <thread>

#include "runtime/comm/CheckedCommunicator.h"
#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/CommSuite.h"

using namespace hadal;
using namespace hadal::comm;

namespace {

/// Owns what it checks.
class OwningChecked final : public Communicator {
public:
  OwningChecked(std::unique_ptr<Communicator> given,
                std::span<const unsigned> members)
      : inner(std::move(given)),
        checked(createChecked(*inner, {members.begin(), members.end()})) {}
  std::string_view name() const override { return checked->name(); }
  unsigned rank() const override { return checked->rank(); }
  unsigned size() const override { return checked->size(); }
  Capabilities capabilities() const override { return checked->capabilities(); }
  Status run(const Operation &operation, Deadline deadline) override {
    return checked->run(operation, deadline);
  }
  void abort() noexcept override { checked->abort(); }

private:
  const std::unique_ptr<Communicator> inner, checked;
};

/// A group all of whose communicators are checked.
class CheckedGroup final : public Group {
public:
  explicit CheckedGroup(std::unique_ptr<Group> inner)
      : inner(std::move(inner)) {}
  unsigned rank() const override { return inner->rank(); }
  unsigned size() const override { return inner->size(); }
  StatusOr<std::vector<std::vector<uint8_t>>>
  exchange(std::span<const uint8_t> mine, Deadline deadline) override {
    return inner->exchange(mine, deadline);
  }
  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) override {
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> communicator,
                           inner->create(name, members));
    return std::unique_ptr<Communicator>(
        std::make_unique<OwningChecked>(std::move(communicator), members));
  }
  void report(const Progress &progress) noexcept override {
    inner->report(progress);
  }
  void fail(const Status &status) noexcept override { inner->fail(status); }

private:
  const std::unique_ptr<Group> inner;
};

/// Runs |body| on a thread for each of |ranks|.
void runRanks(unsigned ranks, const std::function<void(Group &)> &body) {
  const std::shared_ptr<LoopbackWorld> world = LoopbackWorld::create(ranks);
  std::vector<std::unique_ptr<Group>> groups;
  for (unsigned r = 0; r < ranks; ++r)
    groups.push_back(std::make_unique<CheckedGroup>(world->join(r)));
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
  return {fmt::format("checked{}", ranks),
          ranks,
          {.exactCounts = true, .hostOrdered = true},
          [ranks](const std::function<void(Group &)> &body) {
            runRanks(ranks, body);
          }};
}

// What is right passes, whatever it is.
INSTANTIATE_TEST_SUITE_P(Checked, CommSuite,
                         testing::Values(factory(1), factory(3)), commName);

constexpr unsigned kRanks = 3;
constexpr uint64_t kRows = 4, kRowBytes = 16, kBlock = kRows * kRowBytes;

uint8_t *pointer(Address address) {
  return reinterpret_cast<uint8_t *>(address);
}

/// A library with one fault, on one rank.
class Faulty final : public Communicator {
public:
  using Fault =
      std::function<Status(Communicator &, const Operation &, Deadline)>;
  Faulty(Communicator &inner, Fault fault)
      : inner(inner), fault(std::move(fault)) {}
  std::string_view name() const override { return inner.name(); }
  unsigned rank() const override { return inner.rank(); }
  unsigned size() const override { return inner.size(); }
  Capabilities capabilities() const override { return inner.capabilities(); }
  void abort() noexcept override { inner.abort(); }
  Status run(const Operation &operation, Deadline deadline) override {
    // What only checks is not what is checked.
    return operation.label.ends_with("check")
               ? inner.run(operation, deadline)
               : fault(inner, operation, deadline);
  }

private:
  Communicator &inner;
  const Fault fault;
};

/// What each rank is told when |fault| is rank 2's and they run |kind|.
std::vector<Status> outcomes(Kind kind, const Faulty::Fault &fault) {
  std::vector<Status> results(kRanks);
  const std::shared_ptr<LoopbackWorld> world = LoopbackWorld::create(kRanks);
  std::vector<std::unique_ptr<Group>> groups;
  for (unsigned r = 0; r < kRanks; ++r)
    groups.push_back(world->join(r));
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kRanks; ++r)
    threads.emplace_back([&, r] {
      std::vector<unsigned> members(kRanks);
      std::iota(members.begin(), members.end(), 0u);
      auto inner = groups[r]->create("tp", members);
      ASSERT_TRUE(inner.ok()) << inner.status().toString();
      Faulty library(
          **inner,
          r == 2 ? fault : [](Communicator &c, const Operation &o, Deadline d) {
            return c.run(o, d);
          });
      const std::unique_ptr<Communicator> checked =
          createChecked(library, members);
      // Sums depend on the order; rank 2 gets rows from all.
      std::vector<float> send(kRanks * kBlock / 4), received(send.size());
      for (size_t i = 0; i < send.size(); ++i)
        send[i] = r == 0 ? 1.5e8f : r == 1 ? -1.5e8f : 1.25f + float(i % 7);
      const int32_t counts[kRanks] = {2, 2, 2};
      Operation o;
      o.kind = kind;
      o.sequence = 7;
      o.label = "dispatch, layer 3";
      Part part{reinterpret_cast<Address>(send.data()),
                reinterpret_cast<Address>(received.data()), kRows, kRowBytes};
      if (kind == Kind::reduceScatter || kind == Kind::allReduce) {
        part.dtype = DType::f32;
      } else if (kind == Kind::allToAll) {
        part.countColumn = 0;
        o.counts = reinterpret_cast<Address>(counts);
        o.countStride = 1;
      }
      o.parts.push_back(part);
      results[r] = checked->run(o, std::chrono::steady_clock::now() +
                                       std::chrono::seconds(20));
    });
  for (std::thread &thread : threads)
    thread.join();
  return results;
}

void expectOnlyRank2(const std::vector<Status> &results,
                     const std::vector<std::string> &texts) {
  EXPECT_TRUE(results[0].ok()) << results[0].toString();
  EXPECT_TRUE(results[1].ok()) << results[1].toString();
  EXPECT_EQ(results[2].code(), 6007) << results[2].toString();
  for (const std::string &text : texts)
    EXPECT_NE(results[2].message().find(text), std::string::npos)
        << text << " in " << results[2].toString();
}

TEST(Checked, ASumInAnotherOrderIsNamed) {
  for (Kind kind : {Kind::reduceScatter, Kind::allReduce})
    expectOnlyRank2(
        outcomes(kind,
                 [kind](Communicator &c, const Operation &o, Deadline d) {
                   HADAL_RETURN_IF_ERROR(c.run(o, d));
                   std::vector<float> mine(kBlock / 4), sum(kBlock / 4);
                   std::memcpy(sum.data(), pointer(o.parts[0].receive), kBlock);
                   const uint8_t *own =
                       pointer(o.parts[0].send) +
                       (kind == Kind::reduceScatter ? 2 * kBlock : 0);
                   std::memcpy(mine.data(), own, kBlock);
                   // Its own addend first, as it came first: what is small
                   // is lost.
                   for (size_t i = 0; i < sum.size(); ++i)
                     sum[i] = (mine[i] + 1.5e8f) + -1.5e8f;
                   std::memcpy(pointer(o.parts[0].receive), sum.data(), kBlock);
                   return Status();
                 }),
        {"communicator 'tp'", "rank 2 has another value 0 of part 0",
         "sum in rank order", "collective 7 'dispatch, layer 3'"});
}

TEST(Checked, WhatIsLostOnTheWayIsNamed) {
  for (Kind kind : {Kind::allGather, Kind::allToAll})
    expectOnlyRank2(
        outcomes(kind,
                 [](Communicator &c, const Operation &o, Deadline d) {
                   HADAL_RETURN_IF_ERROR(c.run(o, d));
                   // The second row of what rank 1 has sent.
                   pointer(o.parts[0].receive)[kBlock + kRowBytes] ^= 1;
                   return Status();
                 }),
        {"rank 2 did not receive in part 0 what rank 1 sent",
         kind == Kind::allToAll ? "2 rows" : "4 rows",
         "collective 7 'dispatch, layer 3'"});
}

TEST(Checked, WhatLiesBehindACountMeansNothing) {
  for (const Status &status : outcomes(
           Kind::allToAll, [](Communicator &c, const Operation &o, Deadline d) {
             HADAL_RETURN_IF_ERROR(c.run(o, d));
             pointer(o.parts[0].receive)[kBlock + 2 * kRowBytes] ^= 1;
             return Status();
           }))
    EXPECT_TRUE(status.ok()) << status.toString();
}

} // namespace
