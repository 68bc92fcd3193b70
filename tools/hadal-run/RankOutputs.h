// What the ranks of a run have made, brought to rank 0.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/comm/Group.h"
#include "runtime/engine/Generator.h"

namespace hadal {

/// By the index of the request in the whole run.
struct RankOutputs {
  std::map<size_t, std::string> texts;
  std::map<size_t, std::vector<float>> logits; ///< position after position
  std::vector<size_t> cut; ///< requests that ended for want of room
  engine::GenerateStatistics statistics;
  SessionCounters counters;
};

/// Adds what the other ranks have to |outputs| of rank 0: texts and logits of
/// all, sums of tokens, the longest times; calls are counted once, since all
/// make the same. All ranks of |group| call it; H6001, H6006. |isFirst|: this
/// rank counts for its tp group, whose ranks have the same.
Status gatherOutputs(comm::Group &group, bool isFirst,
                     std::chrono::milliseconds timeout, RankOutputs &outputs);

} // namespace hadal
