// Ranks as threads, each with a session of the toy model: what they agree on,
// and how they end.
#include <atomic>
#include <cstring>
#include <thread>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/engine/Generator.h"
#include "runtime/cts/ToyRanks.h"
#include "test/runtime/session/ForwardingDriver.h"
#include "test/runtime/session/ToyModel.h"

using namespace hadal;
using schema::ArgKind;
using schema::CommandT;
using schema::Rung;

namespace {

using Tokens = std::vector<int32_t>;

Tokens someTokens(size_t count, int seed) {
  Tokens tokens;
  for (size_t i = 0; i < count; ++i)
    tokens.push_back(
        static_cast<int32_t>((seed * 31 + i * 17 + i * i) % toy::kVocab));
  return tokens;
}

/// The toy model for |ranks| ranks that split the sequences: no rank needs
/// another's rows, so that each must give what one rank gives.
schema::ArtifactT model(unsigned ranks, unsigned tp = 1) {
  schema::ArtifactT a = toy::model();
  a.mesh = std::make_unique<schema::MeshT>();
  a.mesh->tp = tp;
  a.mesh->dp = ranks / tp;
  a.mesh->slots = toy::kExperts;
  // Those of which a tp group cannot share the tokens.
  std::erase_if(a.entries,
                [&](const auto &entry) { return entry->tokens % tp != 0; });
  return a;
}

/// Adds an `expected` twin of entry |name| of |a|. |overflows|: any token of
/// any rank wants two rows, one too many for it, and then it computes something
/// else.
void addExpected(schema::ArtifactT &a, const std::string &name,
                 bool overflows) {
  auto has = [&](const auto &s) { return s->name == "comm.overflow"; };
  if (std::none_of(a.states.begin(), a.states.end(), has)) {
    auto state = std::make_unique<schema::StateT>();
    state->name = "comm.overflow";
    state->kind = schema::StateKind::buffer;
    state->bytes = 8 * a.mesh->ep;
    a.states.push_back(std::move(state));
    for (auto &function : a.functions)
      if (function->num_states == a.states.size() - 1)
        function->num_states += 1;
  }
  const auto at = std::find_if(a.entries.begin(), a.entries.end(),
                               [&](const auto &e) { return e->name == name; });
  auto twin = std::make_unique<schema::EntryT>(**at);
  (*at)->name = name + "_worst";
  (*at)->capacity_rows = (*at)->capacity_pairs = (*at)->tokens;
  twin->rung = Rung::expected;
  twin->capacity_rows = twin->capacity_pairs = 1;
  auto body = std::make_unique<schema::FunctionT>(*a.functions[twin->function]);
  body->name = name + "_expected";
  if (overflows) {
    // Twice state[token % 1] += 1 for every token, and the hidden rows are not
    // moved.
    body->commands.pop_back();
    for (int i = 0; i < 2; ++i)
      body->commands.push_back(std::make_unique<CommandT>(toy::launch(
          toy::kRoute, 1,
          {toy::arg(ArgKind::state, static_cast<uint32_t>(a.states.size() - 1)),
           toy::arg(ArgKind::input, uint32_t(schema::Input::tokens)),
           toy::arg(ArgKind::input, uint32_t(schema::Input::sizes)),
           toy::arg(ArgKind::scalar, 0, 1)})));
  }
  twin->function = static_cast<uint32_t>(a.functions.size());
  a.functions.push_back(std::move(body));
  a.entries.push_back(std::move(twin));
}

/// Gives every layer a placement table, as if ranks shared the experts.
void addPlacementTables(schema::ArtifactT &a) {
  const size_t before = a.parameters.size();
  for (int layer = 0; layer < toy::kLayers; ++layer) {
    auto table = std::make_unique<schema::ParameterT>();
    table->name = "placement." + std::to_string(layer);
    table->kind = schema::ParameterKind::generated;
    table->place = schema::Placement::copy;
    table->dtype = schema::DType::i32;
    table->generator = schema::Generator::placement_table;
    table->replicas = 1;
    table->layer = layer;
    a.parameters.push_back(std::move(table));
  }
  for (auto &function : a.functions)
    if (function->num_parameters == before)
      function->num_parameters = static_cast<uint32_t>(a.parameters.size());
}

/// A device that fails from some moment on, or stores something else.
class FailingDriver final : public test::ForwardingDriver {
public:
  using ForwardingDriver::ForwardingDriver;
  std::atomic<bool> failsWrites = false, failsReads = false;
  /// The first i32 of the next write, which is what begins a call: its tokens.
  std::atomic<bool> altersNext = false;

