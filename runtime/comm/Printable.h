// Texts of other processes, safe for a terminal and a log.
#pragma once

#include <string>
#include <string_view>

namespace hadal::comm {

/// |text| with what a terminal could act on (controls, bytes beyond ASCII)
/// written as \xHH, and cut to some |limit| characters.
std::string printable(std::string_view text, size_t limit = 4096);

} // namespace hadal::comm
