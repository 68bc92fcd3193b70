// The database file: what is written is read back, what is damaged is left out.
#include "runtime/tune/Database.h"

#include <chrono>
#include <cmath>
#include <random>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/tune/Line.h"
#include "test/runtime/TempDirectory.h"
#include "test/runtime/tune/Entries.h"

using namespace hadal;
using namespace hadal::tune;
using hadal::test::databaseOf;
using hadal::test::entryOf;

namespace {

struct Parsed {
  Database database;
  std::vector<Status> warnings;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  parsed.database = Database::parse(text, "x.tdb.jsonl", parsed.warnings);
  for (const Status &warning : parsed.warnings)
    EXPECT_EQ(warning.code(), 3007) << warning.toString();
  return parsed;
}

/// Every entry of |some| is that of |all|, bit for bit.
bool isPartOf(const Database &some, const Database &all) {
  for (const auto &[key, entry] : some.entries())
    if (const Entry *original = all.find(key); !original || *original != entry)
      return false;
  return true;
}

std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

TEST(Database, IsReadAsItWasWritten) {
  Database database = databaseOf(1, 9);
  Parsed parsed = parse(database.text());
  EXPECT_TRUE(parsed.warnings.empty());
  EXPECT_EQ(parsed.database, database);
  EXPECT_EQ(parsed.database.text(), database.text());
  EXPECT_EQ(parsed.database.entries().begin()->second.gain, 1.118);
  EXPECT_EQ(database.text().find(' ' + std::string("\"")), std::string::npos)
      << "no spaces between members";
}

TEST(Database, EqualContentIsEqualBytesInWhateverOrder) {
  Database ascending = databaseOf(1, 9), descending;
  for (int number = 9; number >= 1; --number)
    ASSERT_TRUE(descending.put(entryOf(number)).ok());
  EXPECT_EQ(ascending.text(), descending.text());
  EXPECT_EQ(ascending.digest(), descending.digest());
  Entry other = entryOf(3);
  other.winner.schedule["bm"] = int64_t{16};
  ASSERT_TRUE(descending.put(other).ok());
  EXPECT_NE(ascending.digest(), descending.digest());
}

TEST(Database, EachFieldOfTheKeyCounts) {
  Database database = databaseOf(1, 1);
  const Key key = entryOf(1).key;
  ASSERT_NE(database.find(key), nullptr);
  std::string Key::*const fields[] = {&Key::kernel, &Key::target, &Key::chip,
                                      &Key::conditions};
  // A field without a row here makes a key of another size.
  static_assert(sizeof(Key) == std::size(fields) * sizeof(std::string));
  for (auto field : fields)
    for (const char *change : {"x", " "}) {
      Key other = key;
      other.*field += change;
      EXPECT_EQ(database.find(other), nullptr) << other.toString();
      other = key;
      (other.*field).pop_back();
      EXPECT_EQ(database.find(other), nullptr) << other.toString();
    }
}

TEST(Database, EachFieldOfAnEntryIsKept) {
  Entry entry = entryOf();
  std::vector<Entry> others(20, entry);
  size_t i = 0;
  others[i++].space = 2;
  others[i++].source = Source::model;
  others[i++].winner.schedule.erase("bm");
  others[i++].winner.code[0] = 'f';
  others[i++].base.schedule.erase("bm");
  others[i++].base.code[0] = '0';
  others[i++].gain = 2;
  others[i++].gainLow = 0.5;
  others[i++].blocks = 64;
  others[i++].tried = 1;
  others[i++].seconds = 1;
  others[i++].baseSeconds = 1;
  others[i++].noise = 0;
  others[i++].sameBits = true;
  others[i++].relativeError = 0;
  others[i++].cosine = 0;
  others[i++].facts.clear();
  others[i++].made.clear();
  others[i++].machine.clear();
  others[i++].day = "2026-12-01";
  std::set<std::string> lines = {lineOf(entry)};
  for (const Entry &other : others) {
    lines.insert(lineOf(other));
    StatusOr<Entry> read = parseEntry(lineOf(other), "x");
    ASSERT_TRUE(read.ok()) << read.status().toString();
    EXPECT_EQ(lineOf(*read), lineOf(other));
  }
  EXPECT_EQ(lines.size(), others.size() + 1);
}

TEST(Database, WhatCouldNotBeReadIsNotTaken) {
  Database database;
  std::vector<Entry> bad(7, entryOf());
  bad[0].key.kernel = "";
  bad[1].key.chip = "a\nb";
  bad[2].winner.code = "xyz";
  bad[3].gain = std::nan("");
  bad[4].space = 0;
  bad[5].winner.schedule["\xff"] = true;
  bad[6].seconds = -1;
  for (const Entry &entry : bad)
    EXPECT_EQ(database.put(entry).code(), 3007);
  EXPECT_TRUE(database.entries().empty());
}

TEST(Database, EveryFlippedBitIsNoticedOnce) {
  Database database = databaseOf(1, 3);
  const std::string text = database.text();
  for (size_t at = 0; at < text.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      Parsed parsed = parse(damaged);
      // A line end that is gone joins two lines; one that comes cuts one.
      ASSERT_TRUE(!parsed.warnings.empty() && parsed.warnings.size() <= 2)
          << at << " " << bit;
      ASSERT_TRUE(isPartOf(parsed.database, database)) << at << " " << bit;
      ASSERT_LT(parsed.database.entries().size(), 3u);
    }
}

TEST(Database, IsReadAsFarAsItGoes) {
  Database database = databaseOf(1, 3);
  const std::string text = database.text();
  for (size_t bytes = 0; bytes < text.size(); ++bytes) {
    Parsed parsed = parse(std::string_view(text).substr(0, bytes));
    ASSERT_TRUE(isPartOf(parsed.database, database));
    bool atLineEnd = bytes && (text[bytes - 1] == '\n' || text[bytes] == '\n');
    ASSERT_EQ(parsed.warnings.size(), atLineEnd ? 0u : 1u) << bytes;
  }
}

TEST(Database, OfTheFutureIsLeftAlone) {
  OrderedJson header;
  header["hadal_tuning"] = kDatabaseVersion + 1;
  Parsed parsed = parse(sealLine(header) + "\n" + lineOf(entryOf()) + "\n");
  EXPECT_TRUE(parsed.database.entries().empty());
  ASSERT_EQ(parsed.warnings.size(), 1u);
  EXPECT_NE(parsed.warnings[0].message().find("is of version 2, this build "
                                              "reads version 1"),
            std::string::npos)
      << parsed.warnings[0].message();
}

TEST(Database, ForeignAndMissingFilesAreOneWarning) {
  for (std::string_view text :
       {"", "\n", "{}", "SQLite format 3", "{\"a\":1,\"sum\":\"0\"}"})
    EXPECT_EQ(parse(text).warnings.size(), 1u) << text;
  std::vector<Status> warnings;
  test::TempDirectory directory;
  Database::read(directory.file("none"), warnings);
  Database::read(directory.path(), warnings);
  EXPECT_EQ(warnings.size(), 2u);
}

TEST(Database, ASecondEntryOfAKeyIsRefused) {
  Entry other = entryOf(1);
  other.day = "2026-12-01";
  Parsed parsed = parse(databaseOf(1, 1).text() + lineOf(other) + "\n");
  EXPECT_EQ(parsed.database, databaseOf(1, 1));
  EXPECT_EQ(parsed.warnings.size(), 1u);
}

TEST(Database, AFullOfDamageSaysHowMuch) {
  std::string text = databaseOf(1, 1).text();
  for (int i = 0; i < 100; ++i)
    text += "damage\n";
  Parsed parsed = parse(text);
  ASSERT_EQ(parsed.warnings.size(), 21u);
  EXPECT_NE(parsed.warnings.back().message().find("80 more lines"),
            std::string::npos);
}

TEST(Database, EightWritersLoseNothing) {
  test::TempDirectory directory;
  const std::string path = directory.file("m.tdb.jsonl");
  std::vector<pid_t> writers;
  for (int writer = 0; writer < 8; ++writer) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      for (int i = 1; i <= 10; ++i) {
        std::vector<Status> warnings;
        Status status = updateDatabase(
            path,
            [&](Database &database) {
              return database.put(entryOf(10 * writer + i));
            },
            warnings);
        if (!status.ok() || !warnings.empty())
          ::_exit(1);
      }
      ::_exit(0);
    }
    writers.push_back(pid);
  }
  for (pid_t pid : writers) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(readFile(path), databaseOf(1, 80).text());
}

