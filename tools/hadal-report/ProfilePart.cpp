// Traces: complete events of Chrome's format, as columns by track.
#include <map>

#include "runtime/base/Json.h"
#include "tools/hadal-report/Inputs.h"

namespace hadal::report {

namespace {

constexpr int kCode = 5023;

/// The names of processes and threads, from metadata events.
std::map<std::string, std::string> trackNames(const hadal::Json &events) {
  std::map<std::string, std::string> names;
  for (const hadal::Json &event : events) {
    const std::string *kind = asString(findMember(event, "name"));
    const hadal::Json *args = findMember(event, "args");
    const std::string *name =
        args ? asString(findMember(*args, "name")) : nullptr;
    if (!kind || !name)
      continue;
    auto number = [&](const char *key) {
      const hadal::Json *value = findMember(event, key);
      return value ? value->dump() : "";
    };
    // "rank 3 (host)": the page names no machine.
    if (*kind == "process_name")
      names[number("pid")] = name->substr(0, name->find(" ("));
    else if (*kind == "thread_name")
      names[number("pid") + "." + number("tid")] = *name;
  }
  return names;
}

double numberOf(const hadal::Json &event, const char *key) {
  const hadal::Json *value = findMember(event, key);
  return value && value->is_number() ? value->get<double>() : 0;
}

} // namespace

Status addProfile(Report &report, const std::string &path) {
  HADAL_ASSIGN_OR_RETURN(hadal::Json trace, readJsonFile(path, kCode));
  const hadal::Json *events =
      trace.is_array() ? &trace : findMember(trace, "traceEvents");
  if (!events || !events->is_array())
    return error(kCode,
                 "'{}' is no trace: expected \"traceEvents\", which hadal-run "
                 "--profile writes",
                 path);
  const std::map<std::string, std::string> names = trackNames(*events);
  std::map<std::string, size_t> tracks, texts;
  Json trackList = Json::array(), strings = Json::array();
  auto numbered = [](std::map<std::string, size_t> &numbers, Json &list,
                     const std::string &key, const std::string &shown) {
    auto [it, isNew] = numbers.try_emplace(key, numbers.size());
    if (isNew)
      list.push_back(shown);
    return it->second;
  };
  Json columns = {{"track", Json::array()},
                  {"name", Json::array()},
                  {"op", Json::array()},
                  {"begin_us", Json::array()},
                  {"us", Json::array()}};
  for (const hadal::Json &event : *events) {
    const std::string *kind = asString(findMember(event, "ph"));
    const std::string *name = asString(findMember(event, "name"));
    if (!kind || *kind != "X" || !name)
      continue;
    const hadal::Json *pid = findMember(event, "pid"),
                      *tid = findMember(event, "tid"),
                      *args = findMember(event, "args");
    const std::string process = pid ? pid->dump() : "0";
    const std::string thread = process + "." + (tid ? tid->dump() : "0");
    auto called = [&](const std::string &key, const std::string &otherwise) {
      auto it = names.find(key);
      return it == names.end() ? otherwise : it->second;
    };
    // A launch is called after its operation.
    const std::string *category = asString(findMember(event, "cat"));
    const std::string *op = args ? asString(findMember(*args, "op")) : nullptr;
    if (!op && category && *category == "launch")
      op = name;
    columns["track"].push_back(
        numbered(tracks, trackList, thread,
                 called(process, "process " + process) + ", " +
                     called(thread, "thread " + thread)));
    columns["name"].push_back(numbered(texts, strings, *name, *name));
    columns["op"].push_back(op ? Json(numbered(texts, strings, *op, *op))
                               : Json());
    columns["begin_us"].push_back(numberOf(event, "ts"));
    columns["us"].push_back(numberOf(event, "dur"));
  }
  if (columns["track"].empty())
    return error(kCode, "'{}' holds no complete event (\"ph\": \"X\")", path);
  const size_t number = report.data["profiles"].size() + 1;
  report.data["profiles"].push_back(
      {{"name", fmt::format("profile {}", number)},
       {"tracks", std::move(trackList)},
       {"strings", std::move(strings)},
       {"events",
        report.addBlob(columns.dump(), Report::Part::profile,
                       fmt::format("the events of profile {}", number))}});
  return {};
}

} // namespace hadal::report
