// Ranks as threads of one process: real copies, exact counts, sums in rank
// order.
#pragma once

#include <memory>
#include <optional>

#include "runtime/comm/Group.h"

namespace hadal::comm {

/// The link to imagine: an operation lasts as long as it would over it, from
/// the moment that the last rank has come. A delay takes no processor.
struct LoopbackOptions {
  double delayMicroseconds = 0;
  double gigabytesPerSecond = 0; ///< received by a rank; 0: no limit
};

/// "MICROSECONDS" or "MICROSECONDS,GB/s", e.g. "20,50". H5011.
StatusOr<LoopbackOptions> parseDelay(std::string_view text);

/// All ranks of a run. Every rank takes its Group, on its own thread; the
/// world lives as long as any of them.
class LoopbackWorld {
public:
  virtual ~LoopbackWorld() = default;
  static std::shared_ptr<LoopbackWorld>
  create(unsigned ranks, const LoopbackOptions &options = {});

  /// The group as |rank| sees it; once each. When it is destroyed, that rank is
  /// gone: others that wait for it, then or later, get H6001.
  virtual std::unique_ptr<Group> join(unsigned rank) = 0;

  struct Failure {
    unsigned rank;
    Status status;
  };
  /// The first that a rank gave to Group::fail.
  virtual std::optional<Failure> firstFailure() const = 0;
};

} // namespace hadal::comm