  Status write(DeviceAddress to, const void *from, uint64_t bytes) override {
    if (altersNext.exchange(false)) {
      std::vector<int32_t> values(bytes / sizeof(int32_t));
      std::memcpy(values.data(), from, bytes);
      values[0] = (values[0] + 1) % toy::kVocab;
      return ForwardingDriver::write(to, values.data(), bytes);
    }
    return failsWrites ? error(5017, "the device is lost")
                       : ForwardingDriver::write(to, from, bytes);
  }
  Status read(void *to, DeviceAddress from, uint64_t bytes) override {
    return failsReads ? error(5017, "the device is lost")
                      : ForwardingDriver::read(to, from, bytes);
  }
};

/// One rank of a run.
struct Rank {
  comm::Group &group;
  Model &model;
  Session &session;
  FailingDriver &driver;
};

/// Loads |artifact| on a thread for each rank and runs |body| with it.
class RankRun {
public:
  explicit RankRun(unsigned ranks) : statuses(ranks), ranks(ranks) {}

  /// Of each rank: what to load instead, and from where.
  std::function<schema::ArtifactT(unsigned)> artifactOf;
  std::function<float(unsigned)> biasOf;
  std::function<void(unsigned, ModelOptions &)> change;
  comm::StreamOptions collectives;
  bool checkCollectives = false;
  /// False: a rank that fails is gone without a word.
  bool saysWhatFailed = true;

  void operator()(const std::function<Status(Rank &)> &body) {
    world = comm::LoopbackWorld::create(ranks);
    std::vector<std::unique_ptr<comm::Group>> groups;
    for (unsigned r = 0; r < ranks; ++r)
      groups.push_back(world->join(r));
    std::vector<std::thread> threads;
    for (unsigned r = 0; r < ranks; ++r)
      threads.emplace_back([&, r] {
        std::unique_ptr<comm::Group> group = std::move(groups[r]);
        statuses[r] = runRank(*group, body);
        if (!statuses[r].ok() && saysWhatFailed)
          group->fail(statuses[r]);
      });
    for (std::thread &thread : threads)
      thread.join();
  }

  void expectAllOk() const {
    for (const Status &status : statuses)
      EXPECT_TRUE(status.ok()) << status.toString();
  }

  std::vector<Status> statuses;
  std::shared_ptr<comm::LoopbackWorld> world;

private:
  Status runRank(comm::Group &group,
                 const std::function<Status(Rank &)> &body) {
    const unsigned r = group.rank();
    toy::TempDir dir;
    toy::writeFile(dir.file("m.hadal"),
                   toy::assemble(artifactOf ? artifactOf(r) : model(ranks)));
    toy::writeWeights(dir.path(), biasOf ? biasOf(r) : toy::bias(3));
    HADAL_ASSIGN_OR_RETURN(
        std::unique_ptr<Driver> cpu,
        cpu::createCpuDriver({.threads = 1, .variant = "v3"}));
    auto driver = std::make_unique<FailingDriver>(std::move(cpu));
    FailingDriver &failing = *driver;
    ModelOptions options;
    options.artifactPath = dir.file("m.hadal");
    options.weightsDirectory = dir.path();
    options.quiet = true;
    options.group = &group;
    if (change)
      change(r, options);
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Model> loaded,
                           Model::load(std::move(driver), options));
    SessionOptions sessionOptions;
    sessionOptions.collectives = collectives;
    sessionOptions.checkCollectives = checkCollectives;
    HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                           Session::create(*loaded, sessionOptions));
    Rank rank{group, *loaded, *session, failing};
    HADAL_RETURN_IF_ERROR(body(rank));
    return session->finish();
  }

  const unsigned ranks;
};

