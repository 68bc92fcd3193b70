// One layer of an unrolled program as a chain of stages, which the search over
// the orders of two micro-batches takes.
#pragma once

#include "cost/Overlap.h"
#include "kernels/KernelSpecs.h"

namespace hadal::predict {

/// A command with its cost; of a launch with what it computes, if that is
/// known.
struct PricedCommand {
  cost::Command command;
  const kernels::AnySpec *spec = nullptr;
};

/// The layer in the middle of |commands|, from the start of its exchange of
/// rows to the next layer's: the shared expert, what awaits the rows, what
/// awaits their return, cut behind the combination and before the attention.
/// None where fewer than two layers exchange rows.
std::optional<cost::Chain>
findLayerChain(const std::vector<PricedCommand> &commands);

} // namespace hadal::predict
