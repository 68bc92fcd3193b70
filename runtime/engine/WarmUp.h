// First calls of a model, before a request waits for them.
#pragma once

#include <atomic>
#include <functional>

#include "runtime/engine/Runner.h"

namespace hadal::engine {

/// Runs one call of each size that |runner| has, as full as its pages allow,
/// with tokens of many kinds: code, weights and arenas are touched, and a call
/// that does not work is known. Pages hold nothing of use afterwards.
/// |progress| is told before each call which of how many it is. H5016 when
/// |interrupt| is set; errors of the calls.
Status warmUp(Runner &runner,
              const std::function<void(size_t call, size_t calls)> &progress,
              const std::atomic<bool> *interrupt = nullptr);

} // namespace hadal::engine
