// The control plane with ranks as threads, over real sockets.
#include <atomic>
#include <random>

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/comm/Agreement.h"
#include "runtime/comm/control/Connection.h"
#include "runtime/comm/control/Resolve.h"
#include "test/runtime/comm/control/Ranks.h"

namespace hadal::comm {
namespace {

using namespace std::chrono_literals;
using test::asRanks;
using test::expectError;
using test::in;
using test::optionsOf;
using test::TempDirectory;
using testing::HasSubstr;

TEST(Rendezvous, IsAHostWithAPortOrAFile) {
  auto parse = [](std::string_view text) { return Rendezvous::parse(text); };
  EXPECT_EQ(parse("node7:4711")->host, "node7");
  EXPECT_EQ(parse("node7:4711")->port, 4711);
  EXPECT_EQ(parse("[::1]:80")->host, "::1");
  EXPECT_EQ(parse("file:/tmp/x:y")->file, "/tmp/x:y");
  for (std::string_view bad : {"", "node7", "node7:", ":80", "a:0", "a:65536",
                               "a:80x", "file:", "a:-1"})
    expectError(parse(bad).status(), 5011, {"expected host:port"});
}

TEST(ControlPlane, ExchangesInRankOrder) {
  for (unsigned ranks : {1, 2, 4, 8}) {
    TempDirectory directory;
    asRanks(ranks, [&](unsigned rank) {
      auto group = joinGroup(optionsOf(directory, rank, ranks));
      ASSERT_TRUE(group.ok()) << group.status().message();
      EXPECT_EQ((*group)->rank(), rank);
      EXPECT_EQ((*group)->size(), ranks);
      std::mt19937 random(rank);
      for (int round = 0; round < 50; ++round) {
        // Sizes differ: also none, and more than one frame takes.
        auto blob = [&](unsigned r) {
          const size_t n = round == 10 ? 200'000 + r : (r * 31 + round) % 90;
          return std::vector<uint8_t>(n, static_cast<uint8_t>(r + round));
        };
        if (random() % 8 == 0)
          std::this_thread::sleep_for(1ms);
        auto all = (*group)->exchange(blob(rank), in(20'000));
        ASSERT_TRUE(all.ok()) << all.status().message();
        ASSERT_EQ(all->size(), ranks);
        for (unsigned r = 0; r < ranks; ++r)
          EXPECT_EQ((*all)[r], blob(r));
      }
    });
    // Rank 0 takes the file away.
    EXPECT_EQ(directory.numFiles(), 0u);
  }
}

TEST(ControlPlane, NamesWhoDoesNotJoin) {
  TempDirectory directory;
  asRanks(3, [&](unsigned rank) {
    if (rank == 2) // ranks 2 and 4 stay away
      return;
    GroupOptions options = optionsOf(directory, rank == 1 ? 3 : rank, 5);
    options.joinTimeout = 500ms;
    const auto start = std::chrono::steady_clock::now();
    expectError(
        joinGroup(options).status(), 6002,
        {"ranks 1-2, 4 did not join within 0.5 s", "start all 5 ranks"});
    EXPECT_LT(std::chrono::steady_clock::now() - start, 1500ms);
  });
}

TEST(ControlPlane, SaysThatRankZeroIsNotThere) {
  GroupOptions options;
  options.rank = 2;
  options.ranks = 3;
  options.joinTimeout = 200ms;
  options.rendezvous = *Rendezvous::parse("file:/nonexistent/meet");
  expectError(joinGroup(options).status(), 6002,
              {"rank 2 does not reach rank 0 at file:/nonexistent/meet within "
               "0.2 s: rank 0 has not written the file"});
  // A port that nobody has: bound, and not listening.
  Listener mine = std::move(*listenAt("127.0.0.1", 0, "", in(5000)));
  options.rendezvous.host = "127.0.0.1";
  options.rendezvous.port = mine.port;
  options.rendezvous.file.clear();
  mine.socket.close();
  expectError(joinGroup(options).status(), 6002, {"Connection refused"});
  options.rank = 3;
  expectError(joinGroup(options).status(), 5011, {"rank 3 of 3 ranks"});
}

TEST(ControlPlane, SaysThatThePortIsInUse) {
  Listener other = std::move(*listenAt("127.0.0.1", 0, "", in(5000)));
  GroupOptions options;
  options.ranks = 2;
  options.rendezvous.host = "127.0.0.1";
  options.rendezvous.port = other.port;
  expectError(
      joinGroup(options).status(), 6002,
      {"rank 0 cannot listen at 127.0.0.1:" + std::to_string(other.port),
       "the port is in use", "--rendezvous"});
  options.rendezvous.host = "192.0.2.1"; // an address for documents
  expectError(joinGroup(options).status(), 6002,
              {"the address is not of this machine"});
}

TEST(ControlPlane, RefusesAWrongToken) {
  TempDirectory directory;
  std::string notice;
  asRanks(3, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 3);
    options.joinTimeout = 3000ms;
    if (rank == 2)
      options.token[31] ^= 1;
    if (rank == 0)
      options.onNotice = [&](const std::string &text) { notice = text; };
    const auto start = std::chrono::steady_clock::now();
    const Status status = joinGroup(options).status();
    if (rank == 2) {
      expectError(status, 6002,
                  {"refused rank 2: its token (HADAL_JOB_TOKEN) is another"});
      EXPECT_LT(std::chrono::steady_clock::now() - start, 2900ms);
    } else {
      expectError(status, 6002,
                  {"rank 2 did not join", "(1 connections were refused)"});
    }
  });
  EXPECT_THAT(notice, HasSubstr("refused a connection that says it is rank 2"));
}

TEST(ControlPlane, SaysThatNumbersOfRanksDiffer) {
  TempDirectory directory;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, rank == 1 ? 8 : 2);
    expectError(joinGroup(options).status(), 6003,
                {"rank 1", "was started as one of 8 ranks, rank 0 as one of "
                           "2; start all with the same number"});
  });
}

