#include "tools/profile/Trace.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

namespace hadal::profile {

namespace {

enum Track : unsigned { kLaunches = 0, kCollectives = 1 };

std::string jsonText(const std::string &text) {
  return nlohmann::json(text).dump(-1, ' ', true,
                                   nlohmann::json::error_handler_t::replace);
}

/// The events of one (entry, number), of all ranks.
class RunEvents {
public:
  RunEvents(const RunProfile &run, int64_t origin, uint64_t &flows)
      : run(run), origin(origin), flows(flows) {}

  void add(size_t index, unsigned r, const Run &kept) {
    const EntryNames &names = run.names[index];
    event(r, kLaunches, names.name, "entry", kept.begin, kept.end,
          fmt::format("\"run\":{}", kept.number));
    addLayers(names, r, kept);
    for (const Span &span : kept.spans)
      addSpan(names, r, span);
  }

  /// Ties what the ranks of a group did for one collective, in the order in
  /// which they came to it.
  void addFlows() {
    for (auto &[key, places] : collectives) {
      if (places.size() < 2)
        continue;
      std::ranges::sort(
          places, {}, [](const Place &p) { return std::pair(p.time, p.rank); });
      ++flows;
      for (size_t i = 0; i < places.size(); ++i) {
        const char *phase = i == 0 ? "s" : i + 1 < places.size() ? "t" : "f";
        text += fmt::format(
            "{{\"name\":{},\"cat\":\"collective\",\"ph\":\"{}\",\"id\":{},"
            "\"ts\":{},\"pid\":{},\"tid\":{}{}}},\n",
            jsonText(places[i].label), phase, flows, time(places[i].time),
            places[i].rank, unsigned{kCollectives}, i ? ",\"bp\":\"e\"" : "");
      }
    }
  }

  std::string text;

private:
  struct Place {
    unsigned rank;
    int64_t time; ///< on rank 0's clock
    std::string label;
  };

  /// Microseconds with three decimals: nanoseconds, exactly.
  std::string time(int64_t ns) const {
    const int64_t since = ns - origin;
    return fmt::format("{}{}.{:03}", since < 0 ? "-" : "",
                       std::abs(since) / 1000, std::abs(since) % 1000);
  }

  void event(unsigned r, Track track, const std::string &name,
             const char *category, int64_t begin, int64_t end,
             const std::string &args) {
    const ClockMap &clock = run.clocks[r];
    const int64_t from = clock.toRank0(begin), to = clock.toRank0(end);
    text +=
        fmt::format("{{\"name\":{},\"cat\":\"{}\",\"ph\":\"X\",\"ts\":{},"
                    "\"dur\":{}.{:03},\"pid\":{},\"tid\":{},\"args\":{{{}}}"
                    "}},\n",
                    jsonText(name), category, time(from), (to - from) / 1000,
                    (to - from) % 1000, r, unsigned{track}, args);
  }

  static int32_t layerOf(const EntryNames &names, const Span &span) {
    return span.kind == CommandSpan::Kind::launch
               ? names.launches[span.index].layer
               : names.collectives[span.index].layer;
  }

  /// What of stream 0 belongs to one layer and follows each other.
  void addLayers(const EntryNames &names, unsigned r, const Run &kept) {
    int32_t layer = -1;
    int64_t begin = 0, end = 0;
    auto close = [&] {
      if (layer >= 0)
        event(r, kLaunches, fmt::format("layer {}", layer), "layer", begin, end,
              "");
    };
    for (const Span &span : kept.spans) {
      if (span.kind == CommandSpan::Kind::collective)
        continue;
      if (const int32_t mine = layerOf(names, span); mine != layer) {
        close();
        layer = mine;
        begin = span.begin;
      }
      end = span.end;
    }
    close();
  }

  void addSpan(const EntryNames &names, unsigned r, const Span &span) {
    const schema::Artifact &root = run.artifact.root();
    if (span.kind == CommandSpan::Kind::launch) {
      const LaunchName &name = names.launches[span.index];
      return event(
          r, kLaunches, name.key, "launch", span.begin, span.end,
          fmt::format(
              "\"launch\":{},\"layer\":{},\"kernel\":{}", span.index,
              name.layer,
              jsonText(root.kernels()->Get(name.kernel)->name()->str())));
    }
    const CollectiveName &name = names.collectives[span.index];
    const std::string args = fmt::format(
        "\"communicator\":{},\"sequence\":{},\"layer\":{}",
        jsonText(root.communicators()->Get(name.communicator)->name()->str()),
        name.sequence, name.layer);
    if (span.kind == CommandSpan::Kind::wait)
      return event(r, kLaunches, "wait for " + name.label, "wait", span.begin,
                   span.end, args);
    event(r, kCollectives, name.label, "collective", span.begin, span.end,
          args);
    collectives[{span.index, run.members(name.communicator, r).front()}]
        .push_back({r, run.clocks[r].toRank0(span.begin), name.label});
  }

