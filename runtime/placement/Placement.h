// Which experts each rank of an expert-parallel group holds: a file, or the
// default. Equal on all ranks; equal too for every group of ranks that holds
// all experts.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal {

/// What an artifact fixes about its placements.
struct PlacementShape {
  uint32_t experts = 0;         ///< routed experts of a layer
  uint32_t ranks = 0;           ///< of an expert-parallel group
  uint32_t slots = 0;           ///< experts that a rank holds of a layer
  std::vector<uint32_t> layers; ///< the MoE layers, ascending
  /// Most slots of one expert that its tables have room for; 0: any number.
  uint32_t mostReplicas = 0;

  uint64_t allSlots() const { return uint64_t{ranks} * slots; }
};

/// One layer: the expert in each physical slot, which is rank * slots + slot.
struct LayerPlacement {
  std::vector<uint32_t> experts;
  /// Mean over the most of the ranks' load, with the default placement and with
  /// this one; 0: no load is known.
  double balancednessBefore = 0, balancednessAfter = 0;
};

struct ExpertPlacement {
  uint32_t experts = 0, ranks = 0, slots = 0;
  /// Of the load that it was made for, 16 hexadecimal digits; empty: of none.
  std::string loadDigest;
  std::map<uint32_t, LayerPlacement> layers; ///< by layer number

  /// The experts of |rank| in |layer|, which must exist, by local slot.
  std::span<const uint32_t> of(uint32_t layer, uint32_t rank) const;

  /// The value of a `placement_table` parameter, i32[experts, 1 + replicas]:
  /// how many physical slots an expert has, then their numbers in ascending
  /// order; -1 behind them. |replicas| is at least the most slots of an expert.
  std::vector<int32_t> table(uint32_t layer, uint32_t replicas) const;

  /// Of what decides where experts are: not of loads and figures.
  uint64_t digest() const;
};

/// Without a file: slot s of rank r holds expert (r * slots + s) mod experts.
ExpertPlacement defaultPlacement(const PlacementShape &shape);

/// H6008 if |placement| is not one for |shape|: other numbers of experts, ranks
/// or slots, a layer missing or too many, an expert that is in no slot, that
/// does not exist, or that has more slots than there is room for. |what| names
/// it.
Status checkPlacement(const ExpertPlacement &placement,
                      const PlacementShape &shape, const std::string &what);

/// Reads a file that hadal-place wrote, without its shape's check. H6008.
StatusOr<ExpertPlacement> parsePlacement(std::string_view text,
                                         const std::string &what);
/// Reads the file |path| and checks that it is for |shape|. H6008.
StatusOr<ExpertPlacement> readPlacement(const std::string &path,
                                        const PlacementShape &shape);

/// The text of a placement file, a line a layer:
/// {"hadal_placement": 1, "experts": E, "ranks": R, "slots": S,
///  "load_digest": "...", "layers": {"3": [[S ids], ... R ranks], ...},
///  "balancedness": {"3": [before, after], ...}}
std::string writePlacement(const ExpertPlacement &placement);

} // namespace hadal
