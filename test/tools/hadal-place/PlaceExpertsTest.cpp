// Placements: EPLB's published example, how even lognormal loads become, that
// no rank holds an expert twice.
#include "tools/hadal-place/PlaceExperts.h"

#include <cmath>
#include <numbers>
#include <random>
#include <set>

#include <gtest/gtest.h>

using namespace hadal;

namespace {

/// Tokens of 256 experts whose logarithms are normal with deviation |sigma|, by
/// Box and Muller: equal on every standard library.
std::vector<uint64_t> lognormalLoad(std::mt19937_64 &bits, double sigma) {
  auto uniform = [&] {
    return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53;
  };
  std::vector<uint64_t> load(256);
  for (uint64_t &tokens : load)
    tokens = static_cast<uint64_t>(
        1000 * std::exp(sigma * std::sqrt(-2 * std::log(uniform())) *
                        std::cos(2 * std::numbers::pi * uniform())));
  return load;
}

/// Every expert is somewhere, and on no rank twice.
void expectLegal(const PlacementProblem &problem,
                 const std::vector<uint32_t> &slots) {
  ASSERT_EQ(slots.size(), size_t{problem.ranks} * problem.slots);
  std::set<uint32_t> all(slots.begin(), slots.end());
  EXPECT_EQ(all.size(), problem.experts);
  EXPECT_LT(*all.rbegin(), problem.experts);
  for (uint32_t rank = 0; rank < problem.ranks; ++rank) {
    auto first = slots.begin() + rank * problem.slots;
    EXPECT_EQ(std::set<uint32_t>(first, first + problem.slots).size(),
              problem.slots)
        << "rank " << rank;
  }
}

std::string refusal(PlacementProblem problem) {
  Status status = checkProblem(problem);
  EXPECT_EQ(status.code(), 5011);
  return status.message();
}

} // namespace

// The example of EPLB's README.
TEST(PlaceExperts, PublishedExample) {
  const PlacementProblem problem{12, 4, 8, 2, 2};
  ASSERT_TRUE(checkProblem(problem).ok());
  PlacedLayer first =
      placeExperts(problem, std::vector<uint64_t>{90, 132, 40, 61, 104, 165, 39,
                                                  4, 73, 56, 183, 86});
  EXPECT_EQ(first.experts, (std::vector<uint32_t>{5, 6, 5, 7, 8, 4, 3, 4, 10, 9,
                                                  10, 2, 0, 1, 11, 1}));
  EXPECT_EQ(first.swaps, 0u);
  PlacedLayer second =
      placeExperts(problem, std::vector<uint64_t>{20, 107, 104, 64, 19, 197,
                                                  187, 157, 172, 86, 16, 27});
  EXPECT_EQ(second.experts, (std::vector<uint32_t>{7, 10, 6, 8, 6, 11, 8, 9, 2,
                                                   4, 5, 1, 5, 0, 3, 1}));
  EXPECT_EQ(second.swaps, 0u);
}

// 58 layers with loads of deviation 0.8.
TEST(PlaceExperts, LognormalLoadsBecomeEven) {
  std::mt19937_64 bits(9);
  std::vector<std::vector<uint64_t>> loads;
  for (int layer = 0; layer < 58; ++layer)
    loads.push_back(lognormalLoad(bits, 0.8));
  struct Case {
    PlacementProblem problem;
    bool hierarchical;
    double atLeast;
  };
  const Case cases[] = {{{256, 8, 32, 4, 9}, true, 0.94},
                        {{256, 8, 72, 9, 4}, false, 0.96},
                        {{256, 8, 144, 18, 2}, false, 0.83}};
  const auto start = std::chrono::steady_clock::now();
  for (const auto &[problem, hierarchical, atLeast] : cases) {
    ASSERT_TRUE(checkProblem(problem).ok());
    EXPECT_EQ(problem.hierarchical(), hierarchical);
    std::vector<uint32_t> unplaced(size_t{problem.ranks} * problem.slots);
    for (size_t slot = 0; slot < unplaced.size(); ++slot)
      unplaced[slot] = static_cast<uint32_t>(slot % 256);
    double before = 0, after = 0;
    uint32_t swaps = 0;
    for (const std::vector<uint64_t> &load : loads) {
      PlacedLayer placed = placeExperts(problem, load);
      expectLegal(problem, placed.experts);
      swaps += placed.swaps;
      before += balancedness(problem, load, unplaced) / 58;
      after += balancedness(problem, load, placed.experts) / 58;
    }
    fmt::print(
        "{} ranks of {} slots: balancedness {:.3f} -> {:.3f}, {} swaps\n",
        problem.ranks, problem.slots, before, after, swaps);
    EXPECT_GE(after, atLeast);
    EXPECT_LT(before, 0.6);
  }
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  fmt::print("3 x 58 layers in {:.3f} s\n", took.count());
  EXPECT_LE(took.count(), 1);
}