TEST(ControlPlane, SaysThatTwoAreOneRank) {
  TempDirectory directory;
  asRanks(3, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank ? 1 : 0, 3);
    expectError(joinGroup(options).status(), 6003,
                {"two processes say that they are rank 1", "HADAL_RANK"});
  });
}

/// Waits for the next frame from rank 0.
Frame nextFrame(Connection &connection) {
  for (const Deadline end = in(10'000);
       std::chrono::steady_clock::now() < end;) {
    (void)connection.receive();
    auto frame = connection.reader().next();
    if (frame.ok() && *frame)
      return **frame;
    std::this_thread::sleep_for(1ms);
  }
  ADD_FAILURE() << "rank 0 does not answer";
  return {};
}

TEST(ControlPlane, RefusesARankThatIsNoneOfTheRun) {
  TempDirectory directory;
  const GroupOptions options = optionsOf(directory, 0, 2);
  std::string refusal;
  // No rank of ours says so: it knows the token, and greets by hand.
  std::thread stranger([&] {
    StatusOr<Rendezvous> meet = error(6002, "not yet");
    for (const Deadline end = in(10'000);
         !meet.ok() && std::chrono::steady_clock::now() < end;
         std::this_thread::sleep_for(1ms)) {
      const std::string line = directory.read("meet");
      meet = Rendezvous::parse(line.substr(0, line.find('\n')));
    }
    ASSERT_TRUE(meet.ok());
    auto socket = connectTo(meet->host, meet->port, 1000, in(5000));
    ASSERT_TRUE(socket.ok()) << socket.status().message();
    Connection connection(std::move(*socket));
    const Frame challenge = nextFrame(connection);
    ASSERT_EQ(challenge.type(), FrameType::challenge);
    FrameHeader head;
    head.type = static_cast<uint16_t>(FrameType::hello);
    head.rank = 7;
    head.ranks = 2;
    Hello hello = {};
    setText(hello.identity.host, "elsewhere");
    hello.proof = prove(Side::spoke, options.token,
                        challenge.as<Challenge>().nonce, hello.nonce,
                        head.rank, head.ranks, hello.identity);
    connection.send(head, bytesOf(hello));
    const Frame answer = nextFrame(connection);
    EXPECT_EQ(answer.type(), FrameType::refusal);
    refusal = answer.text();
  });
  expectError(joinGroup(options).status(), 6003,
              {"rank 7 (host elsewhere", "is none of the 2 ranks of this run"});
  stranger.join();
  EXPECT_THAT(refusal, HasSubstr("is none of the 2 ranks of this run"));
}

TEST(Resolve, GivesAddressesOrTheReason) {
  auto found = resolve("127.0.0.1", 80, false, in(5000));
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)->ai_family, AF_INET);
  Lookup failing;
  failing.get = [](const char *, const char *, const addrinfo *, addrinfo **) {
    return EAI_NONAME;
  };
  expectError(resolve("nowhere", 80, false, in(5000), failing).status(), 6002,
              {::gai_strerror(EAI_NONAME)});
}

