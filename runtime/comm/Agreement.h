// What all ranks of a run must agree about before they do anything together.
#pragma once

#include "runtime/comm/Group.h"

namespace hadal::comm {

/// What a rank is about to run. Equal on all ranks, but for the host.
struct RunRecord {
  std::string host;         ///< for messages
  uint64_t artifact = 0;    ///< digest of the file
  uint64_t collectives = 0; ///< digest of the entries' collective lists
  uint64_t placement = 0;   ///< digest of the placement of experts
  uint64_t checkpoint = 0;  ///< digest of the checkpoint's index
  std::string version;      ///< of hadal
  std::string library;      ///< that communicates, with its version
};

/// Compares the records of all ranks: H6003 on every one of them names the
/// first rank that differs from rank 0, and in what.
Status agree(Group &group, const RunRecord &mine, Deadline deadline);

/// Success if |mine| is a success on all ranks; else the own error, or that of
/// the lowest rank that has one, with its code and its rank.
Status shareStatus(Group &group, const Status &mine, Deadline deadline);

} // namespace hadal::comm
