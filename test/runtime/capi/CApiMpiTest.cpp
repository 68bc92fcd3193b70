// hadal.h as one of several processes, which mpirun has started.
#include <cstdlib>

#include <gtest/gtest.h>

#include "test/runtime/capi/RankModel.h"
#include "test/runtime/capi/capi_ranks.h"

using namespace hadal;

TEST(CApiMpi, ProcessesGiveWhatOneRankGives) {
  const char *directory = std::getenv("HADAL_TEST_DIRECTORY");
  const char *rank = std::getenv("OMPI_COMM_WORLD_RANK");
  const char *ranks = std::getenv("OMPI_COMM_WORLD_SIZE");
  ASSERT_TRUE(directory && rank && ranks) << "mpirun starts this test";
  const auto r = static_cast<size_t>(std::atoi(rank));
  const std::string meet = std::string("file:") + directory + "/meet";
  const std::string token(64, 'a');
  toy::TempDir dir;
  toy::writeRankModel(dir, static_cast<unsigned>(std::atoi(ranks)));
  hadal_rank_options options{};
  options.struct_size = sizeof(options);
  options.comm = "mpi"; // its rank is what mpirun says
  options.rendezvous = meet.c_str();
  options.token = token.c_str();
  constexpr size_t kTokens = 6;
  const std::vector<int32_t> prompt = {5, 17, 3, 9, 40, 41, 42, 7};
  std::vector<int32_t> tokens(kTokens - r);
  ASSERT_EQ(run_as_rank(dir.file("m.hadal").c_str(), dir.path().c_str(),
                        &options, prompt.data() + r, prompt.size() - r,
                        tokens.data(), tokens.size()),
            0)
      << "the line in capi_ranks.c";
  EXPECT_EQ(tokens, toy::greedyTokens({prompt.begin() + r, prompt.end()},
                                      tokens.size()));
}
