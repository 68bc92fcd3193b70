// What a launch of a kernel has to move and to compute, from its spec: the two
// sides of a roofline.
#pragma once

#include "kernels/KernelSpecs.h"

namespace hadal::kernels {

/// What a step of one rank holds. Rows of everything that is split over tp are
/// those of the rank's slice.
struct StepBatch {
  double tokens = 0; ///< of the dp rank
  double slice = 0;  ///< of the rank's share of them
  double sequences = 0;
  double context = 0; ///< keys of a sequence, its new tokens included
  double logitRows = 0;
  double sentRows = 0; ///< rows that the rank sends to experts
  double pairs = 0;    ///< (token, expert) pairs that the rank computes
};

struct LaunchWork {
  double bytes = 0; ///< weights that are read, activations read and written
  double flops = 0; ///< of its products
  bool fp8 = false; ///< on the FP8 tensor cores
};

LaunchWork workOf(const AnySpec &spec, const StepBatch &batch);

/// Whether its time follows what the router gives to the rank's experts.
bool isOfExperts(const AnySpec &spec);

} // namespace hadal::kernels
