// The copies of one member of an operation.
#pragma once

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// Fills the receive arrays of member |self| out of the send arrays of all
/// members, whose operations are |all|. Counted parts: only the rows that their
/// sender counts. H6006 for a count out of range.
Status receive(std::string_view communicator, unsigned self,
               std::span<const Operation *const> all);

/// The bytes that each member receives of |operation| from |size| members at
/// most.
uint64_t receivedBytes(const Operation &operation, unsigned size);

} // namespace hadal::comm
