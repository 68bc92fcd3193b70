#include "tools/hadal-explain/ErrorPages.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace hadal::explain {

/// One text for each area, in their order; a file that the build makes.
extern const std::string_view pages[];

std::span<const ErrorCode> allCodes() {
  static const ErrorCode codes[] = {
#define HADAL_ERROR(Code, ExitCode, Sentence) {Code, ExitCode, Sentence},
#include "runtime/schemas/errors.def"
#undef HADAL_ERROR
  };
  return codes;
}

static std::string_view digitsOf(std::string_view text) {
  if (text.starts_with('H') || text.starts_with('h'))
    text.remove_prefix(1);
  return text;
}

std::optional<ErrorCode> parseCode(std::string_view text) {
  for (const ErrorCode &code : allCodes())
    if (digitsOf(text) == fmt::format("{}", code.code))
      return code;
  return std::nullopt;
}

std::vector<std::string> nearestCodes(std::string_view text) {
  size_t best = 0;
  std::vector<std::string> nearest;
  for (const ErrorCode &code : allCodes()) {
    const std::string digits = fmt::format("{}", code.code);
    const std::string_view given = digitsOf(text);
    const size_t common = static_cast<size_t>(
        std::mismatch(digits.begin(), digits.end(), given.begin(), given.end())
            .first -
        digits.begin());
    if (common > best)
      nearest.clear();
    best = std::max(best, common);
    if (common == best && best)
      nearest.push_back("H" + digits);
  }
  return nearest;
}

std::string_view pageOf(const ErrorCode &code) {
  const std::string_view page = pages[code.code / 1000 - 1];
  const std::string heading =
      fmt::format("\n## H{}: {}\n", code.code, code.sentence);
  const size_t at = page.find(heading);
  if (at == page.npos)
    return {};
  const size_t begin = page.find_first_not_of('\n', at + heading.size());
  std::string_view section = page.substr(begin);
  section = section.substr(0, section.find("\n## "));
  return section.substr(0, section.find_last_not_of('\n') + 1);
}

} // namespace hadal::explain
