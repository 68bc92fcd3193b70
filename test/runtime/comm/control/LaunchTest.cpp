#include <map>

#include <gtest/gtest.h>

#include "runtime/comm/control/Launch.h"
#include "test/runtime/TempDirectory.h"

namespace hadal::comm {
namespace {

using Variables = std::map<std::string, std::string>;

Environment with(const Variables &variables) {
  return [&variables](const char *name) -> const char * {
    auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

TEST(Launch, NobodyLaunchedThisProcess) {
  auto rank = launchedRank(with({{"HADAL_RANKS", "4"}}));
  ASSERT_TRUE(rank.ok());
  EXPECT_FALSE(*rank);
}

TEST(Launch, KnowsTheLaunchers) {
  struct Case {
    Variables variables;
    unsigned localRanks, localRank;
    std::string launcher;
  };
  const Case cases[] = {
      {{{"HADAL_RANK", "1"}, {"HADAL_RANKS", "4"}, {"PMI_RANK", "9"}},
       4,
       1,
       "HADAL_RANK"},
      {{{"OMPI_COMM_WORLD_RANK", "1"},
        {"OMPI_COMM_WORLD_SIZE", "4"},
        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
        {"SLURM_PROCID", "0"},
        {"SLURM_NTASKS", "1"}},
       2,
       0,
       "mpirun"},
      {{{"PMI_RANK", "1"}, {"PMI_SIZE", "4"}}, 4, 1, "a PMI launcher"},
      {{{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "4"}}, 4, 1, "srun"}};
  for (const Case &one : cases) {
    auto rank = launchedRank(with(one.variables));
    ASSERT_TRUE(rank.ok()) << rank.status().message();
    ASSERT_TRUE(*rank);
    EXPECT_EQ((*rank)->rank, 1u);
    EXPECT_EQ((*rank)->ranks, 4u);
    EXPECT_EQ((*rank)->localRanks, one.localRanks);
    EXPECT_EQ((*rank)->localRank, one.localRank);
    EXPECT_EQ((*rank)->launcher, one.launcher);
  }
}

TEST(Launch, SaysWhatIsWrongInTheEnvironment) {
  test::expectError(launchedRank(with({{"HADAL_RANK", "1"}})).status(), 5011,
                    {"HADAL_RANK is set and HADAL_RANKS is not"});
  test::expectError(
      launchedRank(with({{"HADAL_RANK", "x"}, {"HADAL_RANKS", "2"}})).status(),
      5011, {"HADAL_RANK is 'x', expected a number"});
  test::expectError(
      launchedRank(with({{"HADAL_RANK", "2"}, {"HADAL_RANKS", "2"}})).status(),
      5011, {"ranks are counted from 0"});
}

TEST(Launch, JoinsWhereItIsTold) {
  const std::string token(64, '5');
  const Variables plain = {{"HADAL_JOB_TOKEN", token}},
                  told = {{"HADAL_JOB_TOKEN", token},
                          {"HADAL_RENDEZVOUS", "node0:99"}};
  const LaunchedRank rank{1, 4, 4, 1, "mpirun"};
  EXPECT_EQ(groupOptions(rank, "", with(plain))->rendezvous.text(),
            kDefaultRendezvous);
  EXPECT_EQ(groupOptions(rank, "", with(told))->rendezvous.text(), "node0:99");
  auto options = groupOptions(rank, "file:/x", with(told));
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->rendezvous.text(), "file:/x");
  EXPECT_EQ(options->rank, 1u);
  EXPECT_EQ(options->ranks, 4u);
  EXPECT_EQ(hexOf(options->token), token);
  test::expectError(groupOptions(rank, "", with({})).status(), 5011,
                    {"HADAL_JOB_TOKEN is not set"});
  test::expectError(groupOptions(rank, "nowhere", with(plain)).status(), 5011,
                    {"'nowhere' is no place to meet"});
}

TEST(Launch, HandsMpirunTheSameArguments) {
  const std::string arguments[] = {"x", "m.hadal", "a b"};
  EXPECT_EQ(mpirunCommand(3, "/bin/hadal-run", arguments),
            (std::vector<std::string>{"mpirun", "-n", "3", "--oversubscribe",
                                      "--bind-to", "none", "/bin/hadal-run",
                                      "m.hadal", "a b"}));
}

} // namespace
} // namespace hadal::comm
