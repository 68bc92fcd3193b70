// Entries to put into databases.
#pragma once

#include <gtest/gtest.h>

#include "runtime/tune/Database.h"

namespace hadal::test {

/// A complete entry; |number| makes its key.
inline tune::Entry entryOf(int number = 1) {
  tune::Entry entry;
  entry.key = {"kind=gemm n=" + std::to_string(64 * number) + " k=256 sums=row",
               "cpu", "v4/6.143/t2", "pool,cold"};
  entry.winner = {{{"bm", int64_t{8}}, {"form", "rows"}, {"swap_ab", true}},
                  "0123456789abcdef0123456789abcdef"};
  entry.base = {{{"bm", int64_t{4}}, {"form", "gemv"}, {"swap_ab", false}},
                "fedcba9876543210fedcba9876543210"};
  entry.gain = 1.11849;
  entry.gainLow = 1.094;
  entry.blocks = 32;
  entry.tried = 14;
  entry.seconds = 9.13e-6;
  entry.baseSeconds = 1.021e-5;
  entry.noise = 0.011;
  entry.sameBits = false;
  entry.relativeError = 0.0011;
  entry.cosine = 2e-7;
  entry.facts = {{"registers", 168}, {"spills", 0}};
  entry.made = {{"hadal", "0.4.1"}, {"llvm", "22.1.8"}};
  entry.machine = {{"name", "a \"quoted\" name"}};
  entry.day = "2026-11-30";
  return entry;
}

inline tune::Database databaseOf(int first, int last) {
  tune::Database database;
  for (int number = first; number <= last; ++number)
    EXPECT_TRUE(database.put(entryOf(number)).ok());
  return database;
}

} // namespace hadal::test
