#include "runtime/comm/Printable.h"

#include <cstdint>

#include <fmt/format.h>

namespace hadal::comm {

std::string printable(std::string_view text, size_t limit) {
  std::string result;
  for (char c : text) {
    if (result.size() >= limit) {
      result += "...";
      break;
    }
    if (c >= 0x20 && c < 0x7f)
      result += c;
    else
      result += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }
  return result;
}

} // namespace hadal::comm