/// Steps one row by |tokens| in pieces and compares with the definition.
Status stepAndCheck(Session &session, const Tokens &tokens, size_t first) {
  HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
  const std::vector<std::vector<float>> expected = toy::referenceLogits(tokens);
  for (size_t at = 0; at < tokens.size();) {
    const size_t count = at ? 1 : first;
    StepRow step{row, std::span(tokens).subspan(at, count), LogitsWanted::All,
                 at ? Phase::Decode : Phase::Prompt};
    HADAL_RETURN_IF_ERROR(
        session.step({&step, 1}, [&](size_t, uint64_t position,
                                     std::span<const float> logits) {
          EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()),
                    expected[position])
              << "position " << position;
          return Status();
        }));
    at += count;
  }
  return session.removeRow(row);
}

} // namespace

TEST(Ranks, EachGivesWhatOneRankGives) {
  for (unsigned ranks : {1, 2, 3, 8}) {
    RankRun run(ranks);
    std::atomic<uint64_t> idle{0};
    run([&](Rank &rank) -> Status {
      // Unequal numbers of steps, and ranks without any.
      const unsigned r = rank.group.rank();
      if (r % 3 != 2)
        HADAL_RETURN_IF_ERROR(stepAndCheck(
            rank.session, someTokens(5 + 7 * r % 30, int(r)), 3 + r % 2));
      HADAL_RETURN_IF_ERROR(rank.session.finish());
      idle += rank.session.counters().idleCalls;
      return {};
    });
    run.expectAllOk();
    EXPECT_EQ(idle > 0, ranks > 1) << ranks;
  }
}

TEST(Ranks, TakeTheSmallestEntryThatHoldsWhatEachAsks) {
  RankRun run(2);
  run([&](Rank &rank) -> Status {
    // A prompt of 12 beside single tokens: both take the bucket of 16.
    Session &session = rank.session;
    HADAL_RETURN_IF_ERROR(
        stepAndCheck(session, someTokens(12, 1), rank.group.rank() ? 12 : 1));
    HADAL_RETURN_IF_ERROR(session.finish());
    EXPECT_EQ(session.counters().bodyCalls, 12u);
    EXPECT_EQ(session.counters().idleCalls, rank.group.rank() ? 11u : 0u);
    return {};
  });
  run.expectAllOk();
}

TEST(Ranks, PromptsAndStepsOfOthersTakeTurns) {
  RankRun run(2);
  std::atomic<unsigned> decoded{0};
  run([&](Rank &rank) -> Status {
    Session &session = rank.session;
    HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
    const Tokens tokens = someTokens(5, int(rank.group.rank()));
    const std::vector<std::vector<float>> expected =
        toy::referenceLogits(tokens);
    const StepRow step{row, tokens, LogitsWanted::All,
                       rank.group.rank() ? Phase::Prompt : Phase::Decode};
    HADAL_RETURN_IF_ERROR(
        session.step({&step, 1}, [&](size_t, uint64_t position,
                                     std::span<const float> logits) {
          EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()),
                    expected[position]);
          decoded += rank.group.rank() == 0;
          return Status();
        }));
    // The prompt did not wait for all of the other's tokens.
    if (rank.group.rank())
      EXPECT_LT(decoded, 5u);
    HADAL_RETURN_IF_ERROR(session.finish());
    EXPECT_EQ(session.counters().bodyCalls, 6u); // five tokens and a prompt
    EXPECT_EQ(session.counters().headCalls, rank.group.rank() ? 2u : 5u);
    return {};
  });
  run.expectAllOk();
}

