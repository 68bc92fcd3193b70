// Layers of deployments that others have published, from a file of data.
#pragma once

#include <memory>

#include "cost/Cluster.h"
#include "cost/KernelCosts.h"
#include "cost/Overlap.h"
#include "runtime/base/Json.h"

namespace hadal::cost {

/// Which deployment a layer is priced for.
struct Deployment {
  unsigned ranks = 0, slots = 0;
  double balancedness = 1; ///< mean over most of the ranks' load
  double context = 0;      ///< tokens in the cache, or of a prompt
  Json scale;              ///< of the kernels' times, by class
};

/// A layer as {"cluster", "kernels", "stages", ...} of published.json describes
/// it: stages of kernels, whose times come from a table, and two collectives.
class PublishedLayer {
public:
  /// |json| is one of "layers"; |clusters| overrides its file, by a path below
  /// models/clusters.
  explicit PublishedLayer(const Json &json, const std::string &cluster = "");

  /// One micro-batch of |rows| rows, which shares a rank with |batches| - 1
  /// others.
  Chain chain(const Deployment &deployment, double rows,
              unsigned batches) const;

  /// Tokens a second of a node when a step of |stepTokens| takes |layerUs| for
  /// each layer.
  double tokensPerSecond(double layerUs, double stepTokens) const;

  const Cluster &cluster() const { return cluster_; }

private:
  double kernelUs(const Json &kernel, const Deployment &deployment, double rows,
                  unsigned batches) const;
  Collective collective(const std::string &label, const Deployment &deployment,
                        double rows) const;

  const Json json;
  Cluster cluster_;
  KernelCosts costs;
};

/// test/cost/Inputs/published.json.
const Json &published();

/// The deployment that a row of |published| is of.
Deployment deploymentOf(const Json &row);

} // namespace hadal::cost
