// Where a rank stands in the mesh of an artifact (schemas/artifact.fbs at
// Mesh).
#pragma once

#include <vector>

#include "runtime/base/Status.h"
#include "runtime/placement/Placement.h"
#include "runtime/schemas/artifact_generated.h"

namespace hadal {

struct RankLayout {
  unsigned rank = 0, tp = 1, dp = 1, ep = 1;

  unsigned ranks() const { return tp * dp; }
  /// Which share of the requests it serves.
  unsigned dpIndex() const { return rank / tp; }
  /// The size of an axis, and the rank's place in its group there.
  unsigned size(schema::Axis axis) const;
  unsigned index(schema::Axis axis) const;
  /// The ranks of its group along |axis|, ascending.
  std::vector<unsigned> members(schema::Axis axis) const;

  /// The tokens of a call that are this rank's between the heads of layers: of
  /// |tokens| in an entry that holds |capacity|, a multiple of tp, those from
  /// |begin| on.
  struct Slice {
    int32_t begin, tokens;
    bool operator==(const Slice &) const = default;
  };
  Slice slice(uint32_t capacity, int32_t tokens) const;
};

/// The layout of rank |rank| of |ranks| that run |artifact|; 0 ranks: a run
/// without a group. H6004 if the artifact was built for another number.
StatusOr<RankLayout> rankLayout(const schema::Artifact &artifact,
                                const std::string &path, unsigned rank,
                                unsigned ranks);

/// What |artifact|, which has a mesh, fixes about its placements.
PlacementShape placementShape(const schema::Artifact &artifact);

} // namespace hadal
