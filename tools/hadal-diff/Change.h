// One difference between two artifacts, and lists of them as text and JSON.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace hadal::diff {

using Json = nlohmann::ordered_json;

/// The sections in the order in which they are shown, as --only names them.
inline constexpr const char *kSections[] = {
    "options", "kernels", "schedule", "program", "memory", "weights", "time"};

/// |subject|'s |what| is |a| here and |b| there; without |a| it is new, without
/// |b| it is gone.
struct Change {
  std::string section, subject, what;
  std::optional<std::string> a, b;
};

class Changes {
public:
  void add(Change change) { list_.push_back(std::move(change)); }
  /// Adds a change if the texts differ.
  void compare(const std::string &section, const std::string &subject,
               const std::string &what, const std::string &a,
               const std::string &b);
  /// compare() for every member of two objects, but those of |except|; a member
  /// of one of them alone is new or gone.
  void compareFields(const std::string &section, const std::string &subject,
                     const Json &a, const Json &b,
                     const std::set<std::string> &except = {});
  /// Objects of two arrays by their member "name".
  void compareRows(const std::string &section, const std::string &kind,
                   const Json &a, const Json &b);

  const std::vector<Change> &list() const { return list_; }
  /// Drops what is in no section of |only|; keeps all if that is empty.
  void keepOnly(const std::set<std::string> &only);

private:
  std::vector<Change> list_;
};

/// Lines by section; nothing for no change.
std::string toText(const Changes &changes);
/// {"hadal_diff": 1, "equal": false, "changes": {section: [...]}}.
Json toJson(const Changes &changes);

} // namespace hadal::diff
