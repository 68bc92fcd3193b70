// Programs whose times can be computed by hand.
#include "cost/EventModel.h"

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::cost;

namespace {

Timeline timelineOf(const std::vector<Command> &commands,
                    const Machine &machine = {}) {
  StatusOr<Timeline> timeline = simulate(commands, machine);
  EXPECT_TRUE(timeline.ok()) << timeline.status().toString();
  return timeline.ok() ? *timeline : Timeline();
}

/// A collective that starts here and is awaited by `Command::wait(event + 1,
/// 0)`.
void start(std::vector<Command> &commands, unsigned event,
           const Collective &collective) {
  commands.push_back(Command::record(event, 0));
  commands.push_back(Command::wait(event, 1));
  commands.push_back(Command::communicate(collective));
  commands.push_back(Command::record(event + 1, 1));
}

std::string refusal(const std::vector<Command> &commands) {
  StatusOr<Timeline> timeline = simulate(commands, {});
  EXPECT_FALSE(timeline.ok());
  return timeline.ok() ? "" : timeline.status().message();
}

} // namespace

TEST(EventModel, KernelsAddUpWithTheirGaps) {
  Timeline t = timelineOf({Command::launch(10), Command::launch(20)}, {2, 1});
  EXPECT_DOUBLE_EQ(t.us, 34);
  EXPECT_DOUBLE_EQ(t.computeUs, 34);
  EXPECT_DOUBLE_EQ(t.exposedUs, 0);
  EXPECT_EQ(t.bound(), "SM");
  ASSERT_EQ(t.spans.size(), 2u);
  EXPECT_DOUBLE_EQ(t.spans[1].beginUs, 12);
  EXPECT_DOUBLE_EQ(t.spans[1].endUs, 34);
}

TEST(EventModel, WhatComputeDoesNotCoverIsExposed) {
  // 10, then 30 of a transfer beside 20 of a kernel, then 5.
  std::vector<Command> commands = {Command::launch(10)};
  start(commands, 0, {"dispatch", 0, 30, 0, false});
  commands.push_back(Command::launch(20));
  commands.push_back(Command::wait(1, 0));
  commands.push_back(Command::launch(5));
  Timeline t = timelineOf(commands);
  EXPECT_DOUBLE_EQ(t.us, 45);
  EXPECT_DOUBLE_EQ(t.computeUs, 35);
  EXPECT_DOUBLE_EQ(t.linkUs, 30);
  EXPECT_DOUBLE_EQ(t.exposedUs, 10);
  EXPECT_DOUBLE_EQ(t.exposedByLabel.at("dispatch"), 10);
  EXPECT_EQ(t.bound(), "chain");
  // Longer kernels cover it whole.
  commands[5] = Command::launch(40);
  t = timelineOf(commands);
  EXPECT_DOUBLE_EQ(t.us, 55);
  EXPECT_DOUBLE_EQ(t.exposedUs, 0);
}

TEST(EventModel, KernelsOfACollectiveStopCompute) {
  // 5 to send, 20 on the links, 7 to receive; a kernel of 30 beside it runs
  // from 5 to 25, stands until 32 and ends at 42.
  std::vector<Command> commands;
  start(commands, 0, {"dispatch", 5, 20, 7, false});
  commands.push_back(Command::launch(30));
  commands.push_back(Command::wait(1, 0));
  Timeline t = timelineOf(commands);
  EXPECT_DOUBLE_EQ(t.us, 42);
  EXPECT_DOUBLE_EQ(t.computeUs, 30);
  EXPECT_DOUBLE_EQ(t.multiprocessorUs, 12);
  EXPECT_DOUBLE_EQ(t.linkUs, 20);
  EXPECT_DOUBLE_EQ(t.exposedUs, 0);
  EXPECT_EQ(t.bound(), "SM");
}

TEST(EventModel, ContentionSlowsKernelsBesideATransfer) {
  // In 30 of a transfer 20 of a kernel's 30 are done, the rest at full speed.
  std::vector<Command> commands;
  start(commands, 0, {"dispatch", 0, 30, 0, true});
  commands.push_back(Command::launch(30));
  commands.push_back(Command::wait(1, 0));
  EXPECT_DOUBLE_EQ(timelineOf(commands, {0, 1.5}).us, 40);
  commands[2].collective.holdsMultiprocessors = false;
  EXPECT_DOUBLE_EQ(timelineOf(commands, {0, 1.5}).us, 30);
}

TEST(EventModel, CollectivesRunOneAfterTheOther) {
  // Two of 30 that start at 0 and 10: the second ends at 60.
  std::vector<Command> commands;
  start(commands, 0, {"dispatch", 0, 30, 0, false});
  commands.push_back(Command::launch(10));
  start(commands, 2, {"return", 0, 30, 0, false});
  commands.push_back(Command::wait(1, 0));
  commands.push_back(Command::wait(3, 0));
  Timeline t = timelineOf(commands);
  EXPECT_DOUBLE_EQ(t.us, 60);
  EXPECT_DOUBLE_EQ(t.exposedByLabel.at("dispatch"), 20);
  EXPECT_DOUBLE_EQ(t.exposedByLabel.at("return"), 30);
  EXPECT_EQ(t.bound(), "link");
}

TEST(EventModel, ACollectiveThatNobodyAwaitsIsExposedAtTheEnd) {
  std::vector<Command> commands;
  start(commands, 0, {"return", 0, 30, 0, false});
  commands.push_back(Command::launch(10));
  Timeline t = timelineOf(commands);
  EXPECT_DOUBLE_EQ(t.us, 30);
  EXPECT_DOUBLE_EQ(t.exposedByLabel.at("return"), 20);
}

TEST(EventModel, RefusesProgramsThatStandStill) {
  EXPECT_EQ(refusal({Command::wait(4, 0)}),
            "the program waits for event 4, which is not recorded");
  EXPECT_EQ(refusal({Command::record(4, 0), Command::record(4, 1)}),
            "event 4 is recorded twice");
  EXPECT_EQ(refusal({Command::wait(1, 0), Command::record(0, 0),
                     Command::wait(0, 1), Command::record(1, 1)}),
            "the streams wait for each other, at event 1");
  Command wrong = Command::launch(1);
  wrong.stream = 1;
  EXPECT_EQ(refusal({wrong}), "command 0 launches a kernel on stream 1");
  wrong = Command::communicate({});
  wrong.stream = 0;
  EXPECT_EQ(refusal({wrong}), "command 0 is a collective on stream 0");
  wrong.stream = 2;
  EXPECT_EQ(refusal({wrong}), "command 0 is on stream 2, there are 2");
}
