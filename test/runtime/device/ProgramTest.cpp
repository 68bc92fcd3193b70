// What an entry with collectives unrolls to.
#include <gtest/gtest.h>

#include "runtime/cts/ToyRanks.h"
#include "runtime/device/Program.h"

using namespace hadal;

namespace {

class RankProgram : public testing::Test {
protected:
  void SetUp() override {
    file = toy::assemble(toy::rankModel(2));
    artifact = schema::GetArtifact(file.data() + 64);
    bindings.parameters.resize(3);
    bindings.states = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000};
    bindings.arena = 0x10000;
  }
  std::vector<uint8_t> file;
  const schema::Artifact *artifact = nullptr;
  Bindings bindings;
};

} // namespace

TEST_F(RankProgram, CollectivesAreNumberedAndNamedByLayer) {
  LaunchList list = flatten(*artifact, *artifact->entries()->Get(0), bindings);
  ASSERT_EQ(list.collectives.size(), 3u);
  const char *labels[] = {"dispatch, layer 0", "dispatch, layer 1",
                          "sum, layers 0 and 1"};
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(list.collectives[i].operation.label, labels[i]);
    EXPECT_EQ(list.collectives[i].operation.sequence, i);
    EXPECT_EQ(list.collectives[i].communicator, 0u);
  }
  const comm::Operation &dispatch = list.collectives[1].operation;
  EXPECT_EQ(dispatch.kind, comm::Kind::allToAll);
  ASSERT_EQ(dispatch.parts.size(), 2u);
  EXPECT_EQ(dispatch.parts[0].send, 0x10000u);
  EXPECT_EQ(dispatch.parts[0].receive, 0x10040u);
  EXPECT_EQ(dispatch.parts[0].rows, 2u);
  EXPECT_EQ(dispatch.parts[0].rowBytes, 8u);
  EXPECT_EQ(dispatch.parts[0].countColumn, 0);
  EXPECT_EQ(dispatch.parts[1].countColumn, -1);
  EXPECT_EQ(dispatch.counts, 0x100c0u);
  EXPECT_EQ(dispatch.countStride, 1u);
  const comm::Operation &sum = list.collectives[2].operation;
  EXPECT_EQ(sum.kind, comm::Kind::allReduce);
  EXPECT_EQ(sum.parts[0].dtype, DType::f32);
  EXPECT_EQ(sum.counts, 0u);
}

TEST_F(RankProgram, CommandsLieBetweenTheirLaunchesWithEventsOfTheirOwn) {
  using Kind = RankCommand::Kind;
  LaunchList list = flatten(*artifact, *artifact->entries()->Get(0), bindings);
  EXPECT_EQ(list.launches.size(), 2u * 6 + 2);
  EXPECT_EQ(list.numEvents, 6u);
  struct Expected {
    Kind kind;
    unsigned stream, index, position;
  };
  const Expected expected[] = {
      {Kind::record, 0, 0, 2},  {Kind::wait, 1, 0, 2},
      {Kind::start, 1, 0, 2},   {Kind::record, 1, 1, 2},
      {Kind::wait, 0, 1, 3}, // a launch beside it
      {Kind::record, 0, 2, 8},  {Kind::wait, 1, 2, 8},
      {Kind::start, 1, 1, 8},   {Kind::record, 1, 3, 8},
      {Kind::wait, 0, 3, 9},    {Kind::record, 0, 4, 13},
      {Kind::wait, 1, 4, 13},   {Kind::start, 1, 2, 13},
      {Kind::record, 1, 5, 13}, {Kind::wait, 0, 5, 13},
  };
  // Events of a function are numbered when it is entered: the entry's first.
  ASSERT_EQ(list.commands.size(), std::size(expected));
  for (size_t i = 0; i < list.commands.size(); ++i) {
    const RankCommand &command = list.commands[i];
    EXPECT_EQ(command.kind, expected[i].kind) << i;
    EXPECT_EQ(command.stream, expected[i].stream) << i;
    EXPECT_EQ(command.position, expected[i].position) << i;
    if (command.kind == Kind::start)
      EXPECT_EQ(command.index, expected[i].index) << i;
    else
      EXPECT_EQ(command.index, (expected[i].index + 2) % 6) << i;
  }
}

TEST_F(RankProgram, AnEntryWithoutCollectivesHasLaunchesAlone) {
  LaunchList list = flatten(*artifact, *artifact->entries()->Get(1), bindings);
  EXPECT_TRUE(list.commands.empty());
  EXPECT_TRUE(list.collectives.empty());
  EXPECT_EQ(list.numEvents, 0u);
}
