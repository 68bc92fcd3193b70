// A run's times as a file of Chrome's trace events, which ui.perfetto.dev and
// chrome://tracing open.
#pragma once

#include "runtime/base/OutputFile.h"
#include "tools/profile/Exposure.h"

namespace hadal::profile {

struct TraceFacts {
  size_t runs = 0;    ///< written, of a rank
  size_t dropped = 0; ///< older ones, for which there was no room
};

/// The kept runs of all ranks: a process a rank, of it a track for launches and
/// one for collectives; entry > layer > launch, whose name is the model
/// operation's; and a flow from rank to rank for each collective. Times are of
/// rank 0's clock. The newest runs are kept below |maxBytes|.
std::string traceText(const RunProfile &run, uint64_t maxBytes,
                      TraceFacts &facts);

/// Writes traceText() to |file|, which is committed. H5015.
StatusOr<TraceFacts> writeTrace(OutputFile file, const RunProfile &run,
                                uint64_t maxBytes = uint64_t{50} << 20);

} // namespace hadal::profile