TEST(Ranks, WhatNoEntryHoldsIsDoneInSeveralCalls) {
  RankRun run(2);
  run([&](Rank &rank) -> Status {
    // 40 tokens of one row beside 4 rows of one: no bucket holds both, the
    // largest takes 16 of the one and all of the others.
    Session &session = rank.session;
    if (!rank.group.rank()) {
      HADAL_RETURN_IF_ERROR(stepAndCheck(session, someTokens(40, 3), 40));
    } else {
      std::vector<StepRow> steps;
      std::vector<Tokens> tokens;
      for (int i = 0; i < 4; ++i)
        tokens.push_back(someTokens(1, i));
      for (const Tokens &t : tokens) {
        HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
        steps.push_back({row, t, LogitsWanted::Last});
      }
      HADAL_RETURN_IF_ERROR(session.step(
          steps, [&](size_t i, uint64_t, std::span<const float> logits) {
            EXPECT_EQ(std::vector<float>(logits.begin(), logits.end()),
                      toy::referenceLogits(tokens[i])[0]);
            return Status();
          }));
    }
    HADAL_RETURN_IF_ERROR(session.finish());
    EXPECT_EQ(session.counters().bodyCalls, 3u);
    return {};
  });
  run.expectAllOk();
}

TEST(Ranks, WhatOverflowsIsRunAgain) {
  for (unsigned ranks : {1, 2, 4}) {
    RankRun run(ranks);
    run.artifactOf = [&](unsigned) {
      schema::ArtifactT a = model(ranks);
      addExpected(a, "decode_1", /*overflows=*/true);
      addExpected(a, "prefill_16", /*overflows=*/false);
      return a;
    };
    std::atomic<uint64_t> replayed{0};
    std::vector<std::vector<Session::ExpertLoad>> loads(ranks);
    const Tokens tokens = someTokens(20, 5);
    run([&](Rank &rank) -> Status {
      Session &session = rank.session;
      // 14 at once, then 6 steps that overflow; of the last rank only 2.
      const bool shorter = ranks > 1 && rank.group.rank() + 1 == ranks;
      Tokens mine = tokens;
      mine.resize(shorter ? 16 : 20);
      HADAL_RETURN_IF_ERROR(stepAndCheck(session, mine, 14));
      HADAL_RETURN_IF_ERROR(session.finish());
      EXPECT_EQ(session.counters().expectedCalls, 7u);
      replayed += session.counters().replayedCalls;
      HADAL_ASSIGN_OR_RETURN(loads[rank.group.rank()], session.expertLoad());
      return {};
    });
    run.expectAllOk();
    EXPECT_EQ(replayed, 6 * ranks);
    // Every token once, of all ranks.
    std::vector<uint64_t> expected(toy::kExperts);
    for (unsigned r = 0; r < ranks; ++r)
      for (size_t i = 0; i < (ranks > 1 && r + 1 == ranks ? 16 : 20); ++i)
        expected[static_cast<size_t>(tokens[i] % toy::kExperts)] += 1;
    for (const auto &list : loads) {
      ASSERT_EQ(list.size(), size_t{toy::kLayers});
      for (const Session::ExpertLoad &load : list)
        EXPECT_EQ(load.tokens, expected);
    }
  }
}

TEST(Ranks, TheErrorOfOneEndsAllWithItsCode) {
  using Step = std::function<Status(Session &)>;
  auto step = [](Session &session, const Tokens &tokens,
                 const Session::LogitsSink &sink) -> Status {
    HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
    StepRow s{row, tokens, LogitsWanted::Last};
    return session.step({&s, 1}, sink);
  };
  auto ignore = [](size_t, uint64_t, std::span<const float>) {
    return Status();
  };
  const std::pair<int, Step> failures[] = {
      {5005, [&](Session &s) { return step(s, {toy::kVocab}, ignore); }},
      {5015,
       [&](Session &s) {
         return step(s, {1}, [](size_t, uint64_t, std::span<const float>) {
           return error(5015, "the disk is full");
         });
       }},
      {5016, [&](Session &s) {
         s.fail(error(5016, "interrupted"));
         return error(5016, "interrupted");
       }}};
  for (const auto &[code, fails] : failures) {
    RankRun run(3);
    run([&](Rank &rank) -> Status {
      if (rank.group.rank() == 1)
        return fails(rank.session);
      // One goes on, one has finished.
      while (!rank.group.rank())
        HADAL_RETURN_IF_ERROR(stepAndCheck(rank.session, {1, 2, 3}, 1));
      return rank.session.finish();
    });
    for (unsigned r : {0, 1, 2}) {
      EXPECT_EQ(run.statuses[r].code(), code) << run.statuses[r].toString();
      if (r != 1) {
        EXPECT_NE(run.statuses[r].message().find("rank 1: "), std::string::npos)
            << run.statuses[r].toString();
      }
    }
  }
}