// Seconds of HADAL_FUZZ_SECONDS, else a fixed number of texts.
TEST(Database, Fuzz) {
  const char *seconds = std::getenv("HADAL_FUZZ_SECONDS");
  auto end = std::chrono::steady_clock::now() +
             std::chrono::seconds(seconds ? std::atoi(seconds) : 0);
  std::mt19937_64 random(20261201);
  Database database = databaseOf(1, 4);
  const std::string original = database.text();
  const std::string pieces[] = {"\"sum\":\"", "{",  "}",       "[",
                                "\n",         "\0", "1e999",   "\\ud800",
                                "null",       "-1", "\"key\":"};
  uint64_t texts = 0;
  for (; seconds ? std::chrono::steady_clock::now() < end : texts < 4000;
       ++texts) {
    std::string text = original;
    for (size_t changes = 1 + random() % 6; changes; --changes) {
      size_t at = random() % (text.size() + 1);
      switch (random() % 4) {
      case 0:
        text.insert(at, pieces[random() % std::size(pieces)]);
        break;
      case 1:
        text.erase(at, random() % 200);
        break;
      case 2:
        if (at < text.size())
          text[at] = static_cast<char>(random());
        break;
      case 3: // what was damaged has a right sum again
        if (size_t line = text.find('\n', at); line != text.npos) {
          size_t next = text.find('\n', line + 1);
          std::string body = text.substr(line + 1, next - line - 1);
          if (size_t sum = body.rfind(",\"sum\""); sum != body.npos)
            if (auto json = OrderedJson::parse(body.substr(0, sum) + "}",
                                               nullptr, false);
                json.is_object())
              text.replace(line + 1, next - line - 1, sealLine(json));
        }
        break;
      }
    }
    Parsed parsed = parse(text);
    // What was taken is written as it was read.
    Parsed again = parse(parsed.database.text());
    ASSERT_EQ(again.database, parsed.database);
    ASSERT_TRUE(again.warnings.empty());
  }
  if (seconds)
    std::printf("%llu texts\n", static_cast<unsigned long long>(texts));
}
