// Unicode's normal form C.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

/// |text|, which is valid UTF-8, in normal form C (Unicode 16, UAX 15): marks in
/// canonical order, composed with the letters before them.
std::string normalizeNfc(std::string_view text);

} // namespace hadal