TEST(Ranks, ASessionThatHasFailedStaysSo) {
  RankRun run(2);
  run([&](Rank &rank) -> Status {
    Status status = rank.session.step({}, {});
    EXPECT_EQ(rank.session.step({}, {}).message(), status.message());
    EXPECT_EQ(rank.session.finish().message(), status.message());
    return status;
  });
  for (const Status &status : run.statuses)
    EXPECT_EQ(status.code(), 5005) << status.toString();
}

TEST(Ranks, ARankThatIsGoneIsNamed) {
  RankRun run(3);
  run.saysWhatFailed = false;
  run([&](Rank &rank) -> Status {
    HADAL_RETURN_IF_ERROR(stepAndCheck(rank.session, {1, 2}, 1));
    if (rank.group.rank() == 2)
      return error(5014, "killed");
    return stepAndCheck(rank.session, {1, 2}, 1);
  });
  for (unsigned r : {0, 1}) {
    EXPECT_EQ(run.statuses[r].code(), 6001) << run.statuses[r].toString();
    EXPECT_NE(run.statuses[r].message().find("rank 2 is gone"),
              std::string::npos)
        << run.statuses[r].toString();
  }
}

TEST(Ranks, WhatRanksLoadMustBeEqual) {
  auto expectAll = [](const RankRun &run, int code, std::string_view text) {
    for (const Status &status : run.statuses) {
      EXPECT_EQ(status.code(), code) << status.toString();
      EXPECT_NE(status.message().find(text), std::string::npos)
          << status.toString();
    }
  };
  auto nothing = [](Rank &) { return Status(); };
  RankRun artifacts(3);
  artifacts.artifactOf = [](unsigned r) {
    schema::ArtifactT a = model(3);
    if (r == 1)
      a.provenance->remarks = {"another"};
    return a;
  };
  artifacts(nothing);
  expectAll(artifacts, 6003, "rank 1 ");
  RankRun weights(2);
  weights.biasOf = [](unsigned r) { return r ? 0.5f : 0.25f; };
  weights(nothing);
  expectAll(weights, 6003, "checkpoint");
  RankRun failing(2);
  failing.change = [](unsigned r, ModelOptions &options) {
    if (r)
      options.weightsDirectory = "/nowhere";
  };
  failing(nothing);
  expectAll(failing, 5001, "/nowhere");
}

TEST(Ranks, TheirNumberMustBeThatOfTheArtifact) {
  RankRun fewer(2);
  fewer.artifactOf = [](unsigned) { return model(4, 2); };
  fewer([](Rank &) { return Status(); });
  RankRun none(2);
  none.artifactOf = [](unsigned) { return toy::model(); };
  none([](Rank &) { return Status(); });
  const std::pair<RankRun *, std::string> cases[] = {
      {&fewer, "built for 4 ranks (tp 2 x dp 2), started with 2"},
      {&none, "built for one rank, started with 2; leave out --ranks"}};
  for (const auto &[run, text] : cases)
    for (const Status &status : run->statuses) {
      EXPECT_EQ(status.code(), 6004) << status.toString();
      EXPECT_NE(status.message().find(text), std::string::npos)
          << status.toString();
    }
  toy::TempDir dir;
  toy::writeFile(dir.file("m.hadal"), toy::assemble(model(4)));
  toy::writeWeights(dir.path());
  auto driver = cpu::createCpuDriver({.threads = 1, .variant = {}});
  ASSERT_TRUE(driver.ok());
  auto alone =
      Model::load(std::move(*driver), {.artifactPath = dir.file("m.hadal"),
                                       .weightsDirectory = dir.path(),
                                       .quiet = true});
  EXPECT_EQ(alone.status().code(), 6004);
  EXPECT_NE(alone.status().message().find("start it with --ranks 4"),
            std::string::npos)
      << alone.status().toString();
}

