// hadal.h as several ranks: what each computes, and how each ends.
#include <thread>

#include <gtest/gtest.h>

#include "test/runtime/capi/RankModel.h"
#include "test/runtime/capi/capi_ranks.h"

using namespace hadal;

namespace {

hadal_rank_options optionsOf(uint32_t rank, uint32_t ranks, const char *run) {
  hadal_rank_options options{};
  options.struct_size = sizeof(options);
  options.rank = rank;
  options.ranks = ranks;
  options.rendezvous = run;
  options.join_timeout = 20;
  options.comm_timeout = 20;
  return options;
}

/// What loading as |options| gives, and the message.
std::pair<int, std::string> load(const toy::TempDir &dir,
                                 const hadal_rank_options &options) {
  hadal_model *model = nullptr;
  hadal_model_options quiet{};
  quiet.quiet = 1;
  const int code =
      hadal_model_load_rank(dir.file("m.hadal").c_str(), dir.path().c_str(),
                            &quiet, &options, &model);
  EXPECT_EQ(model == nullptr, code != 0);
  const std::string message = hadal_last_error();
  hadal_model_free(model);
  return {code, message};
}

void expectRefused(const toy::TempDir &dir, const hadal_rank_options &options,
                   int code, const char *part) {
  const auto [found, message] = load(dir, options);
  EXPECT_EQ(found, code) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

} // namespace

TEST(CApiRanks, ThreadsOfACProgramGiveWhatOneRankGives) {
  constexpr size_t kTokens = 6;
  const std::vector<int32_t> prompt = {5, 17, 3, 9, 40, 41, 42, 7};
  for (uint32_t ranks : {1u, 2u, 4u}) {
    toy::TempDir dir;
    toy::writeRankModel(dir, ranks);
    std::vector<int32_t> tokens(ranks * kTokens);
    ASSERT_EQ(use_ranks(dir.file("m.hadal").c_str(), dir.path().c_str(), ranks,
                        prompt.data(), prompt.size(), tokens.data(), kTokens),
              0)
        << "the line in capi_ranks.c";
    for (uint32_t r = 0; r < ranks; ++r) {
      const std::vector<int32_t> expected =
          toy::greedyTokens({prompt.begin() + r, prompt.end()}, kTokens - r);
      const auto begin = tokens.begin() + r * kTokens;
      EXPECT_EQ(std::vector<int32_t>(begin, begin + (kTokens - r)), expected)
          << "rank " << r << " of " << ranks;
    }
  }
}

TEST(CApiRanks, OptionsThatCannotBeAreRefused) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 2);
  hadal_rank_options options = optionsOf(0, 2, "refused");
  options.struct_size = 0;
  expectRefused(dir, options, 5005, "struct_size is 0");
  options.struct_size = offsetof(hadal_rank_options, token) + 4;
  expectRefused(dir, options, 5005, "struct_size is "); // half of a pointer
  options.struct_size = sizeof(options) + 8;
  struct {
    hadal_rank_options known;
    uint64_t unknown;
  } larger{options, 1};
  expectRefused(dir, larger.known, 5005, "members that this version");

  using Options = hadal_rank_options;
  const struct {
    void (*change)(Options &);
    int code;
    const char *part;
  } refusals[] = {
      {[](Options &o) { o.rank = 2; }, 5011, "rank 2 of 2 ranks"},
      {[](Options &o) { o.ranks = 0; }, 5011, "rank 0 of 0 ranks"},
      {[](Options &o) { o.comm = "pigeon"; }, 5011, "comm 'pigeon'"},
      {[](Options &o) { o.comm_policy = "never"; }, 5011, "never"},
      {[](Options &o) { o.comm_delay = "soon"; }, 5011, "soon"},
      {[](Options &o) { o.token = "0"; }, 5011, "processes"},
      {[](Options &o) { o.comm_timeout = -1; }, 5005,
       "comm_timeout is -1 seconds"},
      // Processes.
      {[](Options &o) { o.comm = "mpi", o.token = "0"; }, 5011,
       "64 hexadecimal digits"},
      {[](Options &o) { o.comm = "mpi", o.comm_delay = "5"; }, 5011,
       "comm_delay"},
      {[](Options &o) { o.comm = "mpi", o.rank = 5; }, 5011,
       "rank 5 of 2 ranks"},
      {[](Options &o) { o.comm = "mpi", o.local_ranks = 1, o.local_rank = 1; },
       5011, "local rank 1 of 1 local ranks"},
      {[](Options &o) { o.comm = "mpi", o.local_ranks = 3; }, 5011,
       "of 3 local ranks, of 2 in all"},
  };
  for (const auto &[change, code, part] : refusals) {
    options = optionsOf(0, 2, "file:/nonexistent/meet");
    change(options);
    expectRefused(dir, options, code, part);
  }
}

