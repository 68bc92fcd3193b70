// What is made of the times of a rank program's commands: sums, exposure, the
// trace, the summary. Times are made up.
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/cts/ToyRanks.h"
#include "tools/profile/Recorder.h"
#include "tools/profile/Summary.h"
#include "tools/profile/Trace.h"

using namespace hadal;
using namespace hadal::profile;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Two layers of six launches, each with a dispatch; two launches and a sum.
class Profile : public testing::Test {
protected:
  void SetUp() override {
    toy::writeFile(dir.file("m.hadal"), toy::assemble(toy::rankModel(2)));
    auto opened = Artifact::open(dir.file("m.hadal"));
    ASSERT_TRUE(opened.ok()) << opened.status().toString();
    artifact.emplace(std::move(*opened));
  }

  /// A run that begins at |at|: each launch takes 10 us and 1 more behind it;
  /// each collective, behind launches 2, 8 and 13, begins |arrivals| us after
  /// the launch before it and ends, and is awaited, |until| us after that.
  EntryRun run(int64_t at, std::array<int, 3> arrivals,
               std::array<int, 3> until) {
    spans.clear();
    const Clock::time_point begin{microseconds(at)};
    Clock::time_point now = begin;
    const uint32_t behind[] = {2, 8, 13};
    uint32_t collective = 0;
    for (uint32_t i = 0; i < 14; ++i) {
      spans.push_back(
          {CommandSpan::Kind::launch, i, "move", now, now + microseconds(10)});
      now += microseconds(11);
      if (i != behind[collective])
        continue;
      spans.push_back({CommandSpan::Kind::wait, collective, "", now,
                       now + microseconds(until[collective])});
      spans.push_back(
          {CommandSpan::Kind::collective, collective, "",
           now - microseconds(1) + microseconds(arrivals[collective]),
           now + microseconds(until[collective])});
      now += microseconds(until[collective++]);
    }
    return {0, begin, now, spans};
  }

  RunProfile both(const Recorder &first, const Recorder &second) const {
    return {*artifact,
            first.names(),
            {first.profile(), second.profile()},
            {ClockMap(), ClockMap()}};
  }

  toy::TempDir dir;
  std::optional<Artifact> artifact;
  Timeline spans;
};

/// The events of a trace by phase.
std::map<std::string, std::vector<nlohmann::json>>
eventsOf(const std::string &text) {
  std::map<std::string, std::vector<nlohmann::json>> events;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << text;
  for (const auto &event : json["traceEvents"])
    events[event["ph"]].push_back(event);
  return events;
}

/// Nanoseconds of "123.456".
int64_t ns(const nlohmann::json &us) {
  return std::llround(us.get<double>() * 1e3);
}

} // namespace

TEST_F(Profile, NamesHaveOperationLayerAndSequence) {
  const std::vector<EntryNames> all = entryNames(*artifact);
  ASSERT_EQ(all.size(), artifact->root().entries()->size());
  const EntryNames &names = all[0];
  ASSERT_EQ(names.launches.size(), 14u);
  for (int i = 0; i < 14; ++i) {
    EXPECT_EQ(names.launches[i].layer, i < 6 ? 0 : i < 12 ? 1 : -1) << i;
    // The toy names no operations: the kernel stands for one.
    EXPECT_EQ(names.launches[i].key, "move");
  }
  EXPECT_EQ(names.labels, (std::vector<std::string>{"dispatch", "sum"}));
  ASSERT_EQ(names.collectives.size(), 3u);
  const int layers[] = {0, 1, -1};
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(names.collectives[i].label, i < 2 ? "dispatch" : "sum");
    EXPECT_EQ(names.collectives[i].layer, layers[i]);
    EXPECT_EQ(names.collectives[i].sequence, i);
  }
}

