// Strict JSON for files that come from outside, over nlohmann::json; no
// exception leaves this interface.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "runtime/base/Status.h"

namespace hadal {

using Json = nlohmann::json;
/// Objects keep their members in the order of the text.
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  /// Nesting of arrays and objects.
  unsigned depth = 64;
  /// Bytes of a file read by readJsonFile.
  uint64_t bytes = uint64_t{256} << 20;
};

/// Parses |text|. Errors carry |errorCode| and name |what| and the byte
/// position: bad UTF-8, bad syntax, duplicate keys, numbers beyond double,
/// nesting deeper than the limit, anything after the value.
StatusOr<Json> parseJson(std::string_view text, int errorCode,
                         const std::string &what, JsonLimits limits = {});

/// The same with the order of members kept.
StatusOr<OrderedJson> parseOrderedJson(std::string_view text, int errorCode,
                                       const std::string &what,
                                       JsonLimits limits = {});

/// Reads and parses the file |path|.
StatusOr<Json> readJsonFile(const std::string &path, int errorCode,
                            JsonLimits limits = {});

/// The member |key| of an object, or nullptr where |value| is no object or has
/// no such member. Never throws.
const Json *findMember(const Json &value, std::string_view key);

/// The string, boolean or non-negative integer in |value| (which may be null:
/// an absent member); nullopt/nullptr for another type.
const std::string *asString(const Json *value);
std::optional<bool> asBool(const Json *value);
std::optional<uint64_t> asUnsigned(const Json *value);

} // namespace hadal
