// A chip at its peaks as a cluster of one rank: what no kernel beats.
#pragma once

#include <optional>

#include "cost/Cluster.h"
#include "runtime/artifact/Artifact.h"

namespace hadal::predict {

/// The chip that |artifact| was compiled for, as a roofline without gaps and
/// links; none where the target has no table of chips (cpu).
std::optional<cost::Cluster> chipCluster(const Artifact &artifact);

} // namespace hadal::predict