TEST(CApiRanks, AStructOfAnOlderProgramIsShorter) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 1);
  // What lies behind is not read.
  hadal_rank_options options = optionsOf(0, 1, "older");
  options.struct_size = offsetof(hadal_rank_options, token);
  options.token = options.placement = options.comm_policy = "not read";
  options.comm_timeout = -1;
  hadal_model *model = nullptr;
  hadal_model_options quiet{};
  quiet.quiet = 1;
  ASSERT_EQ(hadal_model_load_rank(dir.file("m.hadal").c_str(),
                                  dir.path().c_str(), &quiet, &options, &model),
            0)
      << hadal_last_error();
  // Nor what lies behind an answer written.
  hadal_rank_info info{};
  info.struct_size = offsetof(hadal_rank_info, tp);
  info.tp = 77;
  EXPECT_EQ(hadal_model_get_rank_info(model, &info), 0);
  EXPECT_EQ(info.ranks, 1u);
  EXPECT_EQ(info.tp, 77u);
  EXPECT_EQ(info.struct_size, offsetof(hadal_rank_info, tp));
  hadal_model_free(model);
}

TEST(CApiRanks, ARankThatDoesNotJoinIsNamed) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 2);
  hadal_rank_options options = optionsOf(0, 2, "lonely");
  options.join_timeout = 0.2;
  expectRefused(dir, options, 6002, "not all of 2 ranks have joined");
  // It left nothing behind: the same text serves the next run.
  int codes[2] = {};
  std::vector<std::thread> threads;
  for (uint32_t r : {0u, 1u})
    threads.emplace_back(
        [&, r] { codes[r] = load(dir, optionsOf(r, 2, "lonely")).first; });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(codes[1], 0);
}

TEST(CApiRanks, ARankThatGaveUpMayComeAgainWhileOthersWait) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 3);
  int codes[3] = {-1, -1, -1}, codeOfFirst = -1;
  // Waits longer than rank 0, in the run that this one leaves.
  std::thread waiting([&] {
    codeOfFirst = load(dir, optionsOf(1, 3, "again")).first;
    codes[1] = load(dir, optionsOf(1, 3, "again")).first;
  });
  hadal_rank_options impatient = optionsOf(0, 3, "again");
  impatient.join_timeout = 0.3;
  EXPECT_EQ(load(dir, impatient).first, 6002);
  std::thread last([&] { codes[2] = load(dir, optionsOf(2, 3, "again")).first; });
  codes[0] = load(dir, optionsOf(0, 3, "again")).first;
  waiting.join();
  last.join();
  EXPECT_EQ(codeOfFirst, 6002);
  for (int code : codes)
    EXPECT_EQ(code, 0);
}

TEST(CApiRanks, RanksThatDoNotFitAreRefused) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 3);
  // The artifact is for three.
  std::pair<int, std::string> found[2];
  std::vector<std::thread> threads;
  for (uint32_t r : {0u, 1u})
    threads.emplace_back(
        [&, r] { found[r] = load(dir, optionsOf(r, 2, "two")); });
  for (std::thread &thread : threads)
    thread.join();
  for (const auto &[code, message] : found)
    EXPECT_EQ(code, 6004) << message;

  // One that joins a run of three as one of two, and one that joins it twice.
  std::atomic<bool> joined{false};
  std::thread first([&] {
    hadal_rank_options options = optionsOf(0, 3, "three");
    options.join_timeout = 2;
    joined = true;
    EXPECT_EQ(load(dir, options).first, 6002);
  });
  while (!joined)
    std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  expectRefused(dir, optionsOf(1, 2, "three"), 6003, "of 3");
  hadal_rank_options delayed = optionsOf(1, 3, "three");
  delayed.comm_delay = "5";
  expectRefused(dir, delayed, 6003, "comm_delay '5'");
  expectRefused(dir, optionsOf(0, 3, "three"), 6002, "has joined already");
  first.join();
}

TEST(CApiRanks, APeersErrorIsEverybodys) {
  toy::TempDir dir;
  toy::writeRankModel(dir, 2);
  auto asRank = [&](uint32_t r,
                    const std::function<void(hadal_session *)> &body) {
    hadal_rank_options options = optionsOf(r, 2, "errors");
    hadal_model_options quiet{};
    quiet.quiet = 1;
    hadal_model *model = nullptr;
    ASSERT_EQ(hadal_model_load_rank(dir.file("m.hadal").c_str(),
                                    dir.path().c_str(), &quiet, &options,
                                    &model),
              0)
        << hadal_last_error();
    hadal_session *session = nullptr;
    ASSERT_EQ(hadal_session_create(model, nullptr, &session), 0);
    body(session);
    hadal_session_free(session);
    hadal_model_free(model);
  };
  auto step = [](hadal_session *session) {
    const int32_t tokens[] = {5, 6};
    hadal_row_step step{};
    EXPECT_EQ(hadal_session_add_row(session, &step.row), 0);
    step.tokens = tokens;
    step.count = 2;
    return hadal_session_step(session, &step, 1);
  };
  // The program of rank 1 gives up; then one whose thread just leaves.
  for (bool says : {true, false}) {
    std::thread other([&] {
      asRank(1, [&](hadal_session *session) {
        if (says)
          EXPECT_EQ(hadal_session_fail(session, "the request was withdrawn"),
                    0);
      });
    });
    asRank(0, [&](hadal_session *session) {
      const int code = step(session);
      const std::string message = hadal_last_error();
      EXPECT_EQ(code, says ? 5014 : 6001) << message;
      EXPECT_NE(message.find(says ? "the request was withdrawn" : "rank 1"),
                std::string::npos)
          << message;
      EXPECT_EQ(hadal_exit_status(6001), 6);
      // The session is at its end.
      EXPECT_NE(hadal_session_finish(session), 0);
    });
    other.join();
  }
}
