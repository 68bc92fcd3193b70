// The stages of a layer, found in a program of several.
#include "tools/hadal-predict/LayerChain.h"

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::cost;
using namespace hadal::predict;

namespace {

const kernels::AnySpec kCombine = kernels::MoeCombineSpec();
const kernels::AnySpec kAttention = kernels::MlaDecodeSpec();

/// |layers| layers as the compiler orders them, each kernel of 10 us times its
/// place in the layer. |second|: a collective that is under way beside the
/// dispatch.
std::vector<PricedCommand> program(unsigned layers,
                                   const char *second = nullptr) {
  std::vector<PricedCommand> commands;
  unsigned events = 0;
  auto start = [&](const char *label) {
    const unsigned ready = events++, done = events++;
    commands.push_back({Command::record(ready, 0)});
    commands.push_back({Command::wait(ready, 1)});
    commands.push_back({Command::communicate({label, 0, 100, 0, false})});
    commands.push_back({Command::record(done, 1)});
    return done;
  };
  auto launch = [&](double us, const kernels::AnySpec *spec = nullptr) {
    commands.push_back({Command::launch(us), spec});
  };
  for (unsigned layer = 0; layer < layers; ++layer) {
    launch(10);              // projection
    launch(20, &kAttention); // attention
    launch(30);              // o_proj
    const unsigned dispatched = start("dispatch");
    const unsigned other = second ? start(second) : 0;
    launch(40); // shared expert
    commands.push_back({Command::wait(dispatched, 0)});
    if (second)
      commands.push_back({Command::wait(other, 0)});
    launch(50); // experts
    launch(60);
    const unsigned returned = start("return");
    commands.push_back({Command::wait(returned, 0)});
    launch(70, &kCombine);
  }
  return commands;
}

} // namespace

TEST(LayerChain, FindsTheStages) {
  std::optional<Chain> chain = findLayerChain(program(3));
  ASSERT_TRUE(chain.has_value());
  ASSERT_TRUE(checkChain(*chain).ok()) << checkChain(*chain).message();
  struct Expected {
    const char *name;
    double us;
    unsigned launches;
    const char *awaits, *starts;
  };
  const Expected expected[] = {{"shared", 40, 1, "", ""},
                               {"after_dispatch", 110, 2, "dispatch", "return"},
                               {"after_return", 70, 1, "return", ""},
                               {"project", 10, 1, "", ""},
                               {"attend", 50, 2, "", "dispatch"}};
  ASSERT_EQ(chain->size(), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) {
    const Stage &stage = (*chain)[i];
    EXPECT_EQ(stage.name, expected[i].name);
    EXPECT_DOUBLE_EQ(stage.us, expected[i].us);
    EXPECT_EQ(stage.launches, expected[i].launches);
    EXPECT_EQ(stage.awaits, expected[i].awaits);
    EXPECT_EQ(stage.starts ? stage.starts->label : "", expected[i].starts);
  }
  // One micro-batch of it takes what a layer of the program takes.
  const std::vector<PricedCommand> priced = program(1);
  std::vector<Command> commands;
  for (const PricedCommand &one : priced)
    commands.push_back(one.command);
  EXPECT_DOUBLE_EQ(runPlain(*chain, {})->us, simulate(commands, {})->us);
}

TEST(LayerChain, NeedsTwoLayersThatExchangeRows) {
  EXPECT_FALSE(findLayerChain(program(0)).has_value());
  EXPECT_FALSE(findLayerChain(program(1)).has_value());
  EXPECT_TRUE(findLayerChain(program(2)).has_value());
}

TEST(LayerChain, EachOfTwoUnderWayIsAwaited) {
  std::optional<Chain> chain = findLayerChain(program(3, "reduce"));
  ASSERT_TRUE(chain.has_value());
  EXPECT_TRUE(checkChain(*chain).ok()) << checkChain(*chain).message();
  std::vector<std::string> awaited;
  for (const Stage &stage : *chain)
    if (!stage.awaits.empty())
      awaited.push_back(stage.awaits);
  EXPECT_EQ(awaited,
            (std::vector<std::string>{"dispatch", "reduce", "return"}));
}
