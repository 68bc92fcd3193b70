// What a step of each entry of an artifact takes on a cluster, from the entry's
// own commands: each launch replaced by its cost, each collective by what its
// link makes of its bytes.
#pragma once

#include "cost/Cluster.h"
#include "cost/KernelCosts.h"
#include "cost/Overlap.h"
#include "passes/Overlap/StepCost.h"
#include "runtime/artifact/Artifact.h"

namespace hadal::predict {

struct Options {
  /// Tokens in the cache of a sequence while it decodes; 0: half of the most.
  uint64_t context = 0;
  /// Most over mean of the ranks' pairs; 0: what even routing gives.
  double imbalance = 0;
  /// Of a rank's step; 0: as many as the entry holds.
  double tokens = 0;
};

/// What the collectives of one label move, over a step.
struct Exchange {
  unsigned operations = 0;
  double exposedUs = 0;
  double us = 0;          ///< of the collectives themselves
  double bytes = 0;       ///< that a rank sends
  double neededBytes = 0; ///< of them those that mean something
};

/// What a launch was priced with.
struct LaunchCost {
  using Bound = LaunchBound;
  uint32_t kernel = 0; ///< of the artifact
  double us = 0;
  Bound bound = Bound::floor; ///< what |us| is the time of
  kernels::LaunchWork work;   ///< none of a kernel without a spec
};
const char *boundName(LaunchCost::Bound bound);

struct EntryPrediction {
  std::string name;
  bool decode = false, worst = false;
  double tokens = 0;    ///< of a dp rank: one for each sequence in decode
  double imbalance = 1; ///< that it was priced with
  double stepUs = 0;    ///< the body, the head and what lies outside
  double headUs = 0;
  cost::Timeline body;
  std::map<std::string, Exchange> exchanges; ///< by label
  uint64_t launches = 0, measured = 0; ///< priced; of them by a measurement
  /// Of the body in the order of flatten(), then of the head.
  std::vector<LaunchCost> launchCosts;
  double tokensPerSecondOfRank = 0, tokensPerSecondOfNode = 0;
  /// What two micro-batches would make of a layer, where the artifact has a
  /// bucket of half the size and a layer few enough stages to search.
  std::optional<cost::OverlapDecision> overlap;
};

/// Of a rank, in bytes; activations include exchange.
struct Memory {
  double weights = 0, cache = 0, states = 0, activations = 0, exchange = 0;
  double workspace = 0; ///< of kernels that several blocks share, on a GPU

  double total() const {
    return weights + cache + states + activations + workspace;
  }
};

struct Prediction {
  unsigned ranks = 1, tp = 1, dp = 1, ep = 1, slots = 0;
  Memory memory;
  std::vector<EntryPrediction> entries;
};

/// H5023 if |cluster| has no link for a collective, or there is neither a
/// measurement of a kernel nor a roofline; H4002 if a kernel's spec is of
/// another version.
StatusOr<Prediction> predict(const Artifact &artifact,
                             const cost::Cluster &cluster,
                             const cost::KernelCosts &costs,
                             const Options &options);

/// The body of |entry| alone, without what two micro-batches would make of it
/// and without rates of tokens. Errors as above.
StatusOr<EntryPrediction> predictBody(const Artifact &artifact,
                                      const cost::Cluster &cluster,
                                      const cost::KernelCosts &costs,
                                      const Options &options,
                                      const schema::Entry &entry);

} // namespace hadal::predict
