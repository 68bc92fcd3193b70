// The fold of a contraction on sm_90a: its tile, its ring of TMA stages, and
// what of a multiprocessor they take.
#pragma once

#include "cost/Chip.h"
#include "cost/Contraction.h"
#include "schedule/Rules.h"

namespace hadal::schedule::sm90 {

/// The shape of a kernel's fold.
struct Fold {
  int64_t bm, bn, bk, steps;
  int64_t states;         ///< accumulators: weights per step
  int64_t itemsOfRows;    ///< work items of the bucket that have work
  int64_t rowTiles;       ///< of them those that read the same weights
  int64_t rows;           ///< of the bucket
  int64_t xBytes, wBytes; ///< of an element
  bool scaled;            ///< promoted: a product beside the accumulators
  bool kMajor = true;     ///< the weight's tile is [bn, bk], else [bk, bn]
  bool swaps = false;
  bool oneRowTile;       ///< every item has work unless the launch has none
  bool staticViews;      ///< no operand is gathered
  bool cuttable = false; ///< every tile of the epilogue has bn columns
};

/// Bytes of a ring's stage in shared memory: rows of x, and the weights.
int64_t stageBytes(const Fold &fold);
/// Shared memory for the ring of one of |ctas| CTAs of a multiprocessor.
int64_t ringBytes(const nvptx::Chip &chip, const Fold &fold, int64_t ctas);

/// Accumulators of a thread, and with the product beside them.
int64_t stateRegisters(const Fold &fold, int64_t warpgroups);
int64_t registers(const Fold &fold, int64_t warpgroups);

/// Tiles of more than 64 rows, or results too wide for one warpgroup's
/// registers, take two; of a fold that promotes its products, the accumulators
/// beside one.
int64_t pickWarpgroups(const Fold &fold);
/// Why |warpgroups| cannot have the tile; P07 or P15.
Check unfit(const Fold &fold, int64_t warpgroups);
/// Why |ctas| of |warpgroups| do not share a multiprocessor's registers.
Check unfitCtas(const Fold &fold, int64_t warpgroups, int64_t ctas);

/// What one launch does in its fold, as splits are chosen by it.
cost::FoldWork workOf(const nvptx::Chip &chip, const Fold &fold,
                      int64_t warpgroups, int64_t ctasPerMultiprocessor);
/// What its tiles and a ring of |stages| decide beside that.
cost::StepPipeline pipelineOf(const Fold &fold, int64_t warpgroups,
                              int64_t stages);

/// The folds of the kernels, from a complete schedule.
Fold gemmFold(const Facts<kernels::GemmSpec> &facts);
Fold absorbQFold(const Facts<kernels::AbsorbQSpec> &facts);
Fold absorbVFold(const Facts<kernels::AbsorbVSpec> &facts);

inline int64_t bytesOf(kernels::Weight weight) {
  return weight == kernels::Weight::fp8    ? 1
         : weight == kernels::Weight::bf16 ? 2
                                           : 4;
}
inline int64_t bytesOf(kernels::Act act) {
  return act == kernels::Act::bf16 ? 2 : 4;
}

} // namespace hadal::schedule::sm90
