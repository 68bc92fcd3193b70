// --check-env: do the ranks meet, over what, and how fast are they?
#pragma once

#include <string>

#include "runtime/comm/Group.h"

namespace hadal::cli {

/// Prints on rank 0 a line for each rank, its host, process, network interfaces
/// and |library|, and how long an all_to_all of 1 MiB between each two ranks
/// takes. All ranks call it.
Status checkEnvironment(comm::Group &group, const std::string &library,
                        std::chrono::milliseconds timeout);

} // namespace hadal::cli
