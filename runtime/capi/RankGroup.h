// How a caller of the C interface becomes one of several ranks.
#pragma once

#include <string>

#include "runtime/comm/Group.h"
#include "runtime/comm/QueueStream.h"

namespace hadal::capi {

/// hadal_rank_options with its defaults: empty texts are not said.
struct RankOptions {
  unsigned rank = 0, ranks = 0;
  unsigned localRanks = 0, localRank = 0;
  std::string comm, rendezvous, token, placement, policy, delay, flightRecord;
  std::chrono::milliseconds joinTimeout = std::chrono::seconds(60);
  std::chrono::milliseconds commTimeout = std::chrono::seconds(30);
};

struct Joined {
  std::unique_ptr<comm::Group> group;
  /// Ranks that share this machine's cores.
  unsigned localRanks = 1;
  /// Of processes: which of them this one is.
  unsigned localRank = 0;
  comm::StreamOptions stream;
};

/// Joins the run. H5011 for options that cannot be, H6002, H6003, H6005.
StatusOr<Joined> joinRun(const RankOptions &options);

} // namespace hadal::capi
