// The journal: what was done stays, whenever the process ends.
#include "runtime/tune/Journal.h"

#include <csignal>
#include <random>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "test/runtime/TempDirectory.h"
#include "test/runtime/tune/Entries.h"

using namespace hadal;
using namespace hadal::tune;
using hadal::test::entryOf;

namespace {

JournalHeader headerOf() { return {"1a2b", "v4/t2", {{"gemm/cpu", 1}}, 7}; }

/// Candidate |number| of kernel |kernel|, as a recorded session measured it.
CandidateRecord candidateOf(int kernel, int number) {
  CandidateRecord record;
  record.key = entryOf(kernel).key;
  record.built = {{{"bm", int64_t{number}}},
                  fmt::format("{:032x}", 1000 * kernel + number)};
  record.end = "M02";
  record.stage = "screen";
  record.numbers = "within \"noise\"";
  record.blocks = {0.1 / 3, -1e-300, number / 7.0};
  return record;
}

Journal resumeOrDie(const std::string &path, const JournalHeader &header,
                    Journal::Replay &replay) {
  StatusOr<Journal> journal = Journal::resume(path, header, replay);
  if (!journal.ok()) {
    ADD_FAILURE() << journal.status().toString();
    std::abort();
  }
  return std::move(*journal);
}

std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr int kKernels = 6, kCandidates = 12;

/// A session over recorded measurements: every candidate once, then the
/// kernel's entry. Returns how many candidates it measured; those that the
/// journal has are not measured again.
int runSession(const std::string &path, Database &database) {
  Journal::Replay replay;
  StatusOr<Journal> journal = Journal::resume(path, headerOf(), replay);
  if (!journal.ok() || !replay.reason.empty() || !replay.warnings.empty())
    return -1;
  std::set<std::string> done;
  std::set<Key> decided;
  for (const Record &record : replay.records) {
    if (const auto *entry = std::get_if<Entry>(&record)) {
      decided.insert(entry->key);
      (void)database.put(*entry);
    } else if (!done.insert(std::get<CandidateRecord>(record).built.code)
                    .second) {
      return -2; // repeated
    }
  }
  int measured = 0;
  for (int kernel = 1; kernel <= kKernels; ++kernel) {
    for (int number = 1; number <= kCandidates; ++number) {
      CandidateRecord record = candidateOf(kernel, number);
      if (done.contains(record.built.code))
        continue;
      ::usleep(50); // the measurement
      ++measured;
      if (!journal->append(record).ok())
        return -3;
    }
    Entry entry = entryOf(kernel);
    if (decided.contains(entry.key))
      continue;
    if (!journal->append(entry).ok() || !database.put(entry).ok())
      return -4;
  }
  return measured;
}

} // namespace

TEST(Journal, IsContinuedWithWhatItHas) {
  test::TempDirectory directory;
  const std::string path = directory.file("s.jsonl");
  CandidateRecord candidate = candidateOf(1, 2);
  {
    StatusOr<Journal> journal = Journal::create(path, headerOf());
    ASSERT_TRUE(journal.ok()) << journal.status().toString();
    ASSERT_TRUE(journal->append(candidate).ok());
    ASSERT_TRUE(journal->append(entryOf()).ok());
    ASSERT_TRUE(journal->sync().ok());
  }
  EXPECT_EQ(Journal::create(path, headerOf()).status().code(), 5015);
  Journal::Replay replay;
  resumeOrDie(path, headerOf(), replay);
  EXPECT_EQ(replay.reason, "");
  ASSERT_EQ(replay.records.size(), 2u);
  // Blocks too, to the last bit.
  EXPECT_EQ(std::get<CandidateRecord>(replay.records[0]), candidate);
  Entry rounded = entryOf();
  rounded.gain = 1.118;
  EXPECT_EQ(std::get<Entry>(replay.records[1]), rounded);
}

TEST(Journal, OfAnotherSessionIsSetAsideAndTheFieldNamed) {
  std::vector<std::pair<JournalHeader, std::string>> others(5,
                                                            {headerOf(), ""});
  others[0].first.plan = "ffff";
  others[0].second = "plan (1a2b here, ffff in the journal)";
  others[1].first.machine = "h200";
  others[1].second = "machine (v4/t2 here, h200 in the journal)";
  others[2].first.seed = 8;
  others[2].second = "seed (7 here, 8 in the journal)";
  others[3].first.spaces["gemm/cpu"] = 2;
  others[3].second = "space of gemm/cpu (1 here, 2 in the journal)";
  others[4].first.spaces["rms/cpu"] = 1;
  others[4].second = "space of rms/cpu (0 here, 1 in the journal)";
  test::TempDirectory directory;
  const std::string path = directory.file("s.jsonl");
  int number = 0;
  for (const auto &[header, reason] : others) {
    {
      StatusOr<Journal> journal = Journal::create(path, header);
      ASSERT_TRUE(journal.ok());
      ASSERT_TRUE(journal->append(candidateOf(1, 1)).ok());
    }
    const std::string before = readFile(path);
    Journal::Replay replay;
    resumeOrDie(path, headerOf(), replay);
    EXPECT_EQ(replay.reason, reason);
    EXPECT_TRUE(replay.records.empty());
    EXPECT_EQ(replay.kept, path + "." + std::to_string(++number));
    EXPECT_EQ(readFile(replay.kept), before);
    std::filesystem::remove(path);
  }
}

