// --check-env: do the ranks meet, over what, and how fast are they?
#pragma once

#include <string>

#include "runtime/comm/Group.h"
#include "tools/common/Cli.h"

namespace hadal::cli {

/// Prints on rank 0 a line for each rank, its host, process, network interfaces
/// and |library|, and how long an all_to_all of 1 MiB between each two ranks
/// takes. All ranks call it.
Status checkEnvironment(comm::Group &group, const std::string &library,
                        std::chrono::milliseconds timeout);

/// The same of ranks with a GPU each: |load| says which, and the all_to_all is
/// in a graph, as those of decode entries are.
Status checkDevices(comm::Group &group, const std::string &library,
                    std::chrono::milliseconds timeout, const LoadFlags &load);

// What both share.

inline constexpr uint64_t kCheckBytes = 1u << 20;
inline constexpr int kCheckRounds = 5;
/// What rank |from| sends to |to| in round |round|, each MiB of one byte.
uint8_t checkByte(unsigned from, unsigned to, int round);
/// A line for each rank, on all: its host, process, interfaces and |library|.
StatusOr<std::vector<std::string>>
describeRanks(comm::Group &group, const std::string &library,
              std::chrono::milliseconds timeout);
/// Prints them, and that the |best| of the rounds took so long; |how|: in which
/// way, "" or ", in a graph".
void printCheck(const std::vector<std::string> &ranks,
                std::chrono::duration<double> best, const char *how);

} // namespace hadal::cli
