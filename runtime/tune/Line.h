// A line of a file of tuning: one JSON object whose last member is the checksum
// of the text before it.
#pragma once

#include "runtime/base/Json.h"

namespace hadal::tune {

/// The text of |object| with its sum, without a line end.
std::string sealLine(const OrderedJson &object);

/// The object of |line|, without its sum: 3007, |what| first, where the sum is
/// not that of the text or the text is no object.
StatusOr<OrderedJson> openLine(std::string_view line, const std::string &what);

} // namespace hadal::tune
