#include "tools/hadal-diff/Change.h"

#include <map>

#include <fmt/format.h>

namespace hadal::diff {

static std::string plain(const Json &value) {
  return value.is_string()
             ? value.get<std::string>()
             : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Changes::compare(const std::string &section, const std::string &subject,
                      const std::string &what, const std::string &a,
                      const std::string &b) {
  if (a != b)
    add({section, subject, what, a, b});
}

void Changes::compareFields(const std::string &section,
                            const std::string &subject, const Json &a,
                            const Json &b,
                            const std::set<std::string> &except) {
  for (const auto &[key, value] : a.items())
    if (except.contains(key))
      continue;
    else if (!b.contains(key))
      add({section, subject, key, plain(value), std::nullopt});
    else
      compare(section, subject, key, plain(value), plain(b[key]));
  for (const auto &[key, value] : b.items())
    if (!except.contains(key) && !a.contains(key))
      add({section, subject, key, std::nullopt, plain(value)});
}

void Changes::compareRows(const std::string &section, const std::string &kind,
                          const Json &a, const Json &b) {
  std::map<std::string, const Json *> theirs;
  for (const Json &row : b)
    theirs[row["name"]] = &row;
  for (const Json &row : a) {
    const std::string name = row["name"];
    auto it = theirs.find(name);
    if (it == theirs.end()) {
      add({section, kind + " " + name, "", "", std::nullopt});
      continue;
    }
    compareFields(section, kind + " " + name, row, *it->second, {"name"});
    theirs.erase(it);
  }
  for (const Json &row : b)
    if (theirs.contains(row["name"]))
      add({section, kind + " " + row["name"].get<std::string>(), "",
           std::nullopt, ""});
}

void Changes::keepOnly(const std::set<std::string> &only) {
  if (!only.empty())
    std::erase_if(list_, [&](const Change &change) {
      return !only.contains(change.section);
    });
}

static std::string lineOf(const Change &change) {
  std::string line = "  " + change.subject + ":";
  if (!change.what.empty())
    line += " " + change.what;
  if (change.a && change.b)
    return line + fmt::format(" {} -> {}\n", *change.a, *change.b);
  // An object that only one of them has is named, not shown.
  const std::string &value = change.a ? *change.a : *change.b;
  if (!value.empty())
    line += " " + value;
  return line + (change.a ? " removed\n" : " added\n");
}

std::string toText(const Changes &changes) {
  std::string text;
  for (const char *section : kSections) {
    std::string lines;
    for (const Change &change : changes.list())
      if (change.section == section)
        lines += lineOf(change);
    if (!lines.empty())
      text += fmt::format("{}:\n{}", section, lines);
  }
  return text;
}

Json toJson(const Changes &changes) {
  Json json;
  json["hadal_diff"] = 1;
  json["equal"] = changes.list().empty();
  json["changes"] = Json::object();
  for (const char *section : kSections)
    for (const Change &change : changes.list())
      if (change.section == section) {
        Json one;
        one["subject"] = change.subject;
        one["what"] = change.what;
        one["a"] = change.a ? Json(*change.a) : Json();
        one["b"] = change.b ? Json(*change.b) : Json();
        json["changes"][section].push_back(std::move(one));
      }
  return json;
}

} // namespace hadal::diff