TEST_F(Profile, RunsAreSummedAndTheLastOnesKept) {
  Recorder recorder(*artifact, 3, /*keep=*/2);
  for (int i = 0; i < 5; ++i)
    recorder.add(run(1000 * (i + 1), {0, 0, 0}, {5, 6, 7 + i}));
  const RankProfile &profile = recorder.profile();
  EXPECT_EQ(profile.rank, 3u);
  EXPECT_EQ(profile.begin, 1'000'000);
  const EntryProfile &entry = profile.entries[0];
  ASSERT_EQ(entry.runs.size(), 5u);
  for (int i = 0; i < 5; ++i) {
    const RunTotals &totals = entry.runs[i];
    EXPECT_EQ(totals.kernelNs, 140'000);
    EXPECT_EQ(totals.exposedNs,
              (std::vector<int64_t>{11'000, 7'000 + 1000 * i}));
    EXPECT_EQ(totals.ns, 154'000 + 18'000 + 1000 * i);
    EXPECT_EQ(totals.computeNs(), 154'000);
  }
  for (int64_t sum : entry.launchNs)
    EXPECT_EQ(sum, 5 * 10'000);
  ASSERT_EQ(entry.kept.size(), 2u);
  EXPECT_EQ(entry.kept[0].number, 3u);
  EXPECT_EQ(entry.kept[1].number, 4u);
  EXPECT_EQ(entry.kept[1].begin, 5'000'000);
  EXPECT_EQ(entry.kept[1].spans.size(), 14u + 2 * 3);
  recorder.clear();
  EXPECT_TRUE(recorder.profile().entries[0].runs.empty());
}

TEST_F(Profile, ProfilesTravelAsBytes) {
  Recorder recorder(*artifact, 1, 4);
  recorder.add(run(10, {0, 1, 2}, {5, 6, 7}));
  recorder.add(run(900, {0, 1, 2}, {5, 6, 7}));
  const std::vector<uint8_t> bytes = toBytes(recorder.profile());
  const size_t entries = recorder.names().size();
  auto read = profileOf(bytes, entries);
  ASSERT_TRUE(read.ok()) << read.status().toString();
  EXPECT_EQ(toBytes(*read), bytes);
  EXPECT_EQ(read->entries[0].kept[1].spans[3].kind, CommandSpan::Kind::wait);
  EXPECT_EQ(profileOf(bytes, entries + 1).status().code(), 6006);
  // Whatever is cut off or changed: refused or read, never beyond the end.
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(profileOf(std::span(bytes).first(size), entries).status().code(),
              6006)
        << size;
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::vector<uint8_t> damaged = bytes;
    damaged[at] ^= 0xff;
    (void)profileOf(damaged, entries);
  }
}

TEST_F(Profile, ExposureIsApartFromWaitingForLaterRanks) {
  Recorder first(*artifact, 0, 8), second(*artifact, 1, 8);
  for (int i = 0; i < 3; ++i) {
    // Rank 1 comes to the first dispatch 40 us after rank 0 began to wait.
    first.add(run(1000 * i + 100, {0, 0, 0}, {60, 20, 10}));
    second.add(run(1000 * i + 100, {41, 0, 0}, {60, 20, 10}));
  }
  const EntryTimes times = entryTimes(both(first, second), 0);
  EXPECT_EQ(times.runs, 3u);
  EXPECT_DOUBLE_EQ(times.us, 154 + 90);
  EXPECT_DOUBLE_EQ(times.kernelUs, 140);
  EXPECT_DOUBLE_EQ(times.computeUs, 154);
  EXPECT_DOUBLE_EQ(times.exposedUs, 90);
  EXPECT_DOUBLE_EQ(times.gapUs, 1);
  EXPECT_DOUBLE_EQ(times.imbalance, 1);
  ASSERT_EQ(times.labels.size(), 2u);
  EXPECT_EQ(times.labels[0].perRun, 2u);
  EXPECT_DOUBLE_EQ(times.labels[0].exposedUs, 80);
  EXPECT_DOUBLE_EQ(times.labels[0].lateUs, 40);
  EXPECT_DOUBLE_EQ(times.labels[1].exposedUs, 10);
  EXPECT_DOUBLE_EQ(times.labels[1].lateUs, 0);
  EXPECT_EQ(launchUs(both(first, second), 0), std::vector<double>(14, 10.0));

  // The same where rank 1's clock shows 7 ms more.
  Recorder ahead(*artifact, 1, 8);
  for (int i = 0; i < 3; ++i)
    ahead.add(run(1000 * i + 7100, {41, 0, 0}, {60, 20, 10}));
  RunProfile skewed = both(first, ahead);
  skewed.clocks[1] = ClockMap({0, 7'000'000, 5}, {0, 7'000'000, 9});
  EXPECT_DOUBLE_EQ(entryTimes(skewed, 0).labels[0].lateUs, 40);
}

TEST_F(Profile, ATraceNestsAndTiesCollectives) {
  Recorder first(*artifact, 0, 8), second(*artifact, 1, 8);
  for (int i = 0; i < 3; ++i) {
    first.add(run(1000 * i + 100, {0, 0, 0}, {60, 20, 10}));
    second.add(run(1000 * i + 100, {41, 0, 0}, {60, 20, 10}));
  }
  TraceFacts facts;
  const std::string text = traceText(both(first, second), 1 << 20, facts);
  EXPECT_EQ(facts.runs, 3u);
  EXPECT_EQ(facts.dropped, 0u);
  auto events = eventsOf(text);
  std::map<std::string, unsigned> categories;
  std::map<std::pair<int, int>, std::vector<std::pair<int64_t, int64_t>>>
      tracks;
  for (const auto &event : events["X"]) {
    ++categories[event["cat"]];
    const int64_t begin = ns(event["ts"]), end = begin + ns(event["dur"]);
    tracks[{event["pid"], event["tid"]}].push_back({begin, end});
    if (event["cat"] == "launch") {
      EXPECT_EQ(event["name"], "move");
      EXPECT_TRUE(event["args"].contains("layer"));
    }
  }
  EXPECT_EQ(categories,
            (std::map<std::string, unsigned>{{"entry", 2 * 3},
                                             {"layer", 2 * 3 * 2},
                                             {"launch", 2 * 3 * 14},
                                             {"wait", 2 * 3 * 3},
                                             {"collective", 2 * 3 * 3}}));
  EXPECT_EQ(tracks.size(), 4u);
  for (auto &[track, spans] : tracks) {
    // Outer ones first: each lies within, or behind, those that are open.
    std::sort(spans.begin(), spans.end(), [](const auto &a, const auto &b) {
      return std::pair(a.first, -a.second) < std::pair(b.first, -b.second);
    });
    std::vector<int64_t> open;
    for (auto [begin, end] : spans) {
      while (!open.empty() && open.back() <= begin)
        open.pop_back();
      if (!open.empty())
        EXPECT_LE(end, open.back()) << track.first << " " << track.second;
      open.push_back(end);
    }
  }
  // One flow for each collective of each run, from the rank that came first.
  ASSERT_EQ(events["s"].size(), 9u);
  ASSERT_EQ(events["f"].size(), 9u);
  std::set<uint64_t> ids;
  for (const auto &start : events["s"])
    ids.insert(start["id"].get<uint64_t>());
  EXPECT_EQ(ids.size(), 9u);
  for (const auto &end : events["f"])
    EXPECT_EQ(end["bp"], "e");
  for (const auto &event : events["M"])
    if (event["name"] == "process_name" && event["pid"] == 1)
      EXPECT_EQ(event["args"]["name"].get<std::string>().find("rank 1 ("), 0u);
  EXPECT_EQ(events["M"].size(), 2u * 6);

  // Where there is room for one run, it is the newest.
  const std::string less =
      traceText(both(first, second), text.size() / 2, facts);
  EXPECT_EQ(facts.runs + facts.dropped, 3u);
  EXPECT_EQ(facts.runs, 1u);
  EXPECT_LE(less.size(), text.size() / 2);
  events = eventsOf(less);
  for (const auto &event : events["X"])
    if (event["cat"] == "entry")
      EXPECT_EQ(event["args"]["run"], 2);
  // And none at all is a trace all the same.
  EXPECT_TRUE(eventsOf(traceText(both(first, second), 0, facts))["X"].empty());
}

TEST_F(Profile, TheSummaryAddsUp) {
  Recorder first(*artifact, 0, 8), second(*artifact, 1, 8);
  for (int i = 0; i < 10; ++i) {
    first.add(run(1000 * i, {0, 0, 0}, {60, 20, 10}));
    second.add(run(1000 * i, {0, 0, 0}, {60, 20, 10}));
  }
  const RunProfile times = both(first, second);
  KernelFacts facts;
  facts.bytes.assign(artifact->root().kernels()->size(), 1000);
  facts.plainBytesPerSecond = 1e9;
  const Summary summary = summarize(times, facts);
  EXPECT_NEAR(summary.seconds, 9.244e-3, 1e-9);
  EXPECT_NEAR(summary.kernels, 1.4 / 9.244, 1e-9);
  EXPECT_NEAR(summary.gaps, 0.14 / 9.244, 1e-9);
  EXPECT_NEAR(summary.exposed, 0.9 / 9.244, 1e-9);
  EXPECT_NEAR(summary.kernels + summary.gaps + summary.exposed +
                  summary.between,
              1, 1e-9);
  ASSERT_EQ(summary.byKernel.size(), 1u);
  EXPECT_EQ(summary.byKernel[0].launches, 140u);
  EXPECT_NEAR(summary.byKernel[0].seconds, 1.4e-3, 1e-9);
  EXPECT_NEAR(summary.byKernel[0].bytes, 140e3, 1e-9);
  // 7 ms between the runs were not the run's.
  facts.notCountedSeconds = 7e-3;
  EXPECT_NEAR(summarize(times, facts).seconds, 2.244e-3, 1e-9);

  const std::string text = summaryText(times, facts);
  EXPECT_LE(std::ranges::count(text, '\n'), 40);
  for (const char *part :
       {"of 2 ranks", "2 x dispatch: exposed 0.080 ms", "1 x sum",
        "most / mean 1.00", "move", "a plain read at 1.00 GB/s"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  const auto json = summaryJson(times, facts);
  EXPECT_EQ(json["entries"][0]["runs"], 10);
  EXPECT_EQ(json["operations"][0]["launches"], 140);
}

TEST_F(Profile, ClocksOfRanksAreFoundWithTheirError) {
  constexpr unsigned kRanks = 3;
  const int64_t ahead[kRanks] = {0, 5'000'000'000, -70'000};
  auto world = comm::LoopbackWorld::create(kRanks);
  std::vector<std::unique_ptr<comm::Group>> groups;
  for (unsigned r = 0; r < kRanks; ++r)
    groups.push_back(world->join(r));
  std::vector<std::vector<ClockOffset>> found(kRanks);
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < kRanks; ++r)
    threads.emplace_back([&, r] {
      auto offsets = measureClocks(*groups[r], std::chrono::seconds(20),
                                   [&] { return steadyNow() + ahead[r]; });
      ASSERT_TRUE(offsets.ok()) << offsets.status().toString();
      found[r] = *offsets;
    });
  for (std::thread &thread : threads)
    thread.join();
  for (unsigned r = 0; r < kRanks; ++r)
    for (unsigned of = 0; of < kRanks; ++of) {
      const ClockOffset &offset = found[r][of];
      EXPECT_LE(std::abs(offset.offset - ahead[of]), offset.error) << of;
      EXPECT_LT(offset.error, 1'000'000'000) << of;
      // All ranks have the same.
      EXPECT_EQ(offset.offset, found[0][of].offset);
    }
}

TEST(ClockMap, FollowsAClockThatDrifts) {
  // Ahead by 100 at 1000, by 300 at 2000.
  const ClockMap map({1000, 100, 3}, {2000, 300, 8});
  EXPECT_EQ(map.toRank0(1000), 900);
  EXPECT_EQ(map.toRank0(1500), 1300);
  EXPECT_EQ(map.toRank0(2000), 1700);
  EXPECT_EQ(map.error(), 8);
  EXPECT_EQ(ClockMap().toRank0(77), 77);
}