TEST(Resolve, WaitsForNoNameServerForEver) {
  static std::atomic<bool> answered = false;
  Lookup slow;
  slow.get = [](const char *, const char *, const addrinfo *, addrinfo **) {
    std::this_thread::sleep_for(400ms);
    answered = true;
    return EAI_AGAIN;
  };
  expectError(resolve("node7", 80, false, in(50), slow).status(), 6002,
              {"no name server has answered for 'node7'"});
  EXPECT_FALSE(answered);
  // Its thread needs nothing of this call.
  while (!answered)
    std::this_thread::sleep_for(1ms);
}

TEST(ControlPlane, TakesGarbageForNoRank) {
  TempDirectory directory;
  std::atomic<bool> joined = false;
  std::thread vandal([&] {
    std::mt19937_64 random(3);
    while (!joined) {
      std::string line = directory.read("meet");
      auto meet = Rendezvous::parse(line.substr(0, line.find('\n')));
      if (!meet.ok()) {
        std::this_thread::sleep_for(1ms);
        continue;
      }
      auto socket = connectTo(meet->host, meet->port, 100, in(5000));
      if (!socket.ok())
        continue;
      std::vector<uint8_t> bytes;
      FrameHeader head;
      head.type = static_cast<uint16_t>(1 + random() % 12);
      head.rank = 1;
      head.ranks = 2;
      append(bytes, head, std::vector<uint8_t>(random() % 300, 'x'));
      if (random() % 2)
        bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      (void)!::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (random() % 2)
        std::this_thread::sleep_for(1ms);
    }
  });
  asRanks(2, [&](unsigned rank) {
    if (rank == 1)
      std::this_thread::sleep_for(300ms);
    auto group = joinGroup(optionsOf(directory, rank, 2));
    EXPECT_TRUE(group.ok()) << group.status().message();
    joined = true;
    if (group.ok())
      EXPECT_TRUE((*group)->exchange({}, in(10'000)).ok());
  });
  vandal.join();
}

TEST(ControlPlane, TellsAllOfOnesFailure) {
  for (unsigned failing : {0u, 2u}) {
    TempDirectory directory;
    asRanks(4, [&](unsigned rank) {
      auto group = joinGroup(optionsOf(directory, rank, 4));
      ASSERT_TRUE(group.ok()) << group.status().message();
      ASSERT_TRUE((*group)->exchange({}, in(5000)).ok());
      if (rank == failing) {
        (*group)->fail(error(5006, "out of memory \x1b[2J"));
        (*group)->fail(error(5014, "not this one"));
        expectError((*group)->exchange({}, in(5000)).status(), 5006,
                    {"out of memory"});
        return;
      }
      const Status status = (*group)->exchange({}, in(5000)).status();
      expectError(status, 6001,
                  {fmt::format("rank {} (host ", failing),
                   "ended with: error H5006: out of memory"});
      EXPECT_EQ(status.message().find('\x1b'), std::string::npos);
      EXPECT_EQ((*group)->exchange({}, in(5000)).status().message(),
                status.message());
    });
  }
}

TEST(ControlPlane, NamesWhoIsLate) {
  for (unsigned late : {0u, 1u}) {
    TempDirectory directory;
    asRanks(3, [&](unsigned rank) {
      auto group = joinGroup(optionsOf(directory, rank, 3));
      ASSERT_TRUE(group.ok()) << group.status().message();
      (*group)->report({.step = 42, .sequence = 116, .entry = "decode_64"});
      if (rank == late)
        std::this_thread::sleep_for(1500ms);
      expectError((*group)->exchange({}, in(500)).status(), 6001,
                  {fmt::format("rank {} (host ", late),
                   "has not reached an agreement after 0.",
                   fmt::format("rank {} ran entry decode_64 of step 42, after "
                               "collective 116",
                               late),
                   late ? "ranks 0, 2 waited for the agreement after "
                          "collective 116 of entry decode_64, step 42"
                        : "ranks 1-2 waited for the agreement"});
    });
  }
}

TEST(ControlPlane, NamesWhoLeftEarly) {
  for (unsigned leaver : {0u, 2u}) {
    TempDirectory directory;
    asRanks(3, [&](unsigned rank) {
      auto group = joinGroup(optionsOf(directory, rank, 3));
      ASSERT_TRUE(group.ok()) << group.status().message();
      ASSERT_TRUE((*group)->exchange({}, in(20'000)).ok());
      if (rank == leaver)
        return;
      const auto start = std::chrono::steady_clock::now();
      expectError((*group)->exchange({}, in(20'000)).status(), 6001,
                  {fmt::format("rank {} (host ", leaver), "left the run"});
      EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
    });
  }
}

TEST(ControlPlane, RankZeroDoesNotWaitForEver) {
  TempDirectory directory;
  std::string said;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 2);
    options.leaveTimeout = 300ms;
    if (rank == 0)
      options.onFailure = [&](const Status &s) { said = s.message(); };
    auto group = joinGroup(options);
    ASSERT_TRUE(group.ok()) << group.status().message();
    ASSERT_TRUE((*group)->exchange({}, in(5000)).ok());
    (*group)->report({.label = "tidy up"});
    if (rank == 1)
      std::this_thread::sleep_for(1s);
  });
  EXPECT_THAT(said, HasSubstr("rank 1 (host "));
  EXPECT_THAT(said, HasSubstr("which did 'tidy up', did not leave the run "
                              "within 0.3 s of rank 0"));
}

TEST(ControlPlane, EndsWaitsOfAnInterruptedRank) {
  TempDirectory directory;
  std::atomic<bool> interrupt = false;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 2);
    if (rank == 1)
      options.interrupt = &interrupt;
    auto group = joinGroup(options);
    ASSERT_TRUE(group.ok()) << group.status().message();
    if (rank == 1) {
      interrupt = true;
      expectError((*group)->exchange({}, in(20'000)).status(), 5016,
                  {"interrupted; rank 1 waited for an agreement"});
    } else {
      // Is there itself only when the other has given up.
      std::this_thread::sleep_for(1s);
      expectError((*group)->exchange({}, in(20'000)).status(), 6001,
                  {"rank 1 (host ", "ended with: error H5016"});
    }
  });
}

// ---- a data plane of the test

/// Blocks until it is aborted, or completes at once.
class TestCommunicator final : public Communicator {
public:
  std::string_view name() const override { return "ep"; }
  unsigned rank() const override { return 0; }
  unsigned size() const override { return 2; }
  Capabilities capabilities() const override { return {true, true}; }
  Status run(const Operation &operation, Deadline deadline) override {
    if (operation.label == "quick")
      return {};
    if (operation.label == "broken")
      return error(6006, "the ranks issued different collectives");
    while (!aborted_ && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(1ms);
    return error(6001, "aborted");
  }
  void abort() noexcept override { aborted_ = true; }

private:
  std::atomic<bool> aborted_ = false;
};

class TestPlane final : public DataPlane {
public:
  std::string description() const override { return "test"; }
  StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view, std::span<const unsigned>) override {
    return std::unique_ptr<Communicator>(std::make_unique<TestCommunicator>());
  }
  void abandon() noexcept override {}
};

StatusOr<std::unique_ptr<DataPlane>> openTestPlane(Group &) {
  return std::unique_ptr<DataPlane>(std::make_unique<TestPlane>());
}

Operation operationOf(uint64_t sequence, std::string label) {
  Operation operation;
  operation.sequence = sequence;
  operation.label = std::move(label);
  operation.parts.push_back({.rows = 3, .rowBytes = 16});
  return operation;
}

struct Member {
  std::unique_ptr<Group> group;
  std::unique_ptr<Communicator> communicator;
};

Member start(GroupOptions options) {
  options.openDataPlane = openTestPlane;
  const unsigned ranks = options.ranks;
  Member run;
  auto group = joinGroup(std::move(options));
  EXPECT_TRUE(group.ok()) << group.status().message();
  run.group = std::move(*group);
  std::vector<unsigned> members(ranks);
  for (unsigned r = 0; r < ranks; ++r)
    members[r] = r;
  run.communicator = std::move(*run.group->create("ep", members));
  return run;
}

TEST(ControlPlane, NamesWhoDidNotReachACollective) {
  TempDirectory directory;
  asRanks(3, [&](unsigned rank) {
    Member run = start(optionsOf(directory, rank, 3));
    run.group->report({.step = 42, .sequence = 116, .entry = "decode_64"});
    Communicator &ep = *run.communicator;
    ASSERT_TRUE(ep.run(operationOf(116, "quick"), in(1000)).ok());
    if (rank == 1) {
      run.group->report({.step = 42,
                         .sequence = 116,
                         .entry = "decode_64",
                         .label = "mla_decode"});
      std::this_thread::sleep_for(1500ms);
    }
    expectError(
        ep.run(operationOf(117, "dispatch, layer 17"), in(500)), 6001,
        {"rank 1 (host ",
         "has not reached collective 117 'dispatch, layer 17' of 'ep', entry "
         "decode_64, step 42 after 0.5 s",
         "ranks 0, 2 waited at collective 117",
         "rank 1 ran entry decode_64 of step 42, after collective 116 "
         "'mla_decode'"});
  });
}

TEST(ControlPlane, AbortsWhatIsUnderWayWhenARankFails) {
  TempDirectory directory, flights;
  std::atomic<int> told = 0;
  asRanks(2, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 2);
    options.flightRecord = flights.path();
    options.onFailure = [&](const Status &) {
      // It is written before anything is aborted.
      EXPECT_FALSE(flights.read(fmt::format("rank-{}.json", rank)).empty());
      ++told;
    };
    Member run = start(options);
    Communicator &ep = *run.communicator;
    ASSERT_TRUE(ep.run(operationOf(1, "quick"), in(1000)).ok());
    if (rank == 1) {
      std::this_thread::sleep_for(100ms);
      expectError(ep.run(operationOf(2, "broken"), in(9000)), 6006, {});
    } else {
      const auto began = std::chrono::steady_clock::now();
      // Who has other collectives is in the message, and all are wrong.
      expectError(ep.run(operationOf(2, "dispatch"), in(9000)), 6006,
                  {"the ranks issued different collectives"});
      EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
    }
    expectError(ep.run(operationOf(3, "quick"), in(1000)), 6006, {});
  });
  EXPECT_EQ(told, 2);
  const std::string record = flights.read("rank-0.json");
  for (std::string_view text :
       {"\"reason\": \"error H6006: the ranks", "\"label\": \"quick\"",
        "\"bytes\": 48", "\"complete\": true", "\"label\": \"dispatch\"",
        "waited at collective 2 'dispatch' of 'ep'"})
    EXPECT_THAT(record, HasSubstr(text));
}

TEST(ControlPlane, CreatesNothingWithoutALibrary) {
  TempDirectory directory;
  auto group = joinGroup(optionsOf(directory, 0, 1));
  ASSERT_TRUE(group.ok());
  const unsigned members[] = {0};
  expectError((*group)->create("ep", members).status(), 6005,
              {"without a communication library", "--comm mpi"});
}

TEST(ControlPlane, SharesTheFailureToOpenTheLibrary) {
  TempDirectory directory;
  asRanks(3, [&](unsigned rank) {
    GroupOptions options = optionsOf(directory, rank, 3);
    options.openDataPlane =
        [](Group &group) -> StatusOr<std::unique_ptr<DataPlane>> {
      if (group.rank() == 1)
        return error(6005, "no libmpi here");
      return openTestPlane(group);
    };
    expectError(joinGroup(options).status(), 6005, {"no libmpi here"});
  });
}

// ---- agreement

RunRecord recordOf(unsigned rank) {
  return {.host = fmt::format("node{}", rank),
          .artifact = 0x77,
          .collectives = 2,
          .placement = 3,
          .checkpoint = 4,
          .version = "0.1.0",
          .library = "mpi"};
}

TEST(Agreement, NamesWhatDiffers) {
  struct Case {
    std::function<void(RunRecord &)> change;
    std::string_view message;
  };
  const Case cases[] = {
      {[](RunRecord &) {}, ""},
      {[](RunRecord &r) { r.artifact = 0x9f; },
       "rank 1 (host node1) has another artifact: 000000000000009f, rank 0 has "
       "0000000000000077"},
      {[](RunRecord &r) { r.collectives = 9; }, "another list of collectives"},
      {[](RunRecord &r) { r.placement = 9; },
       "another placement of experts: 0000000000000009"},
      {[](RunRecord &r) { r.checkpoint = 9; }, "another checkpoint"},
      {[](RunRecord &r) { r.version = "0.2\x1b"; },
       "another version of hadal: 0.2\\x1b, rank 0 has 0.1.0"},
      {[](RunRecord &r) { r.library = "mpi 5"; },
       "another communication library: mpi 5"}};
  for (const Case &one : cases) {
    TempDirectory directory;
    asRanks(3, [&](unsigned rank) {
      auto group = joinGroup(optionsOf(directory, rank, 3));
      ASSERT_TRUE(group.ok()) << group.status().message();
      RunRecord record = recordOf(rank);
      if (rank == 1)
        one.change(record);
      const Status status = agree(**group, record, in(5000));
      if (one.message.empty())
        EXPECT_TRUE(status.ok()) << status.message();
      else
        expectError(status, 6003, {one.message});
    });
  }
}

TEST(Agreement, SharesAFailure) {
  TempDirectory directory;
  asRanks(3, [&](unsigned rank) {
    auto group = joinGroup(optionsOf(directory, rank, 3));
    ASSERT_TRUE(group.ok()) << group.status().message();
    EXPECT_TRUE(shareStatus(**group, Status(), in(5000)).ok());
    const Status mine = rank == 2 ? error(5012, "shrank") : Status();
    expectError(shareStatus(**group, mine, in(5000)), 5012,
                {rank == 2 ? "shrank" : "rank 2: shrank"});
  });
}

} // namespace
} // namespace hadal::comm
