// Merging: every rule, and the same result whichever comes first.
#include "runtime/tune/Merge.h"

#include <gtest/gtest.h>

#include "test/runtime/tune/Entries.h"

using namespace hadal::tune;
using hadal::test::databaseOf;
using hadal::test::entryOf;

namespace {

Database of(const Entry &entry) {
  Database database;
  EXPECT_TRUE(database.put(entry).ok());
  return database;
}

/// That of |wins| and |loses| the first is taken, in both orders, and |reason|
/// is said.
void expectTaken(const Entry &wins, const Entry &loses,
                 const std::string &reason) {
  for (bool swapped : {false, true}) {
    Merged merged =
        swapped ? merge(of(loses), of(wins)) : merge(of(wins), of(loses));
    EXPECT_EQ(merged.database, of(wins)) << reason << swapped;
    ASSERT_EQ(merged.decisions.size(), 1u);
    EXPECT_EQ(merged.decisions[0].tookSecond, swapped);
    EXPECT_FALSE(merged.hasConflict());
    EXPECT_NE(merged.decisions[0].reason.find(reason), std::string::npos)
        << merged.decisions[0].toString();
  }
}

} // namespace

TEST(Merge, IsTheUnionOfWhatOnlyOneHas) {
  Merged merged = merge(databaseOf(1, 5), databaseOf(4, 9));
  EXPECT_EQ(merged.database, databaseOf(1, 9));
  EXPECT_EQ(merged.onlyFirst, 3u);
  EXPECT_EQ(merged.equal, 2u);
  EXPECT_EQ(merged.onlySecond, 4u);
  EXPECT_TRUE(merged.decisions.empty());
}

TEST(Merge, OfOneScheduleTheOneWithMoreBlocksStays) {
  Entry more = entryOf(), fewer = entryOf();
  fewer.blocks = 16;
  expectTaken(more, fewer, "more blocks");
}

TEST(Merge, AProvedHigherGainStays) {
  Entry high = entryOf(), low = entryOf();
  low.winner.schedule["bm"] = int64_t{1};
  low.gain = 1.05;
  low.gainLow = 1.03;
  low.blocks = 64;
  expectTaken(high, low, "a higher gain");
}

TEST(Merge, OfGainsAlikeTheSmallerScheduleStays) {
  Entry a = entryOf(), b = entryOf();
  a.winner.schedule["bm"] = int64_t{1};
  b.gain = 1.13;
  expectTaken(a, b, "cannot be told apart");
}

TEST(Merge, WhatWasMeasuredStays) {
  Entry measured = entryOf(), predicted = entryOf();
  predicted.source = Source::model;
  predicted.gain = predicted.gainLow = 3;
  expectTaken(measured, predicted, "measured");
}

TEST(Merge, OfOtherCodeTheNewerCompilerCounts) {
  Entry newer = entryOf(), older = entryOf();
  newer.made["hadal"] = "0.4.10";
  older.base.code[0] = '0';
  older.blocks = 64;
  expectTaken(newer, older, "of the newer compiler");
  newer.made["hadal"] = older.made["hadal"];
  Merged merged = merge(of(newer), of(older));
  EXPECT_TRUE(merged.hasConflict());
  EXPECT_EQ(merged.database, of(newer));
  EXPECT_NE(merged.decisions[0].toString().find("conflict, kept the first"),
            std::string::npos);
}

TEST(Merge, VersionsAreNumbers) {
  EXPECT_TRUE(isNewer("0.4.10", "0.4.9"));
  EXPECT_TRUE(isNewer("1", "0.9.9"));
  EXPECT_TRUE(isNewer("1.0.1", "1.0"));
  EXPECT_FALSE(isNewer("1.0", "1.0.0"));
  EXPECT_FALSE(isNewer("", ""));
  EXPECT_FALSE(isNewer("x.y", "0"));
}
