// Unicode's normal form C.
#pragma once

#include <string>
#include <string_view>

namespace hadal {

/// |text|, which is valid UTF-8, in normal form C (UAX 15): marks in canonical
/// order, composed with the letters before them. Of Unicode 9, as in the
/// reference library.
std::string normalizeNfc(std::string_view text);

} // namespace hadal
