#include "runtime/tune/CandidateName.h"

#include <charconv>

#include <fmt/format.h>

namespace hadal::tune {

static constexpr std::string_view kMark = "__c";

std::string candidateName(std::string_view kernel, uint64_t number) {
  return fmt::format("{}{}{}", kernel, kMark, number);
}

std::optional<std::pair<std::string_view, uint64_t>>
parseCandidateName(std::string_view name) {
  const size_t at = name.rfind(kMark);
  if (at == std::string_view::npos || at == 0)
    return std::nullopt;
  const std::string_view digits = name.substr(at + kMark.size());
  uint64_t number = 0;
  auto [end, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failure != std::errc() || end != digits.data() + digits.size() ||
      number == 0 || digits.front() == '0')
    return std::nullopt;
  return std::pair(name.substr(0, at), number);
}

} // namespace hadal::tune
