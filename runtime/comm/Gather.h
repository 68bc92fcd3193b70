// Records of any length over the control plane.
#pragma once

#include "runtime/comm/Group.h"

namespace hadal::comm {

/// What each rank gives, in rank order, in as many exchanges of |group| as the
/// longest record needs; |timeout| is that of each. All ranks call it. H6001.
StatusOr<std::vector<std::vector<uint8_t>>>
gather(Group &group, std::span<const uint8_t> mine,
       std::chrono::milliseconds timeout);

} // namespace hadal::comm
