// Orders that the detector must accept and conflicts that it must report.
#include "runtime/drivers/sim/semantics/RaceDetector.h"

#include <gtest/gtest.h>

using namespace hadal::sim;

namespace {

constexpr auto read = Access::read, write = Access::write;
constexpr auto weak = Strength::weak, strong = Strength::strong;

/// An operation of the warpgroup 0..3.
RaceDetector::Operation issueGroup(RaceDetector &races) {
  SyncClock knowledge = races.knowledgeOf(0);
  for (unsigned w : {1, 2, 3})
    knowledge.meet(races.knowledgeOf(w));
  return races.beginAsync(0, knowledge);
}

struct RaceDetectorTest : ::testing::Test {
  RaceDetector races{8, 4096};
  SyncClock bar;

  auto warp(unsigned w, uint64_t address, Access access, unsigned line,
            unsigned bytes = 4) {
    return races.warpAccess(w, address, bytes, access, weak, line);
  }
  auto issue(unsigned w) { return races.beginAsync(w); }
};

TEST_F(RaceDetectorTest, UnorderedWriteAndReadRace) {
  EXPECT_FALSE(warp(0, 64, write, 10));
  auto conflict = warp(1, 64, read, 20);
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->kind, Conflict::race);
  EXPECT_EQ(conflict->warp, 0u);
  EXPECT_EQ(conflict->line, 10u);
  EXPECT_EQ(conflict->address, 64u);
  EXPECT_FALSE(conflict->async);
}

TEST_F(RaceDetectorTest, ReadThenUnorderedWriteRaces) {
  EXPECT_FALSE(warp(0, 64, read, 10));
  EXPECT_FALSE(warp(1, 64, read, 11));
  auto conflict = warp(2, 66, write, 20, 2);
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->access, read);
  EXPECT_EQ(conflict->address, 66u);
}

TEST_F(RaceDetectorTest, NeighbouringBytesOfACellDoNotConflict) {
  EXPECT_FALSE(warp(0, 64, write, 1));
  EXPECT_FALSE(warp(1, 68, write, 2));
  EXPECT_FALSE(warp(2, 72, read, 3));
  EXPECT_TRUE(warp(2, 66, read, 4, 4));
}

TEST_F(RaceDetectorTest, ReleaseAndAcquireOrder) {
  EXPECT_FALSE(warp(0, 64, write, 1));
  races.release(0, bar);
  races.acquire(1, bar);
  EXPECT_FALSE(warp(1, 64, write, 2));
  // What the releasing warp does later is not covered.
  EXPECT_FALSE(warp(0, 128, write, 3));
  EXPECT_TRUE(warp(1, 128, read, 4));
}

TEST_F(RaceDetectorTest, OrderIsTransitive) {
  SyncClock second;
  EXPECT_FALSE(warp(0, 64, write, 1));
  races.release(0, bar);
  races.acquire(1, bar);
  races.release(1, second);
  races.acquire(2, second);
  EXPECT_FALSE(warp(2, 64, write, 2));
  EXPECT_TRUE(warp(3, 64, read, 3));
}

TEST_F(RaceDetectorTest, StrongAccessesDoNotRaceWithEachOther) {
  EXPECT_FALSE(races.warpAccess(0, 64, 8, write, strong, 1));
  EXPECT_FALSE(races.warpAccess(1, 64, 8, write, strong, 2));
  EXPECT_TRUE(races.warpAccess(2, 64, 8, read, weak, 3));
}

TEST_F(RaceDetectorTest, AsyncReadOfAGenericWriteNeedsFenceAndOrder) {
  EXPECT_FALSE(warp(0, 64, write, 1, 16));
  races.release(0, bar);
  races.acquire(1, bar);
  auto op = issue(1);
  auto conflict = races.asyncAccess(op, 64, 16, read, 5);
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->kind, Conflict::missingProxyFence);
  EXPECT_EQ(conflict->line, 1u);
}