TEST(Ranks, OfATpGroupBringTheSameTokens) {
  for (bool same : {true, false}) {
    RankRun run(4);
    run.artifactOf = [](unsigned) { return model(4, 2); };
    run([&](Rank &rank) -> Status {
      const int seed = int(rank.group.rank()) / (same ? 2 : 1);
      // The toy model does not share its tokens: sizes are all that differs.
      Session &session = rank.session;
      HADAL_ASSIGN_OR_RETURN(uint32_t row, session.addRow());
      const Tokens tokens = someTokens(4, seed);
      StepRow step{row, tokens, LogitsWanted::None};
      return session.step({&step, 1}, {});
    });
    for (const Status &status : run.statuses) {
      EXPECT_EQ(status.code(), same ? 0 : 6006) << status.toString();
      if (!same) {
        EXPECT_NE(status.message().find("ranks 0 and 1 of a tp group"),
                  std::string::npos)
            << status.toString();
      }
    }
  }
}

TEST(Ranks, EightMakeTwoHundredStepsTogether) {
  RankRun run(8);
  std::vector<uint64_t> calls(8);
  run([&](Rank &rank) -> Status {
    // Rows of 50 steps, one rank a row more than another.
    const unsigned r = rank.group.rank();
    for (unsigned i = 0; i < 4 + r % 2; ++i)
      HADAL_RETURN_IF_ERROR(
          stepAndCheck(rank.session, someTokens(50, int(r + i)), 1));
    HADAL_RETURN_IF_ERROR(rank.session.finish());
    calls[r] = rank.session.counters().bodyCalls;
    return {};
  });
  run.expectAllOk();
  EXPECT_EQ(calls, std::vector<uint64_t>(8, 250));
}

TEST(Ranks, WhatFailsBehindAnAgreementEndsAllAtOnce) {
  for (bool writes : {true, false}) {
    RankRun run(2);
    // Its collectives wait for what fails; the loads are saved before them.
    run.artifactOf = [](unsigned) {
      schema::ArtifactT a = toy::rankModel(2);
      addExpected(a, "decode_1", /*overflows=*/false);
      return a;
    };
    const auto begin = std::chrono::steady_clock::now();
    run([&](Rank &rank) -> Status {
      HADAL_ASSIGN_OR_RETURN(uint32_t row, rank.session.addRow());
      const int32_t token = 3;
      const StepRow step{row, {&token, 1}, LogitsWanted::None,
                         Phase::Decode};
      HADAL_RETURN_IF_ERROR(rank.session.step({&step, 1}, {}));
      if (rank.group.rank() == 1)
        (writes ? rank.driver.failsWrites : rank.driver.failsReads) = true;
      return rank.session.step({&step, 1}, {});
    });
    // Long before the others would be tired of waiting.
    EXPECT_LT(std::chrono::steady_clock::now() - begin,
              run.collectives.timeout / 2);
    EXPECT_EQ(run.statuses[1].code(), 5017) << run.statuses[1].toString();
    EXPECT_EQ(run.statuses[0].code(), 6001) << run.statuses[0].toString();
    EXPECT_NE(run.statuses[0].message().find(
                  "rank 1 ended with error H5017: the device is lost"),
              std::string::npos)
        << run.statuses[0].toString();
  }
}

