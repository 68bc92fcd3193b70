// Ranks as people read them.
#pragma once

#include <span>
#include <string>

namespace hadal::comm {

/// "rank 3", "ranks 0-2", "ranks 0-2, 5": of ascending numbers.
std::string rankList(std::span<const unsigned> ranks);

} // namespace hadal::comm
