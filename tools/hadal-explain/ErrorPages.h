// What docs/errors says of each code, in the tool.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::explain {

struct ErrorCode {
  int code; ///< 2003 of H2003
  int exitCode;
  std::string_view sentence;
};

/// runtime/schemas/errors.def.
std::span<const ErrorCode> allCodes();
/// "H2003", "h2003" or "2003"; none for what is no code of the table.
std::optional<ErrorCode> parseCode(std::string_view text);
/// The codes of the table that share most of their beginning with |text|.
std::vector<std::string> nearestCodes(std::string_view text);
/// The section of |code|, without its heading; empty if there is none.
std::string_view pageOf(const ErrorCode &code);

} // namespace hadal::explain
