// Ranks as processes that this one starts itself, where no launcher is needed.
#pragma once

#include <atomic>

#include "runtime/base/Status.h"

namespace hadal::comm {

/// Starts the command of this process |ranks| times, as ranks of a job that
/// prepareJob() makes, waits until all have ended and then ends the process:
/// with 0, or as the first of them that failed by itself, 128 + n if signal n
/// has ended. Each prints what there is to say. |interrupt|: once it is set,
/// they get a SIGTERM; they get one as well when this process ends. Returns
/// only if none could be started: H6005.
Status becomeParent(unsigned ranks, bool hasRendezvous,
                    const std::atomic<bool> &interrupt);

/// Of a rank: has the system end it with the process that has started it, if
/// one did as above.
void endWithParent();

} // namespace hadal::comm