// A group's experts stay on one node.
TEST(PlaceExperts, GroupsStayOnNodes) {
  std::mt19937_64 bits(3);
  const PlacementProblem problem{256, 8, 32, 4, 9};
  PlacedLayer placed = placeExperts(problem, lognormalLoad(bits, 0.8));
  std::map<uint32_t, std::set<size_t>> nodesOfGroup;
  for (size_t slot = 0; slot < placed.experts.size(); ++slot)
    nodesOfGroup[placed.experts[slot] / 32].insert(slot / 9 / 8);
  for (const auto &[group, nodes] : nodesOfGroup)
    EXPECT_EQ(nodes.size(), 1u) << "group " << group;
}

// Small and crowded problems, where swaps alone may lead nowhere; loads of one
// expert, of none, equal ones.
TEST(PlaceExperts, NoRankHoldsAnExpertTwice) {
  std::mt19937_64 bits(11);
  auto below = [&](uint32_t limit) {
    return static_cast<uint32_t>(bits() % limit);
  };
  unsigned placedCount = 0, swapped = 0;
  for (int i = 0; i < 4000; ++i) {
    PlacementProblem problem;
    problem.groups = 1 + below(4);
    problem.experts = problem.groups * (1 + below(8));
    problem.nodes = 1 + below(4);
    problem.ranks = problem.nodes * (1 + below(4));
    problem.slots = 1 + below(problem.experts);
    if (!checkProblem(problem).ok())
      continue;
    std::vector<uint64_t> load(problem.experts);
    const uint32_t kind = below(4);
    for (uint64_t &tokens : load)
      tokens = kind == 0 ? 0 : kind == 1 ? 7 : below(kind == 2 ? 3 : 100000);
    if (kind == 3)
      load[0] = uint64_t{1} << 60;
    PlacedLayer placed = placeExperts(problem, load);
    expectLegal(problem, placed.experts);
    const double even = balancedness(problem, load, placed.experts);
    EXPECT_GT(even, 0);
    EXPECT_LE(even, 1 + 1e-12);
    ++placedCount;
    swapped += placed.swaps > 0;
  }
  EXPECT_GT(placedCount, 1000u);
  EXPECT_GT(swapped, 50u);
}

TEST(PlaceExperts, MeanOverMost) {
  // Expert 0 has two replicas of 5: ranks have 5 + 3 and 5 + 1.
  EXPECT_DOUBLE_EQ(balancedness({3, 1, 2, 1, 2},
                                std::vector<uint64_t>{10, 3, 0},
                                std::vector<uint32_t>{0, 1, 0, 2}),
                   7.0 / 8);
}

TEST(PlaceExperts, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal({256, 3, 8, 1, 32}),
            "--groups 3 does not divide 256 experts");
  EXPECT_EQ(refusal({256, 8, 8, 3, 32}), "--nodes 3 does not divide --ranks 8");
  EXPECT_EQ(refusal({256, 8, 24, 1, 10}),
            "24 ranks of 10 slots hold 240 experts, the model has 256; use "
            "--slots 11");
  EXPECT_EQ(refusal({4, 1, 2, 1, 5}),
            "5 slots of a rank hold an expert twice: there are 4 experts; use "
            "--slots 4 or fewer");
  EXPECT_EQ(refusal({8, 2, 4, 2, 5}),
            "5 slots of a rank hold an expert twice: there are 4 experts on a "
            "node; use --slots 4 or fewer");
}
