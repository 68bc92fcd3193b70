// A communicator of a group of processes: says to the control plane where the
// rank is, and has its errors tell who is to blame.
#pragma once

#include "runtime/comm/control/ControlPlane.h"

namespace hadal::comm {

/// |plane| must outlive the result. |members|: ranks of the group.
std::unique_ptr<Communicator>
createWatched(ControlPlane &plane, std::unique_ptr<Communicator> communicator,
              std::span<const unsigned> members);

} // namespace hadal::comm
