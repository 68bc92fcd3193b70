// Reads the members of a JSON object, each once, with its type and range.
#pragma once

#include <cmath>
#include <set>

#include "runtime/serve/Body.h"

namespace hadal::serve {

/// The first error stays; readers then return nothing.
class Fields {
public:
  explicit Fields(const Json &object) : object(object) {}

  std::optional<int64_t> integer(const char *name, int64_t least, int64_t most) {
    const Json *value = find(name);
    if (!value)
      return std::nullopt;
    // 1.0 is a number that is written as no integer: refused as 1.5 is.
    const bool fits =
        value->is_number_integer() &&
        !(value->is_number_unsigned() &&
          value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) &&
        value->get<int64_t>() >= least && value->get<int64_t>() <= most;
    if (fits)
      return value->get<int64_t>();
    fail(name, *value, fmt::format("an integer from {} to {}", least, most));
    return std::nullopt;
  }

  /// |open|: |least| itself is outside.
  std::optional<double> number(const char *name, double least, double most,
                               bool open = false) {
    const Json *value = find(name);
    if (!value)
      return std::nullopt;
    if (value->is_number()) {
      const double d = value->get<double>();
      if (std::isfinite(d) && (open ? d > least : d >= least) && d <= most)
        return d;
    }
    fail(name, *value,
         fmt::format("a number {} {} and at most {}",
                     open ? "above" : "of at least", least, most));
    return std::nullopt;
  }

  std::optional<bool> flag(const char *name) {
    const Json *value = find(name);
    if (!value)
      return std::nullopt;
    if (value->is_boolean())
      return value->get<bool>();
    fail(name, *value, "true or false");
    return std::nullopt;
  }

  std::optional<std::string> text(const char *name, size_t mostBytes) {
    const Json *value = find(name);
    if (!value)
      return std::nullopt;
    if (value->is_string() && value->get_ref<const std::string &>().size() <=
                                  mostBytes)
      return value->get<std::string>();
    fail(name, *value, fmt::format("a string of at most {} bytes", mostBytes));
    return std::nullopt;
  }

  /// The member, or null where it is absent or null.
  const Json *find(const char *name) {
    known.insert(name);
    const Json *value = findMember(object, name);
    return value && !value->is_null() ? value : nullptr;
  }

  void fail(const char *name, const Json &found, const std::string &expected) {
    failWith(name, fmt::format("{} is {}, expected {}", name, shown(found),
                               expected));
  }
  void failWith(const std::string &name, const std::string &message) {
    if (!failure)
      failure = BodyError{error(5028, "{}", message), name};
  }

  std::vector<std::string> unknownNames() const {
    std::vector<std::string> names;
    for (const auto &[name, value] : object.items())
      if (!known.contains(name))
        names.push_back(name);
    return names;
  }

  std::optional<BodyError> failure;

private:
  static std::string shown(const Json &value) {
    constexpr size_t kMost = 80;
    std::string text =
        value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
  }

  const Json &object;
  std::set<std::string, std::less<>> known;
};

} // namespace hadal::serve
