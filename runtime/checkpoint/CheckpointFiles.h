// Which files of a directory hold the model's weights.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/Status.h"

namespace hadal {

/// The weight files of a checkpoint directory, by their names in it.
struct CheckpointFiles {
  /// Tensor name -> name of the file that counts for it.
  using WeightMap = std::map<std::string, std::string, std::less<>>;

  std::string directory;
  /// Sorted; empty for a directory without weights, a bare config.json.
  std::vector<std::string> names;
  /// What model.safetensors.index.json says, where it is what |names| rests on.
  std::optional<WeightMap> weightMap;
  /// Safetensors files (and a stale index) that are not the model's, sorted.
  std::vector<std::string> passedOver;

  /// "passed over 2 files that are not part of the model: a, b", or empty.
  std::string describePassedOver() const;
};

/// Takes, in this order, the first that the directory has:
///  1. the files that model.safetensors.index.json names; where none of them is
///     there but model.safetensors is, the index is stale and passed over;
///  2. model.safetensors;
///  3. the shards model-I-of-N.safetensors, or the only other such set;
///  4. modelR-mpW.safetensors, as DeepSeek's converter writes them;
///  5. all other *.safetensors.
/// Names that begin with a dot (AppleDouble, caches), directories and adapters
/// (adapter_*.safetensors) are never weights. H5001: not a directory, a shard
/// of a set that is absent, weights in other formats alone. H5002: a malformed
/// index, two sets of shards, files that are one rank's share of the tensors.
StatusOr<CheckpointFiles> findCheckpointFiles(const std::string &directory);

} // namespace hadal