TEST_F(RaceDetectorTest, TheFenceCountsInTheWriterBeforeTheRelease) {
  EXPECT_FALSE(warp(0, 64, write, 1, 16));
  races.fenceProxy(0);
  races.release(0, bar);
  races.acquire(1, bar);
  EXPECT_FALSE(races.asyncAccess(issue(1), 64, 16, read, 5));
  // A write behind the fence is not covered by it.
  EXPECT_FALSE(warp(0, 256, write, 6, 16));
  races.release(0, bar);
  races.acquire(1, bar);
  EXPECT_TRUE(races.asyncAccess(issue(1), 256, 16, read, 7));
}

TEST_F(RaceDetectorTest, AFenceOfTheReaderDoesNotCount) {
  EXPECT_FALSE(warp(0, 64, write, 1, 16));
  races.release(0, bar);
  races.acquire(1, bar);
  races.fenceProxy(1);
  EXPECT_TRUE(races.asyncAccess(issue(1), 64, 16, read, 5));
}

TEST_F(RaceDetectorTest, AnAsyncWriteIsSeenThroughItsCompletionOnly) {
  auto op = issue(0);
  EXPECT_FALSE(races.asyncAccess(op, 0, 128, write, 1));
  auto conflict = warp(1, 32, read, 2);
  ASSERT_TRUE(conflict);
  EXPECT_TRUE(conflict->async);
  EXPECT_EQ(conflict->warp, 0u);
  // Even the issuer must wait.
  EXPECT_TRUE(warp(0, 16, read, 3));
  races.completeAsync(op, bar);
  races.acquire(1, bar);
  EXPECT_FALSE(warp(1, 48, read, 4));
}

TEST_F(RaceDetectorTest, CompletionHandsOnNothingOfTheIssuer) {
  EXPECT_FALSE(warp(0, 512, write, 1));
  auto op = issue(0);
  EXPECT_FALSE(races.asyncAccess(op, 0, 16, write, 2));
  races.completeAsync(op, bar);
  races.acquire(1, bar);
  EXPECT_TRUE(warp(1, 512, read, 3));
}

// The ring of a GEMM: TMA fills, a warpgroup reads by wgmma, releases, TMA
// fills again. Dropping the wait for the release is a race.
TEST_F(RaceDetectorTest, RingOfOneStage) {
  const unsigned group[] = {0, 1, 2, 3};
  for (bool wait : {true, false}) {
    RaceDetector ring(8, 4096);
    SyncClock full, empty;
    auto load = ring.beginAsync(4);
    EXPECT_FALSE(ring.asyncAccess(load, 0, 1024, write, 1));
    ring.completeAsync(load, full);
    ring.retireAsync(load);
    for (unsigned w : group)
      ring.acquire(w, full);
    auto mma = issueGroup(ring);
    EXPECT_FALSE(ring.asyncAccess(mma, 0, 1024, read, 2));
    for (unsigned w : group)
      ring.acquireAsync(w, mma);
    ring.retireAsync(mma);
    ring.release(0, empty);
    if (wait)
      ring.acquire(4, empty);
    auto next = ring.beginAsync(4);
    EXPECT_EQ(ring.asyncAccess(next, 0, 1024, write, 3).has_value(), !wait);
  }
}

// wgmma relies only on what all four warps know.
TEST_F(RaceDetectorTest, OneWarpThatDidNotWaitMakesTheWarpgroupRace) {
  auto load = issue(4);
  EXPECT_FALSE(races.asyncAccess(load, 0, 16, write, 1));
  races.completeAsync(load, bar);
  for (unsigned w : {0, 1, 2})
    races.acquire(w, bar);
  auto mma = issueGroup(races);
  EXPECT_TRUE(races.asyncAccess(mma, 0, 16, read, 2));
}

// Numbers of finished operations are used again, so clocks stay short.
TEST_F(RaceDetectorTest, OperationsReuseNumbersOnlyWhenKnownToBeOver) {
  auto first = issue(0);
  races.retireAsync(first);
  auto second = issue(0); // warp 0 never learned that |first| is over
  EXPECT_NE(first, second);
  races.acquireAsync(0, first);
  EXPECT_EQ(issue(0), first);
}

} // namespace