  const RunProfile &run;
  const int64_t origin;
  uint64_t &flows;
  /// By index in the entry and first rank of the group.
  std::map<std::pair<uint32_t, unsigned>, std::vector<Place>> collectives;
};

void addProcess(std::string &text, const RankProfile &rank) {
  auto say = [&](const char *what, unsigned track, const std::string &args) {
    text += fmt::format("{{\"name\":\"{}\",\"ph\":\"M\",\"pid\":{},\"tid\":{},"
                        "\"args\":{{{}}}}},\n",
                        what, rank.rank, track, args);
  };
  say("process_name", 0,
      fmt::format("\"name\":{}",
                  jsonText(fmt::format("rank {} ({})", rank.rank, rank.host))));
  say("process_sort_index", 0, fmt::format("\"sort_index\":{}", rank.rank));
  say("thread_name", kLaunches, "\"name\":\"launches\"");
  say("thread_sort_index", kLaunches, "\"sort_index\":0");
  say("thread_name", kCollectives, "\"name\":\"collectives\"");
  say("thread_sort_index", kCollectives, "\"sort_index\":1");
}

} // namespace

std::string traceText(const RunProfile &run, uint64_t maxBytes,
                      TraceFacts &facts) {
  /// A run on all ranks that made it, by when the first began.
  struct Group {
    size_t entry = 0;
    int64_t begin = 0;
    std::vector<std::pair<unsigned, const Run *>> ranks;
  };
  std::map<std::pair<size_t, uint64_t>, Group> byRun;
  for (unsigned r = 0; r < run.ranks.size(); ++r)
    for (size_t i = 0; i < run.names.size(); ++i)
      for (const Run &kept : run.ranks[r].entries[i].kept) {
        Group &group = byRun[{i, kept.number}];
        const int64_t begin = run.clocks[r].toRank0(kept.begin);
        group.begin =
            group.ranks.empty() ? begin : std::min(group.begin, begin);
        group.entry = i;
        group.ranks.push_back({r, &kept});
      }
  std::vector<Group> groups;
  for (auto &[key, group] : byRun)
    groups.push_back(std::move(group));
  std::ranges::sort(groups, {},
                    [](const Group &g) { return std::pair(g.begin, g.entry); });
  const int64_t origin = groups.empty() ? 0 : groups.front().begin;

  std::string head = "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"producer\":"
                     "\"hadal\"";
  int64_t error = 0;
  for (const ClockMap &clock : run.clocks)
    error = std::max(error, clock.error());
  head += fmt::format(",\"clock_error_us\":\"{:.3f}\"}},\n\"traceEvents\":[\n",
                      static_cast<double>(error) / 1e3);
  for (const RankProfile &rank : run.ranks)
    addProcess(head, rank);

  // The newest first, as long as there is room.
  std::vector<std::string> texts;
  uint64_t bytes = head.size(), flows = 0;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
    RunEvents events(run, origin, flows);
    for (auto [r, kept] : group->ranks)
      events.add(group->entry, r, *kept);
    events.addFlows();
    if (bytes + events.text.size() > maxBytes)
      break;
    bytes += events.text.size();
    texts.push_back(std::move(events.text));
  }
  facts.runs = texts.size();
  facts.dropped = groups.size() - texts.size();
  std::string text = std::move(head);
  for (auto part = texts.rbegin(); part != texts.rend(); ++part)
    text += *part;
  // JSON has no comma behind the last event.
  text.resize(text.find_last_of(','));
  return text + "\n]}\n";
}

StatusOr<TraceFacts> writeTrace(OutputFile file, const RunProfile &run,
                                uint64_t maxBytes) {
  TraceFacts facts;
  HADAL_RETURN_IF_ERROR(file.write(traceText(run, maxBytes, facts)));
  HADAL_RETURN_IF_ERROR(file.commit());
  return facts;
}

} // namespace hadal::profile
