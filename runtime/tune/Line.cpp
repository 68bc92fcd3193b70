#include "runtime/tune/Line.h"

#include "runtime/base/Hash.h"

namespace hadal::tune {

static constexpr std::string_view kSum = ",\"sum\":\"";
static constexpr size_t kTail = kSum.size() + 16 + 2; // digits, quote, brace

std::string sealLine(const OrderedJson &object) {
  std::string text =
      object.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
  text.pop_back(); // the brace
  return text + std::string(kSum) + fmt::format("{:016x}", xxh3(text)) + "\"}";
}

StatusOr<OrderedJson> openLine(std::string_view line, const std::string &what) {
  if (line.size() <= kTail ||
      line.substr(line.size() - kTail, kSum.size()) != kSum ||
      !line.ends_with("\"}"))
    return error(3007, "{}: the line does not end with its sum", what);
  std::string_view text = line.substr(0, line.size() - kTail);
  std::string_view digits = line.substr(line.size() - 18, 16);
  std::string wanted = fmt::format("{:016x}", xxh3(text));
  if (digits != wanted)
    return error(3007, "{}: the sum of the line is {}, it says {}", what,
                 wanted, digits);
  auto json =
      parseOrderedJson(std::string(text) + "}", 3007, what, {.depth = 8});
  if (json.ok() && !json->is_object())
    return error(3007, "{}: the line is no object", what);
  return json;
}

} // namespace hadal::tune
