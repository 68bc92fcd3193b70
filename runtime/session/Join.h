// What ranks make sure of before they run a model together.
#pragma once

#include "runtime/artifact/Artifact.h"
#include "runtime/comm/Group.h"
#include "runtime/placement/Placement.h"

namespace hadal {

/// H6003 on every rank of |group| unless all have the same artifact, placement
/// and checkpoint: the files of |weightsDirectory|, of which names, sizes and
/// samples are compared. H5001 if they cannot be read.
Status joinRanks(comm::Group &group, const Artifact &artifact,
                 const ExpertPlacement &placement,
                 const std::string &weightsDirectory, comm::Deadline deadline);

/// The digest of a checkpoint's files: their names and sizes, what the index
/// says, and 4 KiB at the start, middle and end of each. H5001, H5002.
StatusOr<uint64_t> checkpointDigest(const std::string &weightsDirectory);

} // namespace hadal
