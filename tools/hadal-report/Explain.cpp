#include "tools/hadal-report/Explain.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace hadal::report {

namespace {

constexpr size_t kNearest = 5;
/// Characters of a line of IR that are shown.
constexpr size_t kMostOfLine = 160;

const std::string &textOf(const Report &report, const Json &blob) {
  return report.blobs[std::stoul(blob.get<std::string>().substr(1))].text;
}

/// How many characters must change to make |a| of |b|.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] =
          std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

/// The launches of an operation in an entry.
struct Launches {
  std::vector<size_t> rows;
  Json table; ///< of the entry
};

class Explainer {
public:
  Explainer(const Report &report, std::string key)
      : report(report), data(report.data), key(std::move(key)) {}

  StatusOr<Json> run(const std::string &bucket) {
    collectMembers();
    if (members.empty())
      return error(5011,
                   "no operation '{}' is launched by this program; near it are "
                   "{}",
                   key, fmt::join(nearest(), ", "));
    HADAL_ASSIGN_OR_RETURN(const Json *entry, findEntry(bucket));
    Json json;
    json["operation"] = key;
    json["bucket"] = (*entry)["name"];
    json["members"] = Json(members);
    if (data.contains("phases"))
      json["phases"] = phaseLines((*entry)["name"]);
    addLaunches(*entry, json);
    json["choices"] = Json::array();
    for (const Json &remark : data["provenance"]["remarks"])
      if (const std::string text = remark;
          text.find((*entry)["name"].get<std::string>() + ":") != text.npos ||
          text.find(key) != text.npos)
        json["choices"].push_back(text);
    return json;
  }

private:
  void collectMembers() {
    for (const Json &function : data["functions"]) {
      const Json &commands = function["commands"];
      for (size_t c = 0; c < commands["op"].size(); ++c)
        if (commands["op"][c] == key)
          for (const Json &member : commands["members"][c])
            members.insert(member.get<std::string>());
    }
  }

  std::vector<std::string> nearest() const {
    std::set<std::string> keys;
    for (const Json &function : data["functions"])
      for (const Json &op : function["commands"]["op"])
        if (op.is_string())
          keys.insert(op.get<std::string>());
    std::vector<std::pair<size_t, std::string>> ranked;
    for (const std::string &other : keys)
      ranked.emplace_back(distance(key, other), other);
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(kNearest, ranked.size()); ++i)
      names.push_back(ranked[i].second);
    return names;
  }

  Launches launchesOf(const Json &entry) const {
    Launches launches;
    launches.table = Json::parse(textOf(report, entry["launches"]));
    for (size_t row = 0; row < launches.table["function"].size(); ++row) {
      const size_t f = launches.table["function"][row],
                   c = launches.table["command"][row];
      if (data["functions"][f]["commands"]["op"][c] == key)
        launches.rows.push_back(row);
    }
    return launches;
  }

  StatusOr<const Json *> findEntry(const std::string &bucket) const {
    std::vector<std::string> launching;
    for (const Json &entry : data["entries"]) {
      if (launchesOf(entry).rows.empty())
        continue;
      if (bucket.empty() || entry["name"] == bucket)
        return &entry;
      launching.push_back(entry["name"]);
    }
    return error(5011, "'{}' is launched in {}, not in '{}'", key,
                 fmt::join(launching, ", "), bucket);
  }

  /// A line for each operation of each phase that is, or has become part of,
  /// or was part of this one.
  Json phaseLines(const std::string &bucket) const {
    Json lines = Json::array();
    for (const Json &phase : data["phases"]) {
      const Json index = Json::parse(textOf(report, phase["index"]));
      const Json &ops = index["ops"], &strings = index["strings"];
      const std::string &text = textOf(report, phase["text"]);
      std::vector<size_t> begins = {0};
      for (size_t at = text.find('\n'); at != text.npos;
           at = text.find('\n', at + 1))
        begins.push_back(at + 1);
      for (size_t i = 0; i < ops["key"].size(); ++i) {
        const std::string where = strings[ops["bucket"][i].get<size_t>()];
        const bool isPart =
            std::any_of(ops["members"][i].begin(), ops["members"][i].end(),
                        [&](const Json &m) {
                          return members.contains(strings[m.get<size_t>()]);
                        });
        const size_t first = ops["first"][i];
        if (!isPart || (!where.empty() && where != bucket) || first < 1 ||
            first > begins.size())
          continue;
        std::string line = text.substr(begins[first - 1]);
        line = line.substr(0, line.find('\n'));
        line.erase(0, line.find_first_not_of(' '));
        lines.push_back({{"phase", phase["word"]},
                         {"line", first},
                         {"key", strings[ops["key"][i].get<size_t>()]},
                         {"ir", line.substr(0, kMostOfLine)}});
      }
    }
    return lines;
  }

  void addLaunches(const Json &entry, Json &json) const {
    const Launches launches = launchesOf(entry);
    json["launches_of_a_step"] = launches.rows.size();
    std::set<size_t> kernels;
    for (size_t row : launches.rows) {
      const size_t f = launches.table["function"][row],
                   c = launches.table["command"][row];
      const Json &kernel = data["functions"][f]["commands"]["kernel"][c];
      if (kernel.is_number())
        kernels.insert(kernel.get<size_t>());
    }
    if (launches.table.contains("us")) {
      const size_t row = launches.rows.front();
      Json cost;
      cost["of"] =
          fmt::format("{} on {}", data["cost"]["kind"].get<std::string>(),
                      data["cost"]["name"].get<std::string>());
      for (const char *column : {"us", "bound", "flops", "bytes"})
        cost[column] = launches.table[column][row];
      json["a_launch"] = std::move(cost);
    }
    json["kernels"] = Json::array();
    json["schedule"] = Json::array();
    for (size_t k : kernels) {
      const Json &kernel = data["kernels"][k];
      json["kernels"].push_back({{"kernel", kernel["name"]},
                                 {"facts", kernel["facts"]},
                                 {"spec", kernel["spec"]}});
      for (const Json &word : kernel["words"])
        json["schedule"].push_back({{"kernel", kernel["name"]},
                                    {"word", word[0]},
                                    {"value", word[1]},
                                    {"from", word[2]}});
    }
  }

  const Report &report;
  const Json &data;
  const std::string key;
  std::set<std::string> members;
};

} // namespace

StatusOr<Json> explainOperation(const Report &report, const std::string &what) {
  const size_t at = what.find('@');
  return Explainer(report, what.substr(0, at))
      .run(at == what.npos ? "" : what.substr(at + 1));
}

} // namespace hadal::report
