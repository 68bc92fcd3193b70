// What differs between two artifacts, section by section.
#pragma once

#include "cost/Cluster.h"
#include "runtime/artifact/Artifact.h"
#include "tools/hadal-diff/Change.h"

namespace hadal::diff {

/// Versions, target, options, remarks, the model.
void compareOptions(const Artifact &a, const Artifact &b, Changes &changes);
void compareKernels(const Artifact &a, const Artifact &b, Changes &changes);
/// Entries, the mesh, and the commands of each function, aligned by the model
/// operations that they are.
void compareProgram(const Artifact &a, const Artifact &b, Changes &changes);
/// Bytes by use, arenas, states.
void compareMemory(const Artifact &a, const Artifact &b, Changes &changes);
void compareWeights(const Artifact &a, const Artifact &b, Changes &changes);

/// The predicted time of a step of each entry, with the kernels that contribute
/// most to a difference. On |cluster|, else each on its own chip at its peaks;
/// returns why there is no prediction, or "".
StatusOr<std::string> compareTimes(const Artifact &a, const Artifact &b,
                                   const std::optional<cost::Cluster> &cluster,
                                   Changes &changes);

} // namespace hadal::diff
