// SIGINT, SIGTERM and SIGHUP of a server, which ends its requests first.
#pragma once

#include <functional>
#include <thread>

namespace hadal::serve {

/// Blocks the signals in this thread, which must be the only one so far, and
/// waits for them in another. |onEnd| is called there with the number of the
/// first SIGINT or SIGTERM; a second one ends the process with 128 + its number.
/// |onHangUp| is called for each SIGHUP.
void watchSignals(std::function<void(int)> onEnd,
                  std::function<void()> onHangUp);

} // namespace hadal::serve
