// What the launches and collectives of a step cost on a cluster. No MLIR: the
// compiler decides by it, and tools that link no compiler predict by it.
#pragma once

#include <span>

#include "cost/Cluster.h"
#include "cost/KernelCosts.h"
#include "kernels/KernelWork.h"

namespace hadal::predict {

/// An entry, as far as its costs depend on it. Of two micro-batches: one of
/// them.
struct StepShape {
  bool decode = false;
  double tokens = 0, rows = 0, queries = 1;
  unsigned tp = 1, ep = 1;
  int64_t slots = 0; ///< experts of a rank
  double topk = 0; ///< experts of a token
  /// Keys of a sequence in decode; in prefill they are its tokens.
  double context = 0;
  /// Most over mean of the ranks' pairs; 0: what even routing gives, or what
  /// the cluster says.
  double imbalance = 0;
};

/// One array of a collective.
struct ExchangePart {
  double rows = 0; ///< of each peer's block
  double rowBytes = 0;
  int countColumn = -1; ///< -1: all rows are meant; 1: they are pairs
};

enum class ExchangeKind { allGather, reduceScatter, allReduce, allToAll };

/// What a collective is of.
struct ExchangeWork {
  ExchangeKind kind = ExchangeKind::allToAll;
  std::string label, axis; ///< "dispatch", "ep"
  unsigned ranks = 1;
  std::vector<ExchangePart> parts;
};

/// Bytes that a rank sends in a collective, and those of them that mean
/// something; what it costs.
struct PricedExchange {
  double bytes = 0, neededBytes = 0;
  cost::Collective cost;
};

/// What a launch takes, and what that is the time of.
enum class LaunchBound { memory, compute, floor, measured };
struct PricedLaunch {
  double us = 0;
  LaunchBound bound = LaunchBound::floor;
  kernels::LaunchWork work; ///< none of a kernel without a spec
};

/// Prices one step.
class StepCost {
public:
  /// |cluster| and |costs| must outlive it. |beside|: another micro-batch
  /// communicates meanwhile, on multiprocessors that products then lack.
  StepCost(const StepShape &shape, const cost::Cluster &cluster,
           const cost::KernelCosts &costs, bool beside = false);

  const kernels::StepBatch &batch() const { return full; }
  double imbalance() const { return most; }
  /// Of a head's step.
  void setLogitRows(double rows) { full.logitRows = rows; }

  /// A launch of the kernel |name|; |spec| may be null where it was measured.
  /// H5023 where there is neither a measurement nor a roofline.
  StatusOr<PricedLaunch> launch(const std::string &name,
                                const kernels::AnySpec *spec) const;
  /// H5023 if the cluster has no link for it.
  StatusOr<PricedExchange> price(const ExchangeWork &exchange) const;

private:
  double meantRows(const ExchangePart &part,
                   const ExchangeWork &exchange) const;
  double movedRows(const cost::Link &link, const ExchangePart &part,
                   const ExchangeWork &exchange) const;

  const StepShape shape;
  const cost::Cluster &cluster;
  const cost::KernelCosts &costs;
  kernels::StepBatch full; ///< what a full step holds
  double most = 1;
  /// How much longer products take on what is left of the chip.
  double share = 1;
};

} // namespace hadal::predict
