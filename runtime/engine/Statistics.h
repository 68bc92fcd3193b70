// What the engine counts, for metrics: sums since its creation, the state now,
// and records that are handed out as they arise, for histograms.
#pragma once

#include <array>
#include <span>

#include "runtime/engine/Ticket.h"

namespace hadal::engine {

/// Pages of the latent cache by use; their sum is all pages.
struct PageUse {
  uint64_t free = 0;
  uint64_t owned = 0;  ///< of running requests
  uint64_t cached = 0; ///< of the prefix cache, in nobody's use
};

struct Statistics {
  // Now.
  uint64_t requestsRunning = 0;
  uint64_t requestsWaiting = 0;
  uint64_t rowsRunning = 0; ///< choices
  PageUse pages;

  // Since the creation.
  uint64_t promptTokens = 0; ///< computed, or taken from the cache
  uint64_t generatedTokens = 0;
  uint64_t preemptions = 0;
  uint64_t prefixQueries = 0; ///< tokens looked for in the prefix cache
  uint64_t prefixHits = 0;    ///< tokens found
  uint64_t ticks = 0;
  uint64_t promptCalls = 0, decodeCalls = 0;
  /// Choices by FinishReason.
  std::array<uint64_t, 5> finished = {};

  /// Not ok: no call has worked since this one failed, and every request is
  /// refused with it (/ready: 503).
  Status failure;

  double cacheUse() const {
    const double all =
        static_cast<double>(pages.free + pages.owned + pages.cached);
    return all > 0 ? static_cast<double>(pages.owned) / all : 0;
  }
};

/// One call of the model.
struct CallRecord {
  bool prompt = false; ///< else decode
  uint32_t tokens = 0, rows = 0;
  double seconds = 0;
};

/// A request that has ended.
struct RequestRecord {
  const Ticket *ticket;
  Usage usage;
  RequestTimes times;
  std::span<const FinishReason> finished; ///< by choice
  uint32_t preemptions = 0;
};

/// Told what happens, on the engine's thread: quick functions that do not call
/// the engine.
class Observer {
public:
  virtual ~Observer() = default;
  virtual void onCall(const CallRecord &) {}
  /// |seconds| after the last token of the choice came |tokens| more.
  virtual void onTokens(uint32_t tokens, double seconds) {}
  virtual void onEnd(const RequestRecord &) {}
};

} // namespace hadal::engine
