// All ranks of a run, as one of them sees them: the control plane. It carries
// small records and failures, never tensors.
#pragma once

#include "runtime/comm/Communicator.h"

namespace hadal::comm {

/// Where a rank is, for the others' messages.
struct Progress {
  uint64_t step = 0;
  uint64_t sequence = 0; ///< of the last operation it reached
  std::string_view entry, label; ///< static storage, or empty
};

class Group {
public:
  virtual ~Group() = default;
  virtual unsigned rank() const = 0;
  virtual unsigned size() const = 0;

  /// What each rank contributes, in rank order. All ranks call it equally often.
  /// H6001 if a rank is gone or does not answer until |deadline|.
  virtual StatusOr<std::vector<std::vector<uint8_t>>>
  exchange(std::span<const uint8_t> mine, Deadline deadline) = 0;

  /// The communicator |name| of |members| (ranks of the group, ascending, this
  /// one among them). All ranks call it in the same order, each for the members
  /// it is one of; of a device-ordered library in a thread where the rank's
  /// device is current. H6005, H6007.
  virtual StatusOr<std::unique_ptr<Communicator>>
  create(std::string_view name, std::span<const unsigned> members) = 0;

  /// Says where this rank is; cheap, from any thread.
  virtual void report(const Progress &progress) noexcept = 0;
  /// Tells all ranks that this one ends with |status|: their calls return H6001
  /// with its message. Twice is once.
  virtual void fail(const Status &status) noexcept = 0;
};

} // namespace hadal::comm
