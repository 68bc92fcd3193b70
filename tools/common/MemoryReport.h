// What a model takes of memory, by use, before any weight is read.
#pragma once

#include "tools/common/Cli.h"

namespace hadal::cli {

/// Writes to |text| what |artifact| takes of |driver| with |rows| rows (0: as
/// many as it was compiled for) and |pages| pages of cache (0: enough for them),
/// beside what is free. H5005 for more than it was compiled for; H5006 if it
/// does not fit: allocations would fail, or mapped weights be read from disk
/// again and again.
Status describeMemory(Driver &driver, const Artifact &artifact, uint32_t rows,
                      uint64_t pages, std::string &text);

/// The same of |load|, on stdout.
Status reportMemory(const LoadFlags &load, uint32_t rows, uint64_t pages);

} // namespace hadal::cli