TEST(Journal, CutAnywhereLosesTheTornLineOnly) {
  test::TempDirectory directory;
  const std::string path = directory.file("s.jsonl");
  {
    StatusOr<Journal> journal = Journal::create(path, headerOf());
    ASSERT_TRUE(journal.ok());
    for (int number = 1; number <= 3; ++number)
      ASSERT_TRUE(journal->append(candidateOf(1, number)).ok());
  }
  const std::string text = readFile(path);
  for (size_t bytes = text.find('\n') + 1; bytes <= text.size(); ++bytes) {
    directory.write("s.jsonl", std::string_view(text).substr(0, bytes));
    auto whole = static_cast<size_t>(
        std::count(text.begin(), text.begin() + bytes, '\n'));
    Journal::Replay replay;
    {
      Journal journal = resumeOrDie(path, headerOf(), replay);
      ASSERT_EQ(replay.records.size(), whole - 1);
      ASSERT_TRUE(replay.warnings.empty());
      ASSERT_TRUE(journal.append(candidateOf(2, 1)).ok());
    }
    Journal::Replay again;
    resumeOrDie(path, headerOf(), again);
    ASSERT_EQ(again.records.size(), whole);
    ASSERT_EQ(again.records.back(), Record(candidateOf(2, 1)));
  }
}

TEST(Journal, ADamagedLineIsLeftOutWithAWarning) {
  std::string text;
  {
    test::TempDirectory directory;
    const std::string path = directory.file("s.jsonl");
    StatusOr<Journal> journal = Journal::create(path, headerOf());
    ASSERT_TRUE(journal.ok());
    ASSERT_TRUE(journal->append(candidateOf(1, 1)).ok());
    ASSERT_TRUE(journal->append(entryOf()).ok());
    text = readFile(path);
  }
  JournalText whole = parseJournal(text, "s.jsonl");
  ASSERT_EQ(whole.records.size(), 2u);
  for (size_t at = text.find('\n') + 1; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    JournalText journal = parseJournal(damaged, "s.jsonl");
    ASSERT_TRUE(journal.header);
    ASSERT_LT(journal.records.size(), 2u);
    for (const Record &record : journal.records)
      ASSERT_TRUE(record == whole.records[0] || record == whole.records[1]);
    for (const Status &warning : journal.warnings)
      ASSERT_EQ(warning.code(), 3007);
  }
}

// A hundred sessions that are killed, each at its time; the last one ends.
TEST(Journal, KilledAtAHundredRandomTimesLosesAndRepeatsNothing) {
  test::TempDirectory directory;
  Database undisturbed;
  ASSERT_EQ(runSession(directory.file("whole.jsonl"), undisturbed),
            kKernels * kCandidates);
  std::mt19937_64 random(20261201);
  int killed = 0, sessions = 0;
  for (; killed < 100; ++sessions) {
    const std::string path = directory.file(fmt::format("{}.jsonl", sessions));
    // A header must be there: before it there is nothing to continue.
    ASSERT_TRUE(Journal::create(path, headerOf()).ok());
    // Killed up to three times over; then left to end.
    int before = 0;
    for (int turn = 0; turn < 3 && killed < 100; ++turn) {
      pid_t pid = ::fork();
      ASSERT_GE(pid, 0);
      if (pid == 0) {
        Database database;
        ::_exit(runSession(path, database) < 0);
      }
      ::usleep(static_cast<useconds_t>(random() % 6000));
      ::kill(pid, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      if (WIFEXITED(status))
        ASSERT_EQ(WEXITSTATUS(status), 0);
      else
        ++killed;
      JournalText text = parseJournal(readFile(path), path);
      int candidates = 0;
      for (const Record &record : text.records)
        candidates += std::holds_alternative<CandidateRecord>(record);
      ASSERT_GE(candidates, before) << "a finished candidate was lost";
      before = candidates;
    }
    Database database;
    // Each is measured once over all turns: no more, no fewer.
    ASSERT_EQ(runSession(path, database), kKernels * kCandidates - before);
    ASSERT_EQ(database.text(), undisturbed.text());
  }
  EXPECT_GT(sessions, 30);
}
