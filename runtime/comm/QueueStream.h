// The comm stream of host-ordered backends.
#pragma once

#include <memory>

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// When an operation takes place between its enqueue() and its wait().
enum class Policy : uint8_t {
  /// As soon as the stream's thread comes to it.
  async,
  /// Within enqueue(): finds buffers that are still in use when it starts.
  eager,
  /// Within wait(): finds uses of what nobody waited for.
  lazy,
  /// One of the three, after a pause: by seed, rank and sequence.
  random,
};

struct StreamOptions {
  Policy policy = Policy::async;
  uint64_t seed = 0;
  /// Of each operation, from the moment it takes place.
  std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

/// "async", "eager", "lazy", "random" or "random,SEED". H5011.
StatusOr<StreamOptions> parsePolicy(std::string_view text);

/// A stream that runs operations in the order of enqueue, on a thread of its
/// own or on that of enqueue() or wait(), by policy; wait() itself takes an
/// operation that nobody has begun. enqueue() and wait() are for one thread.
/// After the first error no further operation runs. It blocks without spinning.
/// Destroyed with operations in it, it drops those that have not begun and
/// waits for one that has: abort its communicator first.
std::unique_ptr<CommStream>
createQueueStream(const StreamOptions &options = {});

} // namespace hadal::comm
