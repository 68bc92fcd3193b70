// Chooses which experts the slots of each rank hold, so that all ranks get
// about the same load (as DeepSeek's EPLB does).
//
// Replicate: every expert has one replica; each further slot goes to the
// expert with the most load for each of its replicas. Pack: replicas by falling
// load into the least loaded rank with a free slot. Hierarchical, where the
// nodes divide the groups of experts that the router chooses among: groups are
// packed on nodes first, so that a token meets few nodes, then replicated and
// packed inside each node. Then replicas of one expert that met on a rank are
// swapped apart: a rank gains nothing of the second.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/placement/Placement.h"

namespace hadal {

struct PlacementProblem {
  uint32_t experts = 0; ///< routed experts of a layer
  uint32_t groups = 1;  ///< of the router, of equal size; 1: it has none
  uint32_t ranks = 1, nodes = 1;
  uint32_t slots = 0; ///< experts that a rank holds of a layer

  /// Whether groups are kept on nodes.
  bool hierarchical() const { return nodes > 1 && groups % nodes == 0; }
};

struct PlacedLayer {
  std::vector<uint32_t> experts; ///< of each slot, rank * slots + slot
  uint32_t swaps = 0;            ///< that kept replicas of one expert apart
};

/// H5011 if there is no placement for |problem|: too few slots for the experts,
/// more slots than a rank can fill with different ones, nodes that do not
/// divide the ranks, groups that do not divide the experts.
Status checkProblem(const PlacementProblem &problem);

/// Places one layer whose expert e got |load|[e] tokens, below 2^62 in sum; an
/// expert without any counts as one with 1. |problem| was checked.
PlacedLayer placeExperts(const PlacementProblem &problem,
                         std::span<const uint64_t> load);

/// Mean over the most of the ranks' loads when each replica of an expert gets
/// an equal part of the expert's.
double balancedness(const PlacementProblem &problem,
                    std::span<const uint64_t> load,
                    std::span<const uint32_t> slotExperts);

} // namespace hadal
