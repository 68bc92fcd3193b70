// The parts of a report, each from its input.
#pragma once

#include <optional>

#include "cost/Cluster.h"
#include "runtime/artifact/Artifact.h"
#include "tools/hadal-report/Report.h"

namespace hadal::report {

/// "artifact", "provenance", "kernels", "weights", "memory", "states": what
/// hadal-inspect shows, and the PTX of each kernel.
Status addArtifact(Report &report, const Artifact &artifact);

/// "functions" with their commands, and "entries" with their launches in order
/// and what each costs: on |cluster|, else on the artifact's own chip at its
/// peaks, else not at all.
Status addProgram(Report &report, const Artifact &artifact,
                  const std::optional<cost::Cluster> &cluster);

/// "phases": the dumps of |directory| (hadal-compile --dump-phases-to) with
/// their indices, the buffers of the planned program, and below tile the IR of
/// each kernel. H5001; H5023 if an index is not of its text
/// or the program not the artifact's.
Status addPhases(Report &report, const std::string &directory);
/// "passes": snapshots of --dump-passes-to.
Status addPasses(Report &report, const std::string &directory);

/// "profiles": a Chrome trace, as hadal-run --profile writes it. H5023.
Status addProfile(Report &report, const std::string &path);

} // namespace hadal::report
