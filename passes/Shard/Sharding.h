// The parts of ShardLayers.
#pragma once
#include "passes/Shard/Passes.h"

namespace hadal::shard {

/// Leaves each rank its slots of the experts and exchanges rows with the
/// others.
mlir::LogicalResult shardExperts(mlir::ModuleOp module, dsv3::MeshAttr mesh);

struct TensorOptions {
  bool splitsVocabulary; ///< a rank has its part of the head's rows
  bool sumsInF32;        ///< what ranks send to be summed is f32
};
/// Leaves each rank of a tp group its heads and its slice of the tokens, with
/// the conversions between them.
mlir::LogicalResult shardTensors(mlir::ModuleOp module, dsv3::MeshAttr mesh,
                                 const TensorOptions &options);

} // namespace hadal::shard