TEST(Ranks, AnAlteredPlacementTableIsNamed) {
  for (bool altered : {false, true}) {
    RankRun run(2);
    run.checkCollectives = true;
    run.artifactOf = [](unsigned) {
      schema::ArtifactT a = model(2);
      addPlacementTables(a);
      return a;
    };
    run([&](Rank &rank) -> Status {
      HADAL_RETURN_IF_ERROR(stepAndCheck(rank.session, {1, 2}, 1));
      if (altered && rank.group.rank() == 1) {
        // Expert 2 of the last layer in another slot.
        const int32_t slot = 1;
        HADAL_RETURN_IF_ERROR(rank.driver.write(
            rank.model.parameters().back() + 5 * sizeof(slot), &slot,
            sizeof(slot)));
      }
      return stepAndCheck(rank.session, {1, 2}, 1);
    });
    if (!altered) {
      run.expectAllOk();
      continue;
    }
    const std::string text = "rank 1: the placement table of layer 1 is not "
                             "the one that was loaded: a slot is 1 for expert "
                             "2, expected 2";
    EXPECT_EQ(run.statuses[1].code(), 6006) << run.statuses[1].toString();
    EXPECT_EQ(run.statuses[0].code(), 6001) << run.statuses[0].toString();
    for (const Status &status : run.statuses)
      EXPECT_NE(status.message().find(text), std::string::npos)
          << status.toString();
  }
}

TEST(Ranks, OfATpGroupHaveEqualSlicesOfEveryCall) {
  using Slice = RankLayout::Slice;
  auto slices = [](unsigned tp, uint32_t capacity, int32_t tokens) {
    std::vector<Slice> result;
    for (unsigned t = 0; t < tp; ++t)
      // Of the second dp rank: the same as of the first.
      result.push_back(RankLayout{tp + t, tp, 2, 1}.slice(capacity, tokens));
    return result;
  };
  EXPECT_EQ(slices(1, 7, 5), (std::vector<Slice>{{0, 5}}));
  EXPECT_EQ(slices(4, 16, 16),
            (std::vector<Slice>{{0, 4}, {4, 4}, {8, 4}, {12, 4}}));
  EXPECT_EQ(slices(4, 16, 6),
            (std::vector<Slice>{{0, 4}, {4, 2}, {8, 0}, {12, 0}}));
  EXPECT_EQ(slices(2, 8, 0), (std::vector<Slice>{{0, 0}, {4, 0}}));
}

TEST(Ranks, OfATpGroupMustSampleTheSameTokens) {
  RankRun run(4);
  run.artifactOf = [](unsigned) { return model(4, 2); };
  run([&](Rank &rank) -> Status {
    rank.driver.altersNext = rank.group.rank() == 3;
    engine::Request request;
    request.prompt = someTokens(1, 1 + int(rank.group.rank()) / 2);
    request.maxTokens = 8;
    request.ignoreEos = true;
    return engine::generate(rank.session, rank.model, {&request, 1},
                    [](size_t, const engine::Delta &) { return Status(); })
        .status();
  });
  for (const Status &status : run.statuses) {
    EXPECT_EQ(status.code(), 6006) << status.toString();
    EXPECT_NE(status.message().find("ranks 2 and 3 of a tp group bring "
                                    "different tokens or logits to step 1"),
              std::string::npos)
        << status.toString();
  }
}

TEST(Ranks, CheckedTpGroupsMustHaveEqualLogits) {
  // Also those of the last call; the tokens themselves are the test's.
  for (bool checks : {false, true})
    for (unsigned steps : {1, 2}) {
      RankRun run(4);
      run.checkCollectives = checks;
      run.artifactOf = [](unsigned) { return model(4, 2); };
      run([&](Rank &rank) -> Status {
        HADAL_ASSIGN_OR_RETURN(uint32_t row, rank.session.addRow());
        rank.driver.altersNext = rank.group.rank() == 1;
        const int32_t token = 7;
        const StepRow step{row, {&token, 1}, LogitsWanted::Last,
                           Phase::Decode};
        for (unsigned i = 0; i < steps; ++i)
          HADAL_RETURN_IF_ERROR(rank.session.step(
              {&step, 1}, [](size_t, uint64_t, std::span<const float>) {
                return Status();
              }));
        return {};
      });
      for (const Status &status : run.statuses) {
        EXPECT_EQ(status.code(), checks ? 6006 : 0) << status.toString();
        if (checks)
          EXPECT_NE(status.message().find("ranks 0 and 1 of a tp group"),
                    std::string::npos)
              << status.toString();
      }
    }
}
